"""Spans of one or several videos as one MP4 file, with their sound.

Pictures are copied as they are where all parts are of one file and each can be cut within a frame
at key frames (see `media/cutting.py`); otherwise all are encoded anew, exactly, as H.264. Never
both: copied and encoded packets in one stream need different headers. Sound is always encoded anew,
so that it joins without a click: it costs little.
"""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError

from vsearch.errors import ExportError, MediaError
from vsearch.files import replaced
from vsearch.media.canvas import Canvas
from vsearch.media.container import exact, open_file
from vsearch.media.cutting import cut, only_video, packets
from vsearch.media.sound import Sound, has_sound
from vsearch.media.timestamps import TICK
from vsearch.media.tracks import MOST, Pictures, SoundTrack
from vsearch.media.video import opened, probe
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from av.container import OutputContainer

    from vsearch.media.cutting import Cut
    from vsearch.media.film import Frame
    from vsearch.types import Images

log = logging.getLogger(__name__)

SUFFIX = ".mp4"
_RATE = Fraction(25)  # frames a second, where a file does not tell


@dataclass(frozen=True, slots=True)
class Part:
    """A span of a video."""

    path: Path
    span: Span


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written."""

    path: Path
    places: tuple[Span, ...]  # where each part is in it; one that held no frame lasts 0 s
    copied: bool  # the pictures are the source's own packets
    sound: bool

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.places[-1].end


def export(
    parts: Sequence[Part], target: Path, *, lead: Part | None = None, overwrite: bool = False
) -> Exported:
    """Write the parts, one after the other, to an MP4 file; all of it or nothing.

    A part ends with its video. Larger pictures than 1080 lines are scaled down, parts of other
    shapes fitted into that of `lead`, or of the first one. Raises ExportError, and MediaError for
    a part that cannot be read.
    """
    check_target(target, [part.path for part in parts], overwrite=overwrite)
    if not parts:
        raise ExportError(f"{target}: there is nothing to write: name a part of a video")
    sound = any(has_sound(path) for path in {part.path for part in parts})
    try:
        with replaced(target) as file:
            unfinished = Path(file.name)
            places = _copied(parts, unfinished, sound)
            copied = places is not None
            places = places or _encoded(parts, unfinished, sound, lead or parts[0])
    except (FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ExportError(
            f"{target}: cannot be written ({reason}); see whether the disk is full or read-only"
        ) from error
    return Exported(target, places, copied, sound)


def check_target(
    target: Path,
    sources: Sequence[Path],
    *,
    overwrite: bool = False,
    suffixes: Sequence[str] = (SUFFIX,),
) -> None:
    """Raise ExportError where a file must not be written."""
    if target.suffix.lower() not in suffixes:
        raise ExportError(f"{target}: only {' and '.join(suffixes)} files can be written; name one")
    if not target.parent.is_dir():
        raise ExportError(f"{target}: there is no folder {target.parent}; make it first")
    if target.is_dir():
        raise ExportError(f"{target}: is a folder; name a file")
    if not target.exists():
        return
    if any(source.exists() and target.samefile(source) for source in sources):
        raise ExportError(f"{target}: is one of the videos it would be made of; name another file")
    if not overwrite:
        raise ExportError(f"{target}: is there already; name another file, or say --overwrite")


# --- copied


def _copied(parts: Sequence[Part], target: Path, sound: bool) -> tuple[Span, ...] | None:
    """Write the parts' own packets; None where that cannot be, or does not play as it should."""
    path = parts[0].path
    if any(part.path != path for part in parts):
        return None
    cuts = [found for part in parts if (found := cut(path, part.span)) is not None]
    if len(cuts) < len(parts):
        return None
    try:
        places = _copy(path, cuts, target, sound)
        return places if _plays(target, path, cuts) else None
    except (FFmpegError, MediaError, ValueError) as error:
        log.info("%s: encoded anew, for its packets cannot be copied: %s", path, error)
        return None


def _copy(path: Path, cuts: Sequence[Cut], target: Path, sound: bool) -> tuple[Span, ...]:
    places: list[Span] = []
    offset = Fraction(0)
    with closing(open_file(path)) as source, _created(target) as container:
        stream = only_video(source)
        base = exact(stream.time_base) if stream else None
        if stream is None or base is None:
            raise ValueError("there is no stream to copy")
        out = container.add_stream_from_template(stream)
        out.time_base = stream.time_base
        track = SoundTrack(container) if sound else None
        for one in cuts:
            shift = round(offset / base) - one.key
            with closing(Sound(path, one.start)) as heard:
                for packet in packets(source, stream, one):
                    shown = (packet.pts or 0) + shift  # there are stamps: it could be cut
                    packet.pts, packet.dts = shown, (packet.dts or 0) + shift
                    packet.stream = out
                    if track:
                        track.fill(min(shown * base, offset + one.length), heard)
                    container.mux(packet)
                if track:
                    track.fill(offset + one.length, heard)
            places.append(Span(float(offset), float(offset + one.length)))
            offset += one.length
        if track:
            track.close()
    return tuple(places)


def _plays(target: Path, path: Path, cuts: Sequence[Cut]) -> bool:
    """Whether a file that was joined of packets shows every frame, in the shape of its source."""
    with opened(target) as film:
        times = [frame.time for frame in film.frames()]
        note = film.note(float(times[-1]) if times else 0.0, whole=True)
    was, now = probe(path), probe(target)
    return (
        note is None
        and len(times) == sum(one.count for one in cuts)
        and all(after - before > Fraction(1, 2000) for before, after in pairwise(times))
        and (was.width, was.height) == (now.width, now.height)
    )


# --- encoded


def _encoded(parts: Sequence[Part], target: Path, sound: bool, lead: Part) -> tuple[Span, ...]:
    """Decode the parts, encode them anew in the shape of one of them."""
    canvas, rate = _look(lead)
    places: list[Span] = []
    offset = Fraction(0)
    with _created(target) as container:
        pictures = Pictures(container, (canvas.width, canvas.height), rate)
        track = SoundTrack(container) if sound else None
        for part in parts:
            begin = offset
            with closing(Sound(part.path, Fraction(part.span.start))) as heard:
                for shown in _shown(part, canvas):
                    pictures.add(shown.image, begin + shown.start, first=not shown.start)
                    offset = begin + shown.end
                    if track:
                        track.fill(offset, heard)
            places.append(Span(float(begin), float(offset)))
        if not offset:
            raise ExportError(f"{parts[0].path}: ends before the part that was asked for")
        pictures.close(offset)
        if track:
            track.close()
    return tuple(places)


@dataclass(frozen=True, slots=True)
class _Shown:
    """An image of a part, and from when to when it is seen, in seconds from the part's start."""

    image: Images  # uint8 (H, W, 3)
    start: Fraction
    end: Fraction


def _shown(part: Part, canvas: Canvas) -> Iterator[_Shown]:
    """The images of a part as they follow each other; the first one is seen from its start on."""
    start, end = Fraction(part.span.start), Fraction(part.span.end)
    with opened(part.path) as film:
        held: Frame | None = None
        since = Fraction(0)
        for frame in film.frames(start):
            if frame.time >= end - TICK and held is not None:
                break
            if held is not None and frame.time > start + TICK:
                yield _Shown(canvas.paint(held), since, frame.time - start)
                since = frame.time - start
            held = frame
        if held is None:
            raise film.reason()
        # it may be the last one of the video
        gone = frame.time if frame is not held else held.time + held.length
        if min(gone, end) - start > since:
            yield _Shown(canvas.paint(held), since, min(gone, end) - start)


def _look(part: Part) -> tuple[Canvas, Fraction]:
    """The shape of a part's pictures, and how many there are a second, about."""
    with opened(part.path) as film:
        rate = Fraction(film.claims().fps).limit_denominator(1001)
        for frame in film.frames(Fraction(part.span.start)):
            return Canvas.of(frame), min(max(rate or _RATE, Fraction(1)), Fraction(MOST))
        raise film.reason()


def _created(target: Path) -> OutputContainer:
    """A file to write; players can begin before they have read all of it."""
    return av.open(
        f"file:{target.absolute()}", "w", format="mp4", options={"movflags": "faststart"}
    )
