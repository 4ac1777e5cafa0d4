"""Where one stretch of video lies on another that it may have been cut out of.

Pictures are compared by correlation, so brightness and contrast do not matter, and the source is
cropped in several ways, for copies often are. What does not move tells nothing about time: so the
pictures are also compared less their mean over the clip, which leaves what changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from vsearch.media.lumas import RATE

if TYPE_CHECKING:
    from vsearch.media.lumas import Lumas
    from vsearch.types import Span

CELLS = 16  # each way, to which pictures are averaged
FLAT = 2.0  # of 255: pictures that vary less than that are compared as if they were noise
ALIKE = 0.8  # mean correlation of the pictures of a copy, at least
MOVED = 0.6  # and of what changes in them
STILL = 0.002  # share of the pictures that changes where nothing but noise does
SAME = 0.97  # mean correlation of still pictures of a copy, at least
EQUAL = 1e-3  # difference between places that tells nothing
FEW = 24  # pictures that are enough to tell how the source was cropped

Pixels: TypeAlias = npt.NDArray[np.float32]  # (N, CELLS * CELLS), rows of length 1 at most
Curve: TypeAlias = npt.NDArray[np.float64]  # (K,) for each place at which the clip may begin


class Crop(NamedTuple):
    """The part of the source that a copy shows: its size, and where in the margin it lies."""

    size: float  # of width and height, in (0, 1]
    down: float  # from 0, the top, to 1, the bottom
    right: float


WHOLE = Crop(1.0, 0.0, 0.0)
CENTRED = (WHOLE, Crop(0.9, 0.5, 0.5), Crop(0.8, 0.5, 0.5))
CROPS = [
    WHOLE,
    *(Crop(size, *at) for size in (0.95, 0.9, 0.85, 0.8) for at in product((0, 0.5, 1), repeat=2)),
]


@dataclass(frozen=True, slots=True)
class Match:
    """Where a clip fits best, and how well."""

    start: float  # seconds of the source at which it begins
    likeness: float  # mean correlation of the pictures, in [-1, 1]
    motion: float  # correlation of what changes in them, in [-1, 1]
    change: float  # how much does, in [0, 1]

    @property
    def still(self) -> bool:
        """Whether nothing moves, so that the time is a guess."""
        return self.change < STILL

    @property
    def is_copy(self) -> bool:
        """Whether the pictures are the same ones."""
        if self.still:
            return self.likeness >= SAME
        return self.likeness >= ALIKE and self.motion >= MOVED


def match(clip: Lumas, part: Span, source: Lumas, window: Span) -> Match | None:
    """Where in `window` of the source the pictures of `part` of the clip are to be seen.

    None where the window is shorter than the part. Both are in seconds of their own videos.
    """
    found = _matched(clip, part, source, window)
    bare, bare_source = clip.trimmed(), source.trimmed()
    if bare is clip and bare_source is source:
        return found
    tried = [found, _matched(bare, part, bare_source, window)]
    return max((one for one in tried if one), key=lambda m: m.likeness + m.motion, default=None)


def _matched(clip: Lumas, part: Span, source: Lumas, window: Span) -> Match | None:
    """As the pictures are, black bars and all."""
    count = max(2, round(part.duration * RATE))
    times = np.arange(window.start, window.end + 1e-6, 1 / RATE)
    places = len(times) - count + 1
    if places < 1:
        return None
    pictures = source.at(times)
    wanted = _pixels(clip.at(part.start + np.arange(count) / RATE), WHOLE)
    rough = max((_curve(wanted, pictures, crop) for crop in CENTRED), key=lambda c: c.max())
    crop = _crop(wanted, pictures[int(rough.argmax()) :][:count])
    shown = _pixels(pictures, crop)
    likeness = _along(wanted @ shown.T) / count
    motion, change = _motion(wanted, shown)
    fits = likeness + motion
    equal = np.flatnonzero(fits >= fits.max() - EQUAL)
    best = int(equal[len(equal) // 2])  # where nothing moves, the middle is the best guess
    return Match(float(times[best]), float(likeness[best]), float(motion[best]), change)


def _curve(wanted: Pixels, pictures: npt.NDArray[np.float32], crop: Crop) -> Curve:
    """How alike the pictures are for every place, by every fourth of them."""
    some = np.zeros_like(wanted)
    some[::4] = wanted[::4]
    return _along(some @ _pixels(pictures, crop).T)


def _crop(wanted: Pixels, pictures: npt.NDArray[np.float32]) -> Crop:
    """The crop in which pictures, the first of which shows what is wanted first, are most alike."""
    step = max(1, len(wanted) // FEW)
    few, shown = wanted[::step], pictures[::step]
    return max(CROPS, key=lambda crop: float((few * _pixels(shown, crop)).sum()))


def _motion(wanted: Pixels, shown: Pixels) -> tuple[Curve, float]:
    """The correlation of what changes, for every place, and how much does in what is wanted."""
    count, places = len(wanted), len(shown) - len(wanted) + 1
    changing = wanted - wanted.mean(axis=0)
    change = float((changing**2).sum() / count)
    sums = np.cumsum(np.pad(shown.astype(np.float64), ((1, 0), (0, 0))), axis=0)
    squares = np.cumsum(np.pad((shown**2).sum(axis=1, dtype=np.float64), (1, 0)))
    means = (sums[count:] - sums[:places]) / count
    there = (squares[count:] - squares[:places]) / count - (means**2).sum(axis=1)
    common = _along(changing @ shown.T) / count  # the mean of what is shown drops out
    return common / np.sqrt(change * there.clip(0) + 1e-6), change


def _along(products: npt.NDArray[np.float32]) -> Curve:
    """The sums along the diagonals: (n, N) -> (N - n + 1,)."""
    count, total = products.shape
    return np.array([np.trace(products, offset=k) for k in range(total - count + 1)], np.float64)


def _pixels(pictures: npt.NDArray[np.float32], crop: Crop) -> Pixels:
    """Pictures (N, H, W), cropped, averaged to cells, less their mean, of unit length."""
    height, width = pictures.shape[1:]
    rows, columns = _cells(height, crop.size, crop.down), _cells(width, crop.size, crop.right)
    cells = (rows @ pictures @ columns.T).reshape(len(pictures), -1)
    cells -= cells.mean(axis=1, keepdims=True)
    energy = (cells**2).sum(axis=1, keepdims=True) + (CELLS * FLAT) ** 2
    return np.asarray(cells / np.sqrt(energy), np.float32)


def _cells(length: int, size: float, at: float) -> npt.NDArray[np.float32]:
    """What averages the pixels of a line to cells: (CELLS, length), rows of sum 1."""
    begin = (1 - size) * at * length
    edges = np.linspace(begin, begin + size * length, CELLS + 1)
    pixels = np.arange(length)
    shared = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shared = shared.clip(0)
    return np.asarray(shared / shared.sum(axis=1, keepdims=True), np.float32)
