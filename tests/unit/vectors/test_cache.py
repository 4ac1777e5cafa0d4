from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.types import Space
from vsearch.vectors.cache import Cached, IndexCache
from vsearch.vectors.exact import ExactIndex

if TYPE_CHECKING:
    from pathlib import Path

SPACE = Space("clip/../odd name", 4, speaks_text=True)


@pytest.fixture
def cache(tmp_path: Path) -> IndexCache:
    return IndexCache(tmp_path / "vectors", "exact", ExactIndex)


def cached(count: int = 3, revision: int = 5) -> Cached:
    index, ids = ExactIndex(4), np.arange(count)
    index.upsert(ids, np.eye(4, dtype=np.float32)[:count])
    return Cached(index, revision, ids)


def test_an_index_comes_back_with_its_stamp(cache: IndexCache, tmp_path: Path) -> None:
    cache.store(SPACE, cached())
    found = cache.load(SPACE)
    assert found is not None
    assert (found.revision, found.ids.tolist(), len(found.index)) == (5, [0, 1, 2], 3)
    assert {path.parent for path in tmp_path.rglob("*.exact*")} == {tmp_path / "vectors"}


def test_nothing_saved_is_nothing_found(cache: IndexCache) -> None:
    assert cache.load(SPACE) is None


def test_an_index_whose_stamp_was_not_written_is_not_trusted(
    cache: IndexCache, tmp_path: Path
) -> None:
    cache.store(SPACE, cached())
    next((tmp_path / "vectors").glob("*.npz")).unlink()
    assert cache.load(SPACE) is None


@pytest.mark.parametrize("pattern", ["*.exact", "*.npz"])
def test_a_damaged_file_means_no_cache(cache: IndexCache, tmp_path: Path, pattern: str) -> None:
    cache.store(SPACE, cached())
    path = next((tmp_path / "vectors").glob(pattern))
    path.write_bytes(path.read_bytes()[:40])
    assert cache.load(SPACE) is None


def test_another_space_does_not_find_it(cache: IndexCache) -> None:
    cache.store(SPACE, cached())
    assert cache.load(Space("clip____odd name", 4, speaks_text=True)) is None
