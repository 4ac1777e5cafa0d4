"""Films: what is in a container, packet by packet, and when it is seen.

In here time is `Fraction` seconds, so that no rounding shifts a frame; zero is what a player shows
as 0:00. A film goes on after damage and tells of it in a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import av
import av.logging
from av.error import FFmpegError
from av.stream import Discard, Disposition

from vsearch.errors import MediaError, NoPictureError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.codec import CodecContext
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Errors and notes say what is wrong with a file. Any other level makes FFmpeg's threads wait for
# the GIL to log, while the thread that holds it waits for them in closing the file.
av.logging.set_level(None)

MAX_PIXELS = 2**28  # of one frame, 16384 x 16384
_MANY_PIXELS = 2**26  # threads that each hold a larger frame cost too much memory
TICK = Fraction(1, 1000)  # containers round times to milliseconds
_LEAP = Fraction(3600)  # seconds; a longer step between two frames is a broken timestamp
_RETURN = Fraction(1)  # seconds; a longer step back is a new start, as in joined recordings
_LONGEST = 30 * 24 * 3600.0  # seconds; a file that claims to be longer is not believed
_PATIENCE = 2000  # packets that may fail before the first frame
_TIMEOUT = 60.0  # seconds to wait for the disk
# Formats that name no other file: no playlists, devices, manifests or series of images.
_FORMATS = (
    "3gp,4xm,aac,ac3,amr,amv,apng,asf,asf_o,av1,avi,avs2,avs3,bink,cavsvideo,cdxl,dhav,dirac,dnxhd,"
    "dv,dxa,eac3,film_cpk,flac,flic,flv,gif,gxf,h261,h263,h264,hevc,idcin,iff,ifv,ipmovie,ivf,jv,"
    "kux,live_flv,lmlm4,lxf,m4v,matroska,mjpeg,mjpeg_2000,mlv,mov,mp3,mp4,mpeg,mpegts,mpegvideo,"
    "mtv,mv,mvi,mxf,nsv,nut,nuv,obu,ogg,pmp,pva,r3d,rl2,rm,roq,rpl,smjpeg,smk,swf,thp,tmv,vc1,"
    "vc1test,vivo,vmd,vvc,w64,wav,wc3movie,webm,wsvqa,wtv,wv,xmv,yop,yuv4mpegpipe"
)


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame."""

    picture: VideoFrame
    aspect: Fraction  # of one pixel: its width divided by its height
    time: Fraction  # seconds, rising from frame to frame
    length: Fraction  # seconds that it claims to be shown


@dataclass(frozen=True, slots=True)
class Claims:
    """What a file says of itself."""

    duration: float  # seconds; 0 where unknown
    fps: float  # 0 where unknown
    codec: str


class Film(Protocol):
    """An opened file."""

    def claims(self) -> Claims: ...
    def frames(self, start: Fraction = ...) -> Iterator[Frame]: ...
    def reason(self) -> MediaError: ...
    def note(self, end: float, *, whole: bool) -> str | None: ...
    def close(self) -> None: ...


class ContainerFilm:
    """A file that FFmpeg opens."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._damaged = 0  # packets
        self._damaged_at: Fraction | None = None
        self._now = Fraction(0)
        self._seen = False
        self._encrypted = False
        self._container: InputContainer = _open(path)
        try:
            self._stream = _video_stream(path, self._container)
        except BaseException:
            self._container.close()
            raise

    def close(self) -> None:
        self._container.close()

    def claims(self) -> Claims:
        """What the headers say, as far as it can be believed."""
        codec = self._stream.codec_context.codec.canonical_name
        return Claims(self._duration(), float(self._rate() or 0), codec)

    def reason(self) -> MediaError:
        """Why there was no frame."""
        if self._encrypted:
            return NoPictureError(f"{self._path}: is encrypted; decrypt it first")
        name = self._stream.codec_context.name
        return NoPictureError(
            f"{self._path}: has a {name} video stream but no frame of it can be decoded; it is cut "
            "short or damaged, copy it again"
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
        return None

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[Frame]:
        """Frames from the last one at or before `start` or earlier, in the order they are shown."""
        sought = False
        for margin in (0, 2, 10, 60):
            if start <= margin or self._stream.start_time is None:
                break
            sought = True
            found = self._sought(start - margin)
            first = next(found, None)
            if first and first.time <= start:
                yield first
                yield from found
                return
        if sought:  # this container can't seek: from the beginning
            self._container.close()
            self._container = _open(self._path)
            self._stream = _video_stream(self._path, self._container)
        yield from self._decoded(sought=False)

    def _sought(self, start: Fraction) -> Iterator[Frame]:
        seconds = min(start, Fraction(_LONGEST)) + self._origin()
        try:
            self._container.seek(int(seconds / self._time_base()), stream=self._stream)
        except (FFmpegError, OverflowError):
            return
        yield from self._decoded(sought=True)

    def _decoded(self, *, sought: bool) -> Iterator[Frame]:
        base = self._time_base()
        step = 1 / (self._rate() or Fraction(25))
        times = _Times(base, self._origin(), step, sought=sought)
        for packet in self._packets():
            if packet and packet.has_sidedata("encryption_info"):
                self._encrypted = True
            if self._encrypted or (self._damaged > _PATIENCE and not self._seen):
                return
            for picture in self._pictures(packet):
                pts = picture.pts if picture.pts is not None else picture.dts
                self._now, self._seen = times.read(pts), True
                length = (picture.duration or 0) * base
                yield Frame(
                    picture, self._aspect(), self._now, length if 0 < length < _LEAP else step
                )

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        """Packets, then None; a container that fails to read on is asked again, within bounds."""
        for _ in range(100):
            try:
                yield from self._container.demux(self._stream)
            except (FFmpegError, ValueError):
                self._note_damage()
            else:
                return
        yield None

    def _pictures(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            pictures = self._stream.codec_context.decode(packet)
        except (FFmpegError, ValueError):
            self._note_damage()
            return []
        for picture in pictures:
            _check_size(self._path, picture.width, picture.height)
        return [picture for picture in pictures if picture.width and picture.height]

    def _note_damage(self) -> None:
        self._damaged += 1
        if self._damaged_at is None:
            self._damaged_at = self._now

    def _time_base(self) -> Fraction:
        return self._stream.time_base or Fraction(1, av.time_base)

    def _origin(self) -> Fraction:
        """What a player shows as 0:00, in the container's own seconds."""
        start = self._container.start_time
        if start is not None:
            return Fraction(start, av.time_base)
        return (self._stream.start_time or 0) * self._time_base()

    def _aspect(self) -> Fraction:
        aspect = self._stream.sample_aspect_ratio
        return aspect if aspect and Fraction(1, 10) <= aspect <= 10 else Fraction(1)

    def _rate(self) -> Fraction | None:
        for rate in (self._stream.average_rate, self._stream.guessed_rate):
            if rate and 0 < rate < 1000:  # Matroska's milliseconds are no rate
                return rate
        return None

    def _alone(self) -> bool:
        """Whether the claimed duration is the picture's own, not that of the sound."""
        return self._stream.duration is not None or len(self._container.streams) == 1

    def _duration(self) -> float:
        own = (self._stream.duration or 0) * self._time_base()
        whole = Fraction(self._container.duration or 0, av.time_base)
        counted = (self._stream.frames or 0) / (self._rate() or Fraction(25))
        return next((float(d) for d in (own, whole, counted) if 0 < d < _LONGEST), 0.0)


class _Times:
    """Timestamps to seconds that always rise, whatever the file says."""

    def __init__(self, base: Fraction, origin: Fraction, step: Fraction, *, sought: bool) -> None:
        self._base = base
        self._shift = -origin
        self._step = step  # seconds, where a timestamp is missing or absurd
        self._sought = sought  # then the first timestamp may be any
        self._last: Fraction | None = None

    def read(self, pts: int | None) -> Fraction:
        """The time in seconds of the next frame, whose timestamp is `pts`."""
        last = self._last
        due = Fraction(0) if last is None else last + self._step
        time = due if pts is None else pts * self._base + self._shift
        if not (last is None and self._sought) and not -_RETURN < time - (last or 0) < _LEAP:
            self._shift += due - time
            time = due
        self._last = max(time, Fraction(0) if last is None else last + TICK)
        return self._last


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _open(path: Path) -> InputContainer:
    """Open as a local file, whatever its name looks like or its content refers to."""
    return av.open(
        f"file:{path.absolute()}",
        mode="r",
        options={"max_pixels": str(MAX_PIXELS)},
        container_options={"protocol_whitelist": "file", "format_whitelist": _FORMATS},
        metadata_errors="ignore",
        timeout=_TIMEOUT,
    )


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    """The stream that a player shows, ready to decode."""
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise NoPictureError(f"{path}: has sound but no moving pictures; nothing to index")
    known = [stream for stream in streams if _codec(stream)]
    if not known:
        raise NoPictureError(f"{path}: its video codec is unknown; re-encode it, as H.264 say")
    best = container.streams.best("video")
    stream = next((stream for stream in known if stream is best), known[0])
    _check_size(path, stream.codec_context.width, stream.codec_context.height)
    many = stream.codec_context.width * stream.codec_context.height > _MANY_PIXELS
    stream.thread_type = "SLICE" if many else "AUTO"
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    return stream


def _codec(stream: VideoStream) -> CodecContext | None:
    """What decodes the stream; PyAV's stubs hold that there always is something."""
    return stream.codec_context


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise TooLargeError(f"{path}: {width} x {height} pixels are too many; scale it down")
