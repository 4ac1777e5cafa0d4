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
