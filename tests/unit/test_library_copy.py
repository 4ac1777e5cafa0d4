"""Copies of libraries: the same rows, ids and files; interrupted ones are continued."""

from __future__ import annotations

import json
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from tests.support.catalog_rows import index_video
from tests.support.random_library import fill_randomly
from vsearch import Library
from vsearch.catalog import table_copy
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.lock import WriteLock
from vsearch.errors import LibraryError, LockedError, NoLibraryError, SettingsError
from vsearch.library_copy import copy_library
from vsearch.library_location import CATALOG_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner


@pytest.fixture
def source_folder(tmp_path: Path) -> Path:
    """Folder of a library with rows in all tables, settings and files."""
    folder = tmp_path / "source"
    with Catalog.open(folder / CATALOG_FILE, create=True) as catalog:
        fill_randomly(catalog, 3, 12)
        last_video, _ = index_video(catalog, "/films/removed.mp4")
        with catalog.begin() as transaction:
            transaction.remove_videos([last_video.id])
    (folder / "vsearch.toml").write_text('fps = 2.0\nindex = "exact"\n')
    (folder / "features" / "space").mkdir(parents=True)
    (folder / "features" / "space" / "1.safetensors").write_bytes(b"features")
    (folder / "pooler-12345678.npz").write_bytes(b"pooler")
    (folder / "index").mkdir()
    (folder / "index" / "rebuilt").write_bytes(b"cache")
    return folder


def dump_catalog(folder: Path) -> list[str]:
    """Return the statements that would make the catalog, without its record."""
    connection = sqlite3.connect(folder / CATALOG_FILE)
    connection.text_factory = bytes
    names = ["videos", "video_names", "segments", "vectors", "tags", "cues", "transcripts"]
    names += ["cue_vectors", "sound_spans", "sound_analyses", "saved_searches", "spaces"]
    names += ["relevance_feedback", "duplicate_files", "frame_features", "sqlite_sequence"]
    rows = [
        f"{name} {row}"
        for name in names
        for row in sorted(connection.execute(f"SELECT * FROM {name}"), key=repr)
    ]
    rows += map(str, connection.execute("SELECT revision, space_id FROM library"))
    connection.close()
    return rows


def test_a_copy_has_the_same_rows_ids_and_files(source_folder: Path, tmp_path: Path) -> None:
    target_folder = tmp_path / "target"
    library_copy = copy_library(source_folder, target_folder, {})
    assert dump_catalog(target_folder) == dump_catalog(source_folder)
    assert {path.name for path in target_folder.iterdir()} >= {"features", "pooler-12345678.npz"}
    assert not (target_folder / "index").exists()
    assert (target_folder / "features" / "space" / "1.safetensors").read_bytes() == b"features"
    assert (target_folder / "vsearch.toml").read_text().strip().endswith("fps = 2.0")
    assert library_copy.file_count == 2
    assert library_copy.row_count > 100
    digests = {digest.table_name: digest.row_count for digest in library_copy.table_digests}
    assert all(digests.values()), digests
    with Catalog.open(target_folder / CATALOG_FILE) as catalog:
        assert catalog.find_problems() == []
        assert catalog.cue_index.estimate_size() > 0
        new_video, _ = index_video(catalog, "/films/new.mp4")
    with Catalog.open(source_folder / CATALOG_FILE) as catalog:
        assert new_video.id > max(video.id for video in catalog.videos())


@pytest.mark.parametrize("stop_at", [1, 5, 9, 14, 20, 26])
def test_an_interrupted_copy_is_continued(
    source_folder: Path, tmp_path: Path, stop_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_copy, "ROWS_PER_BATCH", 7)
    target_folder, calls = tmp_path / "target", []

    class StoppedError(Exception):
        pass

    def stop(name: str, done: int, total: int) -> None:
        calls.append((name, done, total))
        if len(calls) == stop_at:
            raise StoppedError

    with pytest.raises(StoppedError):
        copy_library(source_folder, target_folder, {}, on_progress=stop)
    assert not target_folder.exists()
    with pytest.raises(NoLibraryError):
        Library.open(target_folder, create=False)
    copy_library(source_folder, target_folder, {})
    assert dump_catalog(target_folder) == dump_catalog(source_folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_a_source_that_was_changed_meanwhile_is_copied_from_the_beginning(
    source_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target_folder = tmp_path / "target"
    with monkeypatch.context() as patch:
        patch.setattr(table_copy, "_copy_library_row", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            copy_library(source_folder, target_folder, {})
    with Catalog.open(source_folder / CATALOG_FILE) as catalog, catalog.begin() as transaction:
        transaction.remove_videos([catalog.videos()[0].id])
    with pytest.raises(LibraryError, match="was changed while it was copied"):
        copy_library(source_folder, target_folder, {})
    copy_library(source_folder, target_folder, {})
    assert dump_catalog(target_folder) == dump_catalog(source_folder)


def test_a_target_with_a_library_is_refused(source_folder: Path, tmp_path: Path) -> None:
    other_folder = tmp_path / "other"
    shutil.copytree(source_folder, other_folder)
    with pytest.raises(LibraryError, match="not empty"):
        copy_library(source_folder, other_folder, {})
    with pytest.raises(LibraryError, match="not empty"):
        copy_library(source_folder, source_folder, {})
    shutil.copytree(source_folder, tmp_path / "target.copying")
    with pytest.raises(LibraryError, match="has a library already"):
        copy_library(source_folder, tmp_path / "target", {})
    with pytest.raises(NoLibraryError):
        copy_library(tmp_path / "missing", tmp_path / "target", {})
    with WriteLock(source_folder), pytest.raises(LockedError):
        copy_library(source_folder, tmp_path / "another", {})


def test_a_library_with_a_store_is_refused(source_folder: Path, tmp_path: Path) -> None:
    (source_folder / "vsearch.toml").write_text(f"store = {json.dumps(str(tmp_path / 'store'))}\n")
    with pytest.raises(LibraryError, match="cannot read or write yet"):
        copy_library(source_folder, tmp_path / "copy", {})
    assert not (tmp_path / "copy").exists()


def test_a_difference_is_noticed(source_folder: Path, tmp_path: Path) -> None:
    copy_library(source_folder, tmp_path / "target", {})
    connection = sqlite3.connect(tmp_path / "target" / CATALOG_FILE)
    connection.execute(
        "UPDATE segments SET start = start - 1e-9 WHERE id = (SELECT max(id) FROM segments)"
    )
    connection.commit()
    connection.close()
    with (
        Catalog.open(source_folder / CATALOG_FILE) as source,
        Catalog.open(tmp_path / "target" / CATALOG_FILE) as target,
        pytest.raises(LibraryError, match="the table segments of the copy differs"),
    ):
        table_copy.compare_tables(source, target, lambda *_: None)


@pytest.mark.usefixtures("fake_model")
def test_the_commands_create_and_copy_libraries(
    run_vsearch: CommandRunner, tmp_path: Path, videos_folder: Path
) -> None:
    output = run_vsearch("library", "create", "first", "--index", "exact").stdout
    assert output == f"Created {tmp_path / 'first'}\n"
    assert 'index = "exact"' in (tmp_path / "first" / "vsearch.toml").read_text()
    run_vsearch("--library", "first", "index", videos_folder)
    output = run_vsearch("library", "copy", "first", "second").stdout
    assert "all rows are equal" in output
    assert "segments" in output
    answers = [
        json.loads(run_vsearch("--library", name, "search", "green", "--json").stdout)["results"]
        for name in ("first", "second")
    ]
    assert answers[0] == answers[1] != []
    assert run_vsearch("--library", "second", "doctor").stdout.startswith("No problems")
    message = run_vsearch("library", "create", "first", exit_code=1).stderr
    assert "is not empty" in message
    message = run_vsearch("library", "create", "third", "--store", "x", exit_code=2).stderr
    assert "must be an absolute folder" in message
    assert not (tmp_path / "third").exists()


def test_a_new_library_has_its_settings(tmp_path: Path) -> None:
    with Library.create(tmp_path / "new", index="exact", ray="auto") as library:
        assert (library.settings.index, library.settings.ray) == ("exact", "auto")
        assert str(library.location) == str(library.path) == str(library.cache_path)
    with pytest.raises(SettingsError, match="index must be a name"):
        Library.create(tmp_path / "invalid", index="")
    assert not (tmp_path / "invalid").exists()
