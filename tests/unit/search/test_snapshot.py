"""Tests of snapshots and their statistics."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from tests.support.filled_library import SPACE, add_vectors, vectors_with_scores
from vsearch.active_model import ActiveModel
from vsearch.catalog.catalog import Catalog
from vsearch.config import Settings
from vsearch.library_location import LibraryLocation
from vsearch.query.model import Term
from vsearch.search.hubness import HubnessCache
from vsearch.search.live_index import LiveIndex
from vsearch.search.null_queries import GenericEmbeddings
from vsearch.search.snapshot import SnapshotSource
from vsearch.types import Space, Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.search.calibration import Calibration
    from vsearch.search.snapshot import LibrarySnapshot

TEXT, IMAGE = Term("text", "a dog"), Term("image", "dog.png")


def create_source(catalog: Catalog, folder: Path, encoder: FakeEncoder) -> SnapshotSource:
    return SnapshotSource(
        catalog,
        LiveIndex(catalog, folder / "index", "exact"),
        ActiveModel(LibraryLocation.from_folder(folder), Settings(), encoder, is_pinned=True),
        HubnessCache(folder / "hubness"),
        GenericEmbeddings(folder / "generic_queries"),
    )


class SmallLibrary:
    """A catalog of videos with similar segments, and the source of its snapshots."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        for video_number in range(12):
            scene_vector = vectors_with_scores(0.0, seed=video_number)
            add_vectors(catalog, f"{video_number}.mp4", np.repeat(scene_vector, 4, axis=0))
        self.catalog, self.encoder = catalog, FakeEncoder()
        self.encoder._space = SPACE
        self.snapshots = create_source(catalog, folder, self.encoder)

    @property
    def snapshot(self) -> LibrarySnapshot:
        snapshot = self.snapshots.take_snapshot()
        assert snapshot is not None
        return snapshot

    def calibration(self, term: Term) -> Calibration | None:
        return self.snapshot.statistics.calibration_for(term)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[SmallLibrary]:
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as catalog:
        yield SmallLibrary(catalog, tmp_path)


def test_an_empty_library_has_no_snapshot(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as catalog:
        assert create_source(catalog, tmp_path, FakeEncoder()).take_snapshot() is None


def test_a_snapshot_keeps_its_index_while_the_library_changes(library: SmallLibrary) -> None:
    before = library.snapshot
    add_vectors(library.catalog, "new.mp4", vectors_with_scores(0.5, seed=99))
    after = library.snapshot
    new_ids = set(after.index_snapshot.segment_ids) - set(before.index_snapshot.segment_ids)
    assert len(new_ids) == 1
    assert after.index_snapshot.revision > before.index_snapshot.revision
    assert after.statistics is not before.statistics


def test_statistics_are_kept_while_segments_and_encoder_are_the_same(
    library: SmallLibrary,
) -> None:
    before = library.snapshot
    with library.catalog.begin() as transaction:
        transaction.add_relevance_label("a dog", 1, Span(0, 1), True)
    assert library.snapshot.statistics is before.statistics


def test_image_null_queries_are_not_compared_with_their_own_video(library: SmallLibrary) -> None:
    calibration = library.calibration(IMAGE)
    assert calibration is not None
    assert calibration.null_distribution.best_score < 0.9


def test_a_calibration_is_cached_until_the_library_changes(library: SmallLibrary) -> None:
    calibration = library.calibration(TEXT)
    assert calibration is not None
    assert library.calibration(TEXT) is calibration
    assert library.calibration(Term("text", "a cat", -0.5)) is calibration
    add_vectors(library.catalog, "new.mp4", vectors_with_scores(0.5, seed=99))
    assert library.calibration(TEXT) is not calibration


def test_text_and_images_are_calibrated_separately(library: SmallLibrary) -> None:
    text_calibration, image_calibration = library.calibration(TEXT), library.calibration(IMAGE)
    assert text_calibration is not None
    assert image_calibration is not None
    assert text_calibration != image_calibration
    assert library.calibration(Term("clip", "dog.mp4")) is image_calibration


def test_a_cached_calibration_reads_nothing_from_the_catalog(library: SmallLibrary) -> None:
    library.calibration(IMAGE)
    snapshot = library.snapshot
    statements: list[str] = []
    with library.catalog._pool.read_transaction() as connection:  # the next reader gets it, too
        assert isinstance(connection, sqlite3.Connection)
        connection.set_trace_callback(statements.append)
    statements.clear()
    assert snapshot.statistics.calibration_for(Term("image", "cat.png")) is not None
    assert statements == []


def test_an_encoder_without_text_support_calibrates_image_queries_only(
    library: SmallLibrary,
) -> None:
    statistics = library.snapshot.statistics
    library.encoder._space = Space(SPACE.name, SPACE.dim, supports_text=False)
    assert statistics.calibration_for(TEXT) is None
    assert statistics.calibration_for(IMAGE) is not None
