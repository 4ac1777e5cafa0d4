"""The library without --library: a variable, a folder of earlier versions, the user's data."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from vsearch import Library
from vsearch.config import FOLDER_LIBRARY, resolve_library_path
from vsearch.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner


def test_the_first_run_creates_a_library_in_the_data_of_the_user(
    run_vsearch: CommandRunner,
    fake_model: None,
    videos_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    library_path = resolve_library_path()
    assert library_path.is_absolute()
    if os.name == "posix" and os.uname().sysname == "Linux":
        assert library_path == tmp_path / "data" / "vsearch" / "library"
    message = run_vsearch("search", "red", exit_code=1).stderr
    assert "create one with `vsearch index FOLDER`" in message
    assert not library_path.exists()
    assert f"New library: {library_path}" in run_vsearch("index", videos_folder).stderr
    assert "New library" not in run_vsearch("index", videos_folder).stderr
    assert (library_path / "catalog.sqlite3").exists()
    assert not (tmp_path / "indexes").exists()
    monkeypatch.chdir(videos_folder)
    assert "green.mp4" in run_vsearch("search", "green").stdout


def test_a_library_of_an_earlier_version_is_used_where_it_is(
    run_vsearch: CommandRunner, fake_model: None, videos_folder: Path, tmp_path: Path
) -> None:
    with Library.open(tmp_path / "indexes" / "default", create=True) as library:
        list(library.index([videos_folder / "green.mp4"]))
    result = run_vsearch("index", videos_folder)
    assert "New library" not in result.stderr
    assert "1 unchanged" in result.stdout
    assert "red then blue" in run_vsearch("search", "red").stdout
    output = json.loads(run_vsearch("config", "--json").stdout)
    assert output["library"] == str(tmp_path / "indexes" / "default")
    assert output["library_source"] == "indexes/default"
    with Library.open() as library:
        assert len(library.videos()) == 2


def test_a_library_that_was_taken_away_by_a_killed_restore_is_used(
    tmp_path: Path, fake_model: None, videos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Library.open(FOLDER_LIBRARY, create=True) as library:
        list(library.index([videos_folder]))
    FOLDER_LIBRARY.rename(FOLDER_LIBRARY.with_name(".default.999999999.old"))
    with Library.open() as library:
        assert library.path == FOLDER_LIBRARY
        assert len(library.videos()) == 2


def test_a_link_to_a_drive_that_is_not_connected_is_not_replaced_by_another_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    FOLDER_LIBRARY.parent.mkdir()
    FOLDER_LIBRARY.symlink_to(tmp_path / "drive")
    assert resolve_library_path() == FOLDER_LIBRARY


@pytest.mark.parametrize("is_earlier_there", [True, False])
def test_a_flag_and_a_variable_come_first(
    run_vsearch: CommandRunner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_earlier_there: bool,
) -> None:
    if is_earlier_there:
        (tmp_path / FOLDER_LIBRARY).mkdir(parents=True)
    monkeypatch.setenv("VSEARCH_LIBRARY", str(tmp_path / "variable"))
    assert resolve_library_path() == tmp_path / "variable"
    assert resolve_library_path("flag").name == "flag"
    for words, expected in (((), "VSEARCH_LIBRARY"), (("--library", "flag"), "--library")):
        output = json.loads(run_vsearch("config", "--json", *words).stdout)
        assert output["library_source"] == expected
    assert "(VSEARCH_LIBRARY)" in run_vsearch("config").stdout


def test_a_user_without_a_home_is_answered_in_a_sentence(
    run_vsearch: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        "no user"
        not in run_vsearch("--library", "~nobody-of-that-name/x", "list", exit_code=2).stderr
    )
    with pytest.raises(SettingsError, match="name another one"):
        resolve_library_path("~nobody-of-that-name/x")

    def refuse(*_: object, **__: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("platformdirs.user_data_path", refuse)
    assert "name a folder with --library" in run_vsearch("list", exit_code=2).stderr
