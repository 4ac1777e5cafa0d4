from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from vsearch.errors import DamagedLibraryError
from vsearch.files import file_name, replaced, sweep, usable, write

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file"
    with replaced(path) as file:
        file.write(b"old")

    def fail() -> None:
        with replaced(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be opened there")
def test_a_replaced_file_and_its_name_are_both_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path.stat()
    synced: list[tuple[bool, bool]] = []  # whether it is the folder, whether the file is there

    def fsync(opened: int) -> None:
        synced.append((os.path.samestat(os.fstat(opened), folder), (tmp_path / "file").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    with replaced(tmp_path / "file"):
        pass
    assert synced == [(False, False), (True, True)]


def test_a_disk_that_cannot_sync_folders_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "open", refuse)
    with replaced(tmp_path / "file") as file:
        file.write(b"x")
    assert (tmp_path / "file").read_bytes() == b"x"


def test_a_sweep_deletes_unfinished_files_only(tmp_path: Path) -> None:
    (tmp_path / "a.exact").touch()
    (tmp_path / "a.exact.77.part").touch()
    assert sweep(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.exact"]
    assert sweep(tmp_path / "no folder") == 0


def test_a_file_that_is_swept_away_while_it_is_written_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def fsync(opened: int) -> None:
        if not synced:
            assert sweep(tmp_path) == 1
        synced.append(opened)

    monkeypatch.setattr(os, "fsync", fsync)
    write(tmp_path / "file", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"whole"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileNotFoundError(2, "No such file"), "cannot be read (No such file)"),
        (ValueError("If you trust the file you can load it unsafely"), "is damaged"),
        (MemoryError(), "is damaged"),
        (AssertionError(), "is damaged"),
    ],
)
def test_whatever_a_file_raises_is_damage_with_a_remedy(
    tmp_path: Path, error: Exception, told: str
) -> None:
    with pytest.raises(DamagedLibraryError) as caught, usable(tmp_path / "file", "mend it"):
        raise error
    assert str(caught.value) == f"{tmp_path / 'file'} {told}; mend it"
    assert caught.value.__cause__ is error


def test_a_plain_name_names_its_file() -> None:
    assert file_name("clip-vit-b-16-94ec72b1") == "clip-vit-b-16-94ec72b1"


def test_no_two_names_share_a_file_and_none_leads_elsewhere() -> None:
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
    files = [file_name(name) for name in names]
    assert len({file.lower() for file in files}) == len(names)
    for file in files:
        assert len(file) <= 100
        assert file.isascii()
        assert not set(file) & set("/\\. ")
