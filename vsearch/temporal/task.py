"""What is asked of a batch in pretraining: which frames are hidden, whose words are exchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from vsearch.temporal.clips import Clips
    from vsearch.types import Ids

Mask: TypeAlias = npt.NDArray[np.bool_]

SHARE = 0.15  # of the frames are hidden
SPAN = 5  # frames hidden side by side, at most
GOES_ON = 0.6  # chance that a span has one more


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What is asked of a batch."""

    hidden: Mask  # (B, T): frames to be told
    texts_of: Ids  # (B,): the clip whose words each clip is given
    asked: Mask  # (B,): whether they are its own is asked

    @classmethod
    def draw(cls, clips: Clips, random: np.random.Generator) -> Self:
        """By chance."""
        return cls(spans(clips.mask, random), *exchanged(clips, random))


def spans(mask: Mask, random: np.random.Generator, share: float = SHARE) -> Mask:
    """Which frames are hidden, (B, T): of each clip `share`, one at least, and never all.

    Spans, because a frame between two that show the same is told by copying.
    """
    hidden = np.zeros_like(mask)
    for row, real in zip(hidden, mask, strict=True):
        count = int(real.sum())
        left = min(max(1, round(share * count)), count - 1)
        while left > 0:
            length = min(left, int(random.geometric(1 - GOES_ON)), SPAN)
            start = int(random.integers(0, count - length + 1))
            row[start : start + length] = True
            left = min(max(1, round(share * count)), count - 1) - int(row.sum())
    return hidden


def exchanged(clips: Clips, random: np.random.Generator) -> tuple[Ids, Mask]:
    """Whose words each clip is given, (B,), and whether that is asked, (B,).

    Of the clips with words every second one gets the words of another video. Where all are of one
    video, or nothing is said, nothing is asked.
    """
    of, asked = np.arange(len(clips)), np.zeros(len(clips), np.bool_)
    talking = random.permutation(np.flatnonzero(clips.said.any(axis=1)))
    others = {
        int(clip): [int(other) for other in talking if not _alike(clips, int(clip), int(other))]
        for clip in talking
    }
    able = [clip for clip in others if others[clip]]
    able = able[: len(able) // 2 * 2]  # as many of one sort as of the other
    asked[able] = True
    for clip in able[::2]:
        of[clip] = random.choice(others[clip])
    return of, asked


def _alike(clips: Clips, one: int, other: int) -> bool:
    """Whether two clips are of one video, or the same is said in both."""
    return bool(
        clips.videos[one] == clips.videos[other]
        or np.array_equal(clips.texts[one], clips.texts[other])
    )
