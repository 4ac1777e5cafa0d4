"""Tests of cached hubness penalties."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from tests.support.filled_library import SPACE, add_vectors, vectors_with_scores
from vsearch import Library
from vsearch.catalog.catalog import Catalog
from vsearch.search.hubness import HubnessCache, HubnessModel, Querybank
from vsearch.search.live_index import IndexSnapshot, LiveIndex
from vsearch.storage.array_files import save_arrays, save_npy_sequence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.types import Ids, Matrix, Vector

IDS = np.arange(10, 20)
VALUES = np.linspace(0.1, 0.4, 10).astype(np.float32)


class Counting(Querybank):
    """A querybank that counts measured vectors."""

    seen = 0

    def hubness_penalty(self, segment_vectors: Matrix) -> Vector:
        self.seen += len(segment_vectors)
        return super().hubness_penalty(segment_vectors)


def bank(seed: int = 1) -> Counting:
    return Counting(vectors_with_scores(*[0.3] * 50, seed=seed))


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as opened:
        add_vectors(opened, "film", vectors_with_scores(*np.linspace(0, 0.9, 40)))
        yield opened


def current_of(catalog: Catalog, folder: Path) -> IndexSnapshot:
    found = LiveIndex(catalog, folder / "vectors", "exact").take_snapshot()
    assert found is not None
    return found


def expected(catalog: Catalog, ids: Ids, queries: Querybank) -> Vector:
    """Return the penalties of a model without a cache."""
    known, vectors = catalog.vectors(None, SPACE)
    all_of_it = queries.hubness_penalty(vectors)
    less: Vector = all_of_it[np.searchsorted(known, ids)] - all_of_it[::5].mean()
    return less


def test_cached_penalties_are_loaded_and_others_are_nan(tmp_path: Path) -> None:
    kept = HubnessCache(tmp_path / "hubness")
    kept.save_penalties(SPACE, IDS, VALUES)
    found = kept.load_penalties(SPACE, np.array([5, 11, 19, 25]), np.array([11]), VALUES[1:2])
    np.testing.assert_array_equal(found, [np.nan, VALUES[1], VALUES[9], np.nan])
    np.testing.assert_array_equal(kept.load_penalties(SPACE, IDS, IDS[:2], VALUES[:2]), VALUES)


def test_penalties_of_other_vectors_or_another_bank_are_ignored(tmp_path: Path) -> None:
    kept = HubnessCache(tmp_path / "hubness")
    kept.save_penalties(SPACE, IDS, VALUES)
    assert np.isnan(kept.load_penalties(SPACE, IDS, IDS[:2], VALUES[:2] + np.float32(0.01))).all()


@pytest.mark.parametrize("damage", ["junk", "empty", "folder", "shape", "order", "numbers"])
def test_a_damaged_hubness_cache_is_ignored(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept = HubnessCache(tmp_path)
    kept.save_penalties(SPACE, IDS, VALUES)
    [path] = tmp_path.iterdir()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage in ("junk", "empty"):
        path.write_bytes(b"junk" if damage == "junk" else b"")
    else:
        ids = IDS[::-1] if damage == "order" else IDS
        values = VALUES * np.float32(np.inf) if damage == "numbers" else VALUES
        values = values[:3] if damage == "shape" else values
        save_arrays(path, {"ids": ids, "penalties": values})
    for _ in range(2):
        assert np.isnan(kept.load_penalties(SPACE, IDS, IDS[:2], VALUES[:2])).all()
    assert caplog.text.count("the hubness of the segments is measured again") == (
        2 if damage == "folder" else 1
    )


def test_no_damaged_byte_changes_a_penalty(tmp_path: Path) -> None:
    kept = HubnessCache(tmp_path)
    kept.save_penalties(SPACE, IDS, VALUES)
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x08
        path.write_bytes(damaged)
        found = kept.load_penalties(SPACE, IDS, IDS[:2], VALUES[:2])
        assert np.isnan(found).all() or np.array_equal(found, VALUES), place


def test_a_cache_without_a_checksum_is_replaced_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_npy_sequence(tmp_path / "chosen.npy", IDS, VALUES)  # of an older version
    kept = HubnessCache(tmp_path)
    assert np.isnan(kept.load_penalties(SPACE, IDS, IDS[:2], VALUES[:2])).all()
    kept.save_penalties(SPACE, IDS, VALUES)
    assert [path.name for path in tmp_path.iterdir()] == ["chosen.npz"]
    assert caplog.records == []


def test_a_read_only_cache_folder_is_tolerated(tmp_path: Path) -> None:
    (tmp_path / "hubness").write_bytes(b"")  # a file where the folder should be
    kept = HubnessCache(tmp_path / "hubness")
    kept.save_penalties(SPACE, IDS, VALUES)
    assert (tmp_path / "hubness").read_bytes() == b""
    assert np.isnan(kept.load_penalties(SPACE, IDS, IDS[:2], VALUES[:2])).all()


def test_each_segment_is_measured_once(catalog: Catalog, tmp_path: Path) -> None:
    queries = bank()
    background = HubnessModel(catalog, current_of(catalog, tmp_path), queries)
    ids, vectors = catalog.vectors(None, SPACE)
    first = background.hubness_penalty_of(ids[3:9], vectors[3:9])
    np.testing.assert_allclose(first, expected(catalog, ids[3:9], bank()), atol=1e-6)
    before = queries.seen
    np.testing.assert_array_equal(
        background.hubness_penalty_of(ids[8:2:-1], vectors[8:2:-1]), first[::-1]
    )
    assert queries.seen == before


def test_segments_added_since_the_snapshot_are_measured(catalog: Catalog, tmp_path: Path) -> None:
    background = HubnessModel(catalog, current_of(catalog, tmp_path), bank())
    vectors = vectors_with_scores(0.1, 0.2, seed=9)
    for ids in (add_vectors(catalog, "later", vectors), np.array([1, 2])):
        for _ in range(2):
            less = background.hubness_penalty_of(ids, vectors) + np.float32(background.mean_hubness)
            np.testing.assert_allclose(less, bank().hubness_penalty(vectors), atol=1e-6)


def test_cached_segments_are_not_measured_again(catalog: Catalog, tmp_path: Path) -> None:
    kept, current = HubnessCache(tmp_path / "hubness"), current_of(catalog, tmp_path)
    HubnessModel(catalog, current, bank(), kept).save_hubness()
    ids, vectors = catalog.vectors(None, SPACE)
    for queries, most in ((bank(), 8), (bank(seed=2), 48)):  # another bank detects the mismatch
        background = HubnessModel(catalog, current, queries, kept)
        less = background.hubness_penalty_of(ids, vectors)
        np.testing.assert_allclose(less, expected(catalog, ids, queries), atol=1e-6)
        assert queries.seen - len(ids) == most, "only a sample is measured to validate the cache"


def test_hubness_is_saved_after_a_write(tmp_path: Path) -> None:
    encoder = FakeEncoder()
    encoder.querybank = encoder.encode_texts(["red", "blue"])  # type: ignore[attr-defined]
    with Library.open(tmp_path, create=True, encoder=encoder) as library:
        for name, count in (("one", 6), ("two", 9)):
            with library._writer.exclusive():
                add_vectors(library._catalog, name, vectors_with_scores(*[0.5] * count))
        current = library._live_index.take_snapshot()
        assert current is not None
        background = HubnessModel(
            library._catalog,
            current,
            Querybank.from_encoder(encoder),
            HubnessCache(tmp_path / "hubness"),
        )
        assert len(current.segment_ids) == 15
        assert np.isfinite(background._hubness_by_segment).all()


def test_no_hubness_is_saved_without_a_querybank(tmp_path: Path) -> None:
    with (
        Library.open(tmp_path, create=True, encoder=FakeEncoder()) as library,
        library._writer.exclusive(),
    ):
        add_vectors(library._catalog, "one", vectors_with_scores(0.5, 0.4))
    assert not (tmp_path / "hubness").exists()


def test_removing_videos_loads_no_model(tmp_path: Path) -> None:
    with (
        Library.open(tmp_path, create=True, encoder=FakeEncoder()) as library,
        library._writer.exclusive(),
    ):
        for name in ("one", "two"):
            add_vectors(library._catalog, name, vectors_with_scores(0.5, 0.4))
    with Library.open(tmp_path) as library:
        assert library._active_model.is_loaded is False
        library.remove([library.videos()[0].path])
        assert len(library.videos()) == 1
        assert library._active_model.is_loaded is False
