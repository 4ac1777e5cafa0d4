from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.crafted_index import CRAFTED, nothing_was_unpickled, write
from vsearch.index import cache as module
from vsearch.index.cache import IndexCache, SavedIndex, delete_saved_indexes
from vsearch.index.exact import ExactIndex
from vsearch.index.faiss_flat import FaissIndex
from vsearch.index.ivf_sq8 import IvfIndex, Sq8Index
from vsearch.protocols import VectorSource
from vsearch.storage.array_files import load_arrays, save_arrays
from vsearch.types import Space

if TYPE_CHECKING:
    from pathlib import Path

SPACE = Space("clip/../odd name", 4, supports_text=True)
OTHER = Space("clip____odd name", 4, supports_text=True)


@pytest.fixture(params=[ExactIndex, FaissIndex, Sq8Index, IvfIndex])
def cls(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def cache(tmp_path: Path, cls: Any) -> IndexCache:
    return IndexCache(tmp_path / "vectors", "kind", cls)


def cached(cls: Any, count: int = 3, revision: int = 5) -> SavedIndex:
    index, ids = cls(4), np.arange(count)
    index.upsert(ids, np.eye(4, dtype=np.float32)[:count])
    return SavedIndex(index, revision, ids)


def files(folder: Path) -> tuple[Path, Path]:
    """Return the paths of the index and its stamp."""
    return next(folder.glob("vectors/*.kind")), next(folder.glob("vectors/*.npz"))


def test_an_index_is_loaded_with_its_stamp(cache: IndexCache, cls: Any, tmp_path: Path) -> None:
    cache.save(SPACE, cached(cls))
    found = cache.load(SPACE)
    assert found is not None
    assert (found.revision, found.vector_ids.tolist(), len(found.index)) == (5, [0, 1, 2], 3)
    assert {path.parent for path in tmp_path.rglob("*.kind*")} == {tmp_path / "vectors"}


def test_nothing_is_loaded_if_nothing_was_saved(
    cache: IndexCache, caplog: pytest.LogCaptureFixture
) -> None:
    assert cache.load(SPACE) is None
    assert caplog.records == []


def test_an_index_without_a_stamp_is_not_used(cache: IndexCache, cls: Any, tmp_path: Path) -> None:
    cache.save(SPACE, cached(cls))
    files(tmp_path)[1].unlink()
    assert cache.load(SPACE) is None


@pytest.mark.parametrize("number", [0, 1], ids=["index", "stamp"])
@pytest.mark.parametrize("name", CRAFTED)
def test_a_malformed_file_is_not_used(
    cache: IndexCache,
    cls: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    number: int,
) -> None:
    cache.save(SPACE, cached(cls))
    write(files(tmp_path)[number], name)
    assert cache.load(SPACE) is None
    assert "is damaged; it is rebuilt from the catalog" in caplog.text
    assert "unsafe" not in caplog.text
    assert nothing_was_unpickled()


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1], ids=["index", "stamp"])
def test_no_damaged_byte_raises_anything(
    cache: IndexCache, cls: Any, tmp_path: Path, number: int
) -> None:
    cache.save(SPACE, cached(cls))
    path = files(tmp_path)[number]
    whole, refused = path.read_bytes(), 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x08
        path.unlink()  # keeps the mapped file
        path.write_bytes(damaged)
        if found := cache.load(SPACE):
            ids, scores = found.index.search(np.arange(4, dtype=np.float32), 3)
            assert (ids.tolist(), found.vector_ids.tolist()) == ([2, 1, 0], [0, 1, 2])
            np.testing.assert_array_equal(scores, [2, 1, 0])
            assert found.revision == 5
        refused += found is None
    assert refused == len(whole) if number == 0 else refused > len(whole) / 2, (
        "the rest are dates and attributes in the archive"
    )


def quantized(tmp_path: Path) -> tuple[IndexCache, Sq8Index, Path]:
    """Save an index with a companion file; return its path, too."""
    vectors = np.random.default_rng(0).normal(size=(5_000, 4)).astype(np.float32)
    source = VectorSource(
        len(vectors),
        lambda count: vectors[:count],
        lambda: iter([(np.arange(len(vectors)), vectors)]),
        lambda: np.empty((0, 4), np.float32),
    )
    index = Sq8Index.build(4, source, single_list=False, check_cancelled=lambda: None)
    cache = IndexCache(tmp_path, "sq8", Sq8Index)
    cache.save(SPACE, SavedIndex(index, 5, np.arange(len(vectors))))
    [companion] = [path for path in tmp_path.iterdir() if path.suffix not in (".sq8", ".npz")]
    return cache, index, companion


def test_a_damaged_code_is_noticed_and_never_stamped(tmp_path: Path) -> None:
    cache, index, companion = quantized(tmp_path)
    with companion.open("r+b") as file:
        file.seek(-9, os.SEEK_END)
        flipped = bytes([file.read(1)[0] ^ 0x80])
        file.seek(-9, os.SEEK_END)
        file.write(flipped)
    assert cache.load(SPACE) is None
    cache, index, companion = quantized(tmp_path / "again")
    times, content = companion.stat(), bytearray(companion.read_bytes())
    content[-9] ^= 0x80
    with companion.open("r+b") as file:
        file.write(content)
    os.utime(companion, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a failing disk does
    index.upsert(np.array([7]), np.ones((1, 4), np.float32))
    cache.save(SPACE, SavedIndex(index, 6, np.arange(5_000)))
    assert cache.load(SPACE) is None


def test_an_index_of_an_older_version_is_rebuilt_without_a_warning(
    cache: IndexCache, cls: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not cache.has_files(SPACE)
    cache.save(SPACE, cached(cls))
    stamp = load_arrays(files(tmp_path)[1], "revision", "ids", "space")
    np.savez(files(tmp_path)[1], **stamp)  # type: ignore[arg-type]
    assert cache.has_files(SPACE)
    assert cache.load(SPACE) is None
    assert caplog.records == []


def test_an_index_file_of_another_library_is_not_used(
    cache: IndexCache, cls: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = cls(4)
    index.upsert(np.arange(3), np.eye(4, dtype=np.float32)[1:])
    other = IndexCache(tmp_path / "other" / "vectors", "kind", cls)
    other.save(SPACE, SavedIndex(index, 5, np.arange(3)))
    cache.save(SPACE, cached(cls))
    files(tmp_path / "other")[0].replace(files(tmp_path)[0])
    assert cache.load(SPACE) is None
    assert "is damaged" in caplog.text


@pytest.mark.parametrize(
    "changed_arrays",
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
        {"files": np.array([], str), "checksums": np.array([], int)},
        {"files": np.array(["../catalog"])},
    ],
)
def test_an_index_with_a_mismatching_stamp_is_not_used(
    cache: IndexCache, cls: Any, tmp_path: Path, changed_arrays: dict[str, Any]
) -> None:
    cache.save(SPACE, cached(cls))
    sound: dict[str, Any] = load_arrays(files(tmp_path)[1])
    np.savez(files(tmp_path)[1], **sound)
    assert cache.load(SPACE) is not None
    np.savez(files(tmp_path)[1], **(sound | changed_arrays))
    assert cache.load(SPACE) is None


def test_vectors_of_another_dimension_are_not_used(cache: IndexCache, cls: Any) -> None:
    cache.save(SPACE, cached(cls))
    assert cache.load(Space(SPACE.name, 5, supports_text=True)) is None


def test_another_space_has_another_index(cache: IndexCache, cls: Any) -> None:
    cache.save(SPACE, cached(cls))
    assert cache.load(OTHER) is None


def test_a_space_has_one_saved_index_of_any_kind(
    cache: IndexCache, cls: Any, tmp_path: Path
) -> None:
    IndexCache(tmp_path / "vectors", "older", cls).save(SPACE, cached(cls))
    cache.save(SPACE, cached(cls))
    assert [path.name for path in sorted((tmp_path / "vectors").iterdir())] == [
        "clip_.._odd_name.kind",
        "clip_.._odd_name.kind.npz",
    ]


def test_a_deleted_index_is_not_loaded(cache: IndexCache, cls: Any, tmp_path: Path) -> None:
    delete_saved_indexes(tmp_path / "vectors", SPACE)
    cache.save(SPACE, cached(cls))
    cache.save(OTHER, cached(cls))
    delete_saved_indexes(tmp_path / "vectors", SPACE)
    assert cache.load(SPACE) is None
    assert cache.load(OTHER) is not None


def replacing(cache: IndexCache, cls: Any, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another process save just before or after the next load, but not later ones."""
    load = cls.load

    def disturbed(path: Path) -> Any:
        monkeypatch.setattr(cls, "load", load)
        found = load(path) if when == "after" else None
        cache.save(SPACE, cached(cls, revision=6))
        return found or load(path)

    monkeypatch.setattr(cls, "load", disturbed)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_index_replaced_while_loading_never_gets_another_stamp(
    cache: IndexCache, cls: Any, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.save(SPACE, cached(cls))
    replacing(cache, cls, when, monkeypatch)
    found = cache.load(SPACE)
    assert found is not None
    assert found.revision == 6


def test_a_reader_waits_for_the_stamp_during_a_save(
    cache: IndexCache, cls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def met(path: Path, changed_arrays: dict[str, Any]) -> None:
        monkeypatch.setattr(module, "save_arrays", save_arrays)
        monkeypatch.setattr(time, "sleep", lambda _: save_arrays(path, changed_arrays))
        found.append(cache.load(SPACE))

    found: list[SavedIndex | None] = []
    cache.save(SPACE, cached(cls))
    monkeypatch.setattr(module, "save_arrays", met)
    cache.save(SPACE, cached(cls, revision=6))
    assert [one and one.revision for one in found] == [6]


def test_a_full_disk_only_loses_the_saved_index(
    cache: IndexCache, cls: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    cache.save(SPACE, cached(cls))
    assert cache.load(SPACE) is None
    assert list((tmp_path / "vectors").iterdir()) == []
