"""Vectors as they were at one time, as bytes, like beside like; in memory or a mapped file."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsearch.arrays import load_stack, save_stack
from vsearch.vectors.clusters import clustered, nearest
from vsearch.vectors.codec import Codec
from vsearch.vectors.truth import Truth, perturbed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

    from vsearch.types import Ids, Matrix, Vector
    from vsearch.vectors.codec import Codes
    from vsearch.vectors.source import Source

FORMAT = 1  # of the file
ASKED = 200  # questions that tell in which groups must be looked
MOST = 0.6  # of the groups: where more are within reach, all are looked through
RECALL = 0.999  # of their ten nearest that must be in those groups


@dataclass(frozen=True, eq=False)
class Shelf:
    """Codes in groups of like ones. The arrays are never changed."""

    codec: Codec
    centres: Matrix  # float32 (L, D) of the groups
    starts: Ids  # (L + 1,) the row at which each group begins; the last one is N
    reach: float  # groups are looked through whose centre is so much farther than the nearest one
    ids: Ids  # (N,) ascending
    rows: npt.NDArray[np.int32]  # (N,) where the codes of each id are
    places: npt.NDArray[np.int32]  # (N,) the other way round: which of `ids` a row is
    codes: Codes  # (N, D)

    @classmethod
    def built(cls, source: Source, sample: Matrix, groups: int, stop: Callable[[], None]) -> Self:
        """The vectors of a source in so many groups, learnt from a sample, float32 (M, D).

        What `stop` raises, which is called now and then, ends the work.
        """
        codec, centres = Codec.fitted(sample), clustered(sample, groups, stop)
        questions = [perturbed(sample, ASKED), source.questions()[:ASKED]] if groups > 1 else []
        asked = list(map(Truth, questions))
        ids, codes, chosen = [], [], []
        for batch, vectors in source.batches():
            stop()
            ids.append(batch)
            codes.append(codec.encode(vectors))
            chosen.append(nearest(centres, vectors, stop))
            for truth in asked:
                truth.see(batch, vectors)
        group = np.concatenate([np.empty(0, np.int64), *chosen])
        places = np.argsort(group, kind="stable").astype(np.int32)
        sizes = np.bincount(group, minlength=groups)
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        rows = np.empty_like(places)
        rows[places] = np.arange(len(places), dtype=np.int32)
        put = _put(codes, rows, len(codec.low))
        shelf = cls(codec, centres, starts, 0.0, np.concatenate(ids), rows, places, put)
        return replace(shelf, reach=max(map(shelf._needed, asked), default=0.0))

    def _needed(self, truth: Truth) -> float:
        """The reach within which nearly all is that should be found."""
        apart: list[float] = []
        for question, near in zip(truth.questions, truth.nearest(), strict=True):
            scores = self.centres @ question
            rows = self.rows[np.searchsorted(self.ids, near)]
            groups = np.searchsorted(self.starts, rows, side="right") - 1
            apart += (scores.max() - scores[groups]).tolist()
        return float(np.quantile(apart, RECALL, method="higher")) if apart else 0.0

    @cached_property
    def labels(self) -> Ids:
        """The number of each row, int64 (N,)."""
        return np.arange(len(self.ids))

    def runs(self, query: Vector, wider: float = 1.0) -> list[slice]:
        """The rows of the groups within reach of a query, or of more, neighbours joined."""
        scores = self.centres @ query
        within = np.count_nonzero(scores >= scores.max() - self.reach)
        wanted = wider * within if within else math.inf
        if wanted >= MOST * len(scores):  # all of them, one after the other, is faster
            return [slice(0, len(self.ids))]
        probes = math.ceil(wanted)
        near = np.argpartition(-scores, probes - 1)[:probes]
        near.sort()
        cuts = np.flatnonzero(np.diff(near) > 1)
        first = self.starts[near[np.concatenate([[0], cuts + 1])]]
        last = self.starts[near[np.concatenate([cuts, [probes - 1]])] + 1]
        return list(map(slice, first.tolist(), last.tolist()))

    def find(self, ids: Ids) -> Ids:
        """The rows of those ids that are there, ascending ids given, int64."""
        at = np.searchsorted(self.ids, ids)
        at = at[at < len(self.ids)] if len(at) else at
        there = self.ids[at] == ids[: len(at)]
        return np.asarray(self.rows[at[there]], np.int64)

    def save(self, path: Path) -> None:
        """Write to `path`."""
        save_stack(
            path,
            np.array([FORMAT], np.int64),
            np.array([self.reach], np.float32),
            np.stack([self.codec.low, self.codec.step]),
            self.centres,
            self.starts,
            self.ids,
            self.rows,
            self.places,
            self.codes,
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Map a file. Raises an exception of any kind if it is not one."""
        told, reach, ranges, centres, starts, ids, rows, places, codes = load_stack(
            path, np.int64, np.float32, np.float32, np.float32,
            np.int64, np.int64, np.int32, np.int32, np.uint8,
        )  # fmt: skip
        low, step = np.array(ranges)
        count, dim = codes.shape
        sound = (
            told.tolist() == [FORMAT]
            and low.shape == (dim,)
            and centres.shape == (len(starts) - 1, dim)
            and ids.shape == rows.shape == places.shape == (count,)
            and reach.shape == (1,)
            and len(centres) > 0
            and bool(np.isfinite(centres).all() and np.isfinite(reach).all())
            and (starts[0], starts[-1]) == (0, count)
            and bool((np.diff(starts) >= 0).all() and (np.diff(ids) > 0).all())
            and all(not len(one) or 0 <= one.min() <= one.max() < count for one in (rows, places))
        )
        if not sound:
            raise ValueError(f"{path}: its parts do not fit each other")
        return cls(
            Codec(low, step),
            np.array(centres),
            np.array(starts),
            float(reach[0]),
            ids,
            rows,
            places,
            codes,
        )


def _put(batches: list[Codes], rows: npt.NDArray[np.int32], dim: int) -> Codes:
    """All codes in their rows; each batch is let go when it was put, as there may be gigabytes."""
    codes = np.empty((len(rows), dim), np.uint8)
    done = 0
    batches.reverse()
    while batches:
        batch = batches.pop()
        codes[rows[done : done + len(batch)]] = batch
        done += len(batch)
    return codes
