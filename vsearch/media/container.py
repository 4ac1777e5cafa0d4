"""Open media containers safely and select the video stream to decode.

A container is opened as a local file only, with an allow-list of formats, bounded frame sizes and
a read timeout. Decoding may be handed to a hardware device.
"""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import av
import av.logging
from av.codec.context import ThreadType
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.error import FFmpegError
from av.stream import Discard, Disposition

from vsearch.buckets.bucket_path import BucketPath, format_transfer_error
from vsearch.buckets.range_file import MediaSource
from vsearch.errors import (
    MediaError,
    NoPictureError,
    SettingsError,
    TooLargeError,
    TransferError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.codec import CodecContext
    from av.container import InputContainer
    from av.rational import AVRational
    from av.stream import Stream
    from av.video.codeccontext import VideoCodecContext
    from av.video.format import VideoFormat
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Exceptions and warnings report what is wrong with a file. At any other log level FFmpeg's threads
# wait for the GIL to log while the thread that holds it waits for them to close the file: deadlock.
av.logging.set_level(None)
# PyAV before 19 rejects a file whose title is not valid UTF-8; PyAV 19 has no such option.
_METADATA_OPTIONS: dict[str, Any] = (
    {"metadata_errors": "ignore"} if int(av.__version__.partition(".")[0]) < 19 else {}
)
MAX_FRAME_RATE = 100_000  # frames per second; more is a broken header
_MEASURED_PACKETS = 250
_MAX_DATA_PACKET_BYTES = 2**20
_AVFMT_NOTIMESTAMPS = 0x80  # in the flags of a format, as in libavformat/avformat.h
READ_TIMEOUT_SECONDS = 60.0  # for one read, and for all failed reads together
# Formats that cannot refer to other files: no playlists, devices, manifests or image sequences.
_ALLOWED_FORMATS = (
    "3gp,4xm,aac,ac3,amr,amv,apng,asf,asf_o,av1,avi,avs2,avs3,bink,cavsvideo,cdxl,dhav,dirac,dnxhd,"
    "dv,dxa,eac3,film_cpk,flac,flic,flv,gif,gxf,h261,h263,h264,hevc,idcin,iff,ifv,ipmovie,ivf,jv,"
    "kux,live_flv,lmlm4,lxf,m4v,matroska,mjpeg,mjpeg_2000,mlv,mov,mp3,mp4,mpeg,mpegts,mpegvideo,"
    "mtv,mv,mvi,mxf,nsv,nut,nuv,obu,ogg,pmp,pva,r3d,rl2,rm,roq,rpl,smjpeg,smk,swf,thp,tmv,vc1,"
    "vc1test,vivo,vmd,vvc,w64,wav,wc3movie,webm,wsvqa,wtv,wv,xmv,yop,yuv4mpegpipe"
)


class ContainerOpener(Protocol):
    """Callable that opens a file, for decoding on a device if one is given."""

    def __call__(self, path: Path, device: HWAccel | None, /) -> InputContainer:
        """Open a file; `device` None decodes in software."""


def get_time_origin(container: InputContainer, media_stream: Stream) -> Fraction:
    """Return the timestamp that players show as 0:00, in the container's own seconds.

    Args:
        container: An open container.
        media_stream: Stream whose start counts where the container has no start time.
    """
    if container.start_time is not None:
        return Fraction(container.start_time, av.time_base)
    return (media_stream.start_time or 0) * (
        to_fraction(media_stream.time_base) or Fraction(1, av.time_base)
    )


def open_file(video_path: Path, device: HWAccel | None = None) -> InputContainer:
    """Open a file, on disk or in a bucket, whatever its name looks like or its content refers to.

    FFmpeg reads a bucket as if the file ended where reading failed. Call `raise_transfer_error`
    when something is missing, or use `open_container`.

    Args:
        video_path: File to open.
        device: Hardware device to decode with; None decodes in software.

    Returns:
        The open container; the caller closes it.

    Raises:
        av.error.FFmpegError: The file is missing, unreadable or not in an allowed format.
        OSError: A file in a bucket cannot be opened.
        TransferError: It cannot be read.
    """
    media_source = _open_bucket_file(video_path)
    protocols = "file" if media_source is None else "none"
    try:
        container: InputContainer = av.open(
            media_source or f"file:{video_path.absolute()}",
            mode="r",
            options={"max_pixels": str(compute_max_pixels(1))},
            container_options={
                "protocol_whitelist": protocols,
                "format_whitelist": _ALLOWED_FORMATS,
            },
            timeout=READ_TIMEOUT_SECONDS,
            hwaccel=device,
            **_METADATA_OPTIONS,
        )
    except FFmpegError as error:
        _raise_source_error(media_source, error)
        raise
    return container


@contextmanager
def open_container(video_path: Path) -> Iterator[InputContainer]:
    """Open a file as `open_file` does, and close it.

    Args:
        video_path: File to open.

    Yields:
        The open container.

    Raises:
        TransferError: In place of whatever the block raises or returns, a bucket failed.
    """
    container = open_file(video_path)
    try:
        with closing(container):
            yield container
    except GeneratorExit:
        raise
    except BaseException as error:
        raise_transfer_error(container, error)
        raise
    raise_transfer_error(container)


def raise_transfer_error(container: InputContainer, cause: BaseException | None = None) -> None:
    """Raise TransferError if a file in a bucket could not be read, otherwise return.

    Args:
        container: The container that was read.
        cause: What its reader raised.
    """
    _raise_source_error(getattr(getattr(container, "file", None), "file", None), cause)


def _open_bucket_file(video_path: Path) -> MediaSource | None:
    if not isinstance(video_path, BucketPath):
        return None
    return MediaSource(video_path.open_ranges())


def _raise_source_error(media_source: Any, cause: BaseException | None) -> None:
    if isinstance(media_source, MediaSource) and media_source.error is not None:
        message = format_transfer_error(media_source.address, media_source.error)
        raise TransferError(message) from cause


def select_video_stream(video_path: Path, container: InputContainer) -> VideoStream:
    """Return the video stream that a player shows, ready to decode.

    All other streams are discarded while demuxing.

    Args:
        video_path: Path of the file, for error messages.
        container: The open container of that file.

    Raises:
        NoPictureError: There is no video stream, or none with a known codec.
        TooLargeError: Its frames are too large.
    """
    video_streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not video_streams:
        raise NoPictureError(
            f"{video_path}: has no video stream, only audio or images; nothing to index"
        )
    decodable_streams = [stream for stream in video_streams if get_codec_context(stream)]
    if not decodable_streams:
        raise NoPictureError(
            f"{video_path}: its video codec is unknown; re-encode it, for example as H.264"
        )
    best_stream = container.streams.best("video")
    stream = next(
        (stream for stream in decodable_streams if stream is best_stream), decodable_streams[0]
    )
    codec_context = stream.codec_context
    check_frame_size(
        video_path,
        codec_context.width,
        codec_context.height,
        bits_per_pixel=get_bits_per_pixel(codec_context),
    )
    _configure_threads(codec_context)
    for other_stream in container.streams:
        if other_stream is not stream:
            other_stream.discard = Discard.all
    return stream


def has_only_dts(container: InputContainer) -> bool:
    """Return whether a container stores decoding timestamps only, so that others are guesses."""
    return container.format.name == "avi"


def has_no_timestamps(container: InputContainer) -> bool:
    """Return whether a file is a bare stream, whose average rate is a constant of the demuxer."""
    return bool(container.format.flags & _AVFMT_NOTIMESTAMPS)


def has_unknown_display_order(container: InputContainer, video_stream: VideoStream) -> bool:
    """Return whether only decoding shows when the packets of a stream are displayed."""
    return has_only_dts(container) and video_stream.codec_context.has_b_frames


def measure_frame_rate(video_path: Path, *, uses_dts: bool = False) -> Fraction:
    """Return the frames per second at the beginning of a video, from its packets' timestamps.

    Args:
        video_path: The video file.
        uses_dts: Use decoding timestamps, for containers that store no others.

    Returns:
        Frames per second; 0 if it has fewer than two packets, or no plausible timestamps.
    """
    try:
        with open_container(video_path) as container:
            video_stream = select_video_stream(video_path, container)
            timestamps = [
                timestamp
                for packet in islice(container.demux(video_stream), _MEASURED_PACKETS)
                if (timestamp := packet.dts if uses_dts else packet.pts) is not None
            ]
            time_base = to_fraction(video_stream.time_base) or Fraction(1, av.time_base)
    except TransferError:  # what is stored must not depend on the network
        raise
    except (FFmpegError, MediaError, OSError, ValueError, IndexError, OverflowError):
        return Fraction(0)
    seconds = (max(timestamps) - min(timestamps)) * time_base if timestamps else Fraction(0)
    frame_rate = Fraction(len(timestamps) - 1) / seconds if seconds else Fraction(0)
    return frame_rate if frame_rate <= MAX_FRAME_RATE else Fraction(0)


def has_data_stream(container: InputContainer, handler_name: str) -> bool:
    """Return whether a container has a stream of data whose handler has that name."""
    return _find_data_stream(container, handler_name) is not None


def read_data_packets(video_path: Path, handler_name: str, packet_count: int) -> list[bytes]:
    """Read the first packets of a stream of data.

    Args:
        video_path: The video file.
        handler_name: Part of the name of the stream's handler.
        packet_count: Maximum number of packets.

    Returns:
        The packets before the first damage, without very large ones.
    """
    packets: list[bytes] = []
    try:
        with open_container(video_path) as container:
            data_stream = _find_data_stream(container, handler_name)
            if data_stream is not None:
                for packet in islice(container.demux(data_stream), packet_count):
                    if packet.size <= _MAX_DATA_PACKET_BYTES:
                        packets.append(bytes(packet))
    except (FFmpegError, OSError, ValueError, IndexError, OverflowError):
        pass  # the pictures may be intact
    return packets


def _find_data_stream(container: InputContainer, handler_name: str) -> Stream | None:
    for stream in container.streams:
        if stream.type == "data" and handler_name in stream.metadata.get("handler_name", ""):
            return stream
    return None


def get_codec_context(media_stream: Stream) -> CodecContext | None:
    """Return the stream's decoder, or None; PyAV's stubs claim that there always is one."""
    return media_stream.codec_context


def _configure_threads(codec_context: VideoCodecContext) -> None:
    codec_context.thread_count = choose_thread_count(
        codec_context.width, codec_context.height, bits_per_pixel=get_bits_per_pixel(codec_context)
    )
    codec_context.thread_type = ThreadType.AUTO
    codec_context.options = {"max_pixels": str(compute_max_pixels(codec_context.thread_count))}


def get_bits_per_pixel(frame_or_codec: VideoFrame | VideoCodecContext) -> int:
    """Return the memory of one pixel in bits: at least 16, or 64 if the format is unknown."""
    pixel_format: VideoFormat | None = frame_or_codec.format
    return max(16, pixel_format.padded_bits_per_pixel) if pixel_format else 64


def to_fraction(rational: Fraction | AVRational | None) -> Fraction | None:
    """Convert a rational number of PyAV 18 (Fraction) or 19 (AVRational) to a Fraction."""
    return Fraction(rational.numerator, rational.denominator) if rational else None


# Hardware decoding

AUTO_DEVICE = "auto"


def list_device_names() -> tuple[str, ...]:
    """Return the hardware devices that this FFmpeg build supports, present or not."""
    return tuple(hwdevices_available())


def validate_device(device_name: str) -> None:
    """Raise SettingsError for an unknown hardware device; "" means none, "auto" any."""
    if device_name not in ("", AUTO_DEVICE, *list_device_names()):
        available_devices = ", ".join([AUTO_DEVICE, *list_device_names()])
        raise SettingsError(
            f"unknown hardware decoder {device_name!r}; available: {available_devices}"
        )


def open_with_hwaccel(
    device_name: str, video_path: Path, open_container: ContainerOpener
) -> InputContainer:
    """Open a file with a hardware device, or in software if the device or codec is unavailable.

    Args:
        device_name: Device as FFmpeg names it ("cuda", "vaapi" …), "auto" for any, "" for none.
        video_path: File to open.
        open_container: Opens the file with a given device or, for None, in software.

    Returns:
        The open container; the caller closes it.
    """
    for device_type in (
        list_device_names() if device_name == AUTO_DEVICE else (device_name,) * bool(device_name)
    ):
        try:
            container = open_container(
                video_path, HWAccel(device_type, allow_software_fallback=True)
            )
        except (OSError, NotImplementedError, RuntimeError):
            continue
        if any(stream.codec_context.is_hwaccel for stream in container.streams.video):
            return container
        container.close()
    return open_container(video_path, None)


# Limits of frame size and decoder threads, which bound memory

MAX_FRAME_PIXELS = 2**26  # 8192 x 8192
MAX_DECODING_BYTES = 2**28  # of all frames being decoded: one 8K frame at 64 bits per pixel


def check_frame_size(video_path: Path, width: int, height: int, *, bits_per_pixel: int) -> None:
    """Check that a frame is not too large to decode.

    Args:
        video_path: Path of the file, for the error message.
        width: Width in pixels.
        height: Height in pixels.
        bits_per_pixel: Memory of one pixel.

    Raises:
        TooLargeError: The frame has too many pixels or takes too much memory.
    """
    if (
        width * height > MAX_FRAME_PIXELS
        or width * height * bits_per_pixel > 8 * MAX_DECODING_BYTES
    ):
        raise TooLargeError(
            f"{video_path}: frames of {width} x {height} pixels are too large; scale it down"
        )


def choose_thread_count(width: int, height: int, *, bits_per_pixel: int) -> int:
    """Return how many threads may decode: one per processor, while a frame for each fits.

    Args:
        width: Frame width in pixels; 0 if unknown.
        height: Frame height in pixels; 0 if unknown.
        bits_per_pixel: Memory of one pixel.
    """
    frame_bytes = width * height * bits_per_pixel // 8 or MAX_DECODING_BYTES  # 0: size unknown
    return max(1, min((os.cpu_count() or 1) + 1, 16, MAX_DECODING_BYTES // frame_bytes))


def compute_max_pixels(thread_count: int) -> int:
    """Return the largest frame, in pixels of 16 bits, that `thread_count` threads may decode."""
    return min(MAX_FRAME_PIXELS, MAX_DECODING_BYTES // thread_count // 2)
