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
_NON_SPEECH_PATTERN = re.compile(
    r"\[[^\]]*\]|\([^)]*\)|[♪♫#*]+|^\s*-\s*|\b[A-Z][A-Z .]{1,30}:"
)  # [music], JOE:
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
        dataset_name: Name of the dataset.
        video_paths: Videos of the library.

    Returns:
        The dataset, its sources, and why subtitle files were skipped.

    Raises:
        DatasetError: If there are fewer than MIN_QUERIES queries.
    """
    unread_reasons: list[str] = []
    subtitle_items = list(_iter_subtitle_items(video_paths, unread_reasons))
    filename_items = [
        CaptionItem(video_path, caption_text)
        for video_path, caption_text in derive_captions(video_paths).items()
    ]
    if len(subtitle_items) + len(filename_items) < MIN_QUERIES:
        raise DatasetError(
            f"{dataset_name}: subtitles and file names give {len(subtitle_items)} and "
            f"{len(filename_items)} queries, and "
            f"at least {MIN_QUERIES} are needed for a comparison; put subtitle files next to the "
            "videos (film.srt next to film.mp4), or use your own captions: "
            "vsearch evaluate FILE"
        )
    query_sources = (
        _summarize_source("subtitles", subtitle_items),
        _summarize_source("file names", filename_items),
    )
    dataset = CaptionDataset(dataset_name, (*subtitle_items, *filename_items), ())
    return AutoDataset(
        dataset,
        tuple(query_source for query_source in query_sources if query_source.query_count),
        tuple(unread_reasons),
    )


def _summarize_source(source_name: str, caption_items: Sequence[CaptionItem]) -> QuerySource:
    return QuerySource(source_name, len(caption_items), len(list_video_paths(caption_items)))


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
        caption_items = _subsample_items(
            [CaptionItem(sidecar.video_path, cue.text, cue.span) for cue in merge_short_cues(cues)]
        )
        done_videos |= {sidecar.video_path} if caption_items else set()
        yield from caption_items


def merge_short_cues(cues: Iterable[Cue]) -> Iterator[Cue]:
    """Merge short cues with the next one.

    Non-speech text such as [music] and speaker names are removed.

    Args:
        cues: Cues in order.

    Yields:
        Cues of at least MIN_QUERY_WORDS words; shorter ones without a close successor are dropped.
    """
    pending_cue: Cue | None = None
    for cue in cues:
        cue_text = " ".join(_NON_SPEECH_PATTERN.sub(" ", cue.text).split())
        if not _WORD_PATTERN.search(cue_text):
            continue
        is_near = (
            pending_cue is not None
            and cue.span.start - pending_cue.span.end <= MAX_JOIN_GAP_SECONDS
        )
        if pending_cue is not None and is_near:
            merged_span = Span(pending_cue.span.start, max(pending_cue.span.end, cue.span.end))
            pending_cue = type(cue)(merged_span, f"{pending_cue.text} {cue_text}")
        else:
            pending_cue = type(cue)(cue.span, cue_text)
        if len(_WORD_PATTERN.findall(pending_cue.text)) >= MIN_QUERY_WORDS:
            yield pending_cue
            pending_cue = None


def _subsample_items(caption_items: Sequence[CaptionItem]) -> list[CaptionItem]:
    """Return at most MAX_PER_VIDEO items, evenly sampled."""
    item_indices = np.unique(
        np.linspace(
            0, len(caption_items) - 1, min(len(caption_items), MAX_QUERIES_PER_VIDEO)
        ).round()
    )
    return [caption_items[int(item_index)] for item_index in item_indices]


# Captions from file names.

MIN_WORDS = 2  # meaningful words of a caption
# Words of cameras, phones, screens, messengers, codecs, resolutions, releases and copies.
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
_RESOLUTION_SUFFIX = re.compile(r"[\W_]\d{3,4}[pi](?![^\W_]).*")  # from 1080p on: release details
_VOWEL_PATTERN = re.compile(r"[aeiouyàáâãäåæèéêëìíîïòóôõöøùúûü]", re.I)


def split_filename(video_path: Path) -> list[str]:
    """Return the words of a file name in order.

    Args:
        video_path: Path of a video.

    Returns:
        Words without numbers, camera and codec names, and codes.
    """
    cleaned_stem = _RESOLUTION_SUFFIX.sub("", _BRACKETED_PATTERN.sub(" ", video_path.stem))
    name_tokens = [
        name_token
        for name_token in _TOKEN_PATTERN.findall(cleaned_stem)
        if name_token.lower() not in _NOISE_WORDS
    ]
    lowercase_words = [
        token_part.lower()
        for name_token in name_tokens
        for token_part in _CAMEL_CASE_BOUNDARY.split(name_token)
    ]
    return [word for word in lowercase_words if word in FUNCTION_WORDS or _is_meaningful_word(word)]


def derive_captions(video_paths: Iterable[Path]) -> dict[Path, str]:
    """Derive a query from each file name that is descriptive and unique.

    Args:
        video_paths: Paths of videos.

    Returns:
        Queries by path.
    """
    words_by_path = {video_path: split_filename(video_path) for video_path in video_paths}
    text_by_path = {
        video_path: " ".join(filename_words)
        for video_path, filename_words in words_by_path.items()
        if len({word for word in filename_words if _is_meaningful_word(word)}) >= MIN_WORDS
    }
    text_counts = Counter(text_by_path.values())
    return {
        video_path: caption_text
        for video_path, caption_text in text_by_path.items()
        if text_counts[caption_text] == 1
    }


def _is_meaningful_word(word: str) -> bool:
    """Return whether a word looks meaningful, judging by its letters."""
    is_noise = word in _NOISE_WORDS or word in FUNCTION_WORDS
    return len(word) > 2 and word.isalpha() and not is_noise and bool(_VOWEL_PATTERN.search(word))
