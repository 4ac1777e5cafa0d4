"""To the frame: where what was found begins and ends, by what the pictures themselves show."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from vsearch.search.moments import grown
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.search.moments import Stretch, Usual
    from vsearch.types import Features, Matrix, Vector

OTHER = 0.5  # of the way from equal to what any two pictures share: another scene
CHANGED = 0.2  # of that way, if it also changes much more than it does around there
MORE = 3.0  # times the median change around
OFTEN = 0.5  # seconds between the frames that are looked at, at least


def sharpened(
    stretch: Stretch,
    features: Features,
    query: Vector,
    usual: Usual,
    taken: Sequence[Span] = (),
) -> Span:
    """From when to when a stretch shows what it was found for.

    The segments around it are divided wherever the stored frames change, also where no cut was
    seen while decoding; of these pieces a new stretch grows around the best one, without those
    that are `taken`. Boundaries are exact where a segment begins, else half-way between frames.
    """
    pieces = _pieces(stretch.around, features, usual)
    vectors = _means(features, pieces)  # (P, D)
    scores = (vectors @ query).tolist()
    free = [not any(_meet(piece, other) for other in taken) for piece in pieces]
    inside = [i for i, piece in enumerate(pieces) if free[i] and _meet(piece, stretch.best)]
    if not inside:
        return stretch.span
    peak = max(inside, key=lambda i: scores[i])
    times = [(piece.start, piece.end) for piece in pieces]
    first, last = grown(times, vectors, scores, peak, usual, free)
    return Span(pieces[first].start, pieces[last].end)


def _pieces(around: Sequence[Span], features: Features, usual: Usual) -> list[Span]:
    """The segments around, divided where the frames change within one."""
    edges = [one.start for one in around] + [around[-1].end]
    first, last = np.searchsorted(features.times, [edges[0], edges[-1]]).tolist()
    times = features.times[first:last].tolist()
    thin = max(1, int(OFTEN / _spacing(times)))
    times = times[::thin]
    for i in changes(features.matrix[first:last:thin], usual):
        before, behind = times[i], times[i + 1]
        if not any(before < edge <= behind for edge in edges):
            edges.append((before + behind) / 2)
    return [Span(*ends) for ends in pairwise(sorted(edges))]


def changes(frames: Matrix, usual: Usual) -> list[int]:
    """Behind which frames, float32 (T, D), another scene begins.

    Two frames before and two behind are compared, as one odd frame is no scene. It is another scene
    if they have hardly more in common than any two pictures, or clearly change where little else
    does.
    """
    if len(frames) < 2:
        return []
    pairs = np.zeros((len(frames) + 1, frames.shape[1]), np.float32)
    pairs[:-1] = frames  # each frame and the one before, as far as there are any
    pairs[1:] += frames
    squares = _products(pairs, pairs)
    lengths = np.sqrt(squares[:-2] * squares[2:])
    likeness = _products(pairs[:-2], pairs[2:]) / np.maximum(lengths, 1e-9)
    change = (1 - likeness) / (1 - usual.likeness)
    if change.max() <= CHANGED:
        return []
    clear = (change > CHANGED) & (change > MORE * _median(change.tolist()))
    padded = np.concatenate([[0.0], change, [0.0]])
    most = (change >= padded[:-2]) & (change >= padded[2:])  # a dissolve is one change
    found: list[int] = np.flatnonzero(((change > OTHER) | clear) & most).tolist()
    return found


def _spacing(times: Sequence[float]) -> float:
    """Seconds between frames, usually."""
    apart = [behind - before for before, behind in pairwise(times)]
    return max(_median(apart), 1e-3) if apart else OFTEN


def _median(values: Sequence[float]) -> float:
    """NumPy's takes ten times as long for a few."""
    ordered, middle = sorted(values), len(values) // 2
    return (ordered[middle] + ordered[~middle]) / 2


def _products(one: Matrix, other: Matrix) -> Vector:
    """Inner products of rows, float32 (N, D) each: (N,)."""
    products: Vector = np.einsum("nd,nd->n", one, other)
    return products


def _means(features: Features, pieces: Sequence[Span]) -> Matrix:
    """What the frames of each piece have in common, float32 (P, D) of unit length.

    Pieces follow each other without a gap; one without a frame has the one nearest to its middle.
    """
    edges = [pieces[0].start, *(piece.end for piece in pieces)]
    at = np.searchsorted(features.times, edges)
    frames = at[1:] - at[:-1]  # of each piece
    full = np.flatnonzero(frames)
    sums = np.empty((len(pieces), features.space.dim), np.float32)
    if len(full):
        sums[full] = np.add.reduceat(features.matrix[: at[-1]], at[full])
    for empty in np.flatnonzero(frames == 0).tolist():
        sums[empty] = features.within(pieces[empty]).matrix[0]
    lengths = np.sqrt(_products(sums, sums))
    sums /= np.maximum(lengths, np.float32(1e-9))[:, None]
    return sums


def _meet(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end
