"""Fixtures of all tests: an isolated home, environment and random state; videos; fake models."""

from __future__ import annotations

import logging
import os
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pytest

from tests.support.browser import run_chromium
from tests.support.postgresql_server import PostgresqlServer, run_postgresql
from tests.support.processes import CommandResult, CommandRunner
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch.cli.log_options import LOGGERS_AT_WARNING
from vsearch.cli.main import main
from vsearch.cli.messages import set_quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from vsearch.catalog.database_url import CatalogLocation

REPOSITORY_FOLDER = Path(__file__).resolve().parents[1]
SHARED_FOLDER = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def homes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parent of the home folders; `tmp_path` would list all folders for each test."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def _isolate_environment(homes_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the user's home, settings and random state."""
    home_folder = homes_folder / uuid4().hex
    home_folder.mkdir()
    monkeypatch.setenv("HOME", str(home_folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home_folder / "cache"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for variable_name in [
        variable_name for variable_name in os.environ if variable_name.startswith("VSEARCH_")
    ]:
        monkeypatch.delenv(variable_name)
    random.seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session")
def _postgresql_server() -> Iterator[PostgresqlServer | None]:
    with run_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_server(_postgresql_server: PostgresqlServer | None) -> PostgresqlServer:
    """Return the PostgreSQL server of all tests; those that use it are marked `cluster`."""
    if _postgresql_server is None:
        pytest.skip("requires PostgreSQL and the extra postgresql")
    return _postgresql_server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.cluster)])
def catalog_location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CatalogLocation]:
    """Yield where a catalog is or can be created: a SQLite file, then a database in PostgreSQL."""
    if request.param == "sqlite":
        yield tmp_path / "catalog.sqlite3"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    database_url = server.create_database()
    yield database_url
    server.drop_database(database_url)


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """Folder of real clips next to the checkout, if there is one."""
    clips_folder = SHARED_FOLDER / "media" / "clips"
    if not clips_folder.is_dir():
        pytest.skip("requires clips that are not in the repository")
    return clips_folder


@pytest.fixture(scope="session")
def broken_media() -> Path:
    """Folder of broken media files next to the checkout, if there is one."""
    broken_folder = SHARED_FOLDER / "media" / "bad"
    if not broken_folder.is_dir():
        pytest.skip("requires broken files that are not in the repository")
    return broken_folder


@pytest.fixture(scope="session")
def fake_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that, on the path, registers FakeEncoder as the model `fake`, as a plugin does."""
    plugin_folder = tmp_path_factory.mktemp("plugin")
    dist_info = plugin_folder / "vsearch_fake-1.0.dist-info"
    dist_info.mkdir()
    (dist_info / "METADATA").write_text("Metadata-Version: 2.1\nName: vsearch-fake\nVersion: 1.0\n")
    (dist_info / "entry_points.txt").write_text(
        "[vsearch.encoders]\nfake = tests.support.fakes:FakeEncoder\n"
    )
    return plugin_folder


@pytest.fixture
def fake_model(fake_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `fake` the model of this process and its child processes."""
    monkeypatch.syspath_prepend(str(fake_plugin))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(fake_plugin), str(REPOSITORY_FOLDER)]))
    monkeypatch.setenv("VSEARCH_MODEL", "fake")


@pytest.fixture
def run_vsearch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[CommandRunner]:
    """Yield a function that runs the command in this process, in a temporary folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path, exit_code: int = 0) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["vsearch", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_info:
            main()
        command_result = CommandResult(*capsys.readouterr())
        assert exit_info.value.code == exit_code, command_result.stderr
        return command_result

    yield run
    set_quiet(False)
    for logger_name in ("vsearch", *LOGGERS_AT_WARNING):
        logging.getLogger(logger_name).setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Yield the installed Chromium."""
    with run_chromium() as browser:
        yield browser


@pytest.fixture
def fake_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time of `time.monotonic`, which a test can set."""
    current_time = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: current_time[0])
    return current_time


@pytest.fixture
def videos_folder(tmp_path: Path) -> Path:
    """Folder of two videos: red, then blue; and green."""
    made_folder = tmp_path / "videos"
    made_folder.mkdir()
    make_video(made_folder / "red then blue.mp4", [ColorScene(RED, 4), ColorScene(BLUE, 4)])
    make_video(made_folder / "green.mp4", [ColorScene(GREEN, 3)])
    return made_folder
