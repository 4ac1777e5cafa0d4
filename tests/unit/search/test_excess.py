"""What is taken off the scores of segments is measured once, and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from filled import SPACE, add, scoring

from fakes import FakeEncoder
from vsearch import Library
from vsearch.arrays import save_stack
from vsearch.catalog.repository import Catalog
from vsearch.search.background import Background
from vsearch.search.current import Current, CurrentIndex
from vsearch.search.excess import Excess
from vsearch.search.querybank import Querybank

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.types import Ids, Matrix, Vector

IDS = np.arange(10, 20)
VALUES = np.linspace(0.1, 0.4, 10).astype(np.float32)


class Counting(Querybank):
    """Remembers how many vectors were looked at."""

    seen = 0

    def excess(self, vectors: Matrix) -> Vector:
        self.seen += len(vectors)
        return super().excess(vectors)


def bank(seed: int = 1) -> Counting:
    return Counting(scoring(*[0.3] * 50, seed=seed))


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as opened:
        add(opened, "film", scoring(*np.linspace(0, 0.9, 40)))
        yield opened


def current_of(catalog: Catalog, folder: Path) -> Current:
    found = CurrentIndex(catalog, folder / "vectors", "exact").get()
    assert found is not None
    return found


def expected(catalog: Catalog, ids: Ids, queries: Querybank) -> Vector:
    """What a background without a memory takes off."""
    known, vectors = catalog.vectors(None, SPACE)
    all_of_it = queries.excess(vectors)
    less: Vector = all_of_it[np.searchsorted(known, ids)] - all_of_it[::5].mean()
    return less


def test_what_was_kept_is_known_again_and_nothing_of_others(tmp_path: Path) -> None:
    kept = Excess(tmp_path / "excess")
    kept.keep(SPACE, IDS, VALUES)
    found = kept.of(SPACE, np.array([5, 11, 19, 25]), np.array([11]), VALUES[1:2])
    np.testing.assert_array_equal(found, [np.nan, VALUES[1], VALUES[9], np.nan])
    np.testing.assert_array_equal(kept.of(SPACE, IDS, IDS[:2], VALUES[:2]), VALUES)


def test_what_is_of_other_vectors_or_another_bank_is_not_used(tmp_path: Path) -> None:
    kept = Excess(tmp_path / "excess")
    kept.keep(SPACE, IDS, VALUES)
    assert np.isnan(kept.of(SPACE, IDS, IDS[:2], VALUES[:2] + np.float32(0.01))).all()


@pytest.mark.parametrize("damage", ["junk", "empty", "folder", "shape", "order", "numbers"])
def test_what_is_damaged_is_as_if_nothing_were_kept(tmp_path: Path, damage: str) -> None:
    kept = Excess(tmp_path)
    kept.keep(SPACE, IDS, VALUES)
    [path] = tmp_path.iterdir()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage in ("junk", "empty"):
        path.write_bytes(b"junk" if damage == "junk" else b"")
    else:
        ids = IDS[::-1] if damage == "order" else IDS
        values = VALUES * np.float32(np.inf) if damage == "numbers" else VALUES
        save_stack(path, ids, values[:3] if damage == "shape" else values)
    assert np.isnan(kept.of(SPACE, IDS, IDS[:2], VALUES[:2])).all()


def test_a_folder_that_cannot_be_written_to_costs_the_keeping_only(tmp_path: Path) -> None:
    (tmp_path / "excess").write_bytes(b"")  # a file where the folder should be
    kept = Excess(tmp_path / "excess")
    kept.keep(SPACE, IDS, VALUES)
    assert (tmp_path / "excess").read_bytes() == b""
    assert np.isnan(kept.of(SPACE, IDS, IDS[:2], VALUES[:2])).all()


def test_each_segment_is_measured_once(catalog: Catalog, tmp_path: Path) -> None:
    queries = bank()
    background = Background(catalog, current_of(catalog, tmp_path), queries)
    ids, vectors = catalog.vectors(None, SPACE)
    first = background.excess_of(ids[3:9], vectors[3:9])
    np.testing.assert_allclose(first, expected(catalog, ids[3:9], bank()), atol=1e-6)
    before = queries.seen
    np.testing.assert_array_equal(background.excess_of(ids[8:2:-1], vectors[8:2:-1]), first[::-1])
    assert queries.seen == before


def test_segments_that_came_meanwhile_are_measured_as_well(
    catalog: Catalog, tmp_path: Path
) -> None:
    background = Background(catalog, current_of(catalog, tmp_path), bank())
    vectors = scoring(0.1, 0.2, seed=9)
    for ids in (add(catalog, "later", vectors), np.array([1, 2])):
        for _ in range(2):
            less = background.excess_of(ids, vectors) + np.float32(background.middle)
            np.testing.assert_allclose(less, bank().excess(vectors), atol=1e-6)


def test_what_was_kept_is_not_measured_again(catalog: Catalog, tmp_path: Path) -> None:
    kept, current = Excess(tmp_path / "excess"), current_of(catalog, tmp_path)
    Background(catalog, current, bank(), kept).keep()
    ids, vectors = catalog.vectors(None, SPACE)
    for queries, most in ((bank(), 8), (bank(seed=2), 48)):  # another bank is not fooled
        background = Background(catalog, current, queries, kept)
        less = background.excess_of(ids, vectors)
        np.testing.assert_allclose(less, expected(catalog, ids, queries), atol=1e-6)
        assert queries.seen - len(ids) == most, "a sample tells that it is the same"


def test_it_is_kept_at_the_end_of_what_changes_a_library(tmp_path: Path) -> None:
    encoder = FakeEncoder()
    encoder.querybank = encoder.encode_texts(["red", "blue"])  # type: ignore[attr-defined]
    with Library.open(tmp_path, encoder=encoder) as library:
        for name, count in (("one", 6), ("two", 9)):
            with library._workshop.writing():
                add(library._catalog, name, scoring(*[0.5] * count))
        current = library._current.get()
        assert current is not None
        background = Background(
            library._catalog, current, Querybank.of(encoder), Excess(tmp_path / "excess")
        )
        assert len(current.ids) == 15
        assert np.isfinite(background._each).all()


def test_nothing_is_kept_for_a_model_without_a_querybank(tmp_path: Path) -> None:
    with Library.open(tmp_path, encoder=FakeEncoder()) as library, library._workshop.writing():
        add(library._catalog, "one", scoring(0.5, 0.4))
    assert not (tmp_path / "excess").exists()


def test_what_only_removes_loads_no_model(tmp_path: Path) -> None:
    with Library.open(tmp_path, encoder=FakeEncoder()) as library, library._workshop.writing():
        for name in ("one", "two"):
            add(library._catalog, name, scoring(0.5, 0.4))
    with Library.open(tmp_path) as library:
        assert library._model.loaded is False
        library.remove([library.videos()[0].path])
        assert len(library.videos()) == 1
        assert library._model.loaded is False
