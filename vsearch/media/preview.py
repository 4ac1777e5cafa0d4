"""Moving thumbnails: a few seconds of a video as a small animated WebP, which loops and is mute."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from PIL import Image

from vsearch.media.video import Sampler
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Images

FPS = 8
_SECONDS = 5.0  # of a longer span as many are shown, from its middle
_QUALITY = 42  # of WebP: small, and good enough while it moves
_METHOD = 3  # how hard it tries to be small: of 6


def preview(path: Path, span: Span, *, width: int = 320) -> bytes:
    """Animated WebP of a span, `width` pixels wide at most. Raises MediaError.

    About 100 kB; a span of one frame gives a still picture.
    """
    if width < 1:
        raise ValueError(f"need a width above 0, not {width}")
    middle = (span.start + span.end) / 2
    half = min(span.duration, _SECONDS) / 2
    part = Span(max(0.0, middle - half), middle + half)
    short = max(1, math.ceil(width * 9 / 16))
    pictures = [
        _scaled(image, width, short)
        for batch in Sampler(path, fps=FPS, short_side=short, span=part)
        for image in batch.images
    ]
    out = io.BytesIO()
    pictures[0].save(
        out, "WEBP", save_all=True, append_images=pictures[1:], duration=round(1000 / FPS),
        loop=0, quality=_QUALITY, method=_METHOD,
    )  # fmt: skip
    return out.getvalue()


def _scaled(image: Images, width: int, height: int) -> Image.Image:
    """A picture, uint8 (H, W, 3), no larger than a card shows it."""
    picture = Image.fromarray(image)
    picture.thumbnail((width, 2 * height), Image.Resampling.BICUBIC, reducing_gap=2)
    return picture
