"""A library's videos as clips of stored frame features, to learn from and to judge by.

Nothing is decoded, and only the videos that clips are drawn from are in memory: some hundred
megabytes, however large the library. What a step draws depends on the seed and its number alone.
Whole videos are held out; which ones depends on the seed and on their content.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DamagedLibraryError, DatasetError
from vsearch.evaluation.sample import HELD, HELD_LEAST
from vsearch.types import Features
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.library import Library
    from vsearch.types import Matrix, Space, Video

LEAST_VIDEOS = 10
LONGEST = 64  # frames of a clip
LEAST = 2  # frames of a clip: one to be seen and one to be hidden
MEMORY = 256 << 20  # bytes of features kept
STRIDES = (1, 2, 4)  # every frame, every second one, …
SPARSEST = 8  # frames that a clip keeps when some are left out
GAPS = 0.2  # share of frames left out of a clip with gaps


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Some frames of a video, in their order."""

    video: Video
    features: Features


class Sequences:
    """The videos of a library that have features, in two parts."""

    def __init__(
        self,
        library: Library,
        *,
        longest: int = LONGEST,
        least: int = LEAST,
        seed: int = 0,
        memory: int = MEMORY,
    ) -> None:
        """Clips of `least` to `longest` frames. Raises DatasetError for too few videos."""
        self.longest, self.least, self.seed = longest, least, seed
        self._memory, self._cache = memory, OrderedDict[int, Features]()
        self._unusable: dict[int, str] = {}
        self._store = FeatureStore(library.path / "features")
        space = library.space
        usable = [] if space is None else self._usable(library.videos(), space)
        if space is None or len(usable) < LEAST_VIDEOS:
            raise DatasetError(
                f"{library.path}: {len(usable)} videos of {least} frames and more are too few to "
                f"learn from and to judge by; {LEAST_VIDEOS} are the least: `vsearch index` more"
            )
        self.space = space
        held = held_out([video.fingerprint for video in usable], seed)
        self.train = [video for video in usable if video.fingerprint not in held]
        self.held = [video for video in usable if video.fingerprint in held]
        windows = [-(-video.frames // longest) for video in self.train]
        self._reach = np.cumsum(windows) / sum(windows)  # float64 (V,): long videos more often

    @property
    def digest(self) -> str:
        """Names the videos, their part and how clips are drawn."""
        parts = [[f"{each.fingerprint} {each.frames}" for each in part] for part in self._parts]
        told = [self.space.name, self.longest, self.least, self.seed, *parts]
        return hashlib.sha256(repr(told).encode()).hexdigest()

    @property
    def left_out(self) -> tuple[str, ...]:
        """Why videos gave no clip, in words."""
        return tuple(self._unusable.values())

    def draw(self, step: int, count: int, *, varied: bool = True) -> list[Clip]:
        """Clips to learn from. `varied`: some have fewer frames a second, some have gaps."""
        random = np.random.default_rng([self.seed, step])
        return [self._drawn(random, varied) for _ in range(count)]

    def judged(self, most: int) -> Iterator[Clip]:
        """Clips of the held-out videos, evenly from all of them; the same ones each time."""
        windows = [
            (video, start)
            for video in self.held
            for start in range(0, max(1, video.frames - self.least + 1), self.longest)
        ]
        places = np.unique(np.linspace(0, len(windows) - 1, min(most, len(windows))).round())
        for video, start in (windows[int(place)] for place in places):
            features = self.load(video)
            if features is not None and len(features.times) - start >= self.least:
                yield Clip(video, _rows(features, np.arange(start, start + self.longest)))

    def frames(self, most: int) -> Matrix:
        """Frames of the videos to learn from, float32 (N, D), as many of each as its length is."""
        random = np.random.default_rng([self.seed, -1 & 0xFFFF])
        total = sum(video.frames for video in self.train)
        found = []
        for video in self.train:
            features = self.load(video)
            if features is not None:
                count = min(len(features.times), max(1, round(most * video.frames / total)))
                chosen = random.choice(len(features.times), count, replace=False)
                found.append(features.matrix[np.sort(chosen)])
        return np.concatenate(found)[:most]

    @property
    def _parts(self) -> tuple[Sequence[Video], Sequence[Video]]:
        return self.train, self.held

    def _usable(self, videos: Sequence[Video], space: Space) -> list[Video]:
        """Videos of enough frames; each content once, so that none is learnt from and held out."""
        self.space = space
        distinct = {video.fingerprint: video for video in videos}
        known = self._store.ids(space)
        lacking = [video for video in distinct.values() if video.id not in known]
        for video in lacking:
            self._unusable[video.id] = f"{video.path}: has no frame features in {space.name}"
        return [
            video for video in distinct.values() if video.frames >= self.least and video.id in known
        ]

    def _drawn(self, random: np.random.Generator, varied: bool) -> Clip:
        while True:
            # cumulative sums may end just below 1
            place = min(int(np.searchsorted(self._reach, random.random())), len(self.train) - 1)
            video = self.train[place]
            features = self.load(video)
            if features is not None:
                rows = _window(len(features.times), self.longest, random, varied)
                return Clip(video, _rows(features, rows))
            if all(each.id in self._unusable for each in self.train):
                raise DatasetError(f"no frame features can be read: {self.left_out[0]}")

    def load(self, video: Video) -> Features | None:
        """The features of a video, or None for what cannot be used, which is noted."""
        if video.id in self._unusable:
            return None
        if video.id in self._cache:
            self._cache.move_to_end(video.id)
            return self._cache[video.id]
        try:
            features = self._store.load(video.id, self.space)
        except DamagedLibraryError as error:
            self._unusable[video.id] = str(error)
            return None
        if len(features.times) < self.least:
            self._unusable[video.id] = f"{video.path}: only {len(features.times)} frames"
            return None
        self._cache[video.id] = features
        while len(self._cache) > 1 and sum(map(_size, self._cache.values())) > self._memory:
            self._cache.popitem(last=False)
        return features


def held_out(fingerprints: Sequence[str], seed: int) -> set[str]:
    """About every fifth: those that come first in an order by chance, as in evaluation/sample."""

    def drawn(fingerprint: str) -> str:
        return hashlib.sha256(f"{seed} {fingerprint}".encode()).hexdigest()

    ordered = sorted(set(fingerprints), key=drawn)
    return set(ordered[: max(HELD_LEAST, round(HELD * len(ordered)))])


def _window(
    length: int, longest: int, random: np.random.Generator, varied: bool
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Which frames of so many a clip has, ascending."""
    strides = [each for each in STRIDES if length // each >= SPARSEST or each == 1]
    stride = int(random.choice(strides)) if varied else 1
    reach = min(length, longest * stride)
    start = int(random.integers(0, length - reach + 1))
    rows = np.arange(start, start + reach, stride)
    if varied and len(rows) > SPARSEST and random.random() < 0.5:
        left = max(SPARSEST, round((1 - GAPS) * len(rows)))
        rows = np.sort(random.choice(rows, left, replace=False))
    return rows


def _rows(features: Features, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Features:
    rows = rows[rows < len(features.times)]
    return Features(features.space, features.matrix[rows], features.times[rows])


def _size(features: Features) -> int:
    return features.matrix.nbytes + features.times.nbytes
