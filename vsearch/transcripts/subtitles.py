"""Find and read sidecar subtitle files: SubRip, WebVTT and (Advanced) SubStation Alpha.

Files are untrusted: they are read within size limits. pysubs2 1.8 was rejected because it drops a
whole .ass file for one bad timestamp, turns karaoke lines with two timestamps into cues, and reads
WebVTT notes and cue identifiers as text.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING

from vsearch.buckets.bucket_path import BucketPath, iter_entries
from vsearch.errors import TooLargeError, UnreadableError
from vsearch.storage.path_roots import is_within_roots
from vsearch.transcripts.subtitle_parsing import MAX_CUE_CHARS, clean_lines, parse_subtitles
from vsearch.transcripts.text_encoding import decode_text
from vsearch.types import Cue, Span

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from vsearch.transcripts.subtitle_parsing import TimedLines

SUBTITLE_SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
MAX_SUBTITLE_FILE_BYTES = (
    8 * 1024 * 1024
)  # usual files have 100 kB, or a few MB with embedded fonts
MAX_CUES = 50_000  # per file
_MAX_TOUCH_GAP_SECONDS = 0.04  # a frame; captions that roll up follow each other without a pause
_MAX_ROLL_UP_LINES = 16  # usually two or three
# `en`, `pt-BR`, or the purpose of the file
_NAME_TAG_RE = re.compile(
    r"(?P<language>[a-z]{2,3})(?:[-_][a-z0-9]{2,8})*|sdh|forced|default", re.I
)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A subtitle file and the video that its name refers to."""

    video_path: Path
    subtitle_path: Path
    language: str | None  # from the file name: `en` for film.en.srt

    def is_best_match(self, video_stems: Collection[Path]) -> bool:
        """Return whether no other video shares a longer part of the file name.

        Args:
            video_stems: Paths of all videos, without suffixes.

        Returns:
            True if the file belongs to `video_path`.
        """
        bare_path = self.subtitle_path.with_suffix("")
        while bare_path not in video_stems and bare_path.suffix:
            bare_path = bare_path.with_suffix("")
        return bare_path == self.video_path.with_suffix("")


def find_sidecars(video_paths: Iterable[Path]) -> list[Sidecar]:
    """Return the subtitle files of videos: film.srt or film.en.srt next to film.mp4.

    Args:
        video_paths: The videos. A file that matches several belongs to the longest name.

    Returns:
        Sidecars sorted by path; folders that cannot be listed are skipped.
    """
    known_videos, subtitle_finder = set(video_paths), SubtitleFinder()
    video_stems = {video_path.with_suffix("") for video_path in known_videos}
    sidecars = [
        sidecar
        for video_path in known_videos
        for sidecar in subtitle_finder.sidecars_of(video_path)
        if sidecar.is_best_match(video_stems)
    ]
    return sorted(sidecars, key=lambda sidecar: str(sidecar.subtitle_path))


class SubtitleFinder:
    """Finds the subtitle files of videos, listing each folder once."""

    def __init__(self, roots: Sequence[Path] = ()) -> None:
        """Ignore files that lead out of `roots`, resolved folders, through links, if any."""
        self._roots = roots
        # by folder, then by the stem of the video
        self._sidecars_by_folder: dict[Path, dict[str, list[Sidecar]]] = {}

    def sidecars_of(self, video_path: Path) -> list[Sidecar]:
        """Return the subtitle files whose name starts with the stem of a video, sorted by name."""
        folder = video_path.parent
        if folder not in self._sidecars_by_folder:
            self._sidecars_by_folder[folder] = _list_sidecars(folder)
        sidecars = self._sidecars_by_folder[folder].get(video_path.stem, [])
        return [
            replace(sidecar, video_path=video_path)
            for sidecar in sidecars
            if not self._roots or is_within_roots(sidecar.subtitle_path, self._roots)
        ]


def _list_names(folder: Path) -> list[str]:
    """Return the names in a folder; of one in a bucket, which may be millions, subtitles only."""
    if not isinstance(folder, BucketPath):
        return os.listdir(folder)  # noqa: PTH208 - may be thousands of names
    names = (entry.name for entry in iter_entries(folder) if entry.has_valid_name)
    return [name for name in names if name.lower().endswith(SUBTITLE_SUFFIXES)]


def _list_sidecars(folder: Path) -> dict[str, list[Sidecar]]:
    try:
        file_names = _list_names(folder)
    except (FileNotFoundError, PermissionError):
        return {}
    except OSError:
        if isinstance(folder, BucketPath):  # else what is stored would depend on the network
            raise
        return {}
    sidecars_by_stem: dict[str, list[Sidecar]] = {}
    for file_name in sorted(file_names):
        file_stem, suffix = os.path.splitext(file_name)  # noqa: PTH122
        if suffix.lower() not in SUBTITLE_SUFFIXES:
            continue
        name_tags: list[str] = []
        for _ in range(4):
            language_tags = [
                tag for tag in name_tags if tag.lower() not in ("sdh", "forced", "default")
            ]
            language = language_tags[0].lower() if language_tags else None
            sidecars_by_stem.setdefault(file_stem, []).append(
                Sidecar(folder / file_stem, folder / file_name, language)
            )
            file_stem, separator, name_tag = file_stem.rpartition(".")
            name_tags.insert(0, name_tag)
            if not separator or not _NAME_TAG_RE.fullmatch(name_tag):
                break
    return sidecars_by_stem


def read_subtitles(subtitle_path: Path, language: str | None = None) -> list[Cue]:
    """Parse a subtitle file.

    Args:
        subtitle_path: The file.
        language: Language tag that helps to decode files that are not UTF-8.

    Returns:
        Cues in order of time.

    Raises:
        UnreadableError: The file cannot be read.
        TooLargeError: The file exceeds `MAX_SUBTITLE_FILE_BYTES`.
    """
    return build_cues(parse_subtitles(decode_text(_read_content(subtitle_path), language)))


def build_cues(timed_lines: Iterable[TimedLines]) -> list[Cue]:
    """Build cues from timed lines.

    Captions that roll up show lines again, without a pause: YouTube's automatic captions, CEA-608.
    Such lines are dropped. A line that is said again after a pause is another cue.

    Args:
        timed_lines: Time span and lines of each cue, in any order.

    Returns:
        Cues in order of time, without markup, at most `MAX_CUES`.
    """
    clean_cues: list[Cue] = []
    cue_indexes: dict[tuple[str, ...], int] = {}  # of the last cue with these lines
    previous_lines: tuple[str, ...] = ()
    previous_end = -math.inf
    for cue_span, cue_lines in sorted(timed_lines, key=itemgetter(0)):
        visible_lines = tuple(clean_lines(cue_lines))
        if not visible_lines:
            continue
        cue_index = cue_indexes.get(visible_lines)
        if cue_index is not None and _touches(clean_cues[cue_index].span.end, cue_span):
            shown_cue = clean_cues[cue_index]  # it stays on screen
            full_span = Span(shown_cue.span.start, max(shown_cue.span.end, cue_span.end))
            clean_cues[cue_index] = replace(shown_cue, span=full_span)
        else:
            repeated_count = (
                _count_repeated(previous_lines, visible_lines)
                if _touches(previous_end, cue_span)
                else 0
            )
            if new_lines := visible_lines[repeated_count:]:
                cue_indexes[visible_lines] = len(clean_cues)
                clean_cues.append(Cue(cue_span, " ".join(new_lines)[:MAX_CUE_CHARS]))
        previous_lines, previous_end = visible_lines, cue_span.end
    return clean_cues[:MAX_CUES]


def _touches(previous_end: float, cue_span: Span) -> bool:
    return cue_span.start <= previous_end + _MAX_TOUCH_GAP_SECONDS


def _count_repeated(previous_lines: tuple[str, ...], cue_lines: tuple[str, ...]) -> int:
    """Return how many lines at the start of a cue repeat the end of the previous one."""
    max_lines = min(len(previous_lines), len(cue_lines), _MAX_ROLL_UP_LINES)
    return next(
        (
            line_count
            for line_count in range(max_lines, 0, -1)
            if previous_lines[-line_count:] == cue_lines[:line_count]
        ),
        0,
    )


def _read_content(subtitle_path: Path) -> bytes:
    try:
        if not subtitle_path.is_file():  # opening a pipe would block
            raise OSError("no such file")
        with subtitle_path.open("rb") as subtitle_file:
            content = subtitle_file.read(MAX_SUBTITLE_FILE_BYTES + 1)
    except OSError as error:
        raise UnreadableError(
            f"{subtitle_path}: cannot be read ({error.strerror or error})"
        ) from error
    if len(content) > MAX_SUBTITLE_FILE_BYTES:
        raise TooLargeError(
            f"{subtitle_path}: larger than {MAX_SUBTITLE_FILE_BYTES} bytes; not a subtitle file"
        )
    return content
