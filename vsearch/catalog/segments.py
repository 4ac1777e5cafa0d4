"""Queries for segments and their vectors, among them runs of consecutive segments."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from vsearch.catalog.annotation_rows import SELECT_TAGGED_SEGMENTS
from vsearch.catalog.connection import corruption_as_error
from vsearch.catalog.reader import IN_JSON_SQL, CatalogReader, ids_to_json
from vsearch.catalog.rows import read_segment, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from vsearch.catalog.pool import ReadConnection
    from vsearch.types import Ids, Matrix, Segment, Space, Span

_VECTOR_BATCH = 10_000  # vectors decoded at once
_SELECT_SEGMENTS_OF_VIDEO_SQL = """
    SELECT id, video_id, start, "end" FROM segments WHERE video_id = ? ORDER BY start, "end", id
"""
_SELECT_WHOLE_VIDEOS_SQL = f"""
    SELECT segments.id, video_id, start, "end", embedding FROM segments
    JOIN vectors ON segment_id = segments.id AND space_id = (SELECT id FROM spaces WHERE name = ?)
    WHERE video_id IN (SELECT video_id FROM segments WHERE id {IN_JSON_SQL})
    ORDER BY video_id, start, "end", segments.id
"""  # noqa: S608
# DISTINCT: older versions of SQLite would otherwise parse the JSON again for each segment
_SELECT_OVERLAPPING_SQL = """
    WITH place AS (
        SELECT DISTINCT key, CAST(json_extract(value, '$[0]') AS BIGINT) AS video,
            CAST(json_extract(value, '$[1]') AS DOUBLE PRECISION) AS since,
            CAST(json_extract(value, '$[2]') AS DOUBLE PRECISION) AS until
        FROM json_each(?))
    SELECT key, segments.id FROM place CROSS JOIN segments ON video_id = video AND start <= until
        AND ("end" > since AND start < until OR start = since)
    ORDER BY key, start, segments.id
"""
_TIME_SQL = "CAST(json_extract(value, '$[1]') AS DOUBLE PRECISION)"
_SELECT_VECTORS_AT_SQL = f"""
    SELECT key, embedding FROM json_each(?) JOIN vectors ON segment_id = (
        SELECT CASE WHEN "end" > {_TIME_SQL} OR start = {_TIME_SQL} THEN id END
        FROM segments
        WHERE video_id = CAST(json_extract(value, '$[0]') AS BIGINT) AND start <= {_TIME_SQL}
        ORDER BY start DESC LIMIT 1)
    AND space_id = (SELECT id FROM spaces WHERE name = ?)
"""  # noqa: S608
_SELECT_RUN_SEGMENTS_SQL = """
    SELECT segments.id, video_id, start, "end", embedding FROM json_each(?)
    CROSS JOIN segments ON segments.id = CAST(value AS BIGINT)
    LEFT JOIN vectors ON segment_id = segments.id
        AND space_id = (SELECT id FROM spaces WHERE name = ?)
    ORDER BY segments.id
"""
_ID_MODULUS = 2**31 - 1  # keeps the sum of billions of ids below 2**63
_SUMMARIZE_IDS_SQL = f"""
    SELECT count(*), coalesce(sum(id % {_ID_MODULUS}), 0) FROM segments
    WHERE id > ? AND id <= ?
"""  # noqa: S608
_FROM_VECTORS_SQL = "FROM vectors WHERE space_id = (SELECT id FROM spaces WHERE name = ?)"


@dataclass(frozen=True, slots=True, eq=False)
class SegmentRun:
    """Consecutive segments of one video, without gaps."""

    video_id: int
    segment_ids: Ids  # int64 (N,) ascending
    segment_times: list[list[float]]  # N pairs of start and end, seconds
    vectors: Matrix  # float32 (N, D) of unit length
    has_more_before: bool  # the video may have segments before the run
    has_more_after: bool


class SegmentQueries(CatalogReader):
    """The part of `Catalog` that returns segments and vectors."""

    def segment_ids(self, video_ids: Iterable[int] | None = None, *, after_id: int = 0) -> Ids:
        """Return segment ids, ascending, int64 (N,).

        Args:
            video_ids: Videos whose segments are returned; None: all videos.
            after_id: Return only higher ids, which belong to segments added later.
        """
        video_clause = "" if video_ids is None else f"AND video_id {IN_JSON_SQL}"
        sql_query = f"SELECT id FROM segments WHERE id > ? {video_clause} ORDER BY id"  # noqa: S608
        sql_values = (after_id,) if video_ids is None else (after_id, ids_to_json(video_ids))
        with self._read_transaction() as connection:  # there may be millions
            return np.fromiter(
                (row[0] for row in connection.execute(sql_query, sql_values)), np.int64
            )

    def segment_ids_between(self, after_id: int, last_id: int) -> Ids:
        """Return the ids above `after_id` up to `last_id`, int64 (N,) ascending."""
        return self.select_segment_ids(
            "SELECT id FROM segments WHERE id > ? AND id <= ?", (after_id, last_id)
        )

    def next_segment_ids(self, after_id: int, max_ids: int) -> Ids:
        """Return the `max_ids` lowest ids above `after_id`, int64 (N,) ascending."""
        return self.select_segment_ids(
            "SELECT id FROM segments WHERE id > ? ORDER BY id LIMIT ?", (after_id, max_ids)
        )

    def select_segment_ids(self, sql_query: str, sql_values: Sequence[object]) -> Ids:
        """Return the ids selected by a query of `filters.build_selection`, int64 (N,) ascending."""
        return np.sort(
            np.array([row[0] for row in self._fetch_rows(sql_query, *sql_values)], np.int64)
        )

    def segment_ids_of_videos(self, video_ids: Sequence[int]) -> Ids:
        """Return the ids of the segments of videos, int64 (N,) ascending."""
        return self.select_segment_ids(
            f"SELECT id FROM segments WHERE video_id {IN_JSON_SQL}",  # noqa: S608
            (ids_to_json(video_ids),),
        )

    def select_segments(
        self, video_ids: Iterable[int], where_sql: str, sql_values: Sequence[object]
    ) -> list[Segment]:
        """Return the segments of videos that satisfy a condition of `browsing.iter_newest`.

        Args:
            video_ids: The videos.
            where_sql: Condition on `segments`.
            sql_values: Its parameters.

        Returns:
            Segments by video id, then in chronological order.
        """
        sql_query = f"""SELECT id, video_id, start, "end" FROM segments
            WHERE video_id {IN_JSON_SQL} AND {where_sql}
            ORDER BY video_id, start, "end", id"""  # noqa: S608
        return self._read_objects(read_segment, sql_query, ids_to_json(video_ids), *sql_values)

    def count_segments(self, video_ids: Iterable[int]) -> dict[int, int]:
        """Return the number of segments of each video, by id."""
        sql_query = f"""SELECT video_id, count(*) FROM segments
            WHERE video_id {IN_JSON_SQL} GROUP BY video_id"""  # noqa: S608
        count_rows = self._fetch_rows(sql_query, ids_to_json(video_ids))
        return {int(video_id): int(segment_count) for video_id, segment_count in count_rows}

    def segment_ids_with_tags(
        self, label_names: Iterable[str], allowed_ids: Ids | None = None
    ) -> Ids:
        """Return the ids of the segments that overlap a tag with any of these labels.

        Args:
            label_names: Labels, spelled exactly as stored.
            allowed_ids: Segments to choose from, int64; None: all.

        Returns:
            int64 (N,), ascending.
        """
        id_rows = self._fetch_rows(SELECT_TAGGED_SEGMENTS, json.dumps(list(label_names)))
        tagged_ids = np.array([row[0] for row in id_rows], np.int64)
        return tagged_ids if allowed_ids is None else np.intersect1d(tagged_ids, allowed_ids)

    def segment_count(self) -> int:
        """Return the number of segments."""
        return int(self._fetch_rows("SELECT count(*) FROM segments")[0][0])

    def summarize_segment_ids(self, last_id: int, *, after_id: int = 0) -> tuple[int, int]:
        """Return the number of the segments up to an id and a sum of their ids.

        See `summarize_ids`.

        Args:
            last_id: The highest id.
            after_id: Count only higher ids.
        """
        [(id_count, id_sum)] = self._fetch_rows(_SUMMARIZE_IDS_SQL, after_id, last_id)
        return int(id_count), int(id_sum)

    def is_empty(self) -> bool:
        """Return whether the library has no segments."""
        return not self._fetch_rows("SELECT EXISTS (SELECT 1 FROM segments)")[0][0]

    def segments_of_video(self, video_id: int) -> list[Segment]:
        """Return the segments of a video in chronological order."""
        return self._read_objects(read_segment, _SELECT_SEGMENTS_OF_VIDEO_SQL, int(video_id))

    def segments(self, segment_ids: Ids) -> list[Segment]:
        """Return segments by id, int64 (N,), in that order; unknown ones are left out."""
        sql_query = f'SELECT id, video_id, start, "end" FROM segments WHERE id {IN_JSON_SQL}'  # noqa: S608
        found_segments = self._read_objects(read_segment, sql_query, ids_to_json(segment_ids))
        segments_by_id = {segment.id: segment for segment in found_segments}
        known_ids = filter(segments_by_id.__contains__, map(int, segment_ids))
        return [segments_by_id[segment_id] for segment_id in known_ids]

    def video_ids_of(self, segment_ids: Ids) -> Ids:
        """Return the video id of each segment, int64 (N,); 0 for unknown segments."""
        sql_query = f"SELECT id, video_id FROM segments WHERE id {IN_JSON_SQL}"  # noqa: S608
        video_id_by_segment = {
            int(segment_id): int(video_id)
            for segment_id, video_id in self._fetch_rows(sql_query, ids_to_json(segment_ids))
        }
        return np.array(
            [video_id_by_segment.get(int(segment_id), 0) for segment_id in segment_ids], np.int64
        )

    def segments_overlapping(self, video_spans: Sequence[tuple[int, Span]]) -> list[Ids]:
        """Return the segments that overlap spans of videos.

        Args:
            video_spans: Pairs of a video id and a span in it.

        Returns:
            For each pair, segment ids in chronological order, int64 (N,).
        """
        spans_json = json.dumps(
            [(int(video_id), span.start, span.end) for video_id, span in video_spans]
        )
        ids_by_span: list[list[int]] = [[] for _ in video_spans]
        for span_index, segment_id in self._fetch_rows(_SELECT_OVERLAPPING_SQL, spans_json):
            ids_by_span[span_index].append(segment_id)
        return [np.array(segment_ids, np.int64) for segment_ids in ids_by_span]

    def vectors_at(self, video_times: Sequence[tuple[int, float]], space: Space) -> Matrix:
        """Return the vectors of the segments at points in time.

        Args:
            video_times: Pairs of a video id and a time in seconds.
            space: The space of the vectors.

        Returns:
            float32 (N, D), rows of unit length; zeros where there is no vector.
        """
        times_json = json.dumps(
            [(int(video_id), frame_time) for video_id, frame_time in video_times]
        )
        vectors = np.zeros((len(video_times), space.dim), np.float32)
        if vector_rows := self._fetch_rows(_SELECT_VECTORS_AT_SQL, times_json, space.name):
            with corruption_as_error(self._location):
                vectors[[vector_row[0] for vector_row in vector_rows]] = unpack(
                    [vector_row[1] for vector_row in vector_rows], space.dim
                )
        return vectors

    def iter_videos_with_vectors(
        self, segment_ids: Ids, space: Space
    ) -> Iterator[tuple[list[Segment], Matrix]]:
        """Yield each video that holds any of the segments, with all of its segments.

        Segments without a vector in `space` are left out. All videos are read from one snapshot.

        Args:
            segment_ids: int64 (N,).
            space: The space of the vectors.

        Yields:
            The segments of one video in chronological order, and their vectors, float32 (M, D).
        """
        with self._read_transaction() as connection:
            segment_rows = connection.execute(
                _SELECT_WHOLE_VIDEOS_SQL, (space.name, ids_to_json(segment_ids))
            )
            for _, row_group in groupby(segment_rows, key=lambda segment_row: segment_row[1]):
                video_rows = list(row_group)
                with corruption_as_error(self._location):
                    segments = [read_segment(segment_row[:4]) for segment_row in video_rows]
                    vectors = unpack([segment_row[4] for segment_row in video_rows], space.dim)
                yield segments, vectors

    def segment_runs(
        self, segment_ids: Ids, context_segments: int, space: Space
    ) -> list[SegmentRun]:
        """Return segments with their neighbors, as runs, without reading whole videos.

        All runs are read from one snapshot. Segments without a vector are left out.

        Args:
            segment_ids: int64 (N,).
            context_segments: Number of neighbors to add before and after each segment.
            space: The space of the vectors.
        """
        with self._read_transaction() as connection, corruption_as_error(self._location):
            return list(_iter_runs(connection, segment_ids, context_segments, space))

    def vectors(self, segment_ids: Ids | None, space: Space) -> tuple[Ids, Matrix]:
        """Return the vectors of segments.

        Args:
            segment_ids: int64 (N,); segments without a vector are left out. None: all segments.
            space: The space of the vectors.

        Returns:
            Ids int64 (M,), in the order of `segment_ids` or else ascending, and vectors
            float32 (M, D), rows of unit length.
        """
        with self._read_transaction() as connection:
            if segment_ids is None:
                return self._load_all_vectors(connection, space)
            found_ids, vectors = self._load_vectors(connection, space, segment_ids)
        if np.array_equal(found_ids, segment_ids):
            return found_ids, vectors
        positions = np.searchsorted(found_ids, segment_ids)  # found_ids is ascending
        is_found = positions < len(found_ids)
        is_found[is_found] = found_ids[positions[is_found]] == segment_ids[is_found]
        return found_ids[positions[is_found]], vectors[positions[is_found]]

    def sample_vectors(self, space: Space, max_vectors: int = 1_000) -> Matrix:
        """Return the vectors of evenly spaced segments, float32 (M, D), M <= `max_vectors`."""
        segment_ids = self.segment_ids()
        return self.vectors(segment_ids[:: max(1, -(-len(segment_ids) // max_vectors))], space)[1]

    def iter_vectors(
        self, space: Space, segment_ids: Ids | None = None, batch_size: int = _VECTOR_BATCH
    ) -> Iterator[tuple[Ids, Matrix]]:
        """Yield the vectors of segments in batches, ascending by id, from one snapshot.

        Args:
            space: The space of the vectors.
            segment_ids: int64 (N,); None: all segments.
            batch_size: Maximum number of vectors in a batch.

        Yields:
            Ids int64 (M,) and vectors float32 (M, D), rows of unit length.
        """
        with self._read_transaction() as connection:
            yield from self._iter_vector_batches(connection, space, segment_ids, batch_size)

    def vector_bytes(self, space: Space) -> int:
        """Return the total size of the vectors of `space` in bytes."""
        sql_query = f"SELECT coalesce(sum(length(embedding)), 0) {_FROM_VECTORS_SQL}"
        return int(self._fetch_rows(sql_query, space.name)[0][0])

    def _load_all_vectors(self, connection: ReadConnection, space: Space) -> tuple[Ids, Matrix]:
        """Fill preallocated arrays with all ids and vectors, because these may be gigabytes."""
        sql_query, sql_values = _build_vector_query("SELECT count(*)", space, None)
        vector_count = connection.execute(sql_query, sql_values).fetchone()[0]
        found_ids = np.empty(vector_count, np.int64)
        vectors = np.empty((vector_count, space.dim), np.float32)
        filled_count = 0
        for batch_ids, batch_vectors in self._iter_vector_batches(connection, space, None):
            found_ids[filled_count : filled_count + len(batch_ids)] = batch_ids
            vectors[filled_count : filled_count + len(batch_ids)] = batch_vectors
            filled_count += len(batch_ids)
        return found_ids, vectors

    def _load_vectors(
        self, connection: ReadConnection, space: Space, segment_ids: Ids
    ) -> tuple[Ids, Matrix]:
        """Return the ids and vectors that exist for `segment_ids`, ascending."""
        vector_batches = [(np.empty(0, np.int64), np.empty((0, space.dim), np.float32))]
        vector_batches += self._iter_vector_batches(connection, space, segment_ids)
        if len(vector_batches) == 2:
            return vector_batches[1]
        id_batches, vector_parts = zip(*vector_batches, strict=True)
        return np.concatenate(id_batches), np.concatenate(vector_parts)

    def _iter_vector_batches(
        self,
        connection: ReadConnection,
        space: Space,
        segment_ids: Ids | None,
        batch_size: int = _VECTOR_BATCH,
    ) -> Iterator[tuple[Ids, Matrix]]:
        sql_query, sql_values = _build_vector_query(
            "SELECT segment_id, embedding", space, segment_ids
        )
        sql_cursor = connection.execute(f"{sql_query} ORDER BY segment_id", sql_values)
        while vector_rows := sql_cursor.fetchmany(batch_size):
            with corruption_as_error(self._location):
                vectors = unpack([vector_row[1] for vector_row in vector_rows], space.dim)
            yield np.array([vector_row[0] for vector_row in vector_rows], np.int64), vectors


def summarize_ids(segment_ids: Ids) -> tuple[int, int]:
    """Return the number of ids, int64 (N,), and a sum that differs for other ids."""
    return len(segment_ids), int((segment_ids % _ID_MODULUS).sum())


def _build_vector_query(
    select_clause: str, space: Space, segment_ids: Ids | None
) -> tuple[str, tuple[str, ...]]:
    """Return a query on vectors, to which an ORDER BY clause can be added, and its values."""
    if segment_ids is None:
        return f"{select_clause} {_FROM_VECTORS_SQL}", (space.name,)
    sql_query = f"{select_clause} {_FROM_VECTORS_SQL} AND segment_id {IN_JSON_SQL}"
    return sql_query, (space.name, ids_to_json(segment_ids))


def _iter_runs(
    connection: ReadConnection, segment_ids: Ids, context_segments: int, space: Space
) -> Iterator[SegmentRun]:
    """Yield runs of consecutive ids; raise ValueError for an invalid row.

    `Transaction.add_segments` gives the segments of a video consecutive ids in chronological
    order, so neighbors in time are neighbors by id.
    """
    wanted_ids = _unique_ids(
        (segment_ids[:, None] + np.arange(-context_segments, context_segments + 1)).ravel()
    )
    segment_rows = connection.execute(
        _SELECT_RUN_SEGMENTS_SQL, (json.dumps(wanted_ids.tolist()), space.name)
    ).fetchall()
    if not segment_rows:
        return
    found_ids, video_ids = np.array([segment_row[:2] for segment_row in segment_rows], np.int64).T
    has_vector = np.array([segment_row[4] is not None for segment_row in segment_rows])
    segment_times = _check_times([segment_row[2:4] for segment_row in segment_rows])
    vectors = np.empty((len(segment_rows), space.dim), np.float32)
    vectors[has_vector] = unpack(
        [segment_row[4] for segment_row in segment_rows if segment_row[4] is not None], space.dim
    )
    # number of ids below each that were not requested: it changes where ids are not consecutive
    skipped_counts = found_ids - np.searchsorted(wanted_ids, found_ids)
    run_starts = np.flatnonzero((np.diff(skipped_counts) != 0) | (np.diff(video_ids) != 0)) + 1
    requested_ids = set(wanted_ids.tolist())
    for first_index, end_index in zip(
        [0, *run_starts.tolist()], [*run_starts.tolist(), len(segment_rows)], strict=True
    ):
        run_rows = (
            slice(first_index, end_index)
            if has_vector[first_index:end_index].all()
            else first_index + has_vector[first_index:end_index].nonzero()[0]
        )
        yield SegmentRun(
            int(video_ids[first_index]),
            found_ids[run_rows],
            segment_times[run_rows].tolist(),
            vectors[run_rows],
            int(found_ids[first_index]) - 1 not in requested_ids,
            int(found_ids[end_index - 1]) + 1 not in requested_ids,
        )


def _check_times(time_pairs: list[tuple[float, float]]) -> npt.NDArray[np.float64]:
    """Return starts and ends as float64 (N, 2); raise ValueError if any is invalid."""
    segment_times = np.array(time_pairs, np.float64)
    start_times, end_times = segment_times.T
    if not (
        np.isfinite(segment_times).all()
        and (start_times >= 0).all()
        and (start_times <= end_times).all()
    ):
        raise ValueError("a segment ends before it starts, or its times are not valid numbers")
    return segment_times


def _unique_ids(ids: Ids) -> Ids:
    """Return the distinct ids, ascending, without np.unique, which is slow to import."""
    unique_ids: Ids = np.sort(ids)
    if len(unique_ids):
        unique_ids = unique_ids[np.concatenate([[True], np.diff(unique_ids) > 0])]
    return unique_ids
