"""Several spaces in one catalog: one is active, the others are kept or being filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.catalog_locations import change_by_hand
from tests.support.catalog_rows import OTHER, SPACE, index_video, unit_vectors
from vsearch.catalog.catalog import Catalog
from vsearch.errors import LibraryError, SpaceMismatchError
from vsearch.types import Space, SpaceInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.catalog.database_url import CatalogLocation


@pytest.fixture
def catalog(catalog_location: CatalogLocation) -> Iterator[Catalog]:
    """Two videos in SPACE, the first of which is also in OTHER."""
    with Catalog.open(catalog_location, create=True) as opened:
        with opened.begin() as change:
            change.set_space(SPACE, "mean", "fake")
        a, ids = index_video(opened, "/a.mp4", 3)
        b, _ = index_video(opened, "/b.mp4", 2)
        with opened.begin() as change:
            change.prepare_space(OTHER, "fake:other", "mean")
            change.add_vectors(ids, unit_vectors(3, seed=1), OTHER)
            for video in (a, b):
                change.add_features(video.id, SPACE, "fake")
            change.add_features(a.id, OTHER, "fake:other")
        yield opened


def names(catalog: Catalog) -> list[str]:
    return [known.space.name for known in catalog.spaces()]


def test_each_space_is_listed_with_its_model(catalog: Catalog) -> None:
    assert catalog.spaces() == [
        SpaceInfo(SPACE, "fake", "mean", is_active=True),
        SpaceInfo(OTHER, "fake:other", "mean", is_active=False),
    ]
    assert [video.path.name for video in catalog.videos_without_vectors(OTHER)] == ["b.mp4"]
    assert catalog.videos_without_vectors(SPACE) == []
    assert catalog.videos_with_features(OTHER) == {1}
    assert catalog.vector_bytes(OTHER) == 3 * 16 * 2
    assert catalog.vector_bytes(Space("third", 4, supports_text=False)) == 0
    assert {video.model for video in catalog.videos()} == {"fake"}
    assert catalog.find_problems() == []


def test_adding_vectors_to_another_space_keeps_the_revision(catalog: Catalog) -> None:
    revision, before = catalog.revision(), catalog.vectors(None, SPACE)
    with catalog.begin() as change:
        ids = catalog.segment_ids([2])
        change.add_vectors(ids, unit_vectors(2, seed=2), OTHER)
    assert catalog.revision() == revision
    assert catalog.videos_without_vectors(OTHER) == []
    for one, other in zip(before, catalog.vectors(None, SPACE), strict=True):
        np.testing.assert_array_equal(one, other)


def test_adding_vectors_to_the_active_space_changes_the_revision(catalog: Catalog) -> None:
    revision = catalog.revision()
    with catalog.begin() as change:
        change.add_vectors(catalog.segment_ids([2]), unit_vectors(2), SPACE)
    assert catalog.revision() > revision


def test_a_space_switch_is_atomic_and_can_be_rolled_back(catalog: Catalog) -> None:
    revision = catalog.revision()
    with catalog.begin() as change:
        change.set_space_model(OTHER, "fake:best")
        change.switch_space(OTHER)
        assert catalog.space() == SPACE, "not before it is stored"
    assert catalog.space() == OTHER
    assert catalog.revision() > revision
    old, new = catalog.spaces()
    assert (old.is_active, old.retired_at_revision) == (False, revision)
    assert (new.is_active, new.model, new.retired_at_revision) == (True, "fake:best", None)
    assert [video.model for video in catalog.videos()] == ["fake:other", None]
    with catalog.begin() as change:
        change.switch_space(SPACE)
    assert catalog.space() == SPACE
    assert [known.retired_at_revision is None for known in catalog.spaces()] == [False, False]
    assert catalog.spaces()[1].retired_at_revision > revision  # type: ignore[operator] # not None


def test_another_pooler_removes_the_vectors_of_an_inactive_space(catalog: Catalog) -> None:
    with catalog.begin() as change:
        change.prepare_space(OTHER, "fake:other", "mean")
    assert len(catalog.vectors(None, OTHER)[0]) == 3
    with catalog.begin() as change:
        change.prepare_space(OTHER, "fake:other", "trained")
    assert len(catalog.vectors(None, OTHER)[0]) == 0
    assert catalog.videos_with_features(OTHER) == {1}
    assert [known.pooler for known in catalog.spaces()] == ["mean", "trained"]
    assert catalog.pooler() == "mean"


def test_a_damaged_vector_of_any_space_is_reported(
    catalog: Catalog, catalog_location: CatalogLocation
) -> None:
    change_by_hand(catalog_location, "UPDATE vectors SET embedding = 'x' WHERE space_id = 2")
    assert any("invalid row" in problem for problem in catalog.find_problems())


def test_a_space_is_removed_with_its_vectors(catalog: Catalog) -> None:
    with catalog.begin() as change:
        change.remove_space(OTHER)
    assert names(catalog) == ["fake"]
    assert catalog.videos_with_features(OTHER) == set()
    assert len(catalog.segment_ids()) == 5
    assert catalog.find_problems() == []


def test_the_active_space_cannot_be_removed(catalog: Catalog) -> None:
    for remove in ("remove_space", "remove_vectors"):
        with pytest.raises(LibraryError, match="is in use"), catalog.begin() as change:
            getattr(change, remove)(SPACE)
    assert len(catalog.vectors(None, SPACE)[0]) == 5


def test_videos_are_removed_from_every_space(catalog: Catalog) -> None:
    with catalog.begin() as change:
        change.remove_videos([1])
    assert catalog.videos_with_features(OTHER) == set()
    assert len(catalog.vectors(None, OTHER)[0]) == 0
    assert catalog.find_problems() == []


def test_vectors_must_match_their_space_and_segments(catalog: Catalog) -> None:
    ids = catalog.segment_ids([2])
    with pytest.raises(ValueError, match="2 ids"), catalog.begin() as change:
        change.add_vectors(ids, unit_vectors(3), OTHER)
    with pytest.raises(SpaceMismatchError, match=r"16.*8"), catalog.begin() as change:
        change.add_vectors(ids, unit_vectors(2, dim=8), Space(OTHER.name, 8, supports_text=True))
    with pytest.raises(LibraryError, match="FOREIGN KEY"), catalog.begin() as change:
        change.add_vectors(np.array([999]), unit_vectors(1), OTHER)


def test_an_emptied_library_drops_old_spaces(catalog: Catalog) -> None:
    with catalog.begin() as change:
        change.remove_videos([1, 2])
        change.set_space(Space("third", 4, supports_text=False), "mean", "fake:third")
    assert names(catalog) == ["third"]


def test_the_first_recorded_model_stays_until_it_is_replaced(catalog: Catalog) -> None:
    with catalog.begin() as change:
        change.set_space(SPACE, "mean", "fake:fast")
    assert catalog.spaces()[0].model == "fake"
    with catalog.begin() as change:
        change.set_space_model(SPACE, "odd \udcff")
    assert catalog.spaces()[0].model == "odd \\udcff"
