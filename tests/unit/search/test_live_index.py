from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.filled_library import QUERY, SPACE, add_vectors, vectors_with_scores
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.lock import WriteLock
from vsearch.errors import LibraryError
from vsearch.index import cache
from vsearch.index.exact import ExactIndex
from vsearch.index.ivf_sq8 import IvfIndex, Sq8Index
from vsearch.index.rescoring import RescoringIndex
from vsearch.search import live_index
from vsearch.search.live_index import IndexSnapshot, LiveIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vsearch.protocols import VectorIndex, VectorSource
    from vsearch.types import Ids, Matrix


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as opened:
        yield opened


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    return tmp_path / "vectors"


def got(index: LiveIndex) -> IndexSnapshot:
    found = index.take_snapshot()
    assert found is not None
    return found


def agrees(index: LiveIndex, catalog: Catalog) -> bool:
    """Return True if the index contains exactly the vectors of the catalog."""
    held = got(index)
    ids, rows = catalog.vectors(None, SPACE)
    best = [held.vector_index.search(row, 1)[0][0] for row in rows]
    return len(held.vector_index) == len(ids) and best == held.segment_ids.tolist() == ids.tolist()


def kind(index: LiveIndex) -> type[VectorIndex]:
    """Return the index below the rescoring wrapper."""
    found = got(index).vector_index
    return type(found.base_index) if isinstance(found, RescoringIndex) else type(found)


def test_there_is_no_snapshot_before_indexing(catalog: Catalog, vectors: Path) -> None:
    index = LiveIndex(catalog, vectors, "auto")
    assert index.take_snapshot() is None
    index.save()
    index.invalidate()
    assert not vectors.exists()


@pytest.mark.parametrize("kind", ["exact", "faiss", "sq8", "ivf"])
def test_the_index_follows_the_catalog_and_is_restored_from_disk(
    catalog: Catalog, vectors: Path, kind: str
) -> None:
    index = LiveIndex(catalog, vectors, kind)
    for name, seed in (("a", 1), ("b", 2), ("a", 3)):
        add_vectors(catalog, name, vectors_with_scores(0.5, 0.2, seed=seed))
        assert agrees(index, catalog)
    index.save()
    again = LiveIndex(catalog, vectors, kind)
    assert agrees(again, catalog)
    add_vectors(catalog, "c", vectors_with_scores(0.1))
    assert agrees(again, catalog)
    assert got(again).segment_ids is got(again).segment_ids, (
        "nothing is read again while nothing changes"
    )


def test_without_removals_only_new_ids_are_read(catalog: Catalog, vectors: Path) -> None:
    index = LiveIndex(catalog, vectors, "exact")
    first = add_vectors(catalog, "a", vectors_with_scores(*[0.5] * 20))
    got(index)
    read: list[int] = []
    segment_ids = catalog.segment_ids

    def counting(*args: Any, **named: Any) -> Ids:
        found = segment_ids(*args, **named)
        read.extend(found.tolist())
        return found

    catalog.segment_ids = counting  # type: ignore[method-assign]
    added = add_vectors(catalog, "b", vectors_with_scores(0.2, 0.3, seed=1))
    assert got(index).segment_ids.tolist() == [*first, *added]
    assert read == added.tolist()
    with catalog.begin() as change:
        change.remove_videos([catalog.videos(["/a"])[0].id])
    newest = add_vectors(catalog, "c", vectors_with_scores(0.1, seed=2))
    assert got(index).segment_ids.tolist() == [*added, *newest]
    assert len(got(index).vector_index) == 3


def test_a_saved_index_is_opened_without_counting_segments(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_vectors(catalog, "a", vectors_with_scores(0.5, 0.4))
    LiveIndex(catalog, vectors, "auto").save()
    monkeypatch.setattr(Catalog, "segment_count", None)
    monkeypatch.setattr(Catalog, "segment_ids", None)
    assert len(got(LiveIndex(catalog, vectors, "auto")).segment_ids) == 2


@pytest.mark.parametrize("kind", ["exact", "faiss", "sq8", "ivf"])
def test_a_restored_backup_is_searched_correctly(tmp_path: Path, vectors: Path, kind: str) -> None:
    file, backup = tmp_path / "catalog.sqlite3", tmp_path / "backup.sqlite3"
    with Catalog.open(file, create=True) as catalog:
        add_vectors(catalog, "a", vectors_with_scores(0.9, 0.8))
        shutil.copy(file, backup)
    with Catalog.open(file) as catalog:
        add_vectors(catalog, "lost", vectors_with_scores(0.7, 0.6, seed=1))
        LiveIndex(catalog, vectors, kind).save()
    shutil.copy(backup, file)
    with Catalog.open(file) as catalog:
        add_vectors(catalog, "new", vectors_with_scores(0.1, 0.2, seed=2))
        assert agrees(LiveIndex(catalog, vectors, kind), catalog)


def test_a_growing_library_switches_to_a_valid_index_of_the_next_kind(
    catalog: Catalog,
    vectors: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(live_index, "MAX_EXACT_SEGMENTS", 3)
    monkeypatch.setattr(live_index, "BUILD_DELAY_SECONDS", 300)
    index = LiveIndex(catalog, vectors, "auto")
    add_vectors(catalog, "a", vectors_with_scores(0.1, 0.2, 0.3))
    index.save()
    assert isinstance(got(index).vector_index, ExactIndex)
    add_vectors(catalog, "b", vectors_with_scores(0.4, seed=1))
    assert isinstance(got(index).vector_index, ExactIndex), (
        "it answers until the other one is there"
    )
    assert agrees(index, catalog)
    index.save()
    assert kind(index) is Sq8Index
    assert agrees(index, catalog)
    assert sorted(file.name for file in vectors.iterdir()) == ["chosen.sq8", "chosen.sq8.npz"]
    again = LiveIndex(catalog, vectors, "auto")
    assert kind(again) is Sq8Index
    assert agrees(again, catalog)
    monkeypatch.setattr(live_index, "MAX_FLAT_SEGMENTS", 4)
    add_vectors(catalog, "c", vectors_with_scores(0.5, 0.6, seed=2))
    again.rebuild()
    assert kind(again) is IvfIndex
    assert agrees(again, catalog)
    add_vectors(catalog, "b", vectors_with_scores())
    add_vectors(catalog, "c", vectors_with_scores())
    assert agrees(again, catalog)
    again.rebuild()
    assert isinstance(got(again).vector_index, ExactIndex)
    assert agrees(again, catalog)
    assert caplog.records == []


def test_an_invalidated_index_is_rebuilt_from_the_catalog(catalog: Catalog, vectors: Path) -> None:
    ids = add_vectors(catalog, "a", vectors_with_scores(0.9, 0.1))
    index = LiveIndex(catalog, vectors, "exact")
    got(index).vector_index.upsert(
        ids, vectors_with_scores(0.2, 0.8, seed=7)
    )  # as if the file was tampered with
    index.save()
    assert not agrees(LiveIndex(catalog, vectors, "exact"), catalog)
    index.invalidate()
    assert list(vectors.iterdir()) == []
    assert agrees(index, catalog)
    assert agrees(LiveIndex(catalog, vectors, "exact"), catalog)


def test_an_index_file_that_cannot_be_deleted_is_named(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(vectors / "chosen.exact.npz"))

    add_vectors(catalog, "a", vectors_with_scores(0.9))
    monkeypatch.setattr(live_index, "delete_saved_indexes", refuse)
    with pytest.raises(LibraryError, match=r"chosen\.exact\.npz cannot be deleted \(Permission"):
        LiveIndex(catalog, vectors, "exact").invalidate()
    assert cache.delete_saved_indexes is not refuse


@pytest.mark.parametrize("kind", ["exact", "faiss", "sq8", "ivf"])
def test_a_segment_without_a_vector_is_not_indexed(
    catalog: Catalog,
    tmp_path: Path,
    vectors: Path,
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ids = add_vectors(catalog, "a", vectors_with_scores(0.9, 0.8, 0.7))
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite3")) as raw, raw:
        raw.execute("DELETE FROM vectors WHERE segment_id = ?", (int(ids[1]),))
    index = LiveIndex(catalog, vectors, kind)
    assert got(index).segment_ids.tolist() == [ids[0], ids[2]]
    index.save()
    found, _ = got(LiveIndex(catalog, vectors, kind)).vector_index.search(QUERY, 5)
    assert found.tolist() == [ids[0], ids[2]]
    assert caplog.records == [], "what was saved fits its stamp"


def test_partial_builds_of_a_killed_run_are_deleted(catalog: Catalog, vectors: Path) -> None:
    index = LiveIndex(catalog, vectors, "exact")
    index.remove_partial_builds()
    add_vectors(catalog, "a", vectors_with_scores(0.9))
    index.save()
    (vectors / "chosen.exact.4711.part").touch()
    index.remove_partial_builds()
    assert sorted(file.name for file in vectors.iterdir()) == ["chosen.exact", "chosen.exact.npz"]


def test_a_damaged_index_file_only_causes_a_warning(
    catalog: Catalog, vectors: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add_vectors(catalog, "a", vectors_with_scores(0.9, 0.8))
    LiveIndex(catalog, vectors, "faiss").save()
    np.save(vectors / "chosen.faiss", np.zeros(3))
    (vectors / "chosen.faiss.npy").replace(vectors / "chosen.faiss")
    assert agrees(LiveIndex(catalog, vectors, "faiss"), catalog)
    assert "rebuilt from the catalog" in caplog.text


def many(count: int, seed: int = 0) -> Matrix:
    """Lower the limits so that few vectors suffice for a quantized index."""
    rows = np.random.default_rng(seed).normal(size=(count, SPACE.dim)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("kind", ["sq8", "ivf"])
def test_a_quantized_index_returns_exact_scores(
    catalog: Catalog, vectors: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_index, "BULK_REBUILD_MIN_SEGMENTS", 100)
    add_vectors(catalog, "a", many(5_000))
    LiveIndex(catalog, vectors, kind).save()
    index = LiveIndex(catalog, vectors, kind)
    rows = catalog.vectors(None, SPACE)[1]
    for query in rows[::500]:
        ids, scores = got(index).vector_index.search(query, 5)
        assert scores == pytest.approx(np.sort(rows @ query)[::-1][:5], abs=1e-6)
        assert ids.tolist() == got(index).segment_ids[np.argsort(-(rows @ query))[:5]].tolist()
    index.close()


def before_it_is_built(
    monkeypatch: pytest.MonkeyPatch, cls: type[Sq8Index], do: Callable[[], None]
) -> None:
    """Call a function whenever an index of a class is about to be built."""
    build: Any = cls.build.__func__  # type: ignore[attr-defined]

    def built(cls: type[Sq8Index], *args: Any, **options: Any) -> Any:
        do()
        return build(cls, *args, **options)

    monkeypatch.setattr(cls, "build", classmethod(built))


@pytest.mark.slow
def test_an_overdue_index_is_rebuilt_in_the_background(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_index, "BUILD_DELAY_SECONDS", 0)
    index = LiveIndex(catalog, vectors, "ivf")
    add_vectors(catalog, "small", vectors_with_scores(0.9))
    assert len(got(index).vector_index) == 1
    ids = add_vectors(catalog, "large", many(4_900))  # caught up by id: few enough for that
    reached, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        assert go_on.wait(60)

    before_it_is_built(monkeypatch, IvfIndex, wait)
    old = got(index).vector_index
    assert reached.wait(60)
    assert got(index).vector_index.base_index is old.base_index  # type: ignore[attr-defined]
    assert len(old.search(QUERY, 3)[0]) == 3
    add_vectors(catalog, "small", vectors_with_scores(0.95, seed=1))  # the thread does not know
    add_vectors(catalog, "more", vectors_with_scores(0.99, seed=2))
    assert agrees(index, catalog)
    go_on.set()
    assert index._builder_thread is not None
    index._builder_thread.join(60)
    new = got(index).vector_index
    assert new.base_index is not old.base_index  # type: ignore[attr-defined]
    assert not new.base_index.needs_rebuild  # type: ignore[attr-defined]
    assert agrees(index, catalog)
    assert len(got(index).segment_ids) == len(ids) + 2
    index.close()


def test_a_build_of_an_invalidated_index_is_discarded(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_index, "BUILD_DELAY_SECONDS", 300)
    add_vectors(catalog, "a", many(4_900))
    index = LiveIndex(catalog, vectors, "sq8")
    old = got(index).vector_index
    before_it_is_built(monkeypatch, Sq8Index, index.invalidate)
    index.rebuild()
    assert index._state is None
    assert len(old) == len(got(index).vector_index) == 4_900
    index.close()


def test_closing_cancels_a_build(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_index, "BUILD_DELAY_SECONDS", 0)
    add_vectors(catalog, "a", many(4_900))
    index = LiveIndex(catalog, vectors, "sq8")
    reached = threading.Event()

    def built(
        _: Any, dim: int, __: Any, *, single_list: bool, check_cancelled: Callable[[], None]
    ) -> Sq8Index:
        reached.set()
        while True:
            check_cancelled()
            time.sleep(0.01)

    monkeypatch.setattr(Sq8Index, "build", classmethod(built))
    assert len(got(index).vector_index) == 4_900
    assert reached.wait(60)
    index.close()
    assert index._builder_thread is not None
    assert not index._builder_thread.is_alive()
    assert len(got(index).vector_index) == 4_900


def test_closing_waits_for_a_thread_that_is_about_to_start(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_index, "BUILD_DELAY_SECONDS", 300)
    add_vectors(catalog, "a", many(4_900))
    index = LiveIndex(catalog, vectors, "sq8")
    closer, start = threading.Thread(target=index.close), threading.Thread.start

    def late(thread: threading.Thread) -> None:
        start(closer)
        assert index._is_closing.wait(60)
        closer.join(0.2)  # nothing to join yet
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", late)
    assert len(got(index).vector_index) == 4_900
    closer.join(60)
    assert not closer.is_alive()
    assert index._builder_thread is not None
    assert not index._builder_thread.is_alive()


def test_an_index_may_read_all_vectors_repeatedly(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(cls: type[Sq8Index], /, dim: int, made: VectorSource, **_: object) -> Sq8Index:
        index = cls(dim)
        for _look in range(2):
            for ids, rows in made.iter_batches():
                index.upsert(ids, rows)
        return index

    monkeypatch.setattr(Sq8Index, "build", classmethod(built))
    monkeypatch.setattr(live_index, "BULK_REBUILD_MIN_SEGMENTS", 1)
    ids = add_vectors(catalog, "a", vectors_with_scores(0.9, 0.8, 0.7))
    index = LiveIndex(catalog, vectors, "sq8")
    assert got(index).segment_ids.tolist() == ids.tolist()
    index.close()


@pytest.mark.slow
def test_an_index_built_by_another_process_is_loaded(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_index, "BUILD_DELAY_SECONDS", 300)
    add_vectors(catalog, "a", many(4_900))
    index = LiveIndex(catalog, vectors, "ivf")
    assert got(index).vector_index.base_index.needs_rebuild  # type: ignore[attr-defined]
    LiveIndex(catalog, vectors, "ivf").save()
    monkeypatch.setattr(IvfIndex, "build", lambda *_, **__: pytest.fail("built again"))
    index.rebuild()
    assert not got(index).vector_index.base_index.needs_rebuild  # type: ignore[attr-defined]
    assert agrees(index, catalog)
    index.close()


@pytest.mark.slow
def test_a_killed_save_loses_only_the_saved_index(
    catalog: Catalog, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_vectors(catalog, "a", many(4_900))
    LiveIndex(catalog, vectors, "sq8").save()

    def killed(*_: object) -> None:
        raise SystemExit

    for place in ("save_arrays", "delete_saved_indexes"):
        index = LiveIndex(catalog, vectors, "sq8")
        add_vectors(catalog, "b", vectors_with_scores(0.5, seed=3))
        with monkeypatch.context() as patch:
            patch.setattr(cache, place, killed)
            with pytest.raises(SystemExit):
                index.save()
        add_vectors(catalog, "b", vectors_with_scores())
        assert agrees(LiveIndex(catalog, vectors, "sq8"), catalog)
    LiveIndex(catalog, vectors, "sq8").save()
    assert len(list(vectors.iterdir())) == 3, "nothing is left behind"


@pytest.mark.parametrize("kind", ["exact", "faiss", "sq8", "ivf"])
def test_the_index_of_another_library_is_never_used(
    catalog: Catalog, tmp_path: Path, vectors: Path, kind: str
) -> None:
    add_vectors(catalog, "a", vectors_with_scores(0.9, 0.8))
    LiveIndex(catalog, vectors, kind).save()
    with Catalog.open(tmp_path / "other" / "catalog.sqlite3", create=True) as other:
        add_vectors(other, "b", vectors_with_scores(0.7, 0.6, seed=1))  # as many, and newer
        LiveIndex(other, tmp_path / "other" / "vectors", kind).save()
    shutil.rmtree(vectors)
    (tmp_path / "other" / "vectors").rename(vectors)
    assert agrees(LiveIndex(catalog, vectors, kind), catalog)


@pytest.mark.parametrize("kind", ["exact", "faiss", "sq8", "ivf"])
def test_a_damaged_index_is_reported_once_and_replaced(
    catalog: Catalog, vectors: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_vectors(catalog, "a", vectors_with_scores(0.9, 0.8))
    LiveIndex(catalog, vectors, kind).save()
    content = bytearray((vectors / f"chosen.{kind}").read_bytes())
    content[-3] ^= 0x40
    (vectors / f"chosen.{kind}").write_bytes(content)
    assert agrees(LiveIndex(catalog, vectors, kind), catalog)
    assert [record.message for record in caplog.records] == [
        f"{vectors / f'chosen.{kind}'} is damaged; it is rebuilt from the catalog"
    ]
    assert agrees(LiveIndex(catalog, vectors, kind), catalog)
    assert len(caplog.records) == 1


def test_a_damaged_index_is_not_replaced_while_another_process_writes(
    catalog: Catalog, tmp_path: Path, vectors: Path
) -> None:
    add_vectors(catalog, "a", vectors_with_scores(0.9, 0.8))
    LiveIndex(catalog, vectors, "exact").save()
    (vectors / "chosen.exact").write_bytes(b"damaged")
    with WriteLock(tmp_path):
        assert agrees(LiveIndex(catalog, vectors, "exact"), catalog)
    assert (vectors / "chosen.exact").read_bytes() == b"damaged"
