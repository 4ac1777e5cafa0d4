"""Segments with those just before and behind them, without reading whole videos."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from vsearch.types import Ids, Space

    Row = Sequence[Any]

_ROWS = """
    SELECT segments.id, video_id, start, "end", data FROM json_each(?) AS wanted
    CROSS JOIN segments ON segments.id = wanted.value
    LEFT JOIN vectors ON segment_id = segments.id
        AND space_id = (SELECT id FROM spaces WHERE name = ?)
    ORDER BY segments.id
"""


def runs(
    connection: sqlite3.Connection, ids: Ids, reach: int, space: Space
) -> Iterator[tuple[list[Row], bool, bool]]:
    """Unbroken runs of segments of one video: those of `ids`, and `reach` ids to both sides.

    The segments of a video follow each other in time as their ids do (`Change.add_segments`). Rows
    of id, video_id, start, end, data, without those that have no vector; and whether more of its
    video may come before them, and behind.
    """
    around = (ids[:, None] + np.arange(-reach, reach + 1)).ravel()
    wanted = np.array(sorted(set(around.tolist())), np.int64)
    rows = connection.execute(_ROWS, (json.dumps(wanted.tolist()), space.name)).fetchall()
    places = np.searchsorted(wanted, [row[0] for row in rows]).tolist()
    edges = {*(wanted - 1).tolist(), *(wanted + 1).tolist()} - set(wanted.tolist())
    for _, group in groupby(zip(places, rows, strict=True), key=_run):
        run = [row for _, row in group]
        before, behind = run[0][0] - 1 in edges, run[-1][0] + 1 in edges
        yield [row for row in run if row[4] is not None], before, behind


def _run(one: tuple[int, Row]) -> tuple[int, int]:
    """What segments of one run have in common: the video, and that no id between is left out."""
    place, row = one
    return row[1], row[0] - place
