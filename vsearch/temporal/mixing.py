"""Clips mixed with what real footage is full of, in feature space: nothing is decoded.

Junk is put *into* a clip, none of its frames is lost, so the clean clip stays the right answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from vsearch.types import Matrix, Times

Random: TypeAlias = np.random.Generator
Mask: TypeAlias = npt.NDArray[np.bool_]  # (T,)
Kind: TypeAlias = Literal["junk", "neighbour", "repeat", "spoilt"]

KINDS: tuple[Kind, ...] = ("junk", "junk", "neighbour", "neighbour", "repeat", "spoilt")
RUN = 8  # frames that one piece of junk takes up at most
GRAIN = 0.15  # length of the noise by which the frames of one still differ


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames, when they are shown, and which of them belong."""

    frames: Matrix  # float32 (T, D), rows of unit length
    times: Times  # float64 (T,) seconds
    clean: Mask  # bool (T,)

    @classmethod
    def of(cls, frames: Matrix, times: Times) -> Clip:
        """All of it belongs."""
        return cls(frames, times, np.ones(len(frames), np.bool_))

    @property
    def target(self) -> Matrix:
        """The mean of the frames that belong, float32 (D,) of unit length."""
        mean = self.frames[self.clean].mean(axis=0)
        unit: Matrix = (mean / max(float(np.linalg.norm(mean)), 1e-9)).astype(np.float32)
        return unit


def mixed(clip: Clip, other: Matrix, junk: Matrix, share: float, random: Random) -> Clip:
    """The clip with so large a share of it, in [0, 1), being junk; at least one frame.

    `other` are frames of another clip, float32 (N, D), `junk` pictures of nothing, float32 (M, D).
    """
    if not 0 <= share < 1:
        raise ValueError(f"a share must be in [0, 1), not {share}")
    rows, belongs = list(clip.frames), [True] * len(clip.frames)
    left = max(1, round(share / (1 - share) * len(rows)))
    while left:
        length = min(left, int(random.integers(1, RUN + 1)))
        kind = KINDS[int(random.integers(0, len(KINDS)))]
        place, piece = _piece(kind, rows, belongs, other, junk, length, random)
        rows[place:place] = list(piece)
        belongs[place:place] = [False] * len(piece)
        left -= len(piece)
    step = float(np.median(np.diff(clip.times))) if len(clip.times) > 1 else 1.0
    times = clip.times[0] + step * np.arange(len(rows))
    return Clip(np.stack(rows).astype(np.float32), times, np.array(belongs))


def _piece(
    kind: Kind,
    rows: list[Matrix],
    belongs: list[bool],
    other: Matrix,
    junk: Matrix,
    length: int,
    random: Random,
) -> tuple[int, Matrix]:
    """Frames to put in, (1 to length, D), and where."""
    own = [place for place, is_own in enumerate(belongs) if is_own]
    beside = own[int(random.integers(0, len(own)))]
    still = junk[int(random.integers(0, len(junk)))]
    if kind == "repeat":  # a frame that hangs
        return beside + 1, np.repeat(rows[beside][None], length, axis=0)
    if kind == "spoilt":  # out of focus, or flashed over
        kept = random.uniform(0.15, 0.6)
        return beside + int(random.integers(0, 2)), _unit(
            kept * rows[beside][None] + (1 - kept) * _grainy(still, length, random)
        )
    if kind == "neighbour":  # the end of the shot before, or the start of the next one
        first = int(random.integers(0, max(1, len(other) - length + 1)))
        return (0 if random.random() < 0.5 else len(rows)), other[first : first + length]
    return int(random.integers(0, len(rows) + 1)), _grainy(still, length, random)


def _grainy(still: Matrix, length: int, random: Random) -> Matrix:
    """A still, (D,), shown so many times: (length, D)."""
    noise = random.normal(size=(length, len(still))) * (GRAIN / np.sqrt(len(still)))
    return _unit(still + noise)


def _unit(rows: npt.NDArray[np.float64]) -> Matrix:
    unit: Matrix = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit.astype(np.float32)
