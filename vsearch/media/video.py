"""Videos to RGB frames with true times: the only file that imports av.

`Sampler` decodes a file once. Every decoded frame gives a tiny picture to the shot detector; those
shown at 0, 1/fps, 2/fps … seconds come out scaled, upright and in batches. Zero is what a player
shows as 0:00. In here time is `Fraction` seconds, so that no rounding shifts a frame.
"""

from __future__ import annotations

import math
import struct
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import av
import av.logging
import numpy as np
from av.error import FFmpegError
from av.sidedata.sidedata import SideData
from av.stream import Discard, Disposition
from av.video.reformatter import (
    ColorPrimaries,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)

from vsearch.errors import MediaError, NoPictureError, TooLargeError, UnreadableError
from vsearch.types import FrameBatch, Images, Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.codec import CodecContext
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vsearch.protocols import ShotDetector

# Errors and notes say what is wrong with a file. Any other level makes FFmpeg's threads wait for
# the GIL to log, while the thread that holds it waits for them in closing the file.
av.logging.set_level(None)

MAX_PIXELS = 2**28  # of one frame, 16384 x 16384
_MANY_PIXELS = 2**26  # threads that each hold a larger frame cost too much memory
TINY = (64, 36)  # width, height of what the shot detector sees
_MAX_ASPECT = 4  # longer pictures are squeezed to it: wider than any screen, yet bounded
_TICK = Fraction(1, 1000)  # containers round times to milliseconds
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
_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_MATRICES = frozenset({0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 14})  # AVColorSpace that swscale knows


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a video before it is decoded."""

    duration: float  # seconds, best estimate; 0 where unknown
    fps: float  # 0 where unknown
    width: int  # pixels as shown: after rotation and pixel aspect
    height: int
    codec: str


def probe(path: Path) -> VideoInfo:
    """Open `path` and decode one frame. Raises MediaError where there is none."""
    with _opened(path) as film:
        for frame in film.frames():
            return film.info(frame.picture)
        raise film.reason()


class Sampler:
    """The frames of `path` shown at k / `fps` seconds, within `span`; to be iterated once.

    Yields batches of at most `batch_size` images of one shape: RGB, upright, square pixels, the
    short side `short_side`. A frame comes once however long it is shown, and the first one comes
    always. Raises MediaError where no frame can be had; damage further on is told by `note`.
    """

    def __init__(
        self,
        path: Path,
        *,
        fps: float,
        short_side: int,
        batch_size: int = 16,
        span: Span | None = None,
        detector: ShotDetector | None = None,
    ) -> None:
        if not (math.isfinite(fps) and fps > 0) or short_side < 1 or batch_size < 1:
            raise ValueError("fps, short_side and batch_size must be above 0")
        self._path = path
        self._fps = Fraction(fps).limit_denominator(1000) or Fraction(1, 1000)
        self._short_side = short_side
        self._batch_size = batch_size
        self._span = span
        self._tiny = _TinyPictures(detector) if detector else None
        self.note: str | None = None  # what was wrong, once iterated
        self.end = 0.0  # seconds: when the last decoded frame ceases to be shown

    def __iter__(self) -> Iterator[FrameBatch]:
        painter = _Painter()
        images: list[Images] = []  # each (H, W, 3)
        times: list[float] = []
        for shown in self._wanted():
            image = self._painted(painter, shown)
            if images and (len(images) == self._batch_size or image.shape != images[0].shape):
                yield FrameBatch(np.stack(images), np.array(times))
                images, times = [], []
            images.append(image)
            times.append(float(shown.time))
        yield FrameBatch(np.stack(images), np.array(times))

    def _painted(self, painter: _Painter, shown: _Shown) -> Images:
        try:
            return painter.paint(shown.picture, self._short_side, shown.aspect)
        except FFmpegError as error:
            raise NoPictureError(
                f"{self._path}: has pixels of an unknown kind ({shown.picture.format.name}); "
                "re-encode it, as H.264 say"
            ) from error

    def _wanted(self) -> Iterator[_Shown]:
        """The frames that are to come out; the first of a span is dated to its start."""
        start = Fraction(self._span.start) if self._span else Fraction(0)
        last: _Shown | None = None
        first = True
        with _opened(self._path) as film:
            for shown in self._intervals(film, start):
                last = shown
                begin = max(shown.time, start)
                if shown.until > start and (first or self._due(begin, shown.until)):
                    first = False
                    yield _Shown(shown.picture, shown.aspect, begin, shown.until)
            if last is None:
                raise film.reason()
            self.note = film.note(self.end, whole=self._span is None)
            if first:
                self.note = f"ends at {clock(self.end)}, before the part that was asked for"
                yield last
        if self._tiny:
            self._tiny.flush()

    def _intervals(self, film: _Film, start: Fraction) -> Iterator[_Shown]:
        """Each frame up to the end of the span, with the time at which the next one replaces it."""
        end = Fraction(self._span.end) if self._span else None
        held: _Frame | None = None
        for frame in film.frames(start):
            if held:
                yield _Shown(held.picture, held.aspect, held.time, frame.time)
            if end is not None and frame.time >= max(end, start + _TICK):
                self.end = float(frame.time)
                return
            if self._tiny and frame.time >= start:
                self._tiny.take(frame)
            held = frame
            self.end = float(frame.time + frame.length)
        if held:
            yield _Shown(held.picture, held.aspect, held.time, held.time + held.length)

    def _due(self, begin: Fraction, until: Fraction) -> bool:
        """Whether an instant k / fps lies in the interval."""
        instant = math.ceil((begin - _TICK) * self._fps) / self._fps
        return instant < until - _TICK


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


@dataclass(frozen=True, slots=True)
class _Frame:
    """A decoded frame."""

    picture: VideoFrame
    aspect: Fraction  # of one pixel: its width divided by its height
    time: Fraction  # seconds, rising from frame to frame
    length: Fraction  # seconds that it claims to be shown


@dataclass(frozen=True, slots=True)
class _Shown:
    """A decoded frame and the interval in which it is seen."""

    picture: VideoFrame
    aspect: Fraction
    time: Fraction  # seconds
    until: Fraction


class _Film(Protocol):
    """An opened file."""

    def info(self, picture: VideoFrame) -> VideoInfo: ...
    def frames(self, start: Fraction = ...) -> Iterator[_Frame]: ...
    def reason(self) -> MediaError: ...
    def note(self, end: float, *, whole: bool) -> str | None: ...
    def close(self) -> None: ...


@contextmanager
def _opened(path: Path) -> Iterator[_Film]:
    """Open `path` with what can read it; nothing but MediaError leaves the block."""
    try:
        with closing(_film(path)) as film:
            yield film
    except FileNotFoundError as error:
        raise UnreadableError(f"{path}: there is no such file; check the path") from error
    except PermissionError as error:
        raise UnreadableError(f"{path}: may not be read; check its permissions") from error
    except MemoryError as error:
        raise TooLargeError(f"{path}: needs more memory than there is; re-encode it") from error
    except (FFmpegError, OSError) as error:
        raise UnreadableError(_unreadable(path)) from error


def _film(path: Path) -> _Film:
    try:
        return _WebPFilm(path) if _is_webp(path) else _ContainerFilm(path)
    except (ValueError, OverflowError) as error:  # a null in the name, absurd numbers in a header
        raise UnreadableError(_unreadable(path)) from error


def _unreadable(path: Path) -> str:
    return (
        f"{path}: is no video that can be read, or is damaged at its start; re-encode or copy it "
        "again"
    )


def _is_webp(path: Path) -> bool:
    """FFmpeg reads no animated WebP. Refuses at once what is no file or is empty."""
    if path.exists() and not path.is_file():
        raise UnreadableError(f"{path}: is not a file; name a video")
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise UnreadableError(f"{path}: is empty; copy it again")
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


class _ContainerFilm:
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

    def info(self, picture: VideoFrame) -> VideoInfo:
        width, height = _shown_size(picture, self._aspect())
        codec = self._stream.codec_context.codec.canonical_name
        return VideoInfo(self._duration(), float(self._rate() or 0), width, height, codec)

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

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[_Frame]:
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

    def _sought(self, start: Fraction) -> Iterator[_Frame]:
        seconds = min(start, Fraction(_LONGEST)) + self._origin()
        try:
            self._container.seek(int(seconds / self._time_base()), stream=self._stream)
        except (FFmpegError, OverflowError):
            return
        yield from self._decoded(sought=True)

    def _decoded(self, *, sought: bool) -> Iterator[_Frame]:
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
                yield _Frame(
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


class _WebPFilm:
    """An animated WebP, read with Pillow."""

    def __init__(self, path: Path) -> None:
        from PIL import Image  # deferred: hardly ever needed

        self._path = path
        try:
            self._image = Image.open(path, formats=["WEBP"])
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise TooLargeError(f"{path}: has more pixels than can be handled") from error
        self._count: int = getattr(self._image, "n_frames", 1)
        self._length = Fraction(0)
        self._broken = False
        if self._count < 2:
            self.close()
            raise NoPictureError(f"{path}: is a still picture, not a video; index videos only")

    def close(self) -> None:
        self._image.close()

    def info(self, picture: VideoFrame) -> VideoInfo:
        for _ in self.frames():
            pass
        fps = self._count / float(self._length)
        return VideoInfo(float(self._length), fps, picture.width, picture.height, "webp")

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[_Frame]:  # noqa: ARG002
        """All frames: there is no seeking, and animations are short."""
        self._length = Fraction(0)
        for index in range(self._count):
            try:
                self._image.seek(index)
                picture = av.VideoFrame.from_ndarray(np.asarray(self._image.convert("RGB")))
            except (OSError, EOFError, ValueError):
                self._broken = True
                return
            length = max(Fraction(int(self._image.info.get("duration", 100)), 1000), _TICK * 10)
            yield _Frame(picture, Fraction(1), self._length, length)
            self._length += length

    def reason(self) -> MediaError:
        return UnreadableError(f"{self._path}: is a damaged animation; copy it again")

    def note(self, end: float, *, whole: bool) -> str | None:
        return f"damaged after {clock(end)}" if self._broken and whole else None


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
        self._last = max(time, Fraction(0) if last is None else last + _TICK)
        return self._last


class _TinyPictures:
    """Hands tiny pictures of consecutive frames to the shot detector, some at a time."""

    def __init__(self, detector: ShotDetector) -> None:
        self._detector = detector
        self._scaler = VideoReformatter()
        self._images = np.empty((64, TINY[1], TINY[0], 3), np.uint8)  # (N, 36, 64, 3)
        self._times = np.empty(64)  # (N,) seconds
        self._count = 0

    def take(self, frame: _Frame) -> None:
        """Add one frame."""
        self._images[self._count] = _rgb(self._scaler, frame.picture, TINY, Interpolation.AREA)
        self._times[self._count] = float(frame.time)
        self._count += 1
        if self._count == len(self._times):
            self.flush()

    def flush(self) -> None:
        """Hand over what there is."""
        if self._count:
            batch = FrameBatch(
                self._images[: self._count].copy(), self._times[: self._count].copy()
            )
            self._detector.see(batch)
        self._count = 0


class _Painter:
    """Decoded frames to RGB images: scaled, upright, square pixels, HDR brought to SDR."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()
        self._toner = VideoReformatter()

    def paint(self, picture: VideoFrame, short_side: int, aspect: Fraction) -> Images:
        """One frame to uint8 (H, W, 3)."""
        turned, mirrored, flipped = _orientation(picture)
        width, height = _fitted(picture.width * aspect, picture.height, short_side)
        if picture.color_trc in _HDR:  # tone mapping is slow: after scaling
            picture = self._scaler.reformat(
                picture, width, height, "yuv444p16le", interpolation=Interpolation.BICUBIC,
                threads=1,
            )  # fmt: skip
            image = self._tone_mapped(picture)
        else:
            image = _rgb(self._scaler, picture, (width, height), Interpolation.BICUBIC)
        if turned:
            image = image.swapaxes(0, 1)
        if mirrored:
            image = image[:, ::-1]
        if flipped:
            image = image[::-1]
        return np.ascontiguousarray(image)

    def _tone_mapped(self, picture: VideoFrame) -> Images:
        try:
            toned = self._toner.reformat(
                picture, format="rgb24", dst_color_trc=ColorTrc.IEC61966_2_1,
                dst_color_primaries=ColorPrimaries.BT709, threads=1,
            )  # fmt: skip
            return toned.to_ndarray().astype(np.uint8, copy=False)
        except FFmpegError:  # primaries that swscale does not know: flat, but a picture
            size = (picture.width, picture.height)
            return _rgb(self._scaler, picture, size, Interpolation.BICUBIC)


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


def _orientation(picture: VideoFrame) -> tuple[bool, bool, bool]:
    """What the display matrix asks for: transpose, then mirror left-right, then top-bottom."""
    matrix = picture.side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, SideData):
        return False, False, False
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    return (True, c < 0, b < 0) if turned else (False, a < 0, d < 0)


def _shown_size(picture: VideoFrame, aspect: Fraction) -> tuple[int, int]:
    """Width and height after pixel aspect and rotation."""
    width, height = max(1, round(picture.width * aspect)), picture.height
    return (height, width) if _orientation(picture)[0] else (width, height)


def _fitted(width: Fraction, height: int, short_side: int) -> tuple[int, int]:
    """The size with that short side and the same aspect, bounded."""
    aspect = min(max(width / height, Fraction(1, _MAX_ASPECT)), Fraction(_MAX_ASPECT))
    if aspect >= 1:
        return round(short_side * aspect), short_side
    return short_side, round(short_side / aspect)


def _rgb(
    scaler: VideoReformatter, picture: VideoFrame, size: tuple[int, int], how: Interpolation
) -> Images:
    """Scale to (width, height): uint8 (H, W, 3), by the colour matrix that a player would take."""
    matrix: int | None = None
    if picture.colorspace not in _MATRICES:
        picture.colorspace = _UNSPECIFIED
    if picture.colorspace == _UNSPECIFIED and (picture.width >= 1280 or picture.height > 576):
        matrix = Colorspace.ITU709
    scaled = scaler.reformat(
        picture, *size, "rgb24", src_colorspace=matrix, interpolation=how, threads=1
    )
    return scaled.to_ndarray().astype(np.uint8, copy=False)


__all__ = ["MAX_PIXELS", "TINY", "Sampler", "VideoInfo", "clock", "probe"]
