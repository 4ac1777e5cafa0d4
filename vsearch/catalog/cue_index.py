"""The full-text index of the words found in videos: which cues hold what, and who said it.

Nothing typed reaches FTS5's syntax: all of it is quoted. Nothing is ranked there either, for that
reads every cue with a common word (1.5 s for one that 300,000 cues have, against 0.5 ms for the
first 5,000 of them); what is read is bounded, and spread evenly where there is more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.catalog.blobs import unpack
from vsearch.catalog.words import read_cue

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    import numpy.typing as npt

    from vsearch.types import Cue, Ids, Space, Vector

    Read = Callable[..., list[Any]]  # (what makes a noun of a row, query, *values)

SLICES = 16  # of the library, so that no part of it is all that is seen of a common word
BATCH = 10_000  # vectors read at once
RANGES = 256  # of ids: so many stretches of videos are looked at one by one

_BOUNDS = "SELECT (SELECT min(id) FROM cues), (SELECT max(id) FROM cues)"  # either by the index
_OF_VIDEOS = """
    SELECT (SELECT min(id) FROM cues WHERE video_id = value),
        (SELECT max(id) FROM cues WHERE video_id = value)
    FROM json_each(?)
"""
_HAVING = """
    SELECT rowid AS id FROM cues_fts WHERE cues_fts MATCH ? AND rowid BETWEEN ? AND ? LIMIT ?
"""
_COUNTED = f"SELECT count(*), max(id) FROM ({_HAVING})"  # noqa: S608
_LISTED = f"SELECT json_group_array(id) FROM ({_HAVING})"  # noqa: S608
_READ = """
    SELECT id, video_id, start, "end", text, source, words FROM cues
    WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id
"""
_PLACES = """
    SELECT json_group_array(coalesce(video_id, -1)), json_group_array(source)
    FROM json_each(?) LEFT JOIN cues ON cues.id = value
"""
_SOURCES = "SELECT DISTINCT source FROM transcripts"
_OF_SEGMENTS = """
    SELECT json_group_array(DISTINCT video_id) FROM segments
    WHERE id IN (SELECT value FROM json_each(?))
"""
_IN_SPACE = "space_id = (SELECT id FROM spaces WHERE name = ?)"
_READ_UNTIL = f"SELECT coalesce(max(cue_id), 0) FROM cue_vectors WHERE {_IN_SPACE}"  # noqa: S608
_AFTER = "SELECT id, text FROM cues WHERE id > ? ORDER BY id LIMIT ?"
_FIRST = f"""
    SELECT text, data FROM cue_vectors JOIN cues ON cues.id = cue_id WHERE {_IN_SPACE} LIMIT 1
"""  # noqa: S608
_VECTORS = f"""
    SELECT cue_id, data FROM cue_vectors WHERE {_IN_SPACE} AND cue_id < ?
    ORDER BY cue_id DESC LIMIT ?
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Placed:
    """A cue of a video. Cues of one track follow each other by id."""

    id: int
    video_id: int
    cue: Cue


class CueIndex:
    """Made by `Catalog.cue_index`. What is asked for is groups of phrases: one of each group.

    A phrase is words with spaces between; one that ends in `*` is the beginning of a word.
    """

    def __init__(self, read: Read) -> None:
        """`read` runs a query of the catalogue."""
        self._read = read

    def size(self) -> int:
        """About how many cues there are; those that went may be counted."""
        first, last = self._bounds()
        return last - first + 1

    def count(self, groups: Sequence[Collection[str]], most: int) -> int:
        """About how many cues of the library have this; nearly exact up to `most`."""
        first, last = self._bounds()
        [(count, at)] = self._rows(_COUNTED, matching(groups), first, last, most)
        if count < most:
            return int(count)
        return max(most, round(most * (last - first + 1) / (int(at) - first + 1)))

    def having(
        self, groups: Sequence[Collection[str]], *, most: int, videos: Ids | None = None
    ) -> Ids:
        """Ids of at most `most` cues that have this, ascending, int64 (N,).

        Where there are more they are taken from all over the library. `videos` narrows it to the
        stretches of ids in which theirs are, in which others may be, too.
        """
        wanted, ranges = matching(groups), self._ranges(videos)
        found = self._within(wanted, ranges, most)
        if len(found) < most:
            return found
        first, last = ranges[0][0], ranges[-1][1]
        ends = np.linspace(first, last + 1, SLICES + 1).astype(np.int64).tolist()
        each = -(-most // SLICES)
        spread = [self._within(wanted, _cut(ranges, *ends_), each) for ends_ in pairwise(ends)]
        return np.concatenate(spread)

    def sources(self) -> set[str]:
        """Those of which any video was looked at."""
        return {str(row[0]) for row in self._rows(_SOURCES)}

    def read(self, ids: Iterable[int]) -> list[Placed]:
        """The cues with these ids, ascending; those that are not there are left out."""
        return self._read(_placed, _READ, _listed(ids))

    def places(self, ids: Ids) -> tuple[Ids, list[str | None]]:
        """The video of each of these cues, int64 (N,), and its source; -1 and None: it is gone."""
        [(videos, sources)] = self._rows(_PLACES, _listed(ids))
        return np.array(json.loads(videos), np.int64), json.loads(sources)

    def videos_of_segments(self, segments: Ids) -> Ids:
        """The videos that hold any of these segments, int64 (N,)."""
        return self._array(_OF_SEGMENTS, _listed(segments))

    def read_until(self, space: Space) -> int:
        """The last cue that has a vector in a space; 0 if none has. Those after it have none."""
        [(last,)] = self._rows(_READ_UNTIL, space.name)
        return int(last)

    def after(self, id_: int, most: int) -> list[tuple[int, str]]:
        """Ids and texts of the cues after one, as they follow each other."""
        return [(int(row[0]), str(row[1])) for row in self._rows(_AFTER, id_, most)]

    def waiting(self, id_: int) -> int:
        """How many cues there are after one."""
        return int(self._rows("SELECT count(*) FROM cues WHERE id > ?", id_)[0][0])

    def example(self, space: Space) -> tuple[str, Vector] | None:
        """The text of any cue that has a vector in a space, and that."""
        rows = self._rows(_FIRST, space.name)
        return (str(rows[0][0]), unpack([rows[0][1]], space.dim)[0]) if rows else None

    def vectors(self, space: Space, most: int) -> tuple[Ids, npt.NDArray[np.float16]]:
        """The newest cues that have a vector in a space: ids int64 (N,), and float16 (N, D)."""
        ids: list[int] = []
        parts: list[npt.NDArray[np.float16]] = [np.empty((0, space.dim), np.float16)]
        while len(ids) < most:
            last = ids[-1] if ids else 2**63 - 1
            rows = self._rows(_VECTORS, space.name, last, min(BATCH, most - len(ids)))
            if not rows:
                break
            ids += [int(row[0]) for row in rows]
            parts.append(unpack([row[1] for row in rows], space.dim).astype(np.float16))
        return np.array(ids, np.int64), np.concatenate(parts)

    def _bounds(self) -> tuple[int, int]:
        [(first, last)] = self._rows(_BOUNDS)
        return (1, 0) if first is None else (int(first), int(last))

    def _array(self, query: str, *values: object) -> Ids:
        """The numbers of a JSON array, which is read five times as fast as rows, int64 (N,)."""
        [(found,)] = self._rows(query, *values)
        return np.array(json.loads(found), np.int64)

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self._read(tuple, query, *values)

    def _ranges(self, videos: Ids | None) -> list[tuple[int, int]]:
        """Stretches of ids, the first and the last one, in which these videos' cues are."""
        if videos is None:
            return [self._bounds()]
        rows = self._rows(_OF_VIDEOS, _listed(videos))
        ranges: list[tuple[int, int]] = []
        for first, last in sorted((first, last) for first, last in rows if first is not None):
            if ranges and first <= ranges[-1][1] + 1:
                ranges[-1] = ranges[-1][0], max(last, ranges[-1][1])
            else:
                ranges.append((first, last))
        if len(ranges) > RANGES:
            return [(ranges[0][0], ranges[-1][1])]
        return ranges

    def _within(self, wanted: str, ranges: Sequence[tuple[int, int]], most: int) -> Ids:
        found = np.empty(0, np.int64)
        for first, last in ranges:
            some = self._array(_LISTED, wanted, first, last, most - len(found))
            found = np.concatenate([found, some])
            if len(found) >= most:
                break
        return found


def _cut(ranges: Sequence[tuple[int, int]], begin: int, end: int) -> list[tuple[int, int]]:
    """What of the stretches lies from `begin` on and before `end`."""
    cut = [(max(first, begin), min(last, end - 1)) for first, last in ranges]
    return [(first, last) for first, last in cut if first <= last]


def _placed(row: Sequence[Any]) -> Placed:
    return Placed(int(row[0]), int(row[1]), read_cue(row[2:]))


def matching(groups: Sequence[Collection[str]]) -> str:
    """An expression of FTS5 for cues that have a phrase of each group."""
    return " AND ".join(f"({' OR '.join(map(_quoted, group))})" for group in groups)


def _quoted(phrase: str) -> str:
    bare = phrase.removesuffix("*").replace("\0", "").replace('"', '""')
    sound = bare.encode("utf-8", "ignore").decode()
    return f'"{sound}"*' if phrase.endswith("*") else f'"{sound}"'


def _listed(ids: Iterable[int]) -> str:
    return json.dumps([int(id_) for id_ in ids])
