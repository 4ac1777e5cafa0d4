from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
from filled import QUERY, SPACE, add, scoring

from vsearch.catalog.repository import Catalog
from vsearch.errors import LibraryError
from vsearch.search import current
from vsearch.search.current import Current, CurrentIndex
from vsearch.vectors import cache
from vsearch.vectors.exact import ExactIndex
from vsearch.vectors.faiss_index import FaissIndex

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as opened:
        yield opened


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    return tmp_path / "vectors"


def got(index: CurrentIndex) -> Current:
    found = index.get()
    assert found is not None
    return found


def agrees(index: CurrentIndex, catalog: Catalog) -> bool:
    """Whether the index holds what the catalogue does, vector by vector."""
    held = got(index)
    ids, rows = catalog.vectors(None, SPACE)
    best = [held.index.search(row, 1)[0][0] for row in rows]
    return len(held.index) == len(ids) and best == held.ids.tolist() == ids.tolist()


def test_nothing_is_found_before_anything_is_indexed(catalog: Catalog, vectors: Path) -> None:
    index = CurrentIndex(catalog, vectors, "auto")
    assert index.get() is None
    index.save()
    index.forget()
    assert not vectors.exists()


@pytest.mark.parametrize("kind", ["exact", "faiss"])
def test_the_index_follows_the_catalogue_and_comes_back_from_its_file(
    catalog: Catalog, vectors: Path, kind: str
) -> None:
    index = CurrentIndex(catalog, vectors, kind)
    for name, seed in (("a", 1), ("b", 2), ("a", 3)):
        add(catalog, name, scoring(0.5, 0.2, seed=seed))
        assert agrees(index, catalog)
    index.save()
    again = CurrentIndex(catalog, vectors, kind)
    assert agrees(again, catalog)
    add(catalog, "c", scoring(0.1))
    assert agrees(again, catalog)
    assert got(again).ids is got(again).ids, "nothing is read again while nothing changes"


@pytest.mark.parametrize("kind", ["exact", "faiss"])
def test_a_restored_backup_is_searched_as_it_is(tmp_path: Path, vectors: Path, kind: str) -> None:
    file, backup = tmp_path / "catalog.sqlite3", tmp_path / "backup.sqlite3"
    with Catalog.open(file, create=True) as catalog:
        add(catalog, "a", scoring(0.9, 0.8))
        shutil.copy(file, backup)
    with Catalog.open(file) as catalog:
        add(catalog, "lost", scoring(0.7, 0.6, seed=1))
        CurrentIndex(catalog, vectors, kind).save()
    shutil.copy(backup, file)
    with Catalog.open(file) as catalog:
        add(catalog, "new", scoring(0.1, 0.2, seed=2))
        assert agrees(CurrentIndex(catalog, vectors, kind), catalog)


def test_a_library_that_outgrows_exact_search_has_a_sound_index_of_the_other_kind(
    catalog: Catalog,
    vectors: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(current, "EXACT_UP_TO", 3)
    index = CurrentIndex(catalog, vectors, "auto")
    add(catalog, "a", scoring(0.1, 0.2, 0.3))
    index.save()
    assert isinstance(got(index).index, ExactIndex)
    add(catalog, "b", scoring(0.4, seed=1))
    index.save()
    assert isinstance(got(index).index, FaissIndex)
    assert agrees(index, catalog)
    assert sorted(file.name for file in vectors.iterdir()) == ["chosen.faiss", "chosen.faiss.npz"]
    again = CurrentIndex(catalog, vectors, "auto")
    assert isinstance(got(again).index, FaissIndex)
    assert agrees(again, catalog)
    add(catalog, "b", scoring())
    assert isinstance(got(again).index, ExactIndex)
    assert agrees(again, catalog)
    assert caplog.records == []


def test_a_forgotten_index_is_made_from_the_catalogue_alone(
    catalog: Catalog, vectors: Path
) -> None:
    ids = add(catalog, "a", scoring(0.9, 0.1))
    index = CurrentIndex(catalog, vectors, "exact")
    got(index).index.upsert(ids, scoring(0.2, 0.8, seed=7))  # as if the file was tampered with
    index.save()
    assert not agrees(CurrentIndex(catalog, vectors, "exact"), catalog)
    index.forget()
    assert list(vectors.iterdir()) == []
    assert agrees(index, catalog)
    assert agrees(CurrentIndex(catalog, vectors, "exact"), catalog)


def test_an_index_that_cannot_be_deleted_is_named(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(vectors / "chosen.exact.npz"))

    add(catalog, "a", scoring(0.9))
    monkeypatch.setattr(current, "forget", refuse)
    with pytest.raises(LibraryError, match=r"chosen\.exact\.npz cannot be deleted \(Permission"):
        CurrentIndex(catalog, vectors, "exact").forget()
    assert cache.forget is not refuse


@pytest.mark.parametrize("kind", ["exact", "faiss"])
def test_a_segment_without_a_vector_is_no_part_of_the_index(
    catalog: Catalog,
    tmp_path: Path,
    vectors: Path,
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ids = add(catalog, "a", scoring(0.9, 0.8, 0.7))
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite3")) as raw, raw:
        raw.execute("DELETE FROM vectors WHERE segment_id = ?", (int(ids[1]),))
    index = CurrentIndex(catalog, vectors, kind)
    assert got(index).ids.tolist() == [ids[0], ids[2]]
    index.save()
    found, _ = got(CurrentIndex(catalog, vectors, kind)).index.search(QUERY, 5)
    assert found.tolist() == [ids[0], ids[2]]
    assert caplog.records == [], "what was saved fits its stamp"


def test_a_sweep_deletes_what_a_killed_run_left(catalog: Catalog, vectors: Path) -> None:
    index = CurrentIndex(catalog, vectors, "exact")
    index.sweep()
    add(catalog, "a", scoring(0.9))
    index.save()
    (vectors / "chosen.exact.4711.part").touch()
    index.sweep()
    assert sorted(file.name for file in vectors.iterdir()) == ["chosen.exact", "chosen.exact.npz"]


def test_a_damaged_file_costs_a_warning_only(
    catalog: Catalog, vectors: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add(catalog, "a", scoring(0.9, 0.8))
    CurrentIndex(catalog, vectors, "faiss").save()
    np.save(vectors / "chosen.faiss", np.zeros(3))
    (vectors / "chosen.faiss.npy").replace(vectors / "chosen.faiss")
    assert agrees(CurrentIndex(catalog, vectors, "faiss"), catalog)
    assert "made anew from the catalogue" in caplog.text
