"""A catalog that is replaced, deleted, overwritten or not created yet while it is open."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from vsearch.catalog import commit_chain
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.commit_chain import check_commit_chain
from vsearch.catalog.sqlite_pool import SqlitePool
from vsearch.errors import DamagedLibraryError, LibraryError, NoLibraryError

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="open files stay in place there")


def save(catalog: Catalog, *names: str) -> None:
    for name in names:
        with catalog.begin() as transaction:
            transaction.save_search(name, name)


def saved(catalog: Catalog) -> list[str]:
    return [search.name for search in catalog.saved_searches()]


def make_catalog(file: Path, *names: str) -> Path:
    with Catalog.open(file, create=True) as catalog:
        save(catalog, *names)
    return file


@posix_only
def test_a_catalog_that_is_renamed_over_is_followed(tmp_path: Path) -> None:
    file = make_catalog(tmp_path / "catalog.sqlite3", "old")
    other = make_catalog(tmp_path / "other.sqlite3", "new")
    replaced = []
    with Catalog.open(file) as catalog:
        catalog.on_replaced(lambda: replaced.append(True))
        assert saved(catalog) == ["old"]
        other.replace(file)
        assert saved(catalog) == ["new"]
        assert replaced == [True]
        save(catalog, "later")
    with Catalog.open(file) as catalog:
        assert saved(catalog) == ["later", "new"]


def test_a_checkpoint_while_no_connection_is_idle_does_not_end_a_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make_catalog(tmp_path / "catalog.sqlite3", "old")
    with Catalog.open(file) as catalog:
        pool, checks = catalog._pool, list[bool]()
        assert isinstance(pool, SqlitePool)
        prepare_file = pool._prepare_file

        def check_as_a_writer(create: bool) -> None:
            pool.require_same_file()  # as another thread does at the end of its block
            checks.append(create)
            prepare_file(create)

        monkeypatch.setattr(pool, "_prepare_file", check_as_a_writer)
        pool.dispose()
        os.utime(file, ns=(1, 1))
        assert saved(catalog) == ["old"]
        assert len(checks) == 1


@posix_only
def test_a_deleted_library_is_neither_read_nor_written(tmp_path: Path) -> None:
    file = make_catalog(tmp_path / "library" / "catalog.sqlite3", "old")
    with Catalog.open(file) as catalog:
        assert saved(catalog) == ["old"]
        save(catalog, "older")
        file.parent.rename(tmp_path / "moved")
        for _ in range(2):
            with pytest.raises(LibraryError, match=r"is gone.*moved or deleted"):
                saved(catalog)
            with pytest.raises(LibraryError, match="is gone"):
                save(catalog, "lost")
        assert not file.parent.exists()
        (tmp_path / "moved").rename(file.parent)
        assert saved(catalog) == ["old", "older"]


@posix_only
def test_a_write_does_not_go_into_a_file_that_is_replaced_meanwhile(tmp_path: Path) -> None:
    file = make_catalog(tmp_path / "catalog.sqlite3", "old")
    other = make_catalog(tmp_path / "other.sqlite3", "new")
    with Catalog.open(file) as catalog:

        def write_and_replace() -> None:
            with catalog.begin() as transaction:
                transaction.save_search("lost", "lost")
                other.replace(file)

        with pytest.raises(LibraryError, match="was replaced"):
            write_and_replace()
        assert saved(catalog) == ["new"]


@posix_only
def test_a_run_that_writes_does_not_continue_in_another_library(tmp_path: Path) -> None:
    file = make_catalog(tmp_path / "catalog.sqlite3", "old")
    other = make_catalog(tmp_path / "other.sqlite3", "new")
    with Catalog.open(file) as catalog:
        with catalog.pin_file():
            other.replace(file)
            with pytest.raises(LibraryError, match="was replaced"):
                save(catalog, "lost")
        assert saved(catalog) == ["new"]


@posix_only
def test_a_file_of_another_kind_in_its_place_is_reported_until_it_is_a_catalog(
    tmp_path: Path,
) -> None:
    file = make_catalog(tmp_path / "catalog.sqlite3", "old")
    with Catalog.open(file) as catalog:
        saved(catalog)
        (tmp_path / "note").write_text("a shopping list\n" * 100)
        (tmp_path / "note").replace(file)
        with pytest.raises(DamagedLibraryError, match="not a vsearch catalog"):
            saved(catalog)
        make_catalog(tmp_path / "other.sqlite3", "new").replace(file)
        assert saved(catalog) == ["new"]


def test_a_catalog_that_does_not_exist_yet_is_opened_when_it_does(tmp_path: Path) -> None:
    file = tmp_path / "library" / "catalog.sqlite3"
    with Catalog.open(file, create=None) as catalog:
        with pytest.raises(NoLibraryError):
            saved(catalog)
        assert not file.parent.exists()
        make_catalog(file, "new")
        assert saved(catalog) == ["new"]
    with Catalog.open(tmp_path / "second.sqlite3", create=None) as catalog:
        catalog.create()
        catalog.create()
        assert saved(catalog) == []


def test_reads_in_a_snapshot_see_one_state(tmp_path: Path) -> None:
    file = make_catalog(tmp_path / "catalog.sqlite3", "old")
    with Catalog.open(file) as catalog, Catalog.open(file) as writer:
        with catalog.snapshot():
            assert saved(catalog) == ["old"]
            save(writer, "later")
            with catalog.snapshot():
                assert saved(catalog) == ["old"]
            assert not catalog.is_outdated()  # searches do not depend on saved searches
        assert saved(catalog) == ["later", "old"]


def test_a_read_that_fails_because_the_library_changed_is_repeated(tmp_path: Path) -> None:
    file = make_catalog(tmp_path / "catalog.sqlite3")
    attempts = []
    with Catalog.open(file) as catalog, Catalog.open(file) as writer:

        def read() -> int:
            attempts.append(catalog.revision())
            if len(attempts) < 3:
                with writer.begin() as transaction:
                    transaction._needs_revision = True
                raise LibraryError("a file is missing")
            return len(attempts)

        assert catalog.read_consistently(read) == 3
        assert attempts == sorted(set(attempts))

        def fail() -> None:
            attempts.append(0)
            raise LibraryError("always")

        attempts.clear()
        with pytest.raises(LibraryError, match="always"):
            catalog.read_consistently(fail)
        assert len(attempts) == 1


class TestOverwrittenFile:
    """`cp backup catalog.sqlite3` while another connection has it open."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return make_catalog(tmp_path / "catalog.sqlite3", "first")

    def test_an_older_backup_is_not_mixed_with_the_log(self, file: Path, tmp_path: Path) -> None:
        backup = tmp_path / "backup"
        shutil.copyfile(file, backup)
        with Catalog.open(file) as catalog:
            save(catalog, "second")
        with Catalog.open(file) as writer:
            save(writer, "third")  # in the log
            shutil.copyfile(backup, file)
            content = file.read_bytes()
            with pytest.raises(DamagedLibraryError, match=r"overwritten.*mixture.*-wal") as caught:
                Catalog.open(file)
            assert "vsearch restore" in str(caught.value)
            with pytest.raises(DamagedLibraryError, match="overwritten"):
                save(writer, "fourth")
            assert file.read_bytes() == content

    def test_the_way_back_that_the_message_names_works(self, file: Path, tmp_path: Path) -> None:
        backup = tmp_path / "backup"
        shutil.copyfile(file, backup)
        with Catalog.open(file) as catalog:
            save(catalog, "second")
        writer = Catalog.open(file)
        save(writer, "third")
        log_bytes = Path(f"{file}-wal").read_bytes()
        writer.close()
        Path(f"{file}-wal").write_bytes(log_bytes)  # as after a crash
        shutil.copyfile(backup, file)
        with pytest.raises(DamagedLibraryError, match="overwritten"):
            Catalog.open(file)
        Path(f"{file}-wal").unlink()
        Path(f"{file}-shm").unlink(missing_ok=True)
        with Catalog.open(file) as catalog:
            assert saved(catalog) == ["first"]

    def test_a_backup_that_the_log_hides_is_reported(
        self, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        backup = tmp_path / "backup"
        shutil.copyfile(file, backup)
        with Catalog.open(file) as writer:
            save(writer, "second")
            assert check_commit_chain(file) is None
            shutil.copyfile(backup, file)
            later = Path(f"{file}-wal").stat().st_mtime_ns + 1_000_000
            os.utime(file, ns=(later, later))
            with Catalog.open(file) as catalog:
                assert saved(catalog) == ["first", "second"]
                assert "later changes, which are still in effect" in caplog.text
                assert any("copying a backup" in problem for problem in catalog.find_problems())

    @posix_only
    def test_a_copy_over_a_file_with_an_empty_log_is_followed(
        self, file: Path, tmp_path: Path
    ) -> None:
        other = make_catalog(tmp_path / "other.sqlite3", "new", "newer")
        replaced: list[bool] = []
        with Catalog.open(file) as catalog:
            catalog.on_replaced(lambda: replaced.append(True))
            assert saved(catalog) == ["first"]
            shutil.copyfile(other, file)
            assert saved(catalog) == ["new", "newer"]
            assert replaced == [True]
            save(catalog, "last")
            assert saved(catalog) == ["last", "new", "newer"]
        with Catalog.open(file) as catalog:
            assert saved(catalog) == ["last", "new", "newer"]

    @posix_only
    def test_a_write_after_a_copy_goes_into_the_copy(self, file: Path, tmp_path: Path) -> None:
        other = make_catalog(tmp_path / "other.sqlite3", "new")
        with Catalog.open(file) as catalog:
            saved(catalog)
            shutil.copyfile(other, file)
            save(catalog, "last")
            assert saved(catalog) == ["last", "new"]
            assert catalog.find_problems() == []

    @posix_only
    def test_a_run_that_writes_does_not_continue_in_a_copy(
        self, file: Path, tmp_path: Path
    ) -> None:
        other = make_catalog(tmp_path / "other.sqlite3", "new")
        with Catalog.open(file) as catalog:
            saved(catalog)
            with catalog.pin_file():
                shutil.copyfile(other, file)
                for _ in range(2):
                    with pytest.raises(LibraryError, match="was replaced"):
                        save(catalog, "lost")
            assert saved(catalog) == ["new"]

    @pytest.mark.parametrize("size", [0, 100, 6000])
    @posix_only
    def test_a_file_that_is_cut_off_is_reported(self, file: Path, size: int) -> None:
        with Catalog.open(file) as catalog:
            catalog.check_readable()
            os.truncate(file, size)
            with pytest.raises(LibraryError, match=r"damaged|no library|first"):
                catalog.check_readable()

    def test_normal_use_raises_no_alarm(self, file: Path, caplog: pytest.LogCaptureFixture) -> None:
        with Catalog.open(file) as first, Catalog.open(file) as second:
            for number in range(5):
                save(first, f"a{number}")
                assert check_commit_chain(file) is None
                save(second, f"b{number}")
                with closing(sqlite3.connect(file)) as raw:
                    raw.execute("PRAGMA wal_checkpoint(PASSIVE)")
                assert check_commit_chain(file) is None
                with second.snapshot():
                    saved(second)
                    save(first, f"c{number}")
                    with closing(sqlite3.connect(file)) as raw:
                        raw.execute("PRAGMA wal_checkpoint(PASSIVE)")
                assert check_commit_chain(file) is None
        assert not caplog.records

    def test_a_log_of_another_program_or_a_part_of_one_is_ignored(self, file: Path) -> None:
        with closing(sqlite3.connect(file)) as raw:
            raw.execute("CREATE TABLE other (id)")
            raw.commit()
            assert check_commit_chain(file) is None
        for content in (b"", b"x" * 10, b"\x37\x7f\x06\x82" + b"\xff" * 1000):
            Path(f"{file}-wal").write_bytes(content)
            assert commit_chain._read_log(Path(f"{file}-wal")) is None
