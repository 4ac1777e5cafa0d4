"""Animated WebP, which FFmpeg does not read."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from vsearch.errors import MediaError, NoPictureError, TooLargeError, UnreadableError
from vsearch.media.film import Claims, Frame, clock
from vsearch.media.limits import check_size
from vsearch.media.painter import from_rgb
from vsearch.media.timestamps import TICK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.media.instants import Instants


class WebPFilm:
    """An animated WebP, read with Pillow."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._image = Image.open(path, formats=["WEBP"])
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise TooLargeError(f"{path}: has more pixels than can be handled") from error
        try:
            check_size(path, *self._image.size, bits=64)  # Pillow makes several copies
        except TooLargeError:
            self.close()
            raise
        self._count: int = getattr(self._image, "n_frames", 1)
        self._length = Fraction(0)
        self._broken = False
        if self._count < 2:
            self.close()
            raise NoPictureError(f"{path}: is a still picture, not a video; index videos only")

    def close(self) -> None:
        self._image.close()

    def claims(self) -> Claims:
        """Reads every frame: no header tells the duration."""
        for _ in self.frames():
            pass
        return Claims(float(self._length), self._count / float(self._length), "webp")

    def frames(
        self,
        start: Fraction = Fraction(0),  # noqa: ARG002
        wants: Instants | None = None,  # noqa: ARG002
    ) -> Iterator[Frame]:
        """All frames: there is no seeking, and animations are short."""
        self._length = Fraction(0)
        for index in range(self._count):
            try:
                self._image.seek(index)
                picture = from_rgb(np.asarray(self._image.convert("RGB")))
            except (OSError, EOFError, ValueError):
                self._broken = True
                return
            length = max(Fraction(int(self._image.info.get("duration", 100)), 1000), TICK * 10)
            yield Frame(picture, Fraction(1), self._length, length)
            self._length += length

    def reason(self) -> MediaError:
        return UnreadableError(f"{self._path}: is a damaged animation; copy it again")

    def note(self, end: float, *, whole: bool) -> str | None:
        return f"damaged after {clock(end)}" if self._broken and whole else None
