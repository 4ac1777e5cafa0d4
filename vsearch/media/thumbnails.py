"""Render thumbnails and animated previews of moments, and read query images."""

from __future__ import annotations

import io
import math
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vsearch.errors import MediaError, TooLargeError, UnreadableError
from vsearch.media.sampler import Sampler
from vsearch.media.urls import describe_missing
from vsearch.types import Images, Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREVIEW_FPS = 8
_MAX_QUERY_IMAGE_PIXELS = 2**25  # as decoded: over 33 million
_DRAFT_SIZE = (1024, 1024)  # a JPEG is decoded at the smallest scale that covers this
# Common formats; excluded are those for which Pillow starts another program, such as EPS.
_IMAGE_FORMATS = (
    "AVIF",
    "BMP",
    "GIF",
    "ICO",
    "JPEG",
    "JPEG2000",
    "PNG",
    "PPM",
    "TGA",
    "TIFF",
    "WEBP",
)
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


def read_image(image_path: Path) -> Images:
    """Read an image file: upright, transparency on white, the first frame of an animation.

    Args:
        image_path: Image in one of the common formats.

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        UnreadableError: The file is missing, damaged or not an image.
        TooLargeError: It has too many pixels.
    """
    with _translate_image_errors(image_path), _open_image(image_path) as image:
        image.draft("RGB", _DRAFT_SIZE)
        if image.width * image.height > _MAX_QUERY_IMAGE_PIXELS:
            raise TooLargeError(_format_size_error(image_path))
        return np.array(_flatten_on_white(ImageOps.exif_transpose(image)))


def _open_image(image_path: Path) -> Image.Image:
    if image_path.exists() and not image_path.is_file():  # reading a pipe or device would block
        raise UnreadableError(f"{image_path}: is not a regular file; give an image file")
    return Image.open(image_path, formats=_IMAGE_FORMATS)


def _flatten_on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return _convert_to_8bit(image).convert("RGB")
    rgba_image = image.convert("RGBA")
    white_image = Image.new("RGBA", rgba_image.size, "white")
    return Image.alpha_composite(white_image, rgba_image).convert("RGB")


def _convert_to_8bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit and floating-point gray to 8 bits, which Pillow would clip."""
    if not image.mode.startswith(("I", "F")):
        return image
    pixel_values = np.nan_to_num(np.asarray(image, np.float64))
    max_value = (
        65535.0 if image.mode.startswith("I") else max(1.0, float(pixel_values.max(initial=0)))
    )
    return Image.fromarray((pixel_values.clip(0, max_value) * (255 / max_value)).astype(np.uint8))


@contextmanager
def _translate_image_errors(image_path: Path) -> Iterator[None]:
    """Raise any error of the block as a MediaError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked here; EXIF may be invalid
            yield
    except MediaError:
        raise
    except Image.DecompressionBombError as error:
        raise TooLargeError(_format_size_error(image_path)) from error
    except FileNotFoundError as error:
        raise UnreadableError(describe_missing(image_path)) from error
    except UnidentifiedImageError as error:
        raise UnreadableError(f"{image_path}: not a readable image; try JPEG or PNG") from error
    except MemoryError as error:
        raise TooLargeError(_format_size_error(image_path)) from error
    except Exception as error:  # decoders raise nearly anything on damage
        error_reason = (
            error.strerror if isinstance(error, OSError) and error.strerror else "damaged"
        )
        raise UnreadableError(
            f"{image_path}: cannot be read ({error_reason}); try another copy"
        ) from error


def _format_size_error(image_path: Path) -> str:
    return (
        f"{image_path}: has more than {_MAX_QUERY_IMAGE_PIXELS // 10**6} million pixels; scale it "
        "down"
    )


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
