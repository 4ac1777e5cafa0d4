"""Clips made of still pictures: what the pooler that ships was trained on."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.temporal.mixing import Clip
from vsearch.temporal.robust import Example

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from vsearch.temporal.mixing import Random
    from vsearch.types import Matrix

LONGEST = 20  # frames
SCENES = (0.9, 0.1)  # how often a clip has one scene or two
HELD = 256  # clips to validate with


class StillClips:
    """A `robust.Source`: pictures that change as if a camera moved over them.

    A frame is the picture, with some of what a crop of it, and of another picture, changes.
    """

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """`arrays` as `build_pooler scenes` writes them."""
        train = arrays["train"]
        self._whole, self._moved = arrays["whole"], arrays["moved"]
        self._texts = arrays["texts"]
        self._train, self._held = np.flatnonzero(train), np.flatnonzero(~train)
        self.junk = np.concatenate([arrays["junk"], arrays["spoiled"][train]]).astype(np.float32)
        self.digest = hashlib.sha256(np.ascontiguousarray(self._whole).tobytes()).hexdigest()

    def draw(self, random: Random) -> Example:
        """A clip of one to three scenes."""
        return self._example(self._train, random)

    def held(self) -> Sequence[Example]:
        """Clips of other pictures, always the same ones."""
        random = np.random.default_rng(1)
        return [self._example(self._held, random) for _ in range(HELD)]

    def _example(self, among: npt.NDArray[np.int64], random: Random) -> Example:
        count = 1 + int(random.choice(len(SCENES), p=SCENES))
        chosen = random.choice(among, count, replace=False)
        total = max(count, int(np.exp(random.uniform(np.log(2), np.log(LONGEST + 1)))))
        cuts = np.sort(random.choice(np.arange(1, total), count - 1, replace=False))
        lengths = np.diff([0, *cuts, total])
        parts = [self._shot(int(s), int(n), random) for s, n in zip(chosen, lengths, strict=True)]
        rate = float(random.choice([0.5, 1.0, 1.0, 2.0, 4.0]))
        clip = Clip.of(np.concatenate(parts), np.arange(total) / rate)
        text = self._texts[chosen[0]] if count == 1 else None
        return Example(clip, text, int(chosen[0]))

    def _shot(self, scene: int, length: int, random: Random) -> Matrix:
        """Frames of one picture, (length, D): changes that come and go smoothly."""
        others = random.choice(len(self._moved), 3)
        ways = self._moved[[scene, *others]]  # (4, D)
        speed = random.uniform(0.05, 0.8)
        walk = np.cumsum(random.normal(0, speed, (length, len(ways))), axis=0)
        amounts = np.abs(np.sin(walk + random.uniform(0, np.pi, len(ways))))
        amounts *= np.array([1.0, 0.5, 0.5, 0.5]) * random.uniform(0.2, 1.0)
        rows: Matrix = (self._whole[scene] + amounts @ ways).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows
