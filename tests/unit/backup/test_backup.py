"""`Library.backup` and `Library.restore`."""

from __future__ import annotations

import os
import sys
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.migrations.schemas import frozen, revision_of
from tests.support.fakes import FakeEncoder
from tests.support.filled_library import SPACE, add_vectors, vectors_with_scores
from vsearch import Library
from vsearch.backup import restore
from vsearch.backup.archive import ArchiveWriter, BackupInfo
from vsearch.backup.work_folders import list_abandoned
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.lock import WriteLock
from vsearch.catalog.revision import SCHEMA_HEAD
from vsearch.errors import DamagedLibraryError, LibraryError, LockedError, NoLibraryError
from vsearch.storage.feature_files import read_checksum
from vsearch.storage.feature_store import FeatureStore

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Space


def fill(folder: Path, *names: str) -> Path:
    """Create a library of videos with features, settings, a trained pooler and caches."""
    folder.mkdir(parents=True, exist_ok=True)
    with Catalog.open(folder / "catalog.sqlite3", create=True) as catalog:
        store = FeatureStore(folder / "features")
        for name in names:
            add_vectors(catalog, name, vectors_with_scores(0.9, 0.5, seed=len(name)), store)
            with catalog.begin() as transaction:
                video = catalog.videos([f"/{name}"])[0]
                transaction.add_features(video.id, SPACE, "fake")
    (folder / "vsearch.toml").write_text("fps = 2.0\n")
    (folder / "pooler-12345678.npz").write_bytes(b"weights")
    for name in ("training/classifiers/clips/classifier.npz", "index/a.exact", "thumbnails/1.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def names(folder: Path) -> list[str]:
    with Catalog.open(folder / "catalog.sqlite3") as catalog:
        assert catalog.find_problems() == []
        store = FeatureStore(folder / "features")
        for video in catalog.videos():
            assert len(store.load(video.id, SPACE).frame_times) == 2
        return [video.path.name for video in catalog.videos()]


def opened(folder: Path) -> Library:
    return Library.open(folder, encoder=FakeEncoder(), create=False)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return fill(tmp_path / "library", "a.mp4", "b.mp4")


@pytest.fixture
def backup(library: Path, tmp_path: Path) -> Path:
    with opened(library) as source:
        source.backup(tmp_path / "backup")
    return tmp_path / "backup"


def test_a_backup_restores_what_cannot_be_computed(backup: Path, tmp_path: Path) -> None:
    info = Library.restore(backup, tmp_path / "new" / "library")
    assert (info.video_count, info.feature_count, info.lost_features) == (2, 2, ())
    assert info.size_bytes == backup.stat().st_size
    restored = tmp_path / "new" / "library"
    assert names(restored) == ["a.mp4", "b.mp4"]
    assert (restored / "vsearch.toml").read_text() == "fps = 2.0\n"
    assert (restored / "pooler-12345678.npz").read_bytes() == b"weights"
    assert (restored / "training/classifiers/clips/classifier.npz").exists()
    assert not (restored / "index").exists()
    assert not (restored / "thumbnails").exists()
    assert sorted(path.name for path in restored.parent.iterdir()) == ["library"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_backup_and_restored_library_belong_to_their_owner(backup: Path, tmp_path: Path) -> None:
    assert backup.stat().st_mode & 0o077 == 0
    Library.restore(backup, tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def test_a_backup_is_a_zip_file_that_other_programs_check(backup: Path) -> None:
    with zipfile.ZipFile(backup) as archive:
        assert archive.testzip() is None
        assert archive.read("checksums.txt").decode().splitlines()[0].endswith(".safetensors")


def test_a_file_is_replaced_only_on_request(library: Path, backup: Path) -> None:
    content = backup.read_bytes()
    with opened(library) as source:
        with pytest.raises(LibraryError, match="exists already"):
            source.backup(backup)
        assert backup.read_bytes() == content
        source.backup(backup, force=True)
        with pytest.raises(LibraryError, match="is a folder"):
            source.backup(backup.parent, force=True)
        with pytest.raises(LibraryError, match="in the library itself"):
            source.backup(library / "backup")
        with pytest.raises(LibraryError, match="cannot be written"):
            source.backup(backup / "below" / "a file")
    assert sorted(path.name for path in backup.parent.iterdir()) == ["backup", "library"]


def test_videos_that_are_replaced_meanwhile_are_in_the_backup(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, store, original = (
        Catalog.open(library / "catalog.sqlite3"),
        FeatureStore(library / "features"),
        Catalog.copy_to,
    )
    copies = []

    def copy_then_replace(catalog: Catalog, copy_path: Path) -> str:
        schema = original(catalog, copy_path)
        copies.append(copy_path)
        if len(copies) < 4:  # another process indexes the first video again
            old = writer.videos(["/a.mp4"])[0]
            add_vectors(writer, "a.mp4", vectors_with_scores(0.8, 0.1), store)
            store.remove_video(old.id)
        return schema

    monkeypatch.setattr(Catalog, "copy_to", copy_then_replace)
    with writer, opened(library) as source:
        info = source.backup(tmp_path / "backup")
    assert info.lost_features == ()
    assert len(copies) == 4
    Library.restore(tmp_path / "backup", tmp_path / "new")
    assert names(tmp_path / "new") == ["a.mp4", "b.mp4"]


def test_features_that_are_lost_already_are_named(library: Path, tmp_path: Path) -> None:
    with opened(library) as source:
        [video] = source.videos(["/a.mp4"])
        FeatureStore(library / "features").remove_video(video.id)
        assert source.backup(tmp_path / "backup").lost_features == (str(video.path),)
    assert Library.restore(tmp_path / "backup", tmp_path / "new").lost_features == (
        str(video.path),
    )


@pytest.mark.parametrize("offset", [3, 200, -20, -1])  # in the header, and in the vectors
@pytest.mark.parametrize("has_checksum", [False, True])
def test_damaged_features_are_named_and_left_out(
    library: Path, tmp_path: Path, offset: int, has_checksum: bool
) -> None:
    with opened(library) as source:
        [video] = source.videos(["/a.mp4"])
        features_path = FeatureStore(library / "features").feature_path(video.id, SPACE)
        if has_checksum:
            with source._catalog.begin() as transaction:
                transaction.add_features(video.id, SPACE, "fake", read_checksum(features_path))
        content = bytearray(features_path.read_bytes())
        content[offset] ^= 1
        features_path.write_bytes(content)
        backup_info = source.backup(tmp_path / "backup")
    assert backup_info.lost_features == (str(video.path),)
    assert backup_info.feature_count == 1
    restored = Library.restore(tmp_path / "backup", tmp_path / "new")
    assert restored.lost_features == (str(video.path),)


def test_features_of_another_video_are_named(library: Path, tmp_path: Path) -> None:
    store = FeatureStore(library / "features")
    with opened(library) as source:
        [video] = source.videos(["/a.mp4"])
        [other_video] = source.videos(["/b.mp4"])
        features = store.load(video.id, SPACE)
        crc32 = store.save(video.id, replace(features, frame_times=features.frame_times + 1))
        with source._catalog.begin() as transaction:
            transaction.add_features(video.id, SPACE, "fake", crc32)
        features_path = store.feature_path(video.id, SPACE)
        features_path.write_bytes(store.feature_path(other_video.id, SPACE).read_bytes())
        assert source.backup(tmp_path / "backup").lost_features == (str(video.path),)


def test_a_library_that_is_replaced_meanwhile_is_not_mixed(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features and their checksums are replaced after the catalog and the first are copied."""
    original, store = FeatureStore.read_file, FeatureStore(library / "features")

    with opened(library) as source:
        first, second = source.videos()

        def record(video_id: int, crc32: int) -> None:
            with source._catalog.begin() as transaction:
                transaction.add_features(video_id, SPACE, "fake", crc32)

        for video in (first, second):
            record(video.id, read_checksum(store.feature_path(video.id, SPACE)) or 0)

        def read_then_replace(
            self: FeatureStore, video_id: int, space: Space
        ) -> tuple[Path, bytes]:
            result = original(self, video_id, space)
            for video in (first, second):
                features = store.load(video.id, space)
                changed = replace(features, frame_times=features.frame_times + 1)
                record(video.id, store.save(video.id, changed))
            return result

        monkeypatch.setattr(FeatureStore, "read_file", read_then_replace)
        with pytest.raises(LibraryError, match="replaced by another library"):
            source.backup(tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_links_and_pipes_in_a_library_are_left_out(library: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (library / "adapter.npz").symlink_to(tmp_path / "secret")
    if hasattr(os, "mkfifo"):
        os.mkfifo(library / "training" / "pipe")
    with opened(library) as source:
        source.backup(tmp_path / "backup")
    assert b"secret" not in (tmp_path / "backup").read_bytes()


def test_a_library_is_replaced_only_on_request_and_keeps_other_files(
    backup: Path, library: Path
) -> None:
    fill(library, "c.mp4")
    (library / "notes.txt").write_text("mine")
    with pytest.raises(LibraryError, match="is not empty"):
        Library.restore(backup, library)
    assert names(library) == ["a.mp4", "b.mp4", "c.mp4"]
    with opened(library) as running:
        assert len(running.videos()) == 3
        Library.restore(backup, library, force=True)
        assert len(running.videos()) == 2  # it follows
        running.saved_searches.add("later", "dogs")
    assert names(library) == ["a.mp4", "b.mp4"]
    assert (library / "notes.txt").read_text() == "mine"
    assert not (library / "index" / "a.exact").exists()
    assert sorted(path.name for path in library.parent.iterdir()) == ["backup", "library"]
    with opened(library) as again:
        assert [search.name for search in again.saved_searches.list()] == ["later"]


@pytest.mark.parametrize("content", [b"", b"a shopping list\n" * 100, None])
def test_a_damaged_library_is_replaced(backup: Path, library: Path, content: bytes | None) -> None:
    if content is None:
        (library / "catalog.sqlite3").unlink()
    else:
        (library / "catalog.sqlite3").write_bytes(content)
    with pytest.raises((DamagedLibraryError, NoLibraryError)):
        opened(library)
    Library.restore(backup, library, force=True)
    assert names(library) == ["a.mp4", "b.mp4"]


def test_a_library_that_is_being_written_is_not_replaced(backup: Path, library: Path) -> None:
    lock = WriteLock(library)
    lock.acquire()
    try:
        with pytest.raises(LockedError):
            Library.restore(backup, library, force=True)
    finally:
        lock.release()
    assert names(library) == ["a.mp4", "b.mp4"]
    assert sorted(path.name for path in library.parent.iterdir()) == ["backup", "library"]


def test_a_failed_exchange_leaves_the_old_library(
    backup: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(library, "c.mp4")

    def fail(first: Path, second: Path) -> bool:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(restore, "_exchange", fail)
    with pytest.raises(LibraryError, match="cannot be restored"):
        Library.restore(backup, library, force=True)
    assert names(library) == ["a.mp4", "b.mp4", "c.mp4"]


def test_without_an_exchange_the_folders_are_renamed(
    backup: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(library, "c.mp4")
    monkeypatch.setattr(restore, "_exchange", lambda first, second: False)
    Library.restore(backup, library, force=True)
    assert names(library) == ["a.mp4", "b.mp4"]
    assert sorted(path.name for path in library.parent.iterdir()) == ["backup", "library"]


def test_a_library_that_a_killed_restore_took_away_comes_back(library: Path) -> None:
    dead = 2**22 + 1  # above the largest process id of Linux
    library.rename(library.with_name(f".library.{dead}.old"))
    with opened(library) as found:
        assert len(found.videos()) == 2
    assert list_abandoned(library, "old") == []


def test_leftovers_of_killed_processes_are_deleted(backup: Path, library: Path) -> None:
    dead = 2**22 + 1
    for name in (f".backup.{dead}.backup", f".library.{dead}.restore"):
        (backup.parent / name).mkdir()
    running = backup.parent / f".library.{os.getppid()}.restore"
    running.mkdir()
    with opened(library) as source:
        source.backup(backup, force=True)
    Library.restore(backup, library, force=True)
    assert sorted(path.name for path in backup.parent.iterdir()) == [
        running.name,
        "backup",
        "library",
    ]


def test_a_backup_of_an_older_schema_is_upgraded_when_opened(library: Path, tmp_path: Path) -> None:
    old = frozen("0004", tmp_path / "old.sqlite3")
    with (tmp_path / "backup").open("wb") as output_file:
        archive_writer = ArchiveWriter(output_file)
        archive_writer.add_file("catalog.sqlite3", old)
        archive_writer.finish(BackupInfo("2025-01-01T00:00:00+00:00", "0004", 2, 0))
    Library.restore(tmp_path / "backup", tmp_path / "new")
    assert revision_of(tmp_path / "new" / "catalog.sqlite3") == "0004"
    with Catalog.open(tmp_path / "new" / "catalog.sqlite3") as catalog:
        assert catalog.videos()
    assert revision_of(tmp_path / "new" / "catalog.sqlite3") == SCHEMA_HEAD


def test_the_vectors_of_a_restored_library_are_those_of_the_backup(
    library: Path, backup: Path, tmp_path: Path
) -> None:
    Library.restore(backup, tmp_path / "new")
    with (
        Catalog.open(library / "catalog.sqlite3") as first,
        Catalog.open(tmp_path / "new" / "catalog.sqlite3") as second,
    ):
        for before, after in zip(
            first.vectors(None, SPACE), second.vectors(None, SPACE), strict=True
        ):
            np.testing.assert_array_equal(before, after)
