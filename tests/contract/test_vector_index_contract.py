"""Contract test of the `VectorIndex` protocol: every index returns exact results if small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from vsearch.errors import DamagedLibraryError
from vsearch.index.exact import ExactIndex
from vsearch.index.faiss_flat import FaissIndex
from vsearch.index.ivf_sq8 import IvfIndex, Sq8Index
from vsearch.protocols import VectorIndex
from vsearch.storage.atomic_files import damage_as_error

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Ids, Matrix

DIM = 16


def unit_rows(count: int, seed: int = 0) -> Matrix:
    rows: Matrix = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def ids(*values: int) -> Ids:
    return np.array(values, np.int64)


@pytest.fixture(params=[ExactIndex, FaissIndex, Sq8Index, IvfIndex])
def cls(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def index(cls: Any) -> VectorIndex:
    index: VectorIndex = cls(DIM)
    return index


def test_it_implements_the_protocol(index: VectorIndex) -> None:
    assert isinstance(index, VectorIndex)
    assert len(index) == 0


def test_results_are_sorted_by_inner_product(index: VectorIndex) -> None:
    vectors = unit_rows(50)
    index.upsert(np.arange(100, 150), vectors)
    found_ids, scores = index.search(vectors[7], 5)
    expected = np.argsort(-(vectors @ vectors[7]))[:5]
    assert found_ids.tolist() == (expected + 100).tolist()
    assert scores == pytest.approx(np.sort(vectors @ vectors[7])[::-1][:5], abs=1e-5)
    assert found_ids.dtype == np.int64
    assert scores.dtype == np.float32


def test_k_may_exceed_the_number_of_vectors(index: VectorIndex) -> None:
    index.upsert(ids(1, 2, 3), unit_rows(3))
    assert sorted(index.search(unit_rows(1)[0], 10)[0]) == [1, 2, 3]


def test_an_empty_index_finds_nothing(index: VectorIndex) -> None:
    found_ids, scores = index.search(unit_rows(1)[0], 10)
    assert found_ids.shape == scores.shape == (0,)


def test_upsert_replaces_a_vector(index: VectorIndex) -> None:
    vectors = unit_rows(4)
    index.upsert(ids(1, 2), vectors[:2])
    index.upsert(ids(2, 3), vectors[2:])
    assert len(index) == 3
    assert index.search(vectors[2], 1)[0].tolist() == [2]


def test_the_last_of_equal_ids_in_one_call_counts(index: VectorIndex) -> None:
    vectors = unit_rows(2)
    index.upsert(ids(5, 5), vectors)
    assert len(index) == 1
    assert index.search(vectors[1], 1)[1] == pytest.approx([1.0], abs=1e-5)


def test_removed_ids_are_not_found_and_unknown_ids_are_ignored(index: VectorIndex) -> None:
    vectors = unit_rows(10)
    index.upsert(np.arange(10), vectors)
    index.remove(ids(3, 99))
    assert len(index) == 9
    assert 3 not in index.search(vectors[3], 10)[0]


def test_allowed_ids_restrict_the_search(index: VectorIndex) -> None:
    vectors = unit_rows(100)
    index.upsert(np.arange(100), vectors)
    found_ids, _ = index.search(vectors[0], 10, allowed_ids=ids(5, 6, 700))
    assert sorted(found_ids) == [5, 6]
    assert len(index.search(vectors[0], 10, allowed_ids=ids())[0]) == 0


def test_ties_are_ordered_by_id(index: VectorIndex) -> None:
    index.upsert(ids(9, 4, 6), np.repeat(unit_rows(1), 3, axis=0))
    assert index.search(unit_rows(1)[0], 3)[0].tolist() == [4, 6, 9]


def test_it_saves_and_loads(index: VectorIndex, cls: Any, tmp_path: Path) -> None:
    vectors = unit_rows(20)
    index.upsert(np.arange(20), vectors)
    index.save(tmp_path / "deep" / "index")
    again = cls.load(tmp_path / "deep" / "index")
    assert len(again) == 20
    assert again.search(vectors[4], 3)[0].tolist() == index.search(vectors[4], 3)[0].tolist()
    again.upsert(ids(77), unit_rows(1, seed=9))  # a loaded index can be changed
    again.remove(ids(0))
    assert len(again) == 20


def test_an_empty_index_saves_and_loads(index: VectorIndex, cls: Any, tmp_path: Path) -> None:
    index.save(tmp_path / "index")
    assert len(cls.load(tmp_path / "index")) == 0


@pytest.mark.parametrize("junk", [b"", b"junk" * 100, b"\x93NUMPY\x01\x00v\x00{'descr': '<i8'"])
def test_an_invalid_file_is_refused(cls: Any, tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "index").write_bytes(junk)
    with (
        pytest.raises(DamagedLibraryError, match="is damaged"),
        damage_as_error(tmp_path / "index", ""),
    ):
        cls.load(tmp_path / "index")


def test_ids_may_be_microseconds_since_the_epoch(
    index: VectorIndex, cls: Any, tmp_path: Path
) -> None:
    vectors, timestamp_ids = unit_rows(20), 1_790_000_000_000_000 + np.arange(20)
    index.upsert(timestamp_ids, vectors)
    index.remove(timestamp_ids[:5])
    index.save(tmp_path / "index")
    again = cls.load(tmp_path / "index")
    assert again.search(vectors[7], 1)[0].tolist() == [timestamp_ids[7]]
    found_ids, _ = again.search(vectors[7], 20, allowed_ids=timestamp_ids[:8])
    assert sorted(found_ids) == timestamp_ids[5:8].tolist()


def test_vectors_of_another_dimension_are_refused(index: VectorIndex) -> None:
    with pytest.raises(ValueError, match="vectors"):
        index.upsert(ids(1), np.ones((1, DIM + 1), np.float32))
