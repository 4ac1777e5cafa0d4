"""Find and parse sidecar subtitle files: SubRip, WebVTT and (Advanced) SubStation Alpha.

Files are untrusted: they are read within size limits and in linear time, and invalid cues are
skipped. pysubs2 1.8 was rejected because it drops a whole .ass file for one bad timestamp, turns
karaoke lines with two timestamps into cues, and reads WebVTT notes and cue identifiers as text.
"""

from __future__ import annotations

import html
import os
import re
import unicodedata
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from vsearch.errors import TooLargeError, UnreadableError
from vsearch.transcripts.text_encoding import decode_text
from vsearch.types import Cue, Span

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

SUBTITLE_SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
MAX_SUBTITLE_FILE_BYTES = (
    8 * 1024 * 1024
)  # usual files have 100 kB, or a few MB with embedded fonts
MAX_CUES = 50_000  # per file
MAX_CUE_CHARS = 1_000
_TIME_PATTERN = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMING_RE = re.compile(rf"\s*{_TIME_PATTERN}\s*-->\s*{_TIME_PATTERN}(?:\s|$)")
_TIMESTAMP_RE = re.compile(rf"\s*{_TIME_PATTERN}\s*")
_MARKUP_RE = re.compile(r"<[^<>]*>|\{[^{}]*\}")
_DRAWING_RE = re.compile(r"\{[^{}]*\\p[1-9]")
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

    def __init__(self) -> None:
        # by folder, then by the stem of the video
        self._sidecars_by_folder: dict[Path, dict[str, list[Sidecar]]] = {}

    def sidecars_of(self, video_path: Path) -> list[Sidecar]:
        """Return the subtitle files whose name starts with the stem of a video, sorted by name."""
        folder = video_path.parent
        if folder not in self._sidecars_by_folder:
            self._sidecars_by_folder[folder] = _list_sidecars(folder)
        sidecars = self._sidecars_by_folder[folder].get(video_path.stem, [])
        return [replace(sidecar, video_path=video_path) for sidecar in sidecars]


def _list_sidecars(folder: Path) -> dict[str, list[Sidecar]]:
    try:
        file_names = os.listdir(folder)  # noqa: PTH208 - may be thousands of names
    except OSError:
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
    lines = decode_text(_read_content(subtitle_path), language).replace("\0", "").splitlines()
    is_substation = any(line.strip().lower() == "[events]" for line in lines)
    return build_cues(_parse_substation(lines) if is_substation else _parse_timed(lines))


def build_cues(timed_texts: Iterable[tuple[Span, Sequence[str]]]) -> list[Cue]:
    """Build cues from timed lines.

    Args:
        timed_texts: Time span and lines of each cue, in any order.

    Returns:
        Cues in order of time, without markup, at most `MAX_CUES`. Lines that the previous cue
        already showed (roll-up captions) are dropped.
    """
    clean_cues: list[Cue] = []
    previous_texts: set[str] = set()
    for cue_span, cue_texts in sorted(timed_texts, key=lambda timed_text: timed_text[0]):
        visible_texts = (cue_text for cue_text in cue_texts if not _DRAWING_RE.search(cue_text))
        plain_texts = [cue_text for cue_text in map(_strip_markup, visible_texts) if cue_text]
        new_texts = [cue_text for cue_text in plain_texts if cue_text not in previous_texts]
        if new_texts:
            clean_cues.append(Cue(cue_span, " ".join(new_texts)[:MAX_CUE_CHARS]))
        previous_texts = set(plain_texts) or previous_texts
    return clean_cues[:MAX_CUES]


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


def _parse_timed(lines: Sequence[str]) -> Iterator[tuple[Span, list[str]]]:
    """Parse SubRip or WebVTT: a line with timestamps, followed by text."""
    timing_lines = [
        (line_index, match)
        for line_index, line in enumerate(lines)
        if (match := _TIMING_RE.match(line))
    ]
    timing_indexes = [line_index for line_index, _ in timing_lines]
    is_webvtt = bool(lines) and lines[0].startswith("WEBVTT")
    for (timing_index, match), end_index in zip(
        timing_lines, [*timing_indexes[1:], None], strict=False
    ):
        cue_lines = list(lines[timing_index + 1 : end_index])
        if is_webvtt:  # notes and the next identifier follow after an empty line
            cue_lines = list(takewhile(str.strip, cue_lines))
        elif end_index is not None and cue_lines and cue_lines[-1].strip().isdecimal():
            cue_lines.pop()  # the number of the next cue
        cue_span = _make_span(_to_seconds(match.groups()[:4]), _to_seconds(match.groups()[4:]))
        if cue_span is not None:
            yield cue_span, cue_lines


def _parse_substation(lines: Sequence[str]) -> Iterator[tuple[Span, list[str]]]:
    """Parse the [Events] section, in which Format: names the fields of each Dialogue: line."""
    field_names = ["layer", "start", "end", "style", "name", "l", "r", "v", "effect", "text"]
    in_events = False
    for line in lines:
        key, _, line_rest = line.strip().partition(":")
        if key.startswith("["):
            in_events = key.lower() == "[events]"
        elif in_events and key.lower() == "format":
            field_names = [field_name.strip().lower() for field_name in line_rest.split(",")]
        elif in_events and key.lower() == "dialogue":
            field_values = line_rest.split(",", len(field_names) - 1)
            fields = dict(zip(field_names, field_values, strict=False))
            cue_span = _make_span(
                _parse_timestamp(fields.get("start", "")), _parse_timestamp(fields.get("end", ""))
            )
            cue_text = fields.get("text", "")
            if cue_span is not None and not _DRAWING_RE.search(cue_text):
                yield cue_span, re.split(r"\\[Nn]", cue_text.replace("\\h", " "))


def _parse_timestamp(time_text: str) -> float | None:
    match = _TIMESTAMP_RE.fullmatch(time_text)
    return _to_seconds(match.groups()) if match else None


def _to_seconds(time_parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = (time_part or "0" for time_part in time_parts)
    return 3600 * int(hours) + 60 * int(minutes) + int(seconds) + float(f"0.{fraction}")


def _make_span(start_seconds: float | None, end_seconds: float | None) -> Span | None:
    """Return the span, or None if it is empty or incomplete."""
    if start_seconds is None or end_seconds is None or not start_seconds < end_seconds:
        return None
    return Span(start_seconds, end_seconds)


def _strip_markup(line_text: str) -> str:
    """Return a line without markup."""
    # Shortened because html.unescape fails on numbers of 4,300 digits.
    bare_text = _MARKUP_RE.sub("", line_text)[: 4 * MAX_CUE_CHARS]
    return unicodedata.normalize("NFC", " ".join(html.unescape(bare_text).split()))
