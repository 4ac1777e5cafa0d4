"""Automatic test set of a library, from subtitle files and the file names of its videos."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DatasetError, MediaError
from vsearch.evaluation.datasets import CaptionDataset, CaptionItem, list_video_paths
from vsearch.evaluation.english_rewriting import FUNCTION_WORDS, split_words
from vsearch.transcripts import subtitles
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from vsearch.types import Cue

MIN_QUERIES = 10
MAX_QUERIES_PER_VIDEO = 40  # from subtitles, so that one film does not outweigh the rest
MIN_QUERY_WORDS = 3  # of a query from subtitles; shorter cues are merged
MAX_JOIN_GAP_SECONDS = 2.0  # longest pause between merged cues
# [music], (laughs), ♪, a leading dash, JOE:
_NON_SPEECH_PATTERN = re.compile(r"\[[^\]]*\]|\([^)]*\)|[♪♫#*]+|^\s*-\s*|\b[A-Z][A-Z .]{1,30}:")
_WORD_PATTERN = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True)
class QuerySource:
    """Number of queries from one source."""

    source_name: str
    query_count: int
    video_count: int


@dataclass(frozen=True, slots=True)
class AutoDataset:
    """Queries with their relevant videos, and their sources."""

    dataset: CaptionDataset
    sources: tuple[QuerySource, ...]
    unread_reasons: tuple[str, ...]  # why a subtitle file gave nothing


def build_auto_dataset(dataset_name: str, video_paths: Sequence[Path]) -> AutoDataset:
    """Build queries from subtitles and file names.

    Args:
        dataset_name: Name of the dataset, also for messages.
        video_paths: Videos of the library.

    Returns:
        The dataset, its sources, and why subtitle files were skipped.

    Raises:
        DatasetError: If there are fewer than MIN_QUERIES queries.
    """
    unread_reasons: list[str] = []
    subtitle_items = list(_iter_subtitle_items(video_paths, unread_reasons))
    filename_items = [CaptionItem(*named) for named in derive_captions(video_paths).items()]
    if len(subtitle_items) + len(filename_items) < MIN_QUERIES:
        raise DatasetError(
            f"{dataset_name}: subtitles and file names give {len(subtitle_items)} and "
            f"{len(filename_items)} queries, but at least {MIN_QUERIES} are needed: put subtitle "
            "files next to the videos (film.srt next to film.mp4), or use your own captions "
            "(vsearch evaluate FILE)"
        )
    return AutoDataset(
        CaptionDataset(dataset_name, (*subtitle_items, *filename_items), ()),
        tuple(
            QuerySource(source_name, len(items), len(list_video_paths(items)))
            for source_name, items in (
                ("subtitles", subtitle_items),
                ("file names", filename_items),
            )
            if items
        ),
        tuple(unread_reasons),
    )


def _iter_subtitle_items(
    video_paths: Sequence[Path], unread_reasons: list[str]
) -> Iterator[CaptionItem]:
    """Yield the cues of one file per video, in English or without a language in its name."""
    done_videos: set[Path] = set()
    for sidecar in subtitles.find_sidecars(video_paths):
        if sidecar.video_path in done_videos or not (sidecar.language or "en").startswith("en"):
            continue
        try:
            cues = subtitles.read_subtitles(sidecar.subtitle_path)
        except MediaError as error:
            unread_reasons.append(str(error))
            continue
        for cue in _subsample_cues(list(merge_short_cues(cues))):
            done_videos.add(sidecar.video_path)
            yield CaptionItem(sidecar.video_path, cue.text, cue.span)


def merge_short_cues(cues: Iterable[Cue]) -> Iterator[Cue]:
    """Merge cues of few words with the next one.

    Non-speech text such as [music] and speaker names are removed.

    Args:
        cues: Cues in order.

    Yields:
        Cues of at least MIN_QUERY_WORDS words; shorter ones without a close successor are dropped.
    """
    pending: Cue | None = None
    for cue in cues:
        text = " ".join(_NON_SPEECH_PATTERN.sub(" ", cue.text).split())
        if not _WORD_PATTERN.search(text):
            continue
        if pending and cue.span.start - pending.span.end <= MAX_JOIN_GAP_SECONDS:
            merged_span = Span(pending.span.start, max(pending.span.end, cue.span.end))
            pending = type(cue)(merged_span, f"{pending.text} {text}")
        else:
            pending = type(cue)(cue.span, text)
        if len(_WORD_PATTERN.findall(pending.text)) >= MIN_QUERY_WORDS:
            yield pending
            pending = None


def _subsample_cues(cues: Sequence[Cue]) -> list[Cue]:
    """Return at most MAX_QUERIES_PER_VIDEO cues, evenly sampled."""
    sample_count = min(len(cues), MAX_QUERIES_PER_VIDEO)
    return [cues[int(index)] for index in np.linspace(0, len(cues) - 1, sample_count).round()]


# Captions from file names.

MIN_CAPTION_WORDS = 2  # meaningful words of a caption
# Words that cameras, phones, messengers, codecs, releases and copies put into file names.
_NOISE_WORDS = split_words(
    "img image dsc dscn dscf dsci mvi mov movie vid video vids videos clip clips pxl gopr gopro "
    "gh gx dji mah cam camera rec recording record screen screenshot screencast capture obs zoom "
    "teams whatsapp signal telegram snapchat instagram tiktok youtube facebook reel reels story "
    "wa hd fhd uhd hdr sdr uhdtv blu ray bluray bdrip brrip webrip web dl dvd dvdrip hdtv xvid "
    "divx avc hevc aac mp3 mp4 mkv avi webm flac opus vp av prores h264 h265 x264 x265 fps kbps "
    "mbps dts ac dd proper repack remux uncut extended final edit edited export exported render "
    "rendered draft copy kopie version ver new old tmp temp test tests sample samples example "
    "examples demo file files untitled output out input raw original orig trim trimmed cut "
    "compressed converted proxy low high res resolution full part pt disc vol season episode data "
    "asset assets media"
)
_TOKEN_PATTERN = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_CAMEL_CASE_BOUNDARY = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BRACKETED_PATTERN = re.compile(r"[\[({][^\])}]*[\])}]")  # ids, years, releases
_RESOLUTION_SUFFIX = re.compile(r"[\W_]\d{3,4}[pi](?![^\W_]).*")  # 1080p and the rest
_VOWEL_PATTERN = re.compile(r"[aeiouyàáâãäåæèéêëìíîïòóôõöøùúûü]", re.I)


def split_filename(video_path: Path) -> list[str]:
    """Return the words of a file name in order.

    Args:
        video_path: Path of a video.

    Returns:
        Lowercase words without numbers, camera and codec names, and codes.
    """
    stem = _RESOLUTION_SUFFIX.sub("", _BRACKETED_PATTERN.sub(" ", video_path.stem))
    words = [
        word.lower()
        for token in _TOKEN_PATTERN.findall(stem)
        if token.lower() not in _NOISE_WORDS
        for word in _CAMEL_CASE_BOUNDARY.split(token)
    ]
    return [word for word in words if word in FUNCTION_WORDS or _is_meaningful_word(word)]


def derive_captions(video_paths: Iterable[Path]) -> dict[Path, str]:
    """Derive a query from each file name that is descriptive and unique.

    Args:
        video_paths: Paths of videos.

    Returns:
        Queries by path.
    """
    captions = {}
    for video_path in video_paths:
        words = split_filename(video_path)
        if len(set(filter(_is_meaningful_word, words))) >= MIN_CAPTION_WORDS:
            captions[video_path] = " ".join(words)
    counts = Counter(captions.values())
    return {path: caption for path, caption in captions.items() if counts[caption] == 1}


def _is_meaningful_word(word: str) -> bool:
    """Return whether a word looks meaningful, judging by its letters."""
    is_noise = word in _NOISE_WORDS or word in FUNCTION_WORDS
    return len(word) > 2 and word.isalpha() and not is_noise and bool(_VOWEL_PATTERN.search(word))
