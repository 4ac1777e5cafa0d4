"""Vectors as they were at one time, as bytes, like beside like; in memory or a mapped file."""

from __future__ import annotations

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
ASKED = 200  # questions that tell how many groups must be looked through
RECALL = 0.998  # of their ten nearest that must be in those groups


@dataclass(frozen=True, eq=False)
class Shelf:
    """Codes in groups of like ones. The arrays are never changed."""

    codec: Codec
    centres: Matrix  # float32 (L, D) of the groups
    starts: Ids  # (L + 1,) the row at which each group begins; the last one is N
    probes: int  # groups that are to be looked through, of L
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
        asked = [Truth(perturbed(sample, ASKED))]
        if groups > 1:
            asked.append(Truth(source.questions()[:ASKED]))
        ids, codes, chosen = [], [], []
        for batch, vectors in source.batches():
            stop()
            ids.append(batch)
            codes.append(codec.encode(vectors))
            chosen.append(nearest(centres, vectors, stop))
            for truth in asked if groups > 1 else ():
                truth.see(batch, vectors)
        group = np.concatenate([np.empty(0, np.int64), *chosen])
        places = np.argsort(group, kind="stable").astype(np.int32)
        sizes = np.bincount(group, minlength=groups)
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        rows = np.empty_like(places)
        rows[places] = np.arange(len(places), dtype=np.int32)
        put = _put(codes, rows, len(codec.low))
        shelf = cls(codec, centres, starts, groups, np.concatenate(ids), rows, places, put)
        return shelf._tuned(asked)

    def _tuned(self, asked: list[Truth]) -> Self:
        """The same with as many probes as the truth takes; all of them where that are many."""
        groups = len(self.centres)
        needed = max((self._needed(truth) for truth in asked), default=groups)
        return replace(self, probes=needed if needed <= groups // 2 else groups)

    def _needed(self, truth: Truth) -> int:
        """How many of the groups, nearest first, hold nearly all that is to be found."""
        ranks: list[int] = []
        for question, near in zip(truth.questions, truth.nearest(), strict=True):
            order = np.argsort(-(self.centres @ question))
            rank = np.empty(len(order), np.int64)
            rank[order] = np.arange(len(order))
            rows = self.rows[np.searchsorted(self.ids, near)]
            ranks += rank[np.searchsorted(self.starts, rows, side="right") - 1].tolist()
        return 1 + int(np.quantile(ranks, RECALL, method="higher")) if ranks else 1

    @cached_property
    def labels(self) -> Ids:
        """The number of each row, int64 (N,)."""
        return np.arange(len(self.ids))

    def runs(self, query: Vector, probes: int) -> list[slice]:
        """The rows of so many groups that are nearest to a query, neighbours joined."""
        if probes >= len(self.centres):
            return [slice(0, len(self.ids))]
        near = np.argpartition(-(self.centres @ query), probes - 1)[:probes]
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
            np.array([FORMAT, self.probes], np.int64),
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
        told, ranges, centres, starts, ids, rows, places, codes = load_stack(
            path, np.int64, np.float32, np.float32, np.int64, np.int64, np.int32, np.int32, np.uint8
        )
        version, probes = told.tolist()
        low, step = np.array(ranges)
        count, dim = codes.shape
        sound = (
            version == FORMAT
            and low.shape == (dim,)
            and centres.shape == (len(starts) - 1, dim)
            and ids.shape == rows.shape == places.shape == (count,)
            and 1 <= probes <= len(centres)
            and bool(np.isfinite(centres).all())
            and (starts[0], starts[-1]) == (0, count)
            and bool((np.diff(starts) >= 0).all() and (np.diff(ids) > 0).all())
            and all(not len(one) or 0 <= one.min() <= one.max() < count for one in (rows, places))
        )
        if not sound:
            raise ValueError(f"{path}: its parts do not fit each other")
        return cls(
            Codec(low, step), np.array(centres), np.array(starts), probes, ids, rows, places, codes
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
