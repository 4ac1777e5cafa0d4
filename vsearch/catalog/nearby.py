"""Segments with those just before and behind them, without reading whole videos."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.catalog.blobs import unpack

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    import numpy.typing as npt

    from vsearch.types import Ids, Matrix, Space

_ROWS = """
    SELECT segments.id, video_id, start, "end", data FROM json_each(?) AS wanted
    CROSS JOIN segments ON segments.id = wanted.value
    LEFT JOIN vectors ON segment_id = segments.id
        AND space_id = (SELECT id FROM spaces WHERE name = ?)
    ORDER BY segments.id
"""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Segments of one video that follow each other, none between them left out."""

    video_id: int
    ids: Ids  # (N,) ascending
    times: list[list[float]]  # when each starts and ends, seconds
    vectors: Matrix  # float32 (N, D) of unit length
    before: bool  # whether there may be more of the video before them
    behind: bool


def runs(connection: sqlite3.Connection, ids: Ids, reach: int, space: Space) -> Iterator[Run]:
    """These segments, and `reach` ids to both sides of each; what has no vector is left out.

    The segments of a video follow each other in time as their ids do (`Change.add_segments`).
    Raises ValueError where a row makes no sense.
    """
    wanted = _each_once((ids[:, None] + np.arange(-reach, reach + 1)).ravel())
    rows = connection.execute(_ROWS, (json.dumps(wanted.tolist()), space.name)).fetchall()
    if not rows:
        return
    found, videos = np.array([row[:2] for row in rows], np.int64).T
    kept = np.array([row[4] is not None for row in rows])
    times = _times([row[2:4] for row in rows])
    vectors = np.empty((len(rows), space.dim), np.float32)
    vectors[kept] = unpack([row[4] for row in rows if row[4] is not None], space.dim)
    left_out = found - np.searchsorted(wanted, found)  # how many ids before were not asked for
    cuts = np.flatnonzero((np.diff(left_out) != 0) | (np.diff(videos) != 0)) + 1
    asked = set(wanted.tolist())
    for first, last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(rows)], strict=True):
        own = (
            slice(first, last) if kept[first:last].all() else first + kept[first:last].nonzero()[0]
        )
        yield Run(
            int(videos[first]),
            found[own],
            times[own].tolist(),
            vectors[own],
            int(found[first]) - 1 not in asked,
            int(found[last - 1]) + 1 not in asked,
        )


def _times(spans: list[tuple[float, float]]) -> npt.NDArray[np.float64]:
    """Starts and ends, float64 (N, 2)."""
    times = np.array(spans, np.float64)
    starts, ends = times.T
    if not (np.isfinite(times).all() and (starts >= 0).all() and (starts <= ends).all()):
        raise ValueError("a segment that does not start before it ends")
    return times


def _each_once(ids: Ids) -> Ids:
    """Ascending; NumPy's own way to it is slow to load."""
    ids = np.sort(ids)
    return ids[np.concatenate([[True], np.diff(ids) > 0])] if len(ids) else ids
