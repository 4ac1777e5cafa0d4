"""Render thumbnails and animated previews of moments."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from PIL import Image

from vsearch.media.sampler import Sampler
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Images

PREVIEW_FPS = 8
_JPEG_QUALITY = 82  # no visible artifacts at thumbnail size
_MAX_PREVIEW_SECONDS = 5.0  # of a longer span, only the middle is shown
_WEBP_QUALITY = 42  # small, and good enough in motion
_WEBP_METHOD = 3  # compression effort, 0 to 6


def render_thumbnail(video_path: Path, frame_time: float, *, max_width: int = 320) -> bytes:
    """Render the frame displayed at a time as JPEG.

    Args:
        video_path: Video to decode.
        frame_time: Seconds.
        max_width: Width of the image in pixels at most.

    Raises:
        MediaError: The frame cannot be decoded.
        ValueError: `frame_time` is not finite, or `max_width` is not positive.
    """
    if not math.isfinite(frame_time) or max_width < 1:
        raise ValueError(
            f"need a finite time and a width above 0, not {frame_time} and {max_width}"
        )
    start_time = max(0.0, frame_time)
    frame_batch = next(
        iter(Sampler(video_path, fps=1, short_side=max_width, span=Span(start_time, start_time)))
    )
    thumbnail = Image.fromarray(frame_batch.images[0])
    if thumbnail.width > max_width:
        thumbnail_height = max(1, round(thumbnail.height * max_width / thumbnail.width))
        thumbnail = thumbnail.resize(
            (max_width, thumbnail_height), Image.Resampling.BICUBIC, reducing_gap=2
        )
    output_buffer = io.BytesIO()
    thumbnail.save(output_buffer, "JPEG", quality=_JPEG_QUALITY)
    return output_buffer.getvalue()


def render_preview(video_path: Path, span: Span, *, max_width: int = 320) -> bytes:
    """Render a span as a small looping animated WebP without sound, of about 100 kB.

    Args:
        video_path: Video to decode.
        span: Part of the video in seconds; a span of one frame gives a still image.
        max_width: Width in pixels at most.

    Raises:
        MediaError: No frame can be decoded.
        ValueError: `max_width` is not positive.
    """
    if max_width < 1:
        raise ValueError(f"need a width above 0, not {max_width}")
    middle_time = (span.start + span.end) / 2
    half_seconds = min(span.duration, _MAX_PREVIEW_SECONDS) / 2
    preview_span = Span(max(0.0, middle_time - half_seconds), middle_time + half_seconds)
    short_side = max(1, math.ceil(max_width * 9 / 16))
    preview_images = [
        _scale_preview_image(image, max_width, short_side)
        for frame_batch in Sampler(
            video_path, fps=PREVIEW_FPS, short_side=short_side, span=preview_span
        )
        for image in frame_batch.images
    ]
    output_buffer = io.BytesIO()
    preview_images[0].save(
        output_buffer,
        "WEBP",
        save_all=True,
        append_images=preview_images[1:],
        duration=round(1000 / PREVIEW_FPS),
        loop=0,
        quality=_WEBP_QUALITY,
        method=_WEBP_METHOD,
    )
    return output_buffer.getvalue()


def _scale_preview_image(image: Images, max_width: int, short_side: int) -> Image.Image:
    """Scale an image, uint8 (H, W, 3), to fit the preview."""
    scaled_image = Image.fromarray(image)
    scaled_image.thumbnail((max_width, 2 * short_side), Image.Resampling.BICUBIC, reducing_gap=2)
    return scaled_image
