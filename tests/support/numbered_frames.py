"""Videos whose frames show their own number, as black and white bars."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from av.video.frame import VideoFrame

BITS = 12
BAR_WIDTH = 16
HEIGHT = 32


def make_numbered_video(
    video_path: Path,
    rate: Fraction,
    frame_count: int = 200,
    *,
    timecode: str | None = None,
    reel_name: str | None = None,
    frame_times: Sequence[Fraction] | None = None,
    first_time: Fraction = Fraction(0),
) -> Path:
    """Write a video with a timecode track.

    Args:
        video_path: File to write; its suffix determines the container.
        rate: Frames per second.
        frame_count: Number of frames.
        timecode: Start timecode.
        reel_name: Reel name, which only `.mov` can store.
        frame_times: Time of each frame in seconds, for a variable frame rate.
        first_time: Seconds from the start of the audio to the first frame; 0 writes no audio.

    Returns:
        `video_path`.
    """
    times = frame_times or [index / rate for index in range(frame_count)]
    time_base = Fraction(1, 90000) if frame_times or first_time else 1 / rate
    with av.open(str(video_path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = BITS * BAR_WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = time_base
        stream.gop_size = 25
        stream.options = {"preset": "veryfast", "qp": "20"}  # with B-frames
        if timecode:
            stream.metadata["timecode"] = timecode
        if reel_name:
            stream.metadata["reel_name"] = reel_name
        if first_time:
            _add_silence(container, float(times[-1] + first_time))
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(_draw_number(number), format="gray")
            frame.pts, frame.time_base = round((time + first_time) / time_base), time_base
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    return video_path


def read_numbers(video_path: Path) -> list[tuple[Fraction, int]]:
    """Decode all frames: their times in seconds from the first frame on, and their numbers."""
    with av.open(str(video_path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base
        shown = [
            (frame.pts * Fraction(stream.time_base), _read_number(frame))
            for frame in container.decode(stream)
            if frame.pts is not None
        ]
    return [(time - shown[0][0], number) for time, number in shown]


def _draw_number(number: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    bits = [255 * (number >> bit & 1) for bit in range(BITS)]
    return np.tile(np.repeat(np.array(bits, np.uint8), BAR_WIDTH), (HEIGHT, 1))


def _read_number(frame: VideoFrame) -> int:
    bars = frame.to_ndarray(format="gray").reshape(HEIGHT, BITS, BAR_WIDTH).mean(axis=(0, 2))
    return sum(1 << bit for bit, level in enumerate(bars) if level > 128)


def _add_silence(container: av.container.OutputContainer, seconds: float) -> None:
    stream = container.add_stream("mp2" if container.format.name == "mpegts" else "aac", rate=48000)
    assert isinstance(stream, av.AudioStream)
    for index in range(int(seconds * 48000) // 1152):
        samples = np.zeros((1, 1152 * 2), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 48000, index * 1152
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
