"""Words, and the pictures that they are known to describe: what is learnt from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from vsearch.types import Ids, Matrix

Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows of words and of the part of a video that they describe."""

    texts: Matrix  # float32 (N, D), as the model encodes them
    pictures: Matrix  # float32 (N, D), unit length
    words: Ids  # (N,) equal where the words are
    videos: Ids  # (N,)
    groups: Ids  # (N,) equal where one of several videos would do; else a number of its own
    folds: Ids  # (N,) equal where rows share a video or a group: these are never separated
    spans: npt.NDArray[np.float64]  # (N, 2) seconds, from and to; the whole video: 0 and infinity

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: Ids | Mask) -> Examples:
        """Some of the rows."""
        return Examples(
            self.texts[rows],
            self.pictures[rows],
            self.words[rows],
            self.videos[rows],
            self.groups[rows],
            self.folds[rows],
            self.spans[rows],
        )

    def alike(self, others: Examples) -> Mask:
        """Which pictures of others the words may mean as well as their own, bool (N, M).

        Those that equal words describe, those of one group, and moments of a video that overlap.
        """
        starts, ends = self.spans[:, :1], self.spans[:, 1:]
        overlap = (starts < others.spans[:, 1]) & (others.spans[:, 0] < ends)
        same: Mask = (
            (self.words[:, None] == others.words)
            | (self.groups[:, None] == others.groups)
            | (self.videos[:, None] == others.videos) & overlap
        )
        return same
