"""Indexes on a server, with a server that is an object in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, cast

import numpy as np
import pytest

from tests.support.filled_library import add_vectors, vectors_with_scores
from vsearch.catalog.catalog import Catalog
from vsearch.errors import IndexServerError, SettingsError
from vsearch.index.exact import ExactIndex
from vsearch.protocols import SharedIndex
from vsearch.search import shared_live_index
from vsearch.search.live_index import CountedSegments, LiveIndex
from vsearch.search.shared_live_index import IndexStamp, open_live_index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.types import Ids, Matrix

INDEXES: dict[tuple[str, str], MemoryIndex] = {}  # by address and name


class MemoryIndex(ExactIndex):
    """An index that all connections share."""

    stamp: str | None = None
    upserted = 0

    @classmethod
    def connect(cls, address: str, index_name: str, dim: int) -> Self:
        if address == "absent":
            raise IndexServerError("the server at absent is unreachable.")
        return cast("Self", INDEXES.setdefault((address, index_name), cls(dim)))

    def upsert(self, ids: Ids, vectors: Matrix) -> None:
        super().upsert(ids, vectors)
        self.upserted += len(ids)

    def read_stamp(self, *, latest: bool = False) -> str | None:
        return self.stamp

    def write_stamp(self, stamp: str) -> None:
        self.stamp = stamp

    def ids_between(self, after_id: int, last_id: int) -> Ids:
        ids, _ = self.ids_and_vectors()
        return ids[(ids > after_id) & (ids <= last_id)]

    def clear(self) -> None:
        self.remove(self.ids_and_vectors()[0])
        self.stamp = None


@pytest.fixture(autouse=True)
def memory_server(monkeypatch: pytest.MonkeyPatch) -> None:
    INDEXES.clear()
    monkeypatch.setattr(shared_live_index, "resolve_plugin", lambda *_: MemoryIndex)
    monkeypatch.setattr(shared_live_index, "BLOCK_SEGMENTS", 7)
    monkeypatch.setattr(shared_live_index, "UPDATE_SEGMENTS", 5)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as opened:
        yield opened


def open_index(catalog: Catalog, folder: Path, address: str = "server") -> LiveIndex:
    return open_live_index(catalog, folder / "index", f"memory:{address}")


def agrees(index: LiveIndex, catalog: Catalog) -> bool:
    """Return True if the index contains exactly the segments of the catalog."""
    snapshot, ids = index.take_snapshot(), catalog.segment_ids()
    assert snapshot is not None
    [server_index] = INDEXES.values()
    stored_ids = server_index.ids_and_vectors()[0]
    return (
        stored_ids.tolist() == ids.tolist() == snapshot.segment_ids.tolist()
        and snapshot.segments.count == len(ids)
    )


def remove_video(catalog: Catalog, name: str) -> None:
    [video] = [video for video in catalog.videos() if video.path.name == name]
    with catalog.begin() as transaction:
        transaction.remove_videos([video.id])


def test_it_implements_the_protocol() -> None:
    assert isinstance(MemoryIndex(3), SharedIndex)


def test_the_index_follows_the_catalog_in_all_processes(catalog: Catalog, tmp_path: Path) -> None:
    indexes = [open_index(catalog, tmp_path) for _ in range(2)]
    for step, name in enumerate("abcdefgh"):
        add_vectors(catalog, name, vectors_with_scores(*np.linspace(0.9, 0.1, 4 + step)))
        if step % 3 == 2:
            remove_video(catalog, "abcdefgh"[step - 2])
        assert agrees(indexes[step % 2], catalog)
    [server_index] = INDEXES.values()
    assert server_index.upserted <= sum(range(4, 12))  # nothing was sent twice


def test_an_index_that_lost_vectors_or_its_stamp_is_filled_again(
    catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = add_vectors(catalog, "a", vectors_with_scores(*np.linspace(0.9, 0.1, 20)))
    index = open_index(catalog, tmp_path)
    assert agrees(index, catalog)
    [server_index] = INDEXES.values()
    server_index.remove(ids[3:5])
    assert agrees(open_index(catalog, tmp_path), catalog)
    assert "built again" in caplog.text
    server_index.clear()
    assert agrees(index, catalog)
    server_index.stamp = "junk"
    server_index.upsert(ids[:1] - 1, vectors_with_scores(0.5))  # of an interrupted build
    assert agrees(index, catalog)


def test_an_index_at_a_later_revision_is_of_another_history(
    catalog: Catalog, tmp_path: Path
) -> None:
    add_vectors(catalog, "a", vectors_with_scores(*np.linspace(0.9, 0.1, 20)))
    assert agrees(open_index(catalog, tmp_path), catalog)
    [server_index] = INDEXES.values()
    stamp = IndexStamp.from_json(server_index.stamp)
    assert stamp is not None
    server_index.stamp = server_index.stamp.replace(  # type: ignore[union-attr]
        f'"revision":{stamp.revision}', f'"revision":{stamp.revision + 10**9}'
    )
    assert agrees(open_index(catalog, tmp_path), catalog)


def test_a_copied_library_has_an_index_of_its_own(catalog: Catalog, tmp_path: Path) -> None:
    import shutil

    add_vectors(catalog, "a", vectors_with_scores(0.5, 0.4))
    assert open_index(catalog, tmp_path).take_snapshot() is not None
    shutil.copytree(tmp_path, tmp_path.parent / "copy", dirs_exist_ok=True)
    with Catalog.open(tmp_path.parent / "copy" / "catalog.sqlite3") as copied:
        assert open_index(copied, tmp_path.parent / "copy").take_snapshot() is not None
    assert len(INDEXES) == 2


def test_a_stamp_samples_every_nth_segment_in_any_number_of_steps() -> None:
    ids = 1_790_000_000_000_000 + np.arange(20_000).cumsum()
    stamp = IndexStamp(1, None)
    for part in np.split(ids, np.sort(np.random.default_rng(0).choice(20_000, 50, replace=False))):
        if len(part):
            stamp = stamp.add_ids(part, len(part))
    assert stamp.sampled_ids == tuple(ids[:: stamp.sample_stride].tolist())
    assert 1_000 < len(stamp.sampled_ids) <= shared_live_index.MAX_SAMPLED_IDS
    assert stamp.id_count == stamp.vector_count == 20_000
    assert IndexStamp.from_json(stamp.to_json()) == stamp


def test_a_stamp_of_half_a_billion_segments_fits_into_a_field_of_milvus() -> None:
    from vsearch.index.milvus import MAX_STAMP_BYTES

    blocks = tuple(
        shared_live_index.IdBlock(1_790_000_000_000_000 + i, 1_000_000, 2**31 * 10**6)
        for i in range(500)
    )
    sampled_ids = tuple(1_790_000_000_000_000 + i for i in range(shared_live_index.MAX_SAMPLED_IDS))
    stamp = IndexStamp(10**16, "transformer", 5 * 10**8, blocks, sampled_ids, 2**18, 5 * 10**8)
    assert len(stamp.to_json()) < MAX_STAMP_BYTES


def test_samples_come_from_all_segments_if_few_or_many_were_removed(catalog: Catalog) -> None:
    ids = add_vectors(catalog, "a", vectors_with_scores(*np.linspace(0.9, 0.1, 40)))
    assert CountedSegments(catalog, 40, ids[:2]).sample(10).tolist() == ids[::4].tolist()
    assert CountedSegments(catalog, 10**8, ids).sample(10).tolist() == ids[::4].tolist()
    assert len(CountedSegments(catalog, 10**8, ids).sample(30)) == 30
    assert CountedSegments(catalog, 10**8, ids[:2]).sample(10).tolist() == ids[::4].tolist()


def test_an_absent_server_fails_a_search_but_not_the_end_of_indexing(
    catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add_vectors(catalog, "a", vectors_with_scores(0.5))
    index = open_index(catalog, tmp_path, "absent")
    with pytest.raises(IndexServerError):
        index.take_snapshot()
    index.save()
    assert "The next search updates the index" in caplog.text
    assert index.find_problems() == ["the server at absent is unreachable."]


@pytest.mark.parametrize(
    "setting",
    [
        "milvus:http://user:s3cret@host:19530",
        "pgvector:postgresql://user:s3cret@host/films",
        "pgvector:host=db password=s3cret",
    ],
)
def test_a_password_in_the_address_is_refused_and_not_repeated(
    catalog: Catalog, tmp_path: Path, setting: str
) -> None:
    with pytest.raises(SettingsError, match="must not contain a password") as caught:
        open_live_index(catalog, tmp_path, setting)
    assert "s3cret" not in str(caught.value)


def test_pgvector_without_an_address_needs_a_library_in_postgresql(
    catalog: Catalog, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="postgresql://"):
        open_live_index(catalog, tmp_path, "pgvector")
