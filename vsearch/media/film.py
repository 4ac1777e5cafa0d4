"""Films: what is in a container, packet by packet, and when it is seen.

In here time is `Fraction` seconds, so that no rounding shifts a frame; zero is what a player shows
as 0:00. A film goes on after damage and tells of it in a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import av
import av.logging
from av.codec.context import ThreadType
from av.error import FFmpegError
from av.stream import Discard, Disposition

from vsearch.errors import MediaError, NoPictureError
from vsearch.media.limits import check_size, most_pixels, threads
from vsearch.media.recorded import recorded
from vsearch.media.timestamps import LEAP, Timestamps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from av.codec import CodecContext
    from av.container import InputContainer
    from av.packet import Packet
    from av.rational import AVRational
    from av.stream import Stream
    from av.video.codeccontext import VideoCodecContext
    from av.video.format import VideoFormat
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Errors and notes say what is wrong with a file. Any other level makes FFmpeg's threads wait for
# the GIL to log, while the thread that holds it waits for them in closing the file.
av.logging.set_level(None)

# PyAV before 19 refuses a file for odd letters in its title, 19 has no such option.
_LENIENT: dict[str, Any] = (
    {"metadata_errors": "ignore"} if int(av.__version__.partition(".")[0]) < 19 else {}
)

_MAY_RESTART = 0x200  # AVFMT_TS_DISCONT: a format whose timestamps may start anew
_PLACES = 100  # in a file, at which timestamps are compared
_LONGEST = 30 * 24 * 3600.0  # seconds; a file that claims to be longer is not believed
_PATIENCE = 2000  # packets that may fail before the first frame
_TIMEOUT = 60.0  # seconds to wait for the disk, and for all reads that fail together
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
    timecode: str | None = None  # of the first frame, as a camera wrote it
    recorded: datetime | None = None  # UTC


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
        self._container: InputContainer = open_file(path)
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
        return None

    def frames(self, start: Fraction = Fraction(0)) -> Iterator[Frame]:
        """Frames from the last one at or before `start` or earlier, in the order they are shown."""
        if start > 0 and self._stream.start_time is not None:
            for margin in (0, 2, 10, 60) if self.runs_through() else ():
                if start <= margin:
                    break
                found = self._sought(start - margin)
                first = next(found, None)
                if first and first.time <= start:
                    yield first
                    yield from found
                    return
            self._container.close()  # this file can't be sought in: from the beginning
            self._container = open_file(self._path)
            self._stream = _video_stream(self._path, self._container)
        yield from self._decoded(sought=False)

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
        times = Timestamps(base, self._origin(), step, sought=sought)
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
                length = (picture.duration or 0) * base
                yield Frame(
                    picture, self._aspect(), self._now, length if 0 < length < LEAP else step
                )

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
            if lost >= _TIMEOUT:
                break
        yield None

    def _pictures(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            pictures = self._stream.codec_context.decode(packet)
        except (FFmpegError, ValueError):
            self._note_damage()
            return []
        for picture in pictures:
            check_size(self._path, picture.width, picture.height, bits=_bits(picture))
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


def origin(container: InputContainer, stream: Stream) -> Fraction:
    """What a player shows as 0:00, in the container's own seconds."""
    if container.start_time is not None:
        return Fraction(container.start_time, av.time_base)
    return (stream.start_time or 0) * (exact(stream.time_base) or Fraction(1, av.time_base))


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def open_file(path: Path) -> InputContainer:
    """Open as a local file, whatever its name looks like or its content refers to."""
    container: InputContainer = av.open(
        f"file:{path.absolute()}",
        mode="r",
        options={"max_pixels": str(most_pixels(1))},
        container_options={"protocol_whitelist": "file", "format_whitelist": _FORMATS},
        timeout=_TIMEOUT,
        **_LENIENT,
    )
    return container


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    """The stream that a player shows, ready to decode."""
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise NoPictureError(f"{path}: has sound but no moving pictures; nothing to index")
    known = [stream for stream in streams if codec_of(stream)]
    if not known:
        raise NoPictureError(f"{path}: its video codec is unknown; re-encode it, as H.264 say")
    best = container.streams.best("video")
    stream = next((stream for stream in known if stream is best), known[0])
    codec = stream.codec_context
    check_size(path, codec.width, codec.height, bits=_bits(codec))
    _set_threads(codec)
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    return stream


def codec_of(stream: Stream) -> CodecContext | None:
    """What decodes the stream; PyAV's stubs hold that there always is something."""
    return stream.codec_context


def _set_threads(codec: VideoCodecContext) -> None:
    codec.thread_count = threads(codec.width, codec.height, bits=_bits(codec))
    codec.thread_type = ThreadType.AUTO
    codec.options = {"max_pixels": str(most_pixels(codec.thread_count))}


def _bits(picture: VideoFrame | VideoCodecContext) -> int:
    """Of memory that a pixel takes: 16 at least, 64 where the layout is not known yet."""
    layout: VideoFormat | None = picture.format
    return max(16, layout.padded_bits_per_pixel) if layout else 64


def exact(rational: Fraction | AVRational | None) -> Fraction | None:
    """What PyAV 18 calls Fraction and 19 AVRational."""
    return Fraction(rational.numerator, rational.denominator) if rational else None
