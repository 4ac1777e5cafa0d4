"""Full-text index of cues (SQLite FTS5), and the embeddings of cues.

All input is quoted, so none of it is interpreted as FTS5 syntax. FTS5 does not rank, because that
reads every cue with a common word (1.5 s for a word in 300,000 cues, against 0.5 ms for the first
5,000 of them). Instead, the number of cues read is limited; if there are more, evenly distributed
ones are read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.catalog.dialect import CUE_LOCATIONS_SQL
from vsearch.catalog.fts import fts_expression
from vsearch.catalog.reader import ids_to_json
from vsearch.catalog.rows import unpack
from vsearch.catalog.transcript_rows import read_cue

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    import numpy.typing as npt

    from vsearch.types import Cue, Ids, Matrix, Space

    RowReader = Callable[..., list[Any]]  # (function that converts a row, query, *values)

SAMPLE_SLICES = 16  # of the id range, so that hits of a common word come from all of the library
VECTOR_BATCH = 10_000  # vectors read at once
MAX_ID_RANGES = 256  # searched separately; more are merged into one range
# two subqueries: SQLite uses the primary key for a single min() or max() only
_SELECT_ID_BOUNDS_SQL = "SELECT (SELECT min(id) FROM cues), (SELECT max(id) FROM cues)"
_SELECT_VIDEO_BOUNDS_SQL = """
    SELECT (SELECT min(id) FROM cues WHERE video_id = CAST(value AS BIGINT)),
        (SELECT max(id) FROM cues WHERE video_id = CAST(value AS BIGINT))
    FROM json_each(?)
"""
_SELECT_MATCHES_SQL = """
    SELECT rowid AS id FROM cues_fts WHERE cues_fts MATCH ? AND rowid BETWEEN ? AND ?
    ORDER BY rowid LIMIT ?
"""
_COUNT_MATCHES_SQL = f"SELECT count(*), max(id) FROM ({_SELECT_MATCHES_SQL}) AS matches"  # noqa: S608
_SELECT_MATCHING_IDS_SQL = f"SELECT json_group_array(id) FROM ({_SELECT_MATCHES_SQL}) AS matches"  # noqa: S608
_SELECT_CUES_SQL = """
    SELECT id, video_id, start, "end", text, source, words FROM cues
    WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id
"""
_SELECT_CUE_LOCATIONS_SQL = f"""
    SELECT {CUE_LOCATIONS_SQL} FROM json_each(?) LEFT JOIN cues ON cues.id = CAST(value AS BIGINT)
"""  # noqa: S608
_SELECT_SOURCES_SQL = "SELECT DISTINCT source FROM transcripts"
_SELECT_VIDEOS_OF_SEGMENTS_SQL = """
    SELECT json_group_array(DISTINCT video_id) FROM segments
    WHERE id IN (SELECT value FROM json_each(?))
"""
_IN_SPACE_SQL = "space_id = (SELECT id FROM spaces WHERE name = ?)"
_SELECT_LAST_EMBEDDED_SQL = f"""
    SELECT coalesce(max(cue_id), 0) FROM cue_vectors WHERE {_IN_SPACE_SQL}
"""  # noqa: S608
_SELECT_CUES_AFTER_SQL = "SELECT id, text FROM cues WHERE id > ? ORDER BY id LIMIT ?"
_SELECT_PROBE_SQL = f"""
    SELECT text, embedding FROM cue_vectors JOIN cues ON cues.id = cue_id
    WHERE {_IN_SPACE_SQL} AND cue_id >= ? ORDER BY cue_id LIMIT 1
"""  # noqa: S608
_SELECT_NEWEST_VECTORS_SQL = f"""
    SELECT cue_id, embedding FROM cue_vectors WHERE {_IN_SPACE_SQL} AND cue_id < ?
    ORDER BY cue_id DESC LIMIT ?
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class CueRecord:
    """A cue with its id and video. The ids of a track are consecutive."""

    id: int
    video_id: int
    cue: Cue


class CueIndex:
    """The cues of a catalog, see `Catalog.cue_index`.

    A query is a list of groups of phrases; a cue matches if it contains a phrase of each group. A
    phrase consists of words separated by spaces, and is a prefix if it ends in `*`.
    """

    def __init__(self, read_objects: RowReader) -> None:
        """Use `read_objects` to run queries on the catalog."""
        self._read_objects = read_objects

    def estimate_size(self) -> int:
        """Return the approximate number of cues, from the range of their ids."""
        first_id, last_id = self._id_bounds()
        return last_id - first_id + 1

    def estimate_count(self, phrase_groups: Sequence[Collection[str]], max_count: int) -> int:
        """Estimate how many cues match.

        Args:
            phrase_groups: The query.
            max_count: Matches to count before extrapolating from their ids.

        Returns:
            The exact number below `max_count`, else an estimate.
        """
        first_id, last_id = self._id_bounds()
        [(match_count, last_match_id)] = self._fetch_rows(
            _COUNT_MATCHES_SQL, fts_expression(phrase_groups), first_id, last_id, max_count
        )
        if match_count < max_count:
            return int(match_count)
        return max(
            max_count,
            round(max_count * (last_id - first_id + 1) / (int(last_match_id) - first_id + 1)),
        )

    def search(
        self,
        phrase_groups: Sequence[Collection[str]],
        *,
        max_results: int,
        video_ids: Ids | None = None,
    ) -> Ids:
        """Return the ids of matching cues.

        Args:
            phrase_groups: The query.
            max_results: Maximum number of ids. If there are more matches, ids are taken evenly from
                the whole library.
            video_ids: Restricts the search to the id ranges of these videos, int64, in which cues
                of other videos may lie as well.

        Returns:
            int64 (N,) ascending.
        """
        fts_query, id_ranges = fts_expression(phrase_groups), self._id_ranges(video_ids)
        found_ids = self._search_ranges(fts_query, id_ranges, max_results)
        if len(found_ids) < max_results:
            return found_ids
        first_id, last_id = id_ranges[0][0], id_ranges[-1][1]
        slice_bounds = (
            np.linspace(first_id, last_id + 1, SAMPLE_SLICES + 1).astype(np.int64).tolist()
        )
        results_per_slice = -(-max_results // SAMPLE_SLICES)
        slice_ids = [
            self._search_ranges(fts_query, _clip_ranges(id_ranges, *slice_range), results_per_slice)
            for slice_range in pairwise(slice_bounds)
        ]
        return np.concatenate(slice_ids)

    def transcript_sources(self) -> set[str]:
        """Return the sources that any video has a transcript of."""
        return {str(row[0]) for row in self._fetch_rows(_SELECT_SOURCES_SQL)}

    def read_cues(self, cue_ids: Iterable[int]) -> list[CueRecord]:
        """Return the cues with these ids, ascending; unknown ids are left out."""
        return self._read_objects(_read_record, _SELECT_CUES_SQL, ids_to_json(cue_ids))

    def locate_cues(self, cue_ids: Ids) -> tuple[Ids, list[str | None]]:
        """Return the video id, int64 (N,), and source of each cue; -1 and None for unknown ids."""
        [(video_ids, sources)] = self._fetch_rows(_SELECT_CUE_LOCATIONS_SQL, ids_to_json(cue_ids))
        return np.array(json.loads(video_ids), np.int64), json.loads(sources)

    def video_ids_of_segments(self, segment_ids: Ids) -> Ids:
        """Return the ids of the videos that contain any of the segments, int64 (N,)."""
        return self._fetch_id_array(_SELECT_VIDEOS_OF_SEGMENTS_SQL, ids_to_json(segment_ids))

    def last_embedded_cue(self, space: Space) -> int:
        """Return the id of the last cue with a vector in `space`, or 0 if no cue has one."""
        [(last_id,)] = self._fetch_rows(_SELECT_LAST_EMBEDDED_SQL, space.name)
        return int(last_id)

    def cues_after(self, after_id: int, max_cues: int) -> list[tuple[int, str]]:
        """Return the ids and texts of at most `max_cues` cues after an id, ascending."""
        return [
            (int(row[0]), str(row[1]))
            for row in self._fetch_rows(_SELECT_CUES_AFTER_SQL, after_id, max_cues)
        ]

    def count_after(self, after_id: int) -> int:
        """Return the number of cues after an id."""
        return int(self._fetch_rows("SELECT count(*) FROM cues WHERE id > ?", after_id)[0][0])

    def probe_vectors(self, space: Space, max_probes: int) -> tuple[list[str], Matrix]:
        """Return the texts and vectors of cues that are spread over the library.

        Args:
            space: The space of the vectors.
            max_probes: Maximum number of cues N.

        Returns:
            N texts, and vectors float32 (N, D); N is 0 if no cue has a vector.
        """
        first_ids = np.linspace(1, self.last_embedded_cue(space), max_probes, dtype=np.int64)
        probe_rows = {
            str(text): embedding
            for first_id in first_ids.tolist()
            for text, embedding in self._fetch_rows(_SELECT_PROBE_SQL, space.name, first_id)
        }
        return list(probe_rows), unpack(list(probe_rows.values()), space.dim)

    def newest_vectors(self, space: Space, max_vectors: int) -> tuple[Ids, npt.NDArray[np.float16]]:
        """Return the vectors of the newest cues.

        Args:
            space: The space of the vectors.
            max_vectors: Maximum number of vectors N.

        Returns:
            Ids int64 (N,), descending, and vectors float16 (N, D) of unit length.
        """
        cue_ids: list[int] = []
        vector_batches: list[npt.NDArray[np.float16]] = [np.empty((0, space.dim), np.float16)]
        while len(cue_ids) < max_vectors:
            before_id = cue_ids[-1] if cue_ids else 2**63 - 1
            vector_rows = self._fetch_rows(
                _SELECT_NEWEST_VECTORS_SQL,
                space.name,
                before_id,
                min(VECTOR_BATCH, max_vectors - len(cue_ids)),
            )
            if not vector_rows:
                break
            cue_ids += [int(row[0]) for row in vector_rows]
            vector_batches.append(
                unpack([row[1] for row in vector_rows], space.dim).astype(np.float16)
            )
        return np.array(cue_ids, np.int64), np.concatenate(vector_batches)

    def _id_bounds(self) -> tuple[int, int]:
        [(first_id, last_id)] = self._fetch_rows(_SELECT_ID_BOUNDS_SQL)
        return (1, 0) if first_id is None else (int(first_id), int(last_id))

    def _fetch_id_array(self, sql_query: str, *sql_values: object) -> Ids:
        """Return the numbers of a JSON array, int64 (N,): five times as fast as reading rows."""
        [(json_array,)] = self._fetch_rows(sql_query, *sql_values)
        return np.array(json.loads(json_array), np.int64)

    def _fetch_rows(self, sql_query: str, *sql_values: object) -> list[tuple[Any, ...]]:
        return self._read_objects(tuple, sql_query, *sql_values)

    def _id_ranges(self, video_ids: Ids | None) -> list[tuple[int, int]]:
        """Return the (first, last) id ranges that contain the cues of videos (None: of all)."""
        if video_ids is None:
            return [self._id_bounds()]
        bound_rows = self._fetch_rows(_SELECT_VIDEO_BOUNDS_SQL, ids_to_json(video_ids))
        id_ranges: list[tuple[int, int]] = []
        for first_id, last_id in sorted(
            (first_id, last_id) for first_id, last_id in bound_rows if first_id is not None
        ):
            if id_ranges and first_id <= id_ranges[-1][1] + 1:
                id_ranges[-1] = id_ranges[-1][0], max(last_id, id_ranges[-1][1])
            else:
                id_ranges.append((first_id, last_id))
        if len(id_ranges) > MAX_ID_RANGES:
            return [(id_ranges[0][0], id_ranges[-1][1])]
        return id_ranges

    def _search_ranges(
        self, fts_query: str, id_ranges: Sequence[tuple[int, int]], max_results: int
    ) -> Ids:
        found_ids = np.empty(0, np.int64)
        for first_id, last_id in id_ranges:
            range_ids = self._fetch_id_array(
                _SELECT_MATCHING_IDS_SQL, fts_query, first_id, last_id, max_results - len(found_ids)
            )
            found_ids = np.concatenate([found_ids, range_ids])
            if len(found_ids) >= max_results:
                break
        return found_ids


def _clip_ranges(
    id_ranges: Sequence[tuple[int, int]], begin_id: int, end_id: int
) -> list[tuple[int, int]]:
    """Return the intersections of (first, last) ranges with [`begin_id`, `end_id`)."""
    clipped_ranges = [
        (max(first_id, begin_id), min(last_id, end_id - 1)) for first_id, last_id in id_ranges
    ]
    return [(first_id, last_id) for first_id, last_id in clipped_ranges if first_id <= last_id]


def _read_record(row: Sequence[Any]) -> CueRecord:
    return CueRecord(int(row[0]), int(row[1]), read_cue(row[2:]))
