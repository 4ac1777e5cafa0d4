"""Tiny gray pictures of a stretch of video: enough to tell where one was cut out of the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsearch.media.video import Sampler

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Span, Times

RATE = 8.0  # pictures a second
SIDE = 32  # pixels, the shorter one
_DARK = 24.0  # of 255: a line that is nowhere lighter may belong to a bar
_BAR = 0.04  # of the picture: thinner ones are left
_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue


@dataclass(frozen=True, slots=True)
class Lumas:
    """Gray pictures of a video, each shown until the next one."""

    pictures: npt.NDArray[np.float32]  # (N, H, W) in [0, 255]
    times: Times  # float64 (N,) seconds from the start of the video, ascending

    def at(self, times: Times) -> npt.NDArray[np.float32]:
        """The pictures shown at these times, float32 (M, H, W); before the first one, that."""
        places = np.searchsorted(self.times, times + 1e-6, side="right") - 1
        shown: npt.NDArray[np.float32] = self.pictures[places.clip(0)]
        return shown

    def trimmed(self) -> Lumas:
        """Without the black bars that a picture may have at its sides; each fills the frame."""
        pictures = self.pictures
        sides = np.stack([*_bars(pictures.max(axis=2)), *_bars(pictures.max(axis=1))], axis=1)
        kinds, of = np.unique(sides, axis=0, return_inverse=True)
        if not kinds.any():
            return self
        filled = np.empty_like(pictures)
        height, width = pictures.shape[1:]
        for number, (top, bottom, left, right) in enumerate(kinds.tolist()):
            rows = np.linspace(top, height - bottom - 1, height).round().astype(int)
            columns = np.linspace(left, width - right - 1, width).round().astype(int)
            chosen = of.reshape(-1) == number
            filled[chosen] = pictures[chosen][:, rows][:, :, columns]
        return Lumas(filled, self.times)


def _bars(lightest: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], ...]:
    """How many lines are dark at the beginning and the end: of (N, L), twice (N,).

    None where less than half of a picture is lit: that is a dark one.
    """
    lit = lightest > _DARK
    length = lit.shape[1]
    before, after = lit.argmax(axis=1), lit[:, ::-1].argmax(axis=1)
    framed = lit.any(axis=1) & (before + after <= length / 2)
    return tuple(np.where(framed & (n >= _BAR * length), n, 0) for n in (before, after))


def read_lumas(path: Path, span: Span) -> Lumas:
    """The pictures of `span`, upright, 32 pixels on the short side. Raises MediaError."""
    pictures, times = [], []
    for batch in Sampler(path, fps=RATE, short_side=SIDE, batch_size=64, span=span):
        pictures.append(batch.images.astype(np.float32) @ _WEIGHTS)
        times.append(batch.times)
    shape = pictures[0].shape[1:]
    same = [number for number, one in enumerate(pictures) if one.shape[1:] == shape]
    return Lumas(
        np.concatenate([pictures[number] for number in same]),
        np.concatenate([times[number] for number in same]),
    )
