"""The full-text index of the words found in videos: which cues hold what, and who said it.

Nothing typed reaches FTS5's syntax: all of it is quoted. Nothing is ranked there either, for that
reads every cue with a common word (1.5 s for one that 300,000 cues have, against 0.5 ms for the
first 5,000 of them); what is read is bounded, and spread evenly where there is more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from vsearch.catalog.words import read_cue
from vsearch.types import CueSource

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from vsearch.types import Cue, Ids

    Read = Callable[..., list[Any]]  # (what makes a noun of a row, query, *values)

SOURCES = frozenset(get_args(CueSource))
SLICES = 16  # of the library, so that no part of it is all that is seen of a common word
SCANNED = 50_000  # cues of a slice whose source is looked at
RANGES = 64  # of ids: so many videos are looked at one by one

_BOUNDS = "SELECT (SELECT min(id) FROM cues), (SELECT max(id) FROM cues)"  # either by the index
_OF_VIDEOS = """
    SELECT (SELECT min(id) FROM cues WHERE video_id = value),
        (SELECT max(id) FROM cues WHERE video_id = value)
    FROM json_each(?)
"""
_HAVING = "SELECT rowid AS id FROM cues_fts WHERE cues_fts MATCH ? AND rowid BETWEEN ? AND ?"
_FROM = f"""
    SELECT id FROM (SELECT id, source, video_id FROM ({_HAVING} LIMIT ?) JOIN cues USING (id))
    WHERE source IN (SELECT value FROM json_each(?))
"""  # noqa: S608
_IN_VIDEOS = " AND video_id IN (SELECT value FROM json_each(?))"
_READ = """
    SELECT id, video_id, start, "end", text, source, words FROM cues
    WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id
"""
_VIDEOS = "SELECT id, video_id FROM cues WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
_OF_SEGMENTS = """
    SELECT DISTINCT video_id FROM segments WHERE id IN (SELECT value FROM json_each(?))
"""


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
        rows = self._rows(f"{_HAVING} LIMIT ?", matching(groups), first, last, most)
        if len(rows) < most:
            return len(rows)
        return max(most, round(most * (last - first + 1) / (int(rows[-1][0]) - first + 1)))

    def having(
        self,
        groups: Sequence[Collection[str]],
        *,
        most: int,
        sources: Collection[CueSource] = SOURCES,
        videos: Ids | None = None,
    ) -> Ids:
        """Ids of at most `most` cues that have this, ascending, int64 (N,).

        Where there are more they are taken from all over the library.
        """
        wanted, ranges = matching(groups), list(self._ranges(videos))
        found = self._within(wanted, ranges, most, sources, videos)
        if len(found) < most or len(ranges) > 1:
            return np.unique(found[:most])
        [(first, last)] = ranges
        ends = np.linspace(first, last + 1, SLICES + 1).astype(np.int64).tolist()
        spread = [
            self._within(wanted, [(begin, end - 1)], -(-most // SLICES), sources, videos)
            for begin, end in pairwise(ends)
        ]
        return np.unique(np.concatenate(spread))

    def read(self, ids: Iterable[int]) -> list[Placed]:
        """The cues with these ids, ascending; those that are not there are left out."""
        return self._read(_placed, _READ, _listed(ids))

    def videos(self, ids: Ids) -> Ids:
        """The video of each of these cues, int64 (N,); -1 of one that is gone meanwhile."""
        known = {int(id_): int(video) for id_, video in self._rows(_VIDEOS, _listed(ids))}
        return np.array([known.get(id_, -1) for id_ in ids.tolist()], np.int64)

    def videos_of_segments(self, segments: Ids) -> Ids:
        """The videos that hold any of these segments, int64 (N,)."""
        return np.array([row[0] for row in self._rows(_OF_SEGMENTS, _listed(segments))], np.int64)

    def _bounds(self) -> tuple[int, int]:
        [(first, last)] = self._rows(_BOUNDS)
        return (1, 0) if first is None else (int(first), int(last))

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self._read(tuple, query, *values)

    def _ranges(self, videos: Ids | None) -> Iterator[tuple[int, int]]:
        """Stretches of ids, the first and the last one, in which these videos' cues are."""
        if videos is None or len(videos) > RANGES:
            yield self._bounds()
            return
        rows = self._rows(_OF_VIDEOS, _listed(videos))
        yield from ((int(first), int(last)) for first, last in rows if first is not None)

    def _within(
        self,
        wanted: str,
        ranges: Sequence[tuple[int, int]],
        most: int,
        sources: Collection[CueSource],
        videos: Ids | None,
    ) -> Ids:
        found: list[int] = []
        for first, last in ranges:
            values: list[object] = [wanted, first, last]
            query, left = f"{_HAVING} LIMIT ?", most - len(found)
            if videos is not None or SOURCES - set(sources):
                scanned = SCANNED if videos is None else -1  # all, where they may be the last ones
                query, values = _FROM, [*values, scanned, json.dumps(sorted(sources))]
                if videos is not None:
                    query, values = query + _IN_VIDEOS, [*values, _listed(videos)]
                query += " LIMIT ?"
            found += [int(row[0]) for row in self._rows(query, *values, left)]
            if len(found) >= most:
                break
        return np.array(found, np.int64)


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
