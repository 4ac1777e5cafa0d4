"""Clips of different lengths as one batch of arrays, in numpy: what the networks are trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Features, Ids, Matrix, Times


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """What is said in a clip: vectors in the space of its frames, and where in it."""

    vectors: Matrix  # float32 (S, D); S may be 0
    places: Times  # float64 (S,) in [0, 1]: from the first frame of the clip to its last


@dataclass(frozen=True, slots=True, eq=False)
class Clips:
    """A batch: what is padding is false in a mask, and zero; real rows come first."""

    frames: npt.NDArray[np.float32]  # (B, T, D)
    times: npt.NDArray[np.float32]  # (B, T) seconds since the first frame of the clip
    mask: npt.NDArray[np.bool_]  # (B, T)
    videos: Ids  # int64 (B,): which video each is of
    texts: npt.NDArray[np.float32]  # (B, S, D), S may be 0
    places: npt.NDArray[np.float32]  # (B, S) in [0, 1], see `Texts`
    said: npt.NDArray[np.bool_]  # (B, S)

    def __len__(self) -> int:
        return len(self.videos)

    @classmethod
    def of(
        cls,
        features: Sequence[Features],
        videos: Sequence[int] | Ids,
        texts: Sequence[Texts] | None = None,
    ) -> Self:
        """Clips of one frame and more, of one space; `texts` is as long as they are, or None."""
        dim = features[0].space.dim
        if texts is None:
            texts = [Texts(np.empty((0, dim), np.float32), np.empty(0))] * len(features)
        frames, mask = _padded([each.matrix for each in features], dim)
        times, _ = _padded([(each.times - each.times[0])[:, None] for each in features], 1)
        vectors, said = _padded([each.vectors for each in texts], dim)
        places, _ = _padded([each.places[:, None] for each in texts], 1)
        ids = np.asarray(videos, np.int64)
        return cls(frames, times[..., 0], mask, ids, vectors, places[..., 0], said)


def _padded(
    rows: Sequence[npt.NDArray[np.float32] | Times], dim: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Each (T, dim), T different -> float32 (B, most T, dim) and which of it is real, (B, most)."""
    longest = max(map(len, rows))
    filled = np.zeros((len(rows), longest, dim), np.float32)
    real = np.zeros((len(rows), longest), np.bool_)
    for number, row in enumerate(rows):
        filled[number, : len(row)] = row
        real[number, : len(row)] = True
    return filled, real
