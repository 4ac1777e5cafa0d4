from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rows import OTHER, SPACE, index

from vsearch.catalog.repository import Catalog
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path


def test_the_segments_of_places_are_those_that_they_overlap(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as catalog:
        one, ids = index(catalog, "/a.mp4")
        _, others = index(catalog, "/b.mp4")
        first, second = ids[:2].tolist()
        found = catalog.overlapping(
            [
                (one.id, Span(0.5, 1)),
                (one.id, Span(1.5, 2.5)),
                (one.id, Span(2, 2)),
                (one.id, Span(900, 901)),
                (99, Span(0, 1)),
            ]
        )
        assert [ids.tolist() for ids in found] == [[first], [first, second], [second], [], []]
        assert not set(others.tolist()) & {id_ for ids in found for id_ in ids.tolist()}
        assert catalog.overlapping([]) == []


def test_what_a_video_shows_at_a_time_is_the_vector_of_the_segment_there(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as catalog:
        one, ids = index(catalog, "/a.mp4", seed=1)
        index(catalog, "/b.mp4", seed=2)
        _, vectors = catalog.vectors(ids, SPACE)
        places = [(one.id, 3.0), (one.id, 0.0), (one.id, 2.0), (one.id, 6.0), (99, 1.0)]
        found = catalog.shown_at(places, SPACE)
        np.testing.assert_array_equal(found[:3], vectors[[1, 0, 1]])
        assert not found[3:].any(), "behind its end, and no such video"
        assert not catalog.shown_at(places, OTHER).any()
        assert catalog.shown_at([], SPACE).shape == (0, SPACE.dim)
