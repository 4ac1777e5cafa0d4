from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from vsearch.errors import DamagedLibraryError
from vsearch.storage.atomic_files import (
    atomic_write,
    damage_as_error,
    remove_abandoned_files,
    remove_partial_files,
    replace_file,
    safe_file_name,
)


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file"
    with atomic_write(path) as file:
        file.write(b"old")

    def fail() -> None:
        with atomic_write(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be opened there")
def test_both_the_file_and_its_folder_are_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path.stat()
    synced: list[tuple[bool, bool]] = []  # (is the folder, file exists)

    def fsync(opened: int) -> None:
        synced.append((os.path.samestat(os.fstat(opened), folder), (tmp_path / "file").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    with atomic_write(tmp_path / "file"):
        pass
    assert synced == [(False, False), (True, True)]


def test_a_disk_that_cannot_flush_folders_is_not_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "open", refuse)
    with atomic_write(tmp_path / "file") as file:
        file.write(b"x")
    assert (tmp_path / "file").read_bytes() == b"x"


def test_cleaning_up_deletes_partial_files_only(tmp_path: Path) -> None:
    (tmp_path / "a.exact").touch()
    (tmp_path / "a.exact.77.part").touch()
    assert remove_partial_files(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.exact"]
    assert remove_partial_files(tmp_path / "no folder") == 0


def test_a_partial_file_deleted_by_another_process_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def fsync(opened: int) -> None:
        if not synced:
            assert remove_partial_files(tmp_path) == 1
        synced.append(opened)

    monkeypatch.setattr(os, "fsync", fsync)
    replace_file(tmp_path / "file", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"whole"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError(2, "No such file"), "cannot be read (No such file)"),
        (ValueError("If you trust the file you can load it unsafely"), "is damaged"),
        (MemoryError(), "is damaged"),
        (AssertionError(), "is damaged"),
    ],
)
def test_any_exception_from_a_file_is_damage_with_a_remedy(
    tmp_path: Path, error: Exception, message: str
) -> None:
    with (
        pytest.raises(DamagedLibraryError) as caught,
        damage_as_error(tmp_path / "file", "mend it"),
    ):
        raise error
    assert str(caught.value) == f"{tmp_path / 'file'} {message}; mend it"
    assert caught.value.__cause__ is error


def test_a_simple_name_is_its_own_file_name() -> None:
    assert safe_file_name("clip-vit-b-16-94ec72b1") == "clip-vit-b-16-94ec72b1"


def test_file_names_are_unique_and_stay_in_their_folder() -> None:
    names = [
        "a/b",
        "a_b",
        "A_b",
        "a\\b",
        "..",
        ".",
        "",
        "/",
        "CON",
        "x" * 300,
        "x" * 301,
        "é",
        "\udcff",
    ]
    files = [safe_file_name(name) for name in names]
    assert len({file.lower() for file in files}) == len(names)
    for file in files:
        assert len(file) <= 100
        assert file.isascii()
        assert not set(file) & set("/\\. ")


WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from vsearch.storage.atomic_files import atomic_write
with atomic_write(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes cannot be killed like this there")
def test_the_next_writer_deletes_what_a_killed_one_left(tmp_path: Path) -> None:
    def start_writer(name: str) -> subprocess.Popen[bytes]:
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path / name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert writer.stdout
        assert writer.stdout.readline() == b"writing\n"
        return writer

    def partial_names() -> list[str]:
        return [path.name for path in tmp_path.iterdir() if path.suffix == ".part"]

    living = start_writer("a" * 250)
    [living_name] = partial_names()
    killed = start_writer("b")
    foreign = [".vsearch-notes.part", "b.part", ".b.4711-1.part"]
    for name in foreign:
        (tmp_path / name).touch()
    (tmp_path / ".vsearch-0123456789abcdef.part").symlink_to(tmp_path / "b.part")
    killed.kill()
    killed.communicate()
    assert len(partial_names()) == 2 + len(foreign) + 1
    assert all(name.startswith(".") for name in partial_names() if name not in foreign)
    with atomic_write(tmp_path / "c") as file:
        file.write(b"whole")
    assert sorted(partial_names()) == sorted(
        [living_name, *foreign, ".vsearch-0123456789abcdef.part"]
    )
    living.communicate()
    assert (tmp_path / ("a" * 250)).read_bytes() == b"half"
    assert living_name not in partial_names()
    assert not (tmp_path / "b").exists()
    remove_abandoned_files(tmp_path / "no folder")


def test_a_file_taken_for_abandoned_before_it_is_locked_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    flock = fcntl.flock
    locked: list[object] = []

    def delete_first(file: IO[bytes], operation: int) -> None:
        if not locked:
            Path(file.name).unlink()
        locked.append(file)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", delete_first)
    with atomic_write(tmp_path / "file") as file:
        file.write(b"whole")
    assert len(locked) == 2
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_writers_of_one_folder_do_not_delete_the_files_of_each_other(tmp_path: Path) -> None:
    def write(number: int) -> None:
        with atomic_write(tmp_path / "file") as output_file:
            output_file.write(b"%d" % number)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(1000)))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
