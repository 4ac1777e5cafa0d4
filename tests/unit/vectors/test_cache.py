from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from crafted import CRAFTED, nothing_was_unpickled, write

from vsearch.arrays import save_arrays
from vsearch.types import Space
from vsearch.vectors import cache as module
from vsearch.vectors.cache import Cached, IndexCache, forget
from vsearch.vectors.exact import ExactIndex
from vsearch.vectors.faiss_index import FaissIndex
from vsearch.vectors.layered import IvfIndex, Sq8Index

if TYPE_CHECKING:
    from pathlib import Path

SPACE = Space("clip/../odd name", 4, speaks_text=True)
OTHER = Space("clip____odd name", 4, speaks_text=True)


@pytest.fixture(params=[ExactIndex, FaissIndex, Sq8Index, IvfIndex])
def cls(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def cache(tmp_path: Path, cls: Any) -> IndexCache:
    return IndexCache(tmp_path / "vectors", "kind", cls)


def cached(cls: Any, count: int = 3, revision: int = 5) -> Cached:
    index, ids = cls(4), np.arange(count)
    index.upsert(ids, np.eye(4, dtype=np.float32)[:count])
    return Cached(index, revision, ids)


def files(folder: Path) -> tuple[Path, Path]:
    """The index and its stamp."""
    return next(folder.glob("vectors/*.kind")), next(folder.glob("vectors/*.npz"))


def test_an_index_comes_back_with_its_stamp(cache: IndexCache, cls: Any, tmp_path: Path) -> None:
    cache.store(SPACE, cached(cls))
    found = cache.load(SPACE)
    assert found is not None
    assert (found.revision, found.ids.tolist(), len(found.index)) == (5, [0, 1, 2], 3)
    assert {path.parent for path in tmp_path.rglob("*.kind*")} == {tmp_path / "vectors"}


def test_nothing_saved_is_nothing_found(
    cache: IndexCache, caplog: pytest.LogCaptureFixture
) -> None:
    assert cache.load(SPACE) is None
    assert caplog.records == []


def test_an_index_whose_stamp_was_not_written_is_not_trusted(
    cache: IndexCache, cls: Any, tmp_path: Path
) -> None:
    cache.store(SPACE, cached(cls))
    files(tmp_path)[1].unlink()
    assert cache.load(SPACE) is None


@pytest.mark.parametrize("number", [0, 1], ids=["index", "stamp"])
@pytest.mark.parametrize("name", CRAFTED)
def test_a_file_of_another_kind_means_no_cache(
    cache: IndexCache,
    cls: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    number: int,
) -> None:
    cache.store(SPACE, cached(cls))
    write(files(tmp_path)[number], name)
    assert cache.load(SPACE) is None
    assert "is damaged; the index is made anew from the catalogue" in caplog.text
    assert "unsafe" not in caplog.text
    assert nothing_was_unpickled()


@pytest.mark.parametrize("number", [0, 1], ids=["index", "stamp"])
def test_no_damaged_byte_raises_anything(
    cache: IndexCache, cls: Any, tmp_path: Path, number: int
) -> None:
    cache.store(SPACE, cached(cls))
    path = files(tmp_path)[number]
    whole, refused = path.read_bytes(), 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x08
        path.unlink()  # what is mapped stays as it is
        path.write_bytes(damaged)
        if found := cache.load(SPACE):
            found.index.search(np.ones(4, np.float32), 3)
            found.index.remove(found.ids)
        refused += found is None
    assert refused > len(whole) / 4, "the rest is numbers that may be any"


@pytest.mark.parametrize(
    "told",
    [
        {"ids": np.array(["a", "b", "c"])},
        {"ids": np.arange(3.0)},
        {"ids": np.zeros((3, 1), np.int64)},
        {"ids": np.arange(2)},
        {"ids": np.arange(7, 10)},
        {"revision": "x"},
        {"revision": np.arange(2)},
        {"space": "another"},
        {"space": np.array(["a", "b"])},
    ],
)
def test_a_stamp_that_does_not_fit_means_no_cache(
    cache: IndexCache, cls: Any, tmp_path: Path, told: dict[str, Any]
) -> None:
    cache.store(SPACE, cached(cls))
    sound: dict[str, Any] = {"revision": 5, "ids": np.arange(3), "space": SPACE.name}
    np.savez(files(tmp_path)[1], **sound)
    assert cache.load(SPACE) is not None
    np.savez(files(tmp_path)[1], **(sound | told))
    assert cache.load(SPACE) is None


def test_vectors_of_another_length_mean_no_cache(cache: IndexCache, cls: Any) -> None:
    cache.store(SPACE, cached(cls))
    assert cache.load(Space(SPACE.name, 5, speaks_text=True)) is None


def test_another_space_does_not_find_it(cache: IndexCache, cls: Any) -> None:
    cache.store(SPACE, cached(cls))
    assert cache.load(OTHER) is None


def test_one_index_of_a_space_is_kept_whatever_its_kind(
    cache: IndexCache, cls: Any, tmp_path: Path
) -> None:
    IndexCache(tmp_path / "vectors", "older", cls).store(SPACE, cached(cls))
    cache.store(SPACE, cached(cls))
    assert [path.name for path in sorted((tmp_path / "vectors").iterdir())] == [
        "clip_.._odd_name.kind",
        "clip_.._odd_name.kind.npz",
    ]


def test_a_forgotten_index_is_gone(cache: IndexCache, cls: Any, tmp_path: Path) -> None:
    forget(tmp_path / "vectors", SPACE)
    cache.store(SPACE, cached(cls))
    cache.store(OTHER, cached(cls))
    forget(tmp_path / "vectors", SPACE)
    assert cache.load(SPACE) is None
    assert cache.load(OTHER) is not None


def replacing(cache: IndexCache, cls: Any, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next load meets another process that saves just before or behind it; what follows not."""
    load = cls.load

    def disturbed(path: Path) -> Any:
        monkeypatch.setattr(cls, "load", load)
        found = load(path) if when == "behind" else None
        cache.store(SPACE, cached(cls, revision=6))
        return found or load(path)

    monkeypatch.setattr(cls, "load", disturbed)


@pytest.mark.parametrize("when", ["before", "behind"])
def test_an_index_that_is_replaced_while_it_is_loaded_never_gets_the_stamp_of_another(
    cache: IndexCache, cls: Any, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store(SPACE, cached(cls))
    replacing(cache, cls, when, monkeypatch)
    found = cache.load(SPACE)
    assert found is not None
    assert found.revision == 6


def test_who_finds_no_stamp_in_the_middle_of_a_save_waits_for_it(
    cache: IndexCache, cls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def met(path: Path, told: dict[str, Any]) -> None:
        monkeypatch.setattr(module, "save_arrays", save_arrays)
        monkeypatch.setattr(time, "sleep", lambda _: save_arrays(path, told))
        found.append(cache.load(SPACE))

    found: list[Cached | None] = []
    cache.store(SPACE, cached(cls))
    monkeypatch.setattr(module, "save_arrays", met)
    cache.store(SPACE, cached(cls, revision=6))
    assert [one and one.revision for one in found] == [6]


def test_a_full_disk_costs_the_saved_index_only(
    cache: IndexCache, cls: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    cache.store(SPACE, cached(cls))
    assert cache.load(SPACE) is None
    assert list((tmp_path / "vectors").iterdir()) == []
