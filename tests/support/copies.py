"""Make realistic copies of videos: cut, cropped, scaled, at another frame rate."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

from vsearch.media.sampler import Sampler, probe_video

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from vsearch.types import Images, Span


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """The differences between a copy and its source."""

    fps: float = 15.0
    scale: float = 0.5
    crop: float = 0.1  # share of width and height, removed at a random position
    gain: float = 1.0  # of brightness
    quality: int = 28  # CRF of x264: higher is worse


def displayed_frames(video_path: Path, span: Span, fps: float, short_side: int) -> Iterator[Images]:
    """Yield the frame displayed at each span.start + k / fps, uint8 (H, W, 3)."""
    sampled = Sampler(video_path, fps=fps, short_side=short_side, span=span)
    timed_frames = (
        (frame_image, float(frame_time))
        for batch in sampled
        for frame_image, frame_time in zip(batch.images, batch.frame_times, strict=True)
    )
    image, _ = next(timed_frames)
    next_frame = next(timed_frames, None)
    for frame_index in range(max(1, round(span.duration * fps))):
        while next_frame is not None and next_frame[1] <= span.start + frame_index / fps + 1e-3:
            image, next_frame = next_frame[0], next(timed_frames, None)
        yield image


def make_copy(
    source_path: Path, span: Span, target_path: Path, options: CopyOptions, rng: np.random.Generator
) -> Path:
    """Write a re-encoded part of a video and return its path."""
    return write_video(
        target_path, copied_frames(source_path, span, options, rng), options.fps, options.quality
    )


def copied_frames(
    source_path: Path, span: Span, options: CopyOptions, rng: np.random.Generator
) -> Iterator[Images]:
    """Yield the frames of a copy, all cropped at the same random position."""
    video_info = probe_video(source_path)
    short_side = max(
        48, round(min(video_info.width, video_info.height) * options.scale / (1 - options.crop))
    )
    down_share, right_share = rng.uniform(0, 1, 2)
    for image in displayed_frames(source_path, span, options.fps, short_side):
        height, width = image.shape[:2]
        crop_height, crop_width = (
            round(length * (1 - options.crop)) // 2 * 2 for length in (height, width)
        )
        y, x = int(down_share * (height - crop_height)), int(right_share * (width - crop_width))
        cropped_image = (
            image[y : y + crop_height, x : x + crop_width].astype(np.float32) * options.gain
        )
        yield cropped_image.clip(0, 255).astype(np.uint8)


def write_video(target_path: Path, images: Iterable[Images], fps: float, quality: int) -> Path:
    """Encode frames of one size, uint8 (H, W, 3), as H.264 and return the path."""
    frame_rate = Fraction(fps).limit_denominator(1000)
    with av.open(str(target_path), "w") as container:
        stream = container.add_stream("libx264", rate=frame_rate)
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": str(quality)}
        for frame_index, image in enumerate(images):
            if not frame_index:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image))
            frame.pts, frame.time_base = frame_index, 1 / frame_rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target_path


def join_parts(
    target_path: Path,
    video_parts: Sequence[tuple[Path, Span]],
    *,
    fps: float = 25.0,
    frame_height: int = 360,
) -> Path:
    """Concatenate parts of videos, each centered on a black 16:9 frame."""
    frame_width = frame_height * 16 // 9 // 2 * 2

    def letterboxed_frames() -> Iterator[Images]:
        for path, span in video_parts:
            for image in displayed_frames(path, span, fps, frame_height):
                canvas = np.zeros((frame_height, frame_width, 3), np.uint8)
                crop_height = min(frame_height, image.shape[0])
                crop_width = min(frame_width, image.shape[1])
                y, x = (image.shape[0] - crop_height) // 2, (image.shape[1] - crop_width) // 2
                top, left = (frame_height - crop_height) // 2, (frame_width - crop_width) // 2
                canvas[top : top + crop_height, left : left + crop_width] = image[
                    y : y + crop_height, x : x + crop_width
                ]
                yield canvas

    return write_video(target_path, letterboxed_frames(), fps, 20)


def drifting_colors(
    duration_seconds: float, seed: int, *, fps: float = 10, frame_height: int = 72
) -> Iterator[Images]:
    """Yield frames of slowly changing colors that never repeat, uint8 (H, H * 4 / 3, 3)."""
    rng = np.random.default_rng(seed)
    previous_colors, next_colors = rng.integers(0, 256, (2, 6, 8, 3)).astype(np.float32)
    for k in range(round(duration_seconds * fps)):
        blend_share = k / fps % 2.5 / 2.5  # a new color pattern every 2.5 seconds
        if k and blend_share < 1 / fps / 2.5:
            previous_colors = next_colors
            next_colors = rng.integers(0, 256, (6, 8, 3)).astype(np.float32)
        mixed_frame = (
            (previous_colors * (1 - blend_share) + next_colors * blend_share)
            .repeat(frame_height // 6, 0)
            .repeat(frame_height // 6, 1)
        )
        yield mixed_frame.astype(np.uint8)
