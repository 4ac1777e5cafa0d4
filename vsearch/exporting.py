"""What was found, brought out of vsearch: as films, timelines, lists."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from vsearch.errors import ExportError, MediaError, VSearchError
from vsearch.export.edl import edit_list
from vsearch.export.excerpts import Excerpt, Source, leading, merged, one_line, padded
from vsearch.export.fcpxml import final_cut
from vsearch.export.names import clip_names
from vsearch.export.otio import check_otio, open_timeline
from vsearch.export.playlist import playlist
from vsearch.export.rates import exact_rate
from vsearch.export.spreadsheet import spreadsheet
from vsearch.export.timeline import Timeline
from vsearch.files import replaced
from vsearch.media.export import SUFFIX, Part, check_target, export
from vsearch.media.sound import has_sound
from vsearch.media.video import probe
from vsearch.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from vsearch.types import Moment, Span

CLIPS, SUPERCUT = "clips", "supercut"


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one file that was to be written."""

    path: Path
    kind: str
    error: str | None = None
    places: tuple[Span, ...] = ()  # of each excerpt, in a film
    copied: bool = False  # the pictures are the source's own packets


@dataclass(frozen=True, slots=True)
class Left:
    """A result of which nothing can be exported."""

    rank: int
    path: Path
    error: str


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file that all excerpts go into."""

    suffixes: tuple[str, ...]
    write: Callable[[Sequence[Excerpt], str], bytes]  # excerpts and a title


FORMATS: Mapping[str, Format] = {
    "otio": Format((".otio",), lambda found, title: open_timeline(Timeline.of(found, title))),
    "edl": Format((".edl",), lambda found, title: edit_list(Timeline.of(found, title))),
    "fcpxml": Format((".fcpxml",), lambda found, title: final_cut(Timeline.of(found, title))),
    "csv": Format((".csv",), lambda found, _: spreadsheet(found)),
    "m3u": Format((".m3u", ".m3u8"), playlist),
}


# --- what is exported


def ranked(moments: Iterable[Moment]) -> list[tuple[int, Result]]:
    """What a search found, by rank."""
    return [(rank, Result.of(one)) for rank, one in enumerate(moments, 1)]


def excerpts(
    found: Iterable[tuple[int, Result]],
    *,
    durations: Mapping[Path, float] = MappingProxyType({}),
    pad: float = 0.0,
    note: str = "",
) -> tuple[list[Excerpt], list[Left]]:
    """What results, by rank, show with `pad` seconds around each; and those that show nothing.

    `durations`, in seconds, are those that are known better than by what files say.
    """
    seen: dict[Path, Source | str] = {}
    made: list[Excerpt] = []
    left: list[Left] = []
    for rank, result in found:
        path = _absolute(result.path)
        if path not in seen:
            seen[path] = _looked(path, durations.get(path, 0.0))
        source = seen[path]
        if isinstance(source, str):
            left.append(Left(rank, path, source))
            continue
        span = padded(result.span, pad, source.duration)
        if span is None:
            left.append(Left(rank, path, f"{path}: ends before what was found; index it again"))
            continue
        score, sure = _finite(result.score), _finite(result.confidence)
        made.append(Excerpt(source, span, rank, score, sure, one_line(note), result.quote))
    return made, left


def look(path: Path, duration: float = 0.0) -> Source:
    """A video as editors want to know it; `duration` where it is known. Raises MediaError."""
    info = probe(path)
    return Source(
        path, duration or info.duration, exact_rate(info.fps), info.width, info.height,
        has_sound(path), info.timecode,
    )  # fmt: skip


def _looked(path: Path, duration: float) -> Source | str:
    """The video, or why it cannot be had."""
    try:
        return look(path, duration)
    except MediaError as error:
        return str(error)


def _finite(number: float | None) -> float | None:
    """A number that came out of a file, if it is one."""
    return number if number is not None and math.isfinite(number) else None


def _absolute(name: str) -> Path:
    return Path(os.path.abspath(name))  # noqa: PTH100 - as indexing does


# --- into what


def check(
    targets: Mapping[str, Path], found: Sequence[Excerpt] = (), *, overwrite: bool = False
) -> None:
    """Raise before any work where one of the targets must not, or cannot, be written.

    ExportError, and MissingExtraError where the library of a format is not installed.
    """
    sources = [one.source.path for one in found]
    for kind, target in targets.items():
        if kind == CLIPS:
            _check_folder(target, found, overwrite=overwrite)
            continue
        suffixes = (SUFFIX,) if kind == SUPERCUT else FORMATS[kind].suffixes
        check_target(target, sources, overwrite=overwrite, suffixes=suffixes)
    if "otio" in targets:
        check_otio()


def write(
    found: Sequence[Excerpt], targets: Mapping[str, Path], title: str, *, overwrite: bool = False
) -> Iterator[Written]:
    """Write what `check` allowed; what fails is told, and the rest goes on."""
    for kind, target in targets.items():
        if kind == CLIPS:
            yield from clips(found, target, overwrite=overwrite)
        elif kind == SUPERCUT:
            yield _film(merged(found), target, kind, overwrite=overwrite)
        else:
            yield _file(kind, target, found, title)


def clips(found: Sequence[Excerpt], folder: Path, *, overwrite: bool = False) -> Iterator[Written]:
    """Each excerpt as a film of its own, in a folder that is made if need be."""
    folder.mkdir(exist_ok=True)
    for one, name in zip(found, clip_names(found), strict=True):
        yield _film([one], folder / name, CLIPS, overwrite=overwrite)


def _film(found: Sequence[Excerpt], target: Path, kind: str, *, overwrite: bool) -> Written:
    lead = leading(found)
    try:
        made = export(
            [_part(one) for one in found], target, lead=_part(lead) if lead else None,
            overwrite=overwrite,
        )  # fmt: skip
    except VSearchError as error:
        return Written(target, kind, str(error))
    return Written(target, kind, places=made.places, copied=made.copied)


def _part(one: Excerpt) -> Part:
    return Part(one.source.path, one.span)


def _file(kind: str, target: Path, found: Sequence[Excerpt], title: str) -> Written:
    try:
        content = FORMATS[kind].write(found, title)
        with replaced(target) as file:
            file.write(content)
    except VSearchError as error:
        return Written(target, kind, str(error))
    except OSError as error:
        return Written(target, kind, f"{target}: cannot be written ({error.strerror})")
    return Written(target, kind)


def _check_folder(folder: Path, found: Sequence[Excerpt], *, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder}: is a file; name a folder")
    if not folder.absolute().parent.is_dir():
        raise ExportError(f"{folder}: there is no folder {folder.parent}; make it first")
    sources = [one.source.path for one in found]
    for name in clip_names(found) if folder.is_dir() else ():
        check_target(folder / name, sources, overwrite=overwrite)
