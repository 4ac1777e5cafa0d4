"""Read still images, as queries and as photos of a library, within bounds of memory."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pi_heif
from PIL import Image, UnidentifiedImageError

from vsearch.buckets.bucket_path import as_image_source
from vsearch.errors import MediaError, TooLargeError, UnreadableError
from vsearch.media.container import MAX_FRAME_PIXELS
from vsearch.media.exif import read_exif, read_exif_recording
from vsearch.media.urls import describe_missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from vsearch.media.recording import Recording
    from vsearch.types import Images

pi_heif.register_heif_opener()
# Common formats; excluded are those for which Pillow starts another program, such as EPS.
IMAGE_FORMATS = (
    "AVIF",
    "BMP",
    "GIF",
    "HEIF",
    "ICO",
    "JPEG",
    "JPEG2000",
    "PNG",
    "PPM",
    "TGA",
    "TIFF",
    "WEBP",
)
_SHORT_SIDE = 1280  # pixels: large images are decoded at, or reduced to, a size that covers it
_ORIENTATION_TAG = 0x0112
_TRANSPOSITIONS = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """A decoded still image."""

    pixels: Images  # uint8 (H, W, 3) RGB, upright, reduced if large
    original_size: tuple[int, int]  # width and height in the file, upright
    format_name: str  # as Pillow names it
    recording: Recording


def read_image(image_path: Path) -> Images:
    """Read an image file. See `load_image`.

    Args:
        image_path: Image in one of the common formats.

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        UnreadableError: The file is missing, damaged or not an image.
        TooLargeError: It has too many pixels.
    """
    return load_image(image_path).pixels


def load_image(image_path: Path) -> LoadedImage:
    """Read an image file: upright, transparency on white, the first frame of an animation.

    Args:
        image_path: Image in one of the common formats.

    Returns:
        The image, reduced by a whole factor if its short side is at least twice 1280 pixels.

    Raises:
        UnreadableError: The file is missing, damaged or not an image.
        TooLargeError: It has too many pixels.
    """
    with translate_image_errors(image_path), _open_image(image_path) as image:
        original_size = image.size
        image.draft("RGB", (_SHORT_SIDE, _SHORT_SIDE))  # JPEG is decoded at a fraction of its size
        is_progressive = "progressive" in image.info  # all of it is kept while decoding
        width, height = original_size if is_progressive else image.size
        if width * height > MAX_FRAME_PIXELS:
            raise TooLargeError(_format_size_error(image_path))
        recording = read_exif_recording(read_exif(image))
        image.load()
        orientation = read_exif(image).get(_ORIENTATION_TAG)  # none left in TIFF, now upright
        rgb_image = _reduce_to_rgb(image)
        if isinstance(orientation, int) and orientation in _TRANSPOSITIONS:
            rgb_image = rgb_image.transpose(_TRANSPOSITIONS[orientation])
            if orientation >= 5:
                original_size = (original_size[1], original_size[0])
        return LoadedImage(np.array(rgb_image), original_size, image.format or "", recording)


def read_image_size(image_path: Path) -> tuple[int, int]:
    """Return width and height of an image as stored, without decoding it.

    Args:
        image_path: Image in one of the common formats.

    Raises:
        UnreadableError: The file is missing, damaged or not an image.
    """
    with translate_image_errors(image_path), _open_image(image_path) as image:
        return image.size


def check_is_file(image_path: Path) -> None:
    """Raise UnreadableError for a pipe or device, of which reading would block."""
    if image_path.exists() and not image_path.is_file():
        raise UnreadableError(f"{image_path}: is not a regular file; give a video or image file")


def _open_image(image_path: Path) -> Image.Image:
    check_is_file(image_path)
    return Image.open(as_image_source(image_path), formats=IMAGE_FORMATS)


def _reduce_to_rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB, at a fraction of the size first, so that a large image is not copied."""
    factor = max(1, min(image.size) // _SHORT_SIDE)
    if image.mode.startswith(("I", "F")):
        return _convert_to_8bit(np.asarray(image)[::factor, ::factor], image.mode).convert("RGB")
    if image.mode in ("1", "P", "PA"):  # cannot be averaged
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if factor > 1:
        image = image.reduce(factor)
    return _flatten_on_white(image)


def _flatten_on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba_image = image.convert("RGBA")
    white_image = Image.new("RGBA", rgba_image.size, "white")
    return Image.alpha_composite(white_image, rgba_image).convert("RGB")


def _convert_to_8bit(gray_values: npt.NDArray[np.generic], mode: str) -> Image.Image:
    """Scale 16-bit and floating-point gray to 8 bits, which Pillow would clip."""
    pixel_values = np.nan_to_num(gray_values.astype(np.float64))
    max_value = 65535.0 if mode.startswith("I") else max(1.0, float(pixel_values.max(initial=0)))
    return Image.fromarray((pixel_values.clip(0, max_value) * (255 / max_value)).astype(np.uint8))


@contextmanager
def translate_image_errors(image_path: Path) -> Iterator[None]:
    """Raise any error of the block as a MediaError.

    Args:
        image_path: Image that is read in the block, for messages.

    Yields:
        Nothing.

    Raises:
        UnreadableError: The file is missing, damaged or not an image.
        TooLargeError: It has too many pixels.
    """
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
    return f"{image_path}: has more than {MAX_FRAME_PIXELS // 10**6} million pixels; scale it down"
