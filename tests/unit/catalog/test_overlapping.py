from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.support.catalog_rows import OTHER, SPACE, index_video
from vsearch.catalog.catalog import Catalog
from vsearch.types import Span

if TYPE_CHECKING:
    from vsearch.catalog.database_url import CatalogLocation


def test_segments_that_overlap_spans_are_found(catalog_location: CatalogLocation) -> None:
    with Catalog.open(catalog_location, create=True) as catalog:
        one, ids = index_video(catalog, "/a.mp4")
        _, others = index_video(catalog, "/b.mp4")
        first, second = ids[:2].tolist()
        found = catalog.segments_overlapping(
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
        assert catalog.segments_overlapping([]) == []


def test_the_vector_at_a_time_is_that_of_its_segment(catalog_location: CatalogLocation) -> None:
    with Catalog.open(catalog_location, create=True) as catalog:
        one, ids = index_video(catalog, "/a.mp4", seed=1)
        index_video(catalog, "/b.mp4", seed=2)
        _, vectors = catalog.vectors(ids, SPACE)
        places = [(one.id, 3.0), (one.id, 0.0), (one.id, 2.0), (one.id, 6.0), (99, 1.0)]
        found = catalog.vectors_at(places, SPACE)
        np.testing.assert_array_equal(found[:3], vectors[[1, 0, 1]])
        assert not found[3:].any(), "behind its end, and no such video"
        assert not catalog.vectors_at(places, OTHER).any()
        assert catalog.vectors_at([], SPACE).shape == (0, SPACE.dim)
