"""Single pictures: thumbnails of a moment, and pictures to search with."""

from __future__ import annotations

import io
import math
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vsearch.errors import MediaError, TooLargeError, UnreadableError
from vsearch.media.video import Sampler
from vsearch.types import Images, Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAX_PIXELS = 2**25  # of a query picture as it is decoded: over 33 million
_ENOUGH = (1024, 1024)  # a JPEG is decoded no larger than it need be for this
# what people have; left out is what makes Pillow start another program, as EPS does
_FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
_QUALITY = 82  # of JPEG: no artefacts to be seen at a thumbnail's size


def still(path: Path, time: float, *, width: int = 320) -> bytes:
    """JPEG of the frame shown at `time` seconds, `width` pixels wide at most. Raises MediaError."""
    if not math.isfinite(time) or width < 1:
        raise ValueError(f"need a finite time and a width above 0, not {time} and {width}")
    start = max(0.0, time)
    batch = next(iter(Sampler(path, fps=1, short_side=width, span=Span(start, start))))
    picture = Image.fromarray(batch.images[0])
    if picture.width > width:
        height = max(1, round(picture.height * width / picture.width))
        picture = picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def read_picture(path: Path) -> Images:
    """A picture as uint8 (H, W, 3) RGB: upright, transparency on white. Raises MediaError.

    Of an animation, the first frame.
    """
    with _explained(path), _opened(path) as picture:
        picture.draft("RGB", _ENOUGH)
        if picture.width * picture.height > _MAX_PIXELS:
            raise TooLargeError(_too_large(path))
        return np.array(_on_white(ImageOps.exif_transpose(picture)))


def _opened(path: Path) -> Image.Image:
    if path.exists() and not path.is_file():  # a pipe or device would be read for ever
        raise UnreadableError(f"{path}: is not a file; name a picture")
    return Image.open(path, formats=_FORMATS)


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return _eight_bit(picture).convert("RGB")
    layer = picture.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Pillow clips 16-bit and float gray instead of scaling it."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    values = np.nan_to_num(np.asarray(picture, np.float64))
    top = 65535.0 if picture.mode.startswith("I") else max(1.0, float(values.max(initial=0)))
    return Image.fromarray((values.clip(0, top) * (255 / top)).astype(np.uint8))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Nothing but MediaError leaves the block."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked here; EXIF may be odd
            yield
    except MediaError:
        raise
    except Image.DecompressionBombError as error:
        raise TooLargeError(_too_large(path)) from error
    except FileNotFoundError as error:
        raise UnreadableError(f"{path}: there is no such file; check the path") from error
    except UnidentifiedImageError as error:
        raise UnreadableError(f"{path}: is no picture that can be read; try JPEG or PNG") from error
    except MemoryError as error:
        raise TooLargeError(_too_large(path)) from error
    except Exception as error:  # decoders of damaged pictures raise nearly anything
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "damaged"
        raise UnreadableError(f"{path}: cannot be read ({reason}); try another copy") from error


def _too_large(path: Path) -> str:
    return f"{path}: has more than {_MAX_PIXELS // 10**6} million pixels; scale it down"
