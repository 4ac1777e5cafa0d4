from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.catalog_locations import SQLITE_ONLY
from tests.support.catalog_rows import (
    OTHER,
    SPACE,
    add_video,
    index_video,
    make_spans,
    unit_vectors,
)
from vsearch.catalog import connection, transaction
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.lock import WriteLock
from vsearch.errors import LibraryError, LockedError, SpaceMismatchError
from vsearch.types import FileIdentity, Space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vsearch.catalog.database_url import CatalogLocation


@pytest.fixture
def catalog(catalog_location: CatalogLocation) -> Iterator[Catalog]:
    with Catalog.open(catalog_location, create=True) as opened:
        yield opened


def test_a_failed_transaction_changes_nothing(catalog: Catalog) -> None:
    def fail() -> None:
        with catalog.begin() as transaction:
            transaction.set_space(SPACE, "mean")
            video = add_video(transaction, "/a.mp4")
            transaction.add_segments(video.id, make_spans(3), unit_vectors(3), SPACE)
            raise OSError("the features could not be written")

    with pytest.raises(OSError, match="features"):
        fail()
    assert catalog.videos() == []
    assert catalog.space() is None
    assert catalog.revision() == 0
    assert catalog.segment_ids().tolist() == []


def test_a_transaction_is_invisible_before_its_commit(catalog: Catalog) -> None:
    with catalog.begin() as transaction:
        video = add_video(transaction, "/a.mp4")
        transaction.add_segments(video.id, make_spans(1), unit_vectors(1), SPACE)
        assert catalog.videos() == []
        assert len(catalog.segment_ids()) == 0
    assert catalog.videos() == [video]


def test_the_revision_grows_with_changes_of_segments_only(catalog: Catalog) -> None:
    video, _ = index_video(catalog, "/a.mp4")
    before = catalog.revision()
    assert before > 0
    with catalog.begin() as transaction:
        transaction.set_file_identity(video.id, FileIdentity(1, 2, 3, "4"))
        transaction.move_video(video.id, Path("/b.mp4"), 3, 4)
        add_video(transaction, "/c.mp4")
    assert catalog.revision() == before
    with catalog.begin() as transaction:
        transaction.remove_videos([video.id])
        other = add_video(transaction, "/d.mp4")
        transaction.add_segments(other.id, make_spans(1), unit_vectors(1), SPACE)
    assert catalog.revision() > before


def test_videos_are_removed_with_their_segments_and_vectors(catalog: Catalog) -> None:
    a, ids = index_video(catalog, "/a.mp4", 3)
    b, kept = index_video(catalog, "/b.mp4", 2)
    with catalog.begin() as transaction:
        assert transaction.remove_videos([a.id, 99]).tolist() == ids.tolist()
        assert transaction.remove_videos([]).tolist() == []
    assert catalog.videos() == [b]
    assert catalog.segment_ids().tolist() == kept.tolist()
    assert catalog.vectors(None, SPACE)[0].tolist() == kept.tolist()
    assert catalog.find_problems() == []


@pytest.mark.parametrize(
    "fake_clock", [transaction.clock_microseconds, lambda: 0], ids=["right", "stopped"]
)
def test_ids_and_revisions_are_never_reused(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, fake_clock: Callable[[], int]
) -> None:
    monkeypatch.setattr(transaction, "clock_microseconds", fake_clock)
    video, ids = index_video(catalog, "/a.mp4", 3)
    revision = catalog.revision()
    with catalog.begin() as removal:
        removal.remove_videos([video.id])
    assert catalog.revision() > revision
    again, new = index_video(catalog, "/a.mp4", 3)
    assert again.id > video.id
    assert new.min() > ids.max()


def test_a_restored_backup_does_not_reuse_ids_or_revisions(tmp_path: Path) -> None:
    file, backup = tmp_path / "catalog.sqlite3", tmp_path / "backup.sqlite3"
    with Catalog.open(file, create=True) as catalog:
        index_video(catalog, "/a.mp4", 3)
    shutil.copy(file, backup)
    with Catalog.open(file) as catalog:
        _, lost = index_video(catalog, "/b.mp4", 3)
        revision = catalog.revision()
    shutil.copy(backup, file)
    with Catalog.open(file) as catalog:
        _, ids = index_video(catalog, "/c.mp4", 3)
        assert ids.min() > lost.max()
        assert catalog.revision() > revision


def test_segments_are_replaced_under_new_ids(catalog: Catalog) -> None:
    video, ids = index_video(catalog, "/a.mp4", 3)
    with catalog.begin() as transaction:
        assert transaction.remove_segments(video.id).tolist() == ids.tolist()
        new = transaction.add_segments(video.id, make_spans(2), unit_vectors(2, seed=1), SPACE)
    assert catalog.segment_ids().tolist() == new.tolist()
    assert new.min() > ids.max()


def test_a_moved_video_is_found_at_its_new_path_only(catalog: Catalog) -> None:
    video, _ = index_video(catalog, "/a.mp4")
    with catalog.begin() as transaction:
        transaction.move_video(video.id, Path("/\udcff.mp4"), 5, 6)
    moved = catalog.video_by_path(Path("/\udcff.mp4"))
    assert moved is not None
    assert (moved.id, moved.size_bytes, moved.mtime_ns) == (video.id, 5, 6)
    assert catalog.video_by_path(Path("/a.mp4")) is None


def test_two_videos_cannot_share_a_path(catalog: Catalog) -> None:
    index_video(catalog, "/a.mp4")
    b, _ = index_video(catalog, "/b.mp4")
    with pytest.raises(LibraryError, match=r"(catalog\.sqlite3|/test_\d+) .*videos\.path"):
        index_video(catalog, "/a.mp4")
    with pytest.raises(LibraryError, match="path"), catalog.begin() as transaction:
        transaction.move_video(b.id, Path("/a.mp4"), 1, 1)


def test_a_video_or_segment_must_exist_to_be_changed(catalog: Catalog) -> None:
    with pytest.raises(LibraryError, match="no video 9"), catalog.begin() as transaction:
        transaction.set_file_identity(9, FileIdentity(1, 2, 3, "4"))
    with pytest.raises(LibraryError, match="FOREIGN KEY"), catalog.begin() as transaction:
        transaction.add_segments(9, make_spans(1), unit_vectors(1), SPACE)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_vector_without_direction_is_rejected(catalog: Catalog, value: float) -> None:
    video, _ = index_video(catalog, "/a.mp4")
    without = np.full((1, 16), value, np.float32)
    with pytest.raises(ValueError, match="finite"), catalog.begin() as transaction:
        transaction.add_segments(video.id, make_spans(1), without, SPACE)


def test_every_segment_needs_its_vector(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="2 spans"), catalog.begin() as transaction:
        transaction.add_segments(1, make_spans(2), unit_vectors(3), SPACE)


def test_numpy_numbers_are_accepted(catalog: Catalog) -> None:
    video, ids = index_video(catalog, "/a.mp4", 2)
    numbers: Any = np.array([video.id, 3, 4])
    assert catalog.videos_by_id(numbers[:1]) == {video.id: video}
    assert len(catalog.segment_ids(numbers[:1])) == 2
    with catalog.begin() as transaction:
        transaction.set_file_identity(numbers[0], FileIdentity(numbers[1], numbers[2], None, None))
        transaction.remove_videos(numbers[:1])
    assert list(catalog.iter_videos_with_vectors(ids, SPACE)) == []


def test_two_spaces_are_never_mixed(catalog: Catalog) -> None:
    video, _ = index_video(catalog, "/a.mp4")
    with pytest.raises(SpaceMismatchError, match=r"fake.*other"), catalog.begin() as transaction:
        transaction.set_space(OTHER, "mean")
    with pytest.raises(SpaceMismatchError, match=r"fake.*other"), catalog.begin() as transaction:
        transaction.add_segments(video.id, make_spans(1), unit_vectors(1), OTHER)
    with pytest.raises(SpaceMismatchError, match=r"16.*8"), catalog.begin() as transaction:
        transaction.set_space(Space("fake", 8, supports_text=True), "mean")
    with catalog.begin() as transaction:
        transaction.set_space(SPACE, "trained")
    assert catalog.pooler() == "trained"


def test_an_empty_library_can_change_its_space(catalog: Catalog) -> None:
    video, _ = index_video(catalog, "/a.mp4")
    with catalog.begin() as transaction:
        transaction.remove_videos([video.id])
        transaction.set_space(OTHER, None)
    assert catalog.space() == OTHER


def test_a_space_can_gain_text_support(catalog: Catalog) -> None:
    index_video(catalog, "/a.mp4")
    mute = Space(SPACE.name, SPACE.dim, supports_text=False)
    with catalog.begin() as transaction:
        transaction.set_space(mute, "mean")
    assert catalog.space() == mute


@SQLITE_ONLY
def test_a_second_writer_gets_an_error_that_names_the_first(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_SECONDS", 0.05)
    with WriteLock(tmp_path, command="vsearch index /videos"), catalog.begin() as transaction:
        add_video(transaction, "/a.mp4")
        with pytest.raises(LockedError, match=r"written by 'vsearch index /videos' \(process"):
            index_video(catalog, "/b.mp4")
        assert catalog.videos() == []  # readers do not wait
    assert len(catalog.videos()) == 1


def test_writes_are_flushed_and_do_not_block_readers(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite3"
    with Catalog.open(file, create=True) as catalog, catalog.begin() as transaction:
        run = transaction._connection.exec_driver_sql
        assert run("PRAGMA foreign_keys").scalar() == 1
        assert run("PRAGMA synchronous").scalar() == 2
        assert run("PRAGMA journal_mode").scalar() == "wal"
    with closing(sqlite3.connect(file)) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
