from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from filled import QUERY, SPACE, add, scoring

from vsearch.catalog.repository import Catalog
from vsearch.errors import LibraryError
from vsearch.search import current
from vsearch.search.current import Current, CurrentIndex
from vsearch.vectors import cache
from vsearch.vectors.exact import ExactIndex
from vsearch.vectors.layered import IvfIndex, Sq8Index
from vsearch.vectors.rescored import Rescored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vsearch.protocols import VectorIndex
    from vsearch.types import Ids, Matrix
    from vsearch.vectors.source import Source


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


def kind(index: CurrentIndex) -> type[VectorIndex]:
    """What answers, below the rescoring."""
    found = got(index).index
    return type(found.index) if isinstance(found, Rescored) else type(found)


def test_nothing_is_found_before_anything_is_indexed(catalog: Catalog, vectors: Path) -> None:
    index = CurrentIndex(catalog, vectors, "auto")
    assert index.get() is None
    index.save()
    index.forget()
    assert not vectors.exists()


@pytest.mark.parametrize("kind", ["exact", "faiss", "sq8", "ivf"])
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


def test_while_nothing_goes_only_what_came_is_read(catalog: Catalog, vectors: Path) -> None:
    index = CurrentIndex(catalog, vectors, "exact")
    first = add(catalog, "a", scoring(*[0.5] * 20))
    got(index)
    read: list[int] = []
    segment_ids = catalog.segment_ids

    def counting(*args: Any, **named: Any) -> Ids:
        found = segment_ids(*args, **named)
        read.extend(found.tolist())
        return found

    catalog.segment_ids = counting  # type: ignore[method-assign]
    added = add(catalog, "b", scoring(0.2, 0.3, seed=1))
    assert got(index).ids.tolist() == [*first, *added]
    assert read == added.tolist()
    with catalog.begin() as change:
        change.remove_videos([catalog.videos(["/a"])[0].id])
    newest = add(catalog, "c", scoring(0.1, seed=2))
    assert got(index).ids.tolist() == [*added, *newest]
    assert len(got(index).index) == 3


def test_an_index_that_was_saved_is_opened_without_counting_the_library(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(catalog, "a", scoring(0.5, 0.4))
    CurrentIndex(catalog, vectors, "auto").save()
    monkeypatch.setattr(Catalog, "segment_count", None)
    monkeypatch.setattr(Catalog, "segment_ids", None)
    assert len(got(CurrentIndex(catalog, vectors, "auto")).ids) == 2


@pytest.mark.parametrize("kind", ["exact", "faiss", "sq8", "ivf"])
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
    monkeypatch.setattr(current, "PATIENCE", 300)
    index = CurrentIndex(catalog, vectors, "auto")
    add(catalog, "a", scoring(0.1, 0.2, 0.3))
    index.save()
    assert isinstance(got(index).index, ExactIndex)
    add(catalog, "b", scoring(0.4, seed=1))
    assert isinstance(got(index).index, ExactIndex), "it answers until the other one is there"
    assert agrees(index, catalog)
    index.save()
    assert kind(index) is Sq8Index
    assert agrees(index, catalog)
    assert sorted(file.name for file in vectors.iterdir()) == ["chosen.sq8", "chosen.sq8.npz"]
    again = CurrentIndex(catalog, vectors, "auto")
    assert kind(again) is Sq8Index
    assert agrees(again, catalog)
    monkeypatch.setattr(current, "FLAT_UP_TO", 4)
    add(catalog, "c", scoring(0.5, 0.6, seed=2))
    again.renew()
    assert kind(again) is IvfIndex
    assert agrees(again, catalog)
    add(catalog, "b", scoring())
    add(catalog, "c", scoring())
    assert agrees(again, catalog)
    again.renew()
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


@pytest.mark.parametrize("kind", ["exact", "faiss", "sq8", "ivf"])
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


def many(count: int, seed: int = 0) -> Matrix:
    """Vectors enough for an index of bytes."""
    rows = np.random.default_rng(seed).normal(size=(count, SPACE.dim)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("kind", ["sq8", "ivf"])
def test_an_index_of_bytes_answers_with_the_scores_of_the_catalogue(
    catalog: Catalog, vectors: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "QUICKLY", 100)
    add(catalog, "a", many(5_000))
    CurrentIndex(catalog, vectors, kind).save()
    index = CurrentIndex(catalog, vectors, kind)
    rows = catalog.vectors(None, SPACE)[1]
    for query in rows[::500]:
        ids, scores = got(index).index.search(query, 5)
        assert scores == pytest.approx(np.sort(rows @ query)[::-1][:5], abs=1e-6)
        assert ids.tolist() == got(index).ids[np.argsort(-(rows @ query))[:5]].tolist()
    index.close()


def before_it_is_built(
    monkeypatch: pytest.MonkeyPatch, cls: type[Sq8Index], do: Callable[[], None]
) -> None:
    """Have something happen whenever an index of that class is about to be built."""
    build: Any = cls.built.__func__  # type: ignore[attr-defined]

    def built(cls: type[Sq8Index], *args: Any, **options: Any) -> Any:
        do()
        return build(cls, *args, **options)

    monkeypatch.setattr(cls, "built", classmethod(built))


def test_a_thread_builds_what_is_overdue_while_the_old_index_answers(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "PATIENCE", 0)
    index = CurrentIndex(catalog, vectors, "ivf")
    add(catalog, "small", scoring(0.9))
    assert len(got(index).index) == 1
    ids = add(catalog, "large", many(4_900))  # caught up by id: few enough for that
    reached, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        assert go_on.wait(60)

    before_it_is_built(monkeypatch, IvfIndex, wait)
    old = got(index).index
    assert reached.wait(60)
    assert got(index).index.index is old.index  # type: ignore[attr-defined]
    assert len(old.search(QUERY, 3)[0]) == 3
    add(catalog, "small", scoring(0.95, seed=1))  # the thread does not know
    add(catalog, "more", scoring(0.99, seed=2))
    assert agrees(index, catalog)
    go_on.set()
    assert index._builder is not None
    index._builder.join(60)
    new = got(index).index
    assert new.index is not old.index  # type: ignore[attr-defined]
    assert not new.index.overdue  # type: ignore[attr-defined]
    assert agrees(index, catalog)
    assert len(got(index).ids) == len(ids) + 2
    index.close()


def test_what_a_thread_builds_of_a_forgotten_index_is_not_used(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "PATIENCE", 300)
    add(catalog, "a", many(4_900))
    index = CurrentIndex(catalog, vectors, "sq8")
    old = got(index).index
    before_it_is_built(monkeypatch, Sq8Index, index.forget)
    index.renew()
    assert index._held is None
    assert len(old) == len(got(index).index) == 4_900
    index.close()


def test_closing_ends_what_is_being_built(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "PATIENCE", 0)
    add(catalog, "a", many(4_900))
    index = CurrentIndex(catalog, vectors, "sq8")
    reached = threading.Event()

    def built(_: Any, dim: int, __: Any, *, quick: bool, stop: Callable[[], None]) -> Sq8Index:
        reached.set()
        while True:
            stop()
            time.sleep(0.01)

    monkeypatch.setattr(Sq8Index, "built", classmethod(built))
    assert len(got(index).index) == 4_900
    assert reached.wait(60)
    index.close()
    assert index._builder is not None
    assert not index._builder.is_alive()
    assert len(got(index).index) == 4_900


def test_closing_waits_for_a_thread_that_is_about_to_start(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "PATIENCE", 300)
    add(catalog, "a", many(4_900))
    index = CurrentIndex(catalog, vectors, "sq8")
    closer, start = threading.Thread(target=index.close), threading.Thread.start

    def late(thread: threading.Thread) -> None:
        start(closer)
        assert index._closing.wait(60)
        closer.join(0.2)  # nothing to join yet
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", late)
    assert len(got(index).index) == 4_900
    closer.join(60)
    assert not closer.is_alive()
    assert index._builder is not None
    assert not index._builder.is_alive()


def test_an_index_may_look_at_all_vectors_more_than_once(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(cls: type[Sq8Index], /, dim: int, made: Source, **_: object) -> Sq8Index:
        index = cls(dim)
        for _look in range(2):
            for ids, rows in made.batches():
                index.upsert(ids, rows)
        return index

    monkeypatch.setattr(Sq8Index, "built", classmethod(built))
    monkeypatch.setattr(current, "QUICKLY", 1)
    ids = add(catalog, "a", scoring(0.9, 0.8, 0.7))
    index = CurrentIndex(catalog, vectors, "sq8")
    assert got(index).ids.tolist() == ids.tolist()
    index.close()


def test_an_index_that_another_process_built_is_taken(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "PATIENCE", 300)
    add(catalog, "a", many(4_900))
    index = CurrentIndex(catalog, vectors, "ivf")
    assert got(index).index.index.overdue  # type: ignore[attr-defined]
    CurrentIndex(catalog, vectors, "ivf").save()
    monkeypatch.setattr(IvfIndex, "built", None)  # nobody may
    index.renew()
    assert not got(index).index.index.overdue  # type: ignore[attr-defined]
    assert agrees(index, catalog)
    index.close()


def test_a_killed_save_costs_the_saved_index_only(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(catalog, "a", many(4_900))
    CurrentIndex(catalog, vectors, "sq8").save()

    def killed(*_: object) -> None:
        raise SystemExit

    for place in ("save_arrays", "forget"):
        index = CurrentIndex(catalog, vectors, "sq8")
        add(catalog, "b", scoring(0.5, seed=3))
        with monkeypatch.context() as patch:
            patch.setattr(cache, place, killed)
            with pytest.raises(SystemExit):
                index.save()
        add(catalog, "b", scoring())
        assert agrees(CurrentIndex(catalog, vectors, "sq8"), catalog)
    CurrentIndex(catalog, vectors, "sq8").save()
    assert len(list(vectors.iterdir())) == 3, "nothing is left behind"
