"""Nearest neighbours among vectors kept as bytes: a large part that stays, a small one that grows.

The large part (a `Shelf`) is mapped from its file and never changed; what is added goes to a tail,
what is removed is noted. When that is a tenth of all, the index is `overdue` to be built anew from
where its vectors come from, which its owner does while this one goes on answering.
"""

from __future__ import annotations

import math
import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from vsearch.arrays import load_stack, save_stack
from vsearch.vectors.codec import Scan, are_set, bits
from vsearch.vectors.exact import ExactIndex
from vsearch.vectors.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

    from vsearch.types import Ids, Matrix, Vector
    from vsearch.vectors.codec import Bits, Codes
    from vsearch.vectors.source import Source

FORMAT = 1
LEAST = 4_096  # vectors; fewer are compared exactly, and tell too little about their ranges
EACH = 32  # vectors that are learnt from for each group
LEARNT_FROM = 20_000  # at least, where there are so many
DRIFT = 0.1  # of all vectors that may be added or removed before the index is overdue
MANY = 100  # neighbours; for more, more groups are looked through
FEW = 64  # where a filter leaves less than one row in so many, those are picked out


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """What a search sees: replaced as a whole, never changed."""

    shelf: Shelf
    kept: Bits | None  # which rows of it are still there; None: all
    gone: int  # how many are not
    ids: Ids  # (M,) ascending, of the tail
    codes: Codes  # (M, D)

    def __len__(self) -> int:
        return len(self.shelf.ids) - self.gone + len(self.ids)

    def without(self, ids: Ids) -> _State:
        """The same without these ids, ascending."""
        left = ~np.isin(self.ids, ids)
        kept, gone = self.kept, self.gone
        rows = self.there(ids)
        if len(rows):
            count = len(self.shelf.ids)
            before = bits(slice(None), count) if kept is None else kept
            kept = before & ~bits(rows, count)
            gone += len(rows)
        return _State(self.shelf, kept, gone, self.ids[left], self.codes[left])

    def joined(self, ids: Ids, vectors: Matrix) -> _State:
        """The same with vectors of new ids, ascending."""
        at = np.searchsorted(self.ids, ids)
        codes = np.insert(self.codes, at, self.shelf.codec.encode(vectors), axis=0)
        return _State(self.shelf, self.kept, self.gone, np.insert(self.ids, at, ids), codes)

    def there(self, ids: Ids) -> Ids:
        """The rows of those ids, ascending, that are on the shelf and not removed."""
        rows = self.shelf.find(ids)
        return rows if self.kept is None else rows[are_set(self.kept, rows)]

    def named(self, labels: Ids) -> Ids:
        """The ids that are meant by rows of the shelf, and after them by those of the tail."""
        count = len(self.shelf.ids)
        ids = np.empty(len(labels), np.int64)
        old = labels < count
        ids[old] = self.shelf.ids[self.shelf.places[labels[old]]]
        ids[~old] = self.ids[labels[~old] - count]
        return ids


class Sq8Index:
    """One byte a number, all looked through. `approximate`: its owner rescores the best."""

    approximate: ClassVar[bool] = True
    grouped: ClassVar[bool] = False

    def __init__(self, dim: int) -> None:
        self._small = ExactIndex(dim)  # used while there is no state
        self._state: _State | None = None
        self._file: Path | None = None  # that the shelf is in
        self._lock = threading.Lock()  # writers; readers take the state as it is

    @classmethod
    def built(cls, dim: int, source: Source, *, quick: bool, stop: Callable[[], None]) -> Self:
        """An index of all vectors of a source; a `quick` one may be overdue from the beginning.

        What `stop` raises, which is called now and then, ends the work.
        """
        index = cls(dim)
        groups = 1 if quick else cls._groups(source.count)
        sample = source.sample(max(groups * EACH, LEARNT_FROM))
        if len(sample) >= LEAST:
            index._state = _fresh(Shelf.built(source, sample, groups, stop))
        else:
            for ids, vectors in source.batches():
                index._small.upsert(ids, vectors)
        return index

    @property
    def overdue(self) -> bool:
        """Whether it is time to build it anew."""
        state = self._state
        if state is None:
            return len(self._small) >= LEAST
        changed = state.gone + len(state.ids)
        grouped = len(state.shelf.centres) > 1 or self._groups(len(state)) == 1
        return changed > max(DRIFT * len(state), LEAST / 2) or not grouped

    @property
    def parts(self) -> frozenset[str]:
        """The names of the files beside its own that it was saved to, or is mapped from."""
        return frozenset() if self._file is None else frozenset({self._file.name})

    def upsert(self, ids: Ids, vectors: Matrix) -> None:
        """Add vectors, float32 (N, D), or replace those of ids that are there."""
        with self._lock:
            if self._state is None:
                self._small.upsert(ids, vectors)
                return
            dim = len(self._state.shelf.codec.low)
            if vectors.shape != (len(ids), dim):
                raise ValueError(f"{vectors.shape} vectors for {len(ids)} ids of {dim}")
            fresh, last = np.unique(ids[::-1], return_index=True)  # of equal ids the last counts
            self._state = self._state.without(fresh).joined(fresh, vectors[::-1][last])

    def remove(self, ids: Ids) -> None:
        """Forget ids; those that are not there are passed over."""
        with self._lock:
            if self._state is None:
                self._small.remove(ids)
            else:
                self._state = self._state.without(np.unique(ids))

    def search(self, query: Vector, k: int, among: Ids | None = None) -> tuple[Ids, Vector]:
        """About the k best, best first; equal scores by lower id. See `VectorIndex.search`."""
        state = self._state
        if state is None:
            return self._small.search(query, k, among)
        k = min(k, len(state))
        if k < 1 or (among is not None and not len(among)):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        labels, scores = _found(state, query, k, among)
        ids = state.named(labels)
        order = np.lexsort((ids, -scores))
        return ids[order], scores[order]

    def save(self, path: Path) -> None:
        """Write what changed to `path` and, unless it lies there, the shelf to a file beside it."""
        with self._lock:
            name = "" if self._state is None else self._kept_beside(path, self._state.shelf)
            state, (ids, vectors) = self._state, self._small.rows()
            none = np.empty((0, vectors.shape[1]), np.uint8)
            save_stack(
                path,
                np.array([FORMAT], np.int64),
                np.frombuffer(name.encode(), np.uint8),
                np.empty(0, np.uint8) if state is None or state.kept is None else state.kept,
                ids if state is None else state.ids,
                vectors,
                none if state is None else state.codes,
            )

    def _kept_beside(self, path: Path, shelf: Shelf) -> str:
        """The name of the file beside `path` that the shelf is in, written now if need be."""
        if self._file is None or self._file.parent != path.parent or not self._file.exists():
            file = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
            shelf.save(file)
            self._file = file
        return self._file.name

    @classmethod
    def load(cls, path: Path) -> Self:
        """Map a saved index. Raises an exception of any kind if the files are not one."""
        told, name, kept, ids, vectors, codes = load_stack(
            path, np.int64, np.uint8, np.uint8, np.int64, np.float32, np.uint8
        )
        if told.tolist() != [FORMAT] or vectors.ndim != 2 or codes.shape[1:] != vectors.shape[1:]:
            raise ValueError(f"{path}: its parts do not fit each other")
        index = cls(vectors.shape[1])
        if len(name):
            index._file = path.with_name(name.tobytes().decode("ascii"))  # ValueError for a path
            index._state = _state(Shelf.load(index._file), kept, ids, codes)
        if (len(vectors), len(codes)) != ((0, len(ids)) if len(name) else (len(ids), 0)):
            raise ValueError(f"{path}: {len(ids)} ids for {len(vectors)} and {len(codes)} vectors")
        if not len(name):
            index._small = ExactIndex.of(ids, vectors)
        return index

    @classmethod
    def _groups(cls, count: int) -> int:
        """In how many groups so many vectors are to be."""
        return max(1, round(2 * math.sqrt(count))) if cls.grouped else 1

    def __len__(self) -> int:
        return len(self._small) if self._state is None else len(self._state)


class IvfIndex(Sq8Index):
    """The same in groups of like vectors, of which the nearest are looked through."""

    grouped: ClassVar[bool] = True


def _fresh(shelf: Shelf) -> _State:
    none = np.empty((0, len(shelf.codec.low)), np.uint8)
    return _State(shelf, None, 0, np.empty(0, np.int64), none)


def _state(shelf: Shelf, kept: Bits, ids: Ids, codes: Codes) -> _State:
    """What a file says, if it makes sense."""
    count, dim = shelf.codes.shape
    gone = (
        count - int(np.unpackbits(kept, count=count, bitorder="little").sum()) if len(kept) else 0
    )
    if len(kept) not in (0, -(-count // 8)) or codes.shape != (len(ids), dim):
        raise ValueError(f"{len(kept)} bytes and {codes.shape} codes of {len(ids)} for {count}")
    if not (np.diff(ids) > 0).all():
        raise ValueError("ids that do not ascend")
    return _State(shelf, kept if len(kept) else None, gone, ids, codes)


def _found(state: _State, query: Vector, k: int, among: Ids | None) -> tuple[Ids, Vector]:
    """Labels (see `_State.named`) and scores of the k best, in no order."""
    if among is not None and not (np.diff(among) > 0).all():
        among = np.unique(among)
    labels, scores = _shelved(state, query, k, among)
    if len(state.ids):
        more, theirs = _added(state, query, k, among)
        labels, scores = np.concatenate([labels, more]), np.concatenate([scores, theirs])
    if len(labels) > k:
        best = np.argpartition(-scores, k - 1)[:k]
        labels, scores = labels[best], scores[best]
    return labels, scores


def _added(state: _State, query: Vector, k: int, among: Ids | None) -> tuple[Ids, Vector]:
    """The k best of the tail."""
    labels, codes = np.arange(len(state.ids)), state.codes
    if among is not None:
        labels = np.flatnonzero(np.isin(state.ids, among))
        codes = codes[labels]
    with Scan(state.shelf.codec, query, k) as scan:
        scan.see(codes, labels + len(state.shelf.ids))
    return scan.best()


def _shelved(state: _State, query: Vector, k: int, among: Ids | None) -> tuple[Ids, Vector]:
    """The k best of the shelf.

    What a filter leaves is picked out where it is little, and else looked through as a whole: the
    nearest of it may be in groups that are far from the query.
    """
    shelf, keep, count = state.shelf, state.kept, len(state.shelf.ids) - state.gone
    wider = max(1.0, k / MANY)
    rows = None if among is None else state.there(among)
    if rows is not None and len(rows) < count:
        count = len(rows)
        if count <= max(len(shelf.ids) // FEW, LEAST):
            rows.sort()
            with Scan(shelf.codec, query, k) as scan:
                scan.see(shelf.codes[rows], rows)
            return scan.best()
        keep, wider = bits(rows, len(shelf.ids)), math.inf
    for more in (wider, math.inf):
        with Scan(shelf.codec, query, k, keep) as scan:
            for run in shelf.runs(query, more):
                scan.see(shelf.codes[run], shelf.labels[run])
        labels, scores = scan.best()
        if len(labels) >= min(k, count):
            break
    return labels, scores
