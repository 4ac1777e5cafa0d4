"""Missing and offline files."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vsearch.media.file_status import find_file_statuses, is_gone_or_empty

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """Folder that was indexed, with a file and a subfolder with another."""
    folder = tmp_path / "drive"
    (folder / "2024").mkdir(parents=True)
    (folder / "a.mp4").touch()
    (folder / "2024" / "b.mp4").touch()
    return folder


def statuses(drive: Path, *names: str) -> list[str]:
    found = find_file_statuses([drive / name for name in names], [drive])
    return [found[drive / name] for name in names]


def test_existing_files_are_available(drive: Path) -> None:
    assert statuses(drive, "a.mp4", "2024/b.mp4") == ["available", "available"]


def test_a_deleted_file_is_missing(drive: Path) -> None:
    (drive / "a.mp4").unlink()
    assert statuses(drive, "a.mp4", "2024/b.mp4") == ["missing", "available"]


def test_files_of_a_deleted_subfolder_are_missing(drive: Path) -> None:
    (drive / "2024" / "b.mp4").unlink()
    (drive / "2024").rmdir()
    assert statuses(drive, "a.mp4", "2024/b.mp4") == ["available", "missing"]


def test_files_of_a_drive_that_is_gone_are_offline(drive: Path) -> None:
    drive.rename(drive.with_name("unplugged"))
    assert statuses(drive, "a.mp4", "2024/b.mp4") == ["offline", "offline"]


def test_files_under_an_empty_mount_point_are_offline(drive: Path) -> None:
    drive.rename(drive.with_name("unplugged"))
    drive.mkdir()
    (drive / ".hidden").touch()
    assert statuses(drive, "a.mp4", "2024/b.mp4") == ["offline", "offline"]


def test_without_a_record_the_folder_of_the_file_counts(drive: Path) -> None:
    gone = drive / "2024" / "b.mp4"
    gone.unlink()
    gone.parent.rmdir()
    (drive / "a.mp4").rename(drive / "c.mp4")
    found = find_file_statuses([drive / "a.mp4", gone])
    assert found == {drive / "a.mp4": "missing", gone: "offline"}


def test_a_link_to_a_drive_that_is_gone_is_offline(drive: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    (links / "other.mp4").touch()
    (links / "a.mp4").symlink_to(drive / "a.mp4")
    drive.rename(drive.with_name("unplugged"))
    assert find_file_statuses([links / "a.mp4"], [links]) == {links / "a.mp4": "offline"}


def test_a_folder_in_place_of_a_file_is_missing(drive: Path) -> None:
    (drive / "a.mp4").unlink()
    (drive / "a.mp4").mkdir()
    assert statuses(drive, "a.mp4") == ["missing"]


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ENOTCONN])
def test_files_of_a_server_that_fails_are_offline(
    drive: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(path: Path) -> os.stat_result:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr("vsearch.media.file_status.os.stat", fail)
    assert statuses(drive, "a.mp4") == ["offline"]


def test_a_folder_without_permission_is_neither_missing_nor_empty(
    drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(path: Path) -> os.stat_result:
        raise PermissionError(errno.EACCES, "denied", str(path))

    monkeypatch.setattr("vsearch.media.file_status.os.stat", deny)
    monkeypatch.setattr("vsearch.media.file_status.os.scandir", deny)
    assert statuses(drive, "a.mp4") == ["available"]
    assert not is_gone_or_empty(drive)


@pytest.fixture
def hanging_stat(drive: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let `stat` block for files of the drive, as for a network drive that does not answer."""
    released, ordinary_stat = threading.Event(), os.stat

    def block(path: Path) -> os.stat_result:
        if Path(path).is_relative_to(drive):
            released.wait()
        return ordinary_stat(path)

    monkeypatch.setattr("vsearch.media.file_status.os.stat", block)
    yield
    released.set()


@pytest.mark.usefixtures("hanging_stat")
def test_a_drive_that_does_not_answer_is_offline_and_others_are_checked(
    drive: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.mp4"
    other.touch()
    found = find_file_statuses([drive / "a.mp4", other], [drive, tmp_path], timeout_seconds=0.5)
    assert found == {drive / "a.mp4": "offline", other: "available"}


def test_files_are_checked_without_a_thread_if_none_can_be_started(
    drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert statuses(drive, "a.mp4", "gone.mp4") == ["available", "missing"]
