"""Films: what is in a container, packet by packet, and when it is seen.

In here time is `Fraction` seconds, so that no rounding shifts a frame; zero is what a player shows
as 0:00. A film goes on after damage and tells of it in a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import av
from av.error import FFmpegError

from vsearch.errors import MediaError, NoPictureError
from vsearch.media.bitstream import Bitstream
from vsearch.media.container import TIMEOUT, bits_of, exact, open_file, origin, video_stream
from vsearch.media.devices import opened_with
from vsearch.media.limits import check_size, most_pixels
from vsearch.media.recorded import recorded
from vsearch.media.selective import Selection, Unsure
from vsearch.media.timestamps import LEAP, Timestamps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vsearch.media.instants import Instants

_MAY_RESTART = 0x200  # AVFMT_TS_DISCONT: a format whose timestamps may start anew
_PLAIN = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "mpeg", "flv"}  # times in order
_PLACES = 100  # in a file, at which timestamps are compared
_LONGEST = 30 * 24 * 3600.0  # seconds; a file that claims to be longer is not believed
_PATIENCE = 2000  # packets that may fail before the first frame


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame."""

    picture: VideoFrame
    aspect: Fraction  # of one pixel: its width divided by its height
    time: Fraction  # seconds, rising from frame to frame
    length: Fraction  # seconds that it claims to be shown
    until: Fraction | None = None  # when the next one replaces it; None: see that


@dataclass(frozen=True, slots=True)
class Claims:
    """What a file says of itself."""

    duration: float  # seconds; 0 where unknown
    fps: float  # 0 where unknown
    codec: str
    timecode: str | None = None  # of the first frame, as a camera wrote it
    recorded: datetime | None = None  # UTC


@dataclass(frozen=True, slots=True)
class _Way:
    """To decode less than everything."""

    wants: Instants
    keyframes: bool  # nothing but these


class Film(Protocol):
    """An opened file."""

    def claims(self) -> Claims: ...
    def frames(self, start: Fraction = ..., wants: Instants | None = ...) -> Iterator[Frame]: ...
    def reason(self) -> MediaError: ...
    def note(self, end: float, *, whole: bool) -> str | None: ...
    def close(self) -> None: ...


class ContainerFilm:
    """A file that FFmpeg opens."""

    def __init__(self, path: Path, *, keyframes: bool = False, device: str = "") -> None:
        """With `keyframes` nothing else is decoded, if they are told and at most 30 s apart."""
        self._path = path
        self._keyframes = keyframes
        self._device = device
        self._damaged = 0  # packets
        self._damaged_at: Fraction | None = None
        self._now = Fraction(0)
        self._seen = False
        self._encrypted = False
        self._remark: str | None = None
        self._open()

    def _open(self) -> None:
        self._container: InputContainer = opened_with(self._device, self._path, open_file)
        try:
            self._stream = video_stream(self._path, self._container)
        except BaseException:
            self._container.close()
            raise

    def close(self) -> None:
        self._container.close()

    def claims(self) -> Claims:
        """What the headers say, as far as it can be believed."""
        codec = self._stream.codec_context.codec.canonical_name
        when = recorded(self._container.metadata, self._stream.metadata)
        return Claims(self._duration(), float(self._rate() or 0), codec, self._timecode(), when)

    def reason(self) -> MediaError:
        """Why there was no frame."""
        if self._encrypted:
            return NoPictureError(f"{self._path}: is encrypted; decrypt it first")
        codec = self._stream.codec_context
        large = "" if codec.width else f", or larger than {most_pixels(1) // 10**6} million pixels"
        return NoPictureError(
            f"{self._path}: has a {codec.name} video stream but no frame of it can be decoded; it "
            f"is cut short or damaged{large}, copy it again"
        )

    def note(self, end: float, *, whole: bool) -> str | None:
        """What was wrong, after frames up to `end` seconds came out."""
        if self._encrypted:
            return f"encrypted from {clock(end)} on; what comes before is used"
        claimed = self._duration()
        reached = end + max(0.0, float(self._origin()))  # some durations count from 0
        if whole and reached < claimed - max(2.0, claimed / 10) and self._alone():
            return f"damaged after {clock(end)}, though it claims to last {clock(claimed)}"
        if self._damaged and self._damaged_at is not None:
            many = "a part" if self._damaged == 1 else f"{self._damaged} parts"
            return f"{many} could not be decoded, first at {clock(float(self._damaged_at))}"
        return self._remark

    def frames(
        self, start: Fraction = Fraction(0), wants: Instants | None = None
    ) -> Iterator[Frame]:
        """Frames from the last one at or before `start` or earlier, in the order they are shown.

        With `wants` those that it takes are among them, and others may be left out; a frame comes
        again, as the next one, where it turns out that nothing is known of what follows it.
        """
        last: Fraction | None = None
        for way in self._ways(wants):
            try:
                for frame in self._found(start, way):
                    if last is None or frame.time >= last:
                        yield frame
                        last = frame.time
                return
            except Unsure as unsure:
                if way.wants.stopped.is_set():
                    return  # what was planned is not waited for
                self._begin_again(unsure, last)
        for frame in self._found(start, None):
            if last is None or frame.time >= last:
                yield frame

    def _ways(self, wants: Instants | None) -> list[_Way]:
        """How to leave frames out, one way after the other."""
        if wants is None or self._stream.codec_context.is_hwaccel:
            return []
        return [_Way(wants, True)] * self._keyframes + [_Way(wants, False)]

    def _begin_again(self, unsure: Unsure, last: Fraction | None) -> None:
        """After something that was not as planned: as if nothing had been read."""
        if unsure.remark:
            self._remark = f"{unsure.remark} after {clock(float(last or 0))}"
        self._damaged, self._damaged_at, self._encrypted = 0, None, False
        self._container.close()
        self._open()

    def _found(self, start: Fraction, way: _Way | None) -> Iterator[Frame]:
        if start > 0 and self._stream.start_time is not None:
            for margin in (0, 2, 10, 60) if self.runs_through() else ():
                if start <= margin:
                    break
                found = self._sought(start - margin, way)
                first = next(found, None)
                if first and first.time <= start:
                    yield first
                    yield from found
                    return
            self._container.close()  # this file can't be sought in: from the beginning
            self._open()
        yield from self._decoded(way, sought=False)

    def runs_through(self) -> bool:
        """Whether timestamps rise from the beginning of the file to its end.

        Only then does seeking find what a full pass shows at that time. In most containers they
        do. Where the format lets them start anew, as where recordings were joined, they are
        compared at a hundred places spread evenly over the file, without decoding: a later place
        must not have an earlier time, nor one over an hour later. A new start is missed where
        time falls back by less than passes between two places, about 1% of the length.
        """
        if not self._container.format.flags & _MAY_RESTART:
            return True
        size = self._path.stat().st_size
        times = [self._time_at(place * size // _PLACES) for place in range(_PLACES)]
        return all(
            before is not None and after is not None and 0 <= after - before < LEAP
            for before, after in pairwise(times)
        )

    def _time_at(self, position: int) -> Fraction | None:
        """The first timestamp after so many bytes, in the container's own seconds."""
        try:
            self._container.seek(position, unsupported_byte_offset=True)
            stamps = (packet.dts for packet in islice(self._container.demux(self._stream), 200))
            stamp = next((stamp for stamp in stamps if stamp is not None), None)
        except (FFmpegError, ValueError, IndexError):
            return None
        return None if stamp is None else stamp * self._time_base()

    def _sought(self, start: Fraction, way: _Way | None) -> Iterator[Frame]:
        seconds = min(start, Fraction(_LONGEST)) + self._origin()
        try:
            self._container.seek(int(seconds / self._time_base()), stream=self._stream)
        except (FFmpegError, OverflowError):
            return
        yield from self._decoded(way, sought=True)

    def _decoded(self, way: _Way | None, *, sought: bool) -> Iterator[Frame]:
        base = self._time_base()
        step = 1 / (self._rate() or Fraction(25))
        times = Timestamps(base, self._origin(), step, sought=sought)
        if way:
            yield from self._selected(way, times)
            return
        for packet in self._packets():
            if packet and packet.has_sidedata("encryption_info"):
                self._encrypted = True
            if self._encrypted or (self._damaged > _PATIENCE and not self._seen):
                return
            for picture in self._pictures(packet):
                pts = picture.pts if picture.pts is not None else picture.dts
                self._now, self._seen = times.read(pts), True
                if picture.is_corrupt:
                    self._note_damage()
                yield Frame(picture, self._aspect(), self._now, self._length(picture))

    def _length(self, picture: VideoFrame) -> Fraction:
        length = (picture.duration or 0) * self._time_base()
        return length if 0 < length < LEAP else 1 / (self._rate() or Fraction(25))

    def _selected(self, way: _Way, times: Timestamps) -> Iterator[Frame]:
        """Only what is needed for the frames that are wanted. Raises Unsure."""
        codec = self._stream.codec_context
        if self._container.format.name not in _PLAIN:
            raise Unsure
        try:
            bitstream = Bitstream(codec.codec.canonical_name, codec.extradata)
        except KeyError as error:
            raise Unsure from error
        selection = Selection(
            codec, bitstream, times, way.wants.again(),
            base=self._time_base(), keyframes=way.keyframes,
        )  # fmt: skip
        for picture, slot in selection.frames(self._whole_packets(), self._whole_pictures):
            self._now, self._seen = slot.time, True
            length = self._length(picture)
            if way.keyframes and slot.until is None:  # nothing tells of those after it
                length = max(length, selection.reached() - self._origin() - slot.time)
            yield Frame(picture, self._aspect(), slot.time, length, slot.until)

    def _whole_packets(self) -> Iterator[Packet[VideoStream] | None]:
        """Packets, as long as nothing is wrong. Raises Unsure."""
        for packet in self._packets():
            if self._damaged:
                raise Unsure
            yield packet

    def _whole_pictures(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        """What a packet, or the end, gives, as long as nothing is wrong. Raises Unsure."""
        pictures = self._pictures(packet)
        if self._damaged or any(picture.is_corrupt for picture in pictures):
            raise Unsure
        return pictures

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        """Packets, then None; a container that fails to read on is asked again, within bounds."""
        lost = 0.0  # seconds in reads that failed
        for _ in range(100):
            began = monotonic()
            try:
                for packet in self._container.demux(self._stream):
                    yield packet
                    began = monotonic()
            except (FFmpegError, ValueError):
                self._note_damage()
            except IndexError:  # at the end PyAV stumbles over streams that appeared on the way
                return
            else:
                return
            lost += monotonic() - began
            if lost >= TIMEOUT:
                break
        yield None

    def _pictures(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            pictures = self._stream.codec_context.decode(packet)
        except (FFmpegError, ValueError):
            self._note_damage()
            return []
        for picture in pictures:
            check_size(self._path, picture.width, picture.height, bits=bits_of(picture))
        return [picture for picture in pictures if picture.width and picture.height]

    def _note_damage(self) -> None:
        self._damaged += 1
        if self._damaged_at is None:
            self._damaged_at = self._now

    def _time_base(self) -> Fraction:
        return exact(self._stream.time_base) or Fraction(1, av.time_base)

    def _origin(self) -> Fraction:
        return origin(self._container, self._stream)

    def _aspect(self) -> Fraction:
        aspect = exact(self._stream.sample_aspect_ratio)
        return aspect if aspect and Fraction(1, 10) <= aspect <= 10 else Fraction(1)

    def _rate(self) -> Fraction | None:
        for rate in map(exact, (self._stream.average_rate, self._stream.guessed_rate)):
            if rate and 0 < rate < 1000:  # Matroska's milliseconds are no rate
                return rate
        return None

    def _alone(self) -> bool:
        """Whether the claimed duration is the picture's own, not that of the sound."""
        return self._stream.duration is not None or len(self._container.streams) == 1

    def _timecode(self) -> str | None:
        holders = (self._stream, *self._container.streams, self._container)
        return next((code for one in holders if (code := one.metadata.get("timecode"))), None)

    def _duration(self) -> float:
        own = (self._stream.duration or 0) * self._time_base()
        whole = Fraction(self._container.duration or 0, av.time_base)
        counted = (self._stream.frames or 0) / (self._rate() or Fraction(25))
        return next((float(d) for d in (own, whole, counted) if 0 < d < _LONGEST), 0.0)


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
