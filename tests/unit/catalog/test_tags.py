"""Tags in the catalog."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.support.catalog_locations import SQLITE_ONLY, change_by_hand
from tests.support.catalog_rows import index_video
from vsearch.catalog.annotation_rows import resolve_tags
from vsearch.catalog.catalog import Catalog
from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.types import Span, Tag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.catalog.database_url import CatalogLocation

MADE = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def catalog(catalog_location: CatalogLocation) -> Iterator[Catalog]:
    with Catalog.open(catalog_location, create=True) as made:
        yield made


def tag(video_id: int, label: str, span: Span | None = None, source: str = "a") -> Tag:
    return Tag(video_id, label, 0.75, span, source, "space", MADE)


def test_tags_are_read_back_with_whole_videos_before_spans(catalog: Catalog) -> None:
    video, _ = index_video(catalog, "/a.mp4")
    whole, part = tag(video.id, "dog"), tag(video.id, "cat", Span(2, 4))
    revision = catalog.revision()
    with catalog.begin() as change:
        change.add_tags([part, whole])
    assert catalog.tags() == [whole, part]
    assert catalog.tags([video.id + 1]) == []
    assert catalog.tag_labels() == ["cat", "dog"]
    assert catalog.revision() == revision, "tags are no reason to look at an index again"


def test_a_source_replaces_only_its_own_tags(catalog: Catalog) -> None:
    one, _ = index_video(catalog, "/a.mp4")
    two, _ = index_video(catalog, "/b.mp4")
    with catalog.begin() as change:
        change.add_tags([tag(one.id, "dog"), tag(two.id, "dog"), tag(one.id, "cat", source="b")])
    with catalog.begin() as change:
        change.replace_tags(one.id, "a", [tag(one.id, "fox")])
    assert [(t.video_id, t.label) for t in catalog.tags()] == [
        (one.id, "cat"), (one.id, "fox"), (two.id, "dog"),
    ]  # fmt: skip


def test_a_failed_transaction_leaves_the_tags_unchanged(catalog: Catalog) -> None:
    video, _ = index_video(catalog, "/a.mp4")
    with catalog.begin() as change:
        change.add_tags([tag(video.id, "dog")])
    nobody = tag(video.id + 1, "cat")
    with pytest.raises(LibraryError), catalog.begin() as change:
        change.replace_tags(video.id, "a", [tag(video.id, "fox"), nobody])
    assert catalog.tag_labels() == ["dog"]


def test_tags_are_removed_with_their_video_but_not_with_segments(catalog: Catalog) -> None:
    video, _ = index_video(catalog, "/a.mp4")
    with catalog.begin() as change:
        change.add_tags([tag(video.id, "dog", Span(0, 2))])
        change.remove_segments(video.id)
    assert catalog.tag_labels() == ["dog"]
    with catalog.begin() as change:
        change.remove_videos([video.id])
    assert catalog.tags() == []


def test_segments_are_found_by_the_tags_that_overlap_them(catalog: Catalog) -> None:
    video, ids = index_video(catalog, "/a.mp4", 4)  # two seconds each
    other, others = index_video(catalog, "/b.mp4", 2)
    with catalog.begin() as change:
        change.add_tags(
            [tag(video.id, "dog", Span(3, 4)), tag(other.id, "dog"), tag(video.id, "cat")]
        )
    assert catalog.segment_ids_with_tags(["dog"]).tolist() == [ids[1], *others]
    assert catalog.segment_ids_with_tags(["cat"]).tolist() == ids.tolist()
    assert catalog.segment_ids_with_tags(["dog", "cat"]).tolist() == [*ids, *others]
    assert catalog.segment_ids_with_tags(["fox"]).tolist() == []


def test_tags_are_removed_by_label_source_and_video(catalog: Catalog) -> None:
    video, _ = index_video(catalog, "/a.mp4")
    tags = [tag(video.id, "dog"), tag(video.id, "cat"), tag(video.id, "dog", source="b")]
    with catalog.begin() as change:
        change.add_tags(tags)
        assert change.remove_tags([video.id + 1]) == 0
        assert change.remove_tags([video.id], label="dog", source="b") == 1
        assert change.remove_tags([video.id], label="cat") == 1
    assert catalog.tags() == tags[:1]


@pytest.mark.parametrize("span", [None, Span(0, 2), Span(2, 3), Span(3, 3), Span(4, 9), Span(5, 6)])
def test_tags_that_overlap_a_span_are_removed(catalog: Catalog, span: Span | None) -> None:
    video, _ = index_video(catalog, "/a.mp4")
    one, asked = tag(video.id, "dog", span), Span(2, 4)
    with catalog.begin() as change:
        change.add_tags([one])
        assert change.remove_tags([video.id], span=asked) == one.overlaps(asked)
    assert one.overlaps(asked) is (span in (None, Span(2, 3), Span(3, 3)))


@pytest.mark.parametrize("edit", ["probability = 'much'", "created_at = 'yesterday'", "label = ''"])
@SQLITE_ONLY  # columns of PostgreSQL have types and are checked
def test_an_invalid_tag_is_reported_as_damage(
    catalog: Catalog, catalog_location: CatalogLocation, edit: str
) -> None:
    video, _ = index_video(catalog, "/a.mp4")
    with catalog.begin() as change:
        change.add_tags([tag(video.id, "dog")])
    change_by_hand(catalog_location, f"UPDATE tags SET {edit}")
    with pytest.raises(DamagedLibraryError):
        catalog.tags()
    assert catalog.find_problems()


def test_spans_and_probabilities_of_tags_are_checked(catalog: Catalog) -> None:
    video, _ = index_video(catalog, "/a.mp4")
    with pytest.raises(ValueError, match="invalid tag"):
        replace(tag(video.id, "dog"), probability=1.5)


def test_labels_ignore_case_and_misspelled_ones_get_suggestions() -> None:
    known = ["Dog", "dog", "cartoon"]
    assert resolve_tags("DOG", known) == ["Dog", "dog"]
    with pytest.raises(LibraryError, match="did you mean 'cartoon'"):
        resolve_tags("carton", known)
    with pytest.raises(LibraryError, match="see `vsearch tags`"):
        resolve_tags("xyz", known)
    with pytest.raises(LibraryError, match="nothing is tagged yet"):
        resolve_tags("dog", [])
