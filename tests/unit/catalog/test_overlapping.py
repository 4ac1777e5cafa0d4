from __future__ import annotations

from typing import TYPE_CHECKING

from rows import index

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
