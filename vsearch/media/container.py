"""Containers: how a file is opened, and which of its streams is the picture."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

import av
import av.logging
from av.codec.context import ThreadType
from av.stream import Discard, Disposition

from vsearch.errors import NoPictureError
from vsearch.media.limits import check_size, most_pixels, threads

if TYPE_CHECKING:
    from pathlib import Path

    from av.codec import CodecContext
    from av.codec.hwaccel import HWAccel
    from av.container import InputContainer
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

TIMEOUT = 60.0  # seconds to wait for the disk, and for all reads that fail together
# Formats that name no other file: no playlists, devices, manifests or series of images.
_FORMATS = (
    "3gp,4xm,aac,ac3,amr,amv,apng,asf,asf_o,av1,avi,avs2,avs3,bink,cavsvideo,cdxl,dhav,dirac,dnxhd,"
    "dv,dxa,eac3,film_cpk,flac,flic,flv,gif,gxf,h261,h263,h264,hevc,idcin,iff,ifv,ipmovie,ivf,jv,"
    "kux,live_flv,lmlm4,lxf,m4v,matroska,mjpeg,mjpeg_2000,mlv,mov,mp3,mp4,mpeg,mpegts,mpegvideo,"
    "mtv,mv,mvi,mxf,nsv,nut,nuv,obu,ogg,pmp,pva,r3d,rl2,rm,roq,rpl,smjpeg,smk,swf,thp,tmv,vc1,"
    "vc1test,vivo,vmd,vvc,w64,wav,wc3movie,webm,wsvqa,wtv,wv,xmv,yop,yuv4mpegpipe"
)


class Opener(Protocol):
    """Opens a file, to be decoded by a device if one is given."""

    def __call__(self, path: Path, device: HWAccel | None, /) -> InputContainer: ...


def origin(container: InputContainer, stream: Stream) -> Fraction:
    """What a player shows as 0:00, in the container's own seconds."""
    if container.start_time is not None:
        return Fraction(container.start_time, av.time_base)
    return (stream.start_time or 0) * (exact(stream.time_base) or Fraction(1, av.time_base))


def open_file(path: Path, device: HWAccel | None = None) -> InputContainer:
    """Open as a local file, whatever its name looks like or its content refers to."""
    container: InputContainer = av.open(
        f"file:{path.absolute()}",
        mode="r",
        options={"max_pixels": str(most_pixels(1))},
        container_options={"protocol_whitelist": "file", "format_whitelist": _FORMATS},
        timeout=TIMEOUT,
        hwaccel=device,
        **_LENIENT,
    )
    return container


def video_stream(path: Path, container: InputContainer) -> VideoStream:
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
    check_size(path, codec.width, codec.height, bits=bits_of(codec))
    _set_threads(codec)
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    return stream


def codec_of(stream: Stream) -> CodecContext | None:
    """What decodes the stream; PyAV's stubs hold that there always is something."""
    return stream.codec_context


def _set_threads(codec: VideoCodecContext) -> None:
    codec.thread_count = threads(codec.width, codec.height, bits=bits_of(codec))
    codec.thread_type = ThreadType.AUTO
    codec.options = {"max_pixels": str(most_pixels(codec.thread_count))}


def bits_of(picture: VideoFrame | VideoCodecContext) -> int:
    """Of memory that a pixel takes: 16 at least, 64 where the layout is not known yet."""
    layout: VideoFormat | None = picture.format
    return max(16, layout.padded_bits_per_pixel) if layout else 64


def exact(rational: Fraction | AVRational | None) -> Fraction | None:
    """What PyAV 18 calls Fraction and 19 AVRational."""
    return Fraction(rational.numerator, rational.denominator) if rational else None
