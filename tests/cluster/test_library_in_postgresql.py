"""Libraries in PostgreSQL: all commands, the same answers as in a folder, copies both ways."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.catalog_rows import index_video
from tests.support.postgresql_server import PASSWORD
from tests.support.random_library import fill_randomly
from tests.support.video_factory import BLUE, GREEN, ColorScene, make_video
from vsearch import Library
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.record import read_record
from vsearch.catalog.table_copy import compare_tables
from vsearch.errors import LibraryError, LockedError, NoLibraryError, SettingsError
from vsearch.library_copy import copy_library
from vsearch.library_location import CATALOG_FILE, STORE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgresql_server import PostgresqlServer
    from tests.support.processes import CommandRunner
    from vsearch.catalog.database_url import DatabaseUrl

pytestmark = pytest.mark.cluster
COMPARED_FIELDS = ("path", "start", "end", "score", "confidence")


@pytest.fixture
def database_url(
    postgresql_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DatabaseUrl]:
    """URL of a database without tables; the password is in PGPASSWORD."""
    new_url = postgresql_server.create_database(empty=True)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    yield type(new_url).parse(str(new_url))
    postgresql_server.drop_database(new_url)


def answers(run_vsearch: CommandRunner, library: str, *query: str) -> list[dict[str, Any]]:
    """Return the results of a search."""
    output = run_vsearch("--library", library, "search", *query, "--json").stdout
    return [
        {key: value for key, value in result.items() if key in COMPARED_FIELDS}
        for result in json.loads(output)["results"]
    ]


@pytest.mark.usefixtures("fake_model")
def test_commands_work_and_answer_as_in_a_folder(
    run_vsearch: CommandRunner,
    database_url: DatabaseUrl,
    videos_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = str(database_url)
    make_video(videos_folder / "blue then green.mp4", [ColorScene(BLUE, 5), ColorScene(GREEN, 4)])
    (videos_folder / "green.srt").write_text("1\n00:00:00,500 --> 00:00:02,000\nA frog jumps\n")
    store = tmp_path / "store"
    assert "no library" in run_vsearch("--library", url, "info", exit_code=1).stderr
    assert "--store" in run_vsearch("library", "create", url, exit_code=2).stderr
    assert url in run_vsearch("library", "create", url, "--store", store).stdout
    libraries = (url, "folder")
    for library in libraries:
        output = run_vsearch("--library", library, "index", videos_folder, "--keep-frames").stdout
        assert output.startswith("3 indexed"), output
    assert "3 unchanged" in run_vsearch("--library", url, "index", videos_folder).stdout
    assert {path.name for path in store.iterdir()} >= {"features", "frame_cache", STORE_FILE}

    def compare() -> None:
        for query in (
            *("green", "red then blue", "said:frog", "name:green", "blue tag:animal"),
            *("blue -red", "green tag:animal"),
        ):
            found, expected = (answers(run_vsearch, library, query) for library in libraries)
            assert found == expected, query
            assert found or query == "blue tag:animal", query

    for library in libraries:
        run_vsearch("--library", library, "tags", "--add", "animal", videos_folder / "green.mp4")
    compare()
    assert "animal" in run_vsearch("--library", url, "tags").stdout
    assert "frog" in run_vsearch("--library", url, "transcript", videos_folder / "green.mp4").stdout
    monkeypatch.delenv("VSEARCH_MODEL")
    for library in libraries:
        run_vsearch("--library", library, "model", "switch", "fake:other")
    compare()
    for library in libraries:
        run_vsearch("--library", library, "remove", videos_folder / "green.mp4")
        run_vsearch("--library", library, "rebuild")
    for query in ("green", "red"):
        assert answers(run_vsearch, url, query) == answers(run_vsearch, "folder", query) != []
    run_vsearch("--library", url, "save", "colors", "blue -red")
    assert answers(run_vsearch, url, "@colors") == answers(run_vsearch, "folder", "blue -red")
    run_vsearch("--library", url, "mark", "1", "up")
    output = run_vsearch("--library", url, "info").stdout
    assert url in output
    assert "2, 0:00:17 in total" in output
    output = run_vsearch("--library", url, "doctor").stdout
    assert output.startswith("No problems"), output
    config_output = run_vsearch("--library", url, "config").stdout
    rows = [line.split() for line in config_output.splitlines()]
    assert ["store", str(store), "catalog"] in rows
    assert ["model", "fake:other", "catalog"] in rows
    assert PASSWORD not in config_output
    message = run_vsearch("--library", url, "backup", "x.backup", exit_code=1).stderr
    assert "pg_dump" in message
    message = run_vsearch("--library", url, "restore", "x.backup", exit_code=1).stderr
    assert "vsearch library copy" in message
    assert (
        "there is a library"
        in run_vsearch("library", "create", url, "--store", tmp_path / "other", exit_code=1).stderr
    )


@pytest.mark.usefixtures("fake_model")
def test_a_library_is_opened_by_its_environment_variable(
    database_url: DatabaseUrl, tmp_path: Path, videos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Library.create(str(database_url), store=tmp_path / "store", index="exact") as library:
        assert library.settings.index == "exact"
        assert library.settings.store == str(tmp_path / "store")
        assert repr(library) == f"Library('{database_url}')"
        assert library.lock_holder() is None
    monkeypatch.setenv("VSEARCH_LIBRARY", str(database_url))
    with Library.open() as library:
        list(library.index([videos_folder]))
        assert library.search("green")[0].video.path == videos_folder / "green.mp4"
        assert library.info().location == str(database_url)
        cache_files = [path for path in library.cache_path.rglob("*") if path.is_file()]
        assert cache_files
        assert (tmp_path / "store") not in library.cache_path.parents
        shutil.rmtree(library.cache_path)
    (tmp_path / "store").rename(tmp_path / "mounted elsewhere")
    monkeypatch.setenv("VSEARCH_STORE", str(tmp_path / "mounted elsewhere"))
    with Library.open() as library:
        list(library.index([videos_folder], force=True))
        assert library.path == tmp_path / "mounted elsewhere"
        stored_settings = library.location.settings_source.read().values
        assert stored_settings["store"] == str(tmp_path / "store")
        assert library.search("green")[0].video.path == videos_folder / "green.mp4"


@pytest.mark.usefixtures("fake_model")
def test_several_writers_index_at_the_same_time(
    database_url: DatabaseUrl, tmp_path: Path, videos_folder: Path
) -> None:
    Library.create(str(database_url), store=tmp_path / "store").close()
    with Library.open(str(database_url)) as first, Library.open(str(database_url)) as second:
        first_run = first.index([videos_folder / "green.mp4"])
        assert next(first_run).video is not None
        results = list(second.index([videos_folder / "red then blue.mp4"]))
        assert [result.error for result in results] == [None]
        with pytest.raises(LockedError, match="is writing"):
            second.models.switch("fake:other")
        assert list(first_run) == []
        assert len(first.videos()) == len(second.videos()) == 2
        for video in first.videos():
            assert len(second.features(video).frame_times)
        assert second.models.switch("fake:other").is_switched


def test_a_store_that_is_not_there_is_not_created(
    database_url: DatabaseUrl, tmp_path: Path, videos_folder: Path
) -> None:
    store = tmp_path / "store"
    Library.create(str(database_url), store=store).close()
    store.rename(tmp_path / "elsewhere")
    with Library.open(str(database_url)) as library:
        with pytest.raises(LibraryError, match=r"the store of .* is not there"):
            list(library.index([videos_folder]))
        assert any("is not there" in problem for problem in library.doctor())
    assert not store.exists()
    store.mkdir()
    (store / STORE_FILE).write_text('{"library": "another"}')
    with (
        Library.open(str(database_url)) as library,
        pytest.raises(LibraryError, match="of another library"),
    ):
        list(library.index([videos_folder]))


def test_stores_that_cannot_be_used_are_refused(database_url: DatabaseUrl, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(LibraryError, match="not empty"):
        Library.create(str(database_url), store=tmp_path / "full")
    with pytest.raises(SettingsError, match="absolute"):
        Library.create(str(database_url), store="relative")
    with pytest.raises(SettingsError, match="begins with") as raised:
        Library.create(str(database_url), store="ftp://ann:s3cret@host/films?key=s3cret")
    assert "s3cret" not in str(raised.value)
    with pytest.raises(SettingsError):
        Library.create(str(database_url), store=tmp_path / "store", index="")
    with pytest.raises(LibraryError, match="no store"):
        Library.open(str(database_url))
    Library.create(str(database_url), store=tmp_path / "store").close()


def fill_folder(folder: Path) -> None:
    """Make a library with rows in all tables."""
    with Catalog.open(folder / CATALOG_FILE, create=True) as catalog:
        fill_randomly(catalog, 5, 25)
        last_video, _ = index_video(catalog, "/films/removed.mp4")
        with catalog.begin() as transaction:
            transaction.remove_videos([last_video.id])
    (folder / "features" / "s").mkdir(parents=True)
    (folder / "features" / "s" / "1.safetensors").write_bytes(b"features")
    (folder / "vsearch.toml").write_text("fps = 2.0\n")


def test_a_library_survives_the_way_to_postgresql_and_back(
    database_url: DatabaseUrl, tmp_path: Path
) -> None:
    fill_folder(tmp_path / "first")
    settings = {"store": str(tmp_path / "store")}
    there = copy_library(tmp_path / "first", str(database_url), settings)
    back = copy_library(str(database_url), tmp_path / "second", {})
    assert there.table_digests == back.table_digests
    assert all(digest.row_count for digest in there.table_digests)
    assert (there.file_count, back.file_count) == (1, 1)
    assert there.target == str(database_url)
    with (
        Catalog.open(tmp_path / "first" / CATALOG_FILE) as first,
        Catalog.open(tmp_path / "second" / CATALOG_FILE) as second,
        Catalog.open(database_url) as database,
    ):
        compare_tables(first, second, lambda *_: None)
        assert second.find_problems() == first.find_problems()
        assert database.find_problems() == first.find_problems()
        assert read_record(database)["settings"]["fps"] == 2.0
        for table in ("segments", "videos", "cues"):
            [[first_seq], [second_seq]] = (
                catalog.read_rows(f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'")[0]
                for catalog in (first, second)
            )
            assert first_seq == second_seq
        last_video_id = max(video.id for video in first.videos())
        for catalog in (first, second, database):
            video, segment_ids = index_video(catalog, "/films/new.mp4")
            assert video.id == last_video_id + 2
            assert segment_ids.min() > first_seq
            with catalog.begin() as transaction:
                transaction.save_search("new", "query")
    with pytest.raises(LibraryError, match="has a library already"):
        copy_library(tmp_path / "first", str(database_url), settings)


COPY_SLOWLY = """
import sys, time
from vsearch import library_copy
from vsearch.catalog import table_copy
table_copy.ROWS_PER_BATCH = 5
def report(name, done, total):
    print(name, done, flush=True)
    time.sleep(0.002)
library_copy.copy_library(sys.argv[1], sys.argv[2], {"store": sys.argv[3]}, on_progress=report)
"""


@pytest.mark.parametrize("line_count", [3, 60, 160])
def test_a_killed_copy_is_continued(
    database_url: DatabaseUrl, tmp_path: Path, line_count: int
) -> None:
    fill_folder(tmp_path / "first")
    process = subprocess.Popen(
        [
            sys.executable, "-c", COPY_SLOWLY, tmp_path / "first", str(database_url),
            tmp_path / "store",
        ],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(line_count):
        assert process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with pytest.raises(LibraryError, match="not complete"):
        Library.open(str(database_url))
    fill_folder(tmp_path / "other")
    with pytest.raises(LibraryError, match="copy of another library"):
        copy_library(tmp_path / "other", str(database_url), {"store": str(tmp_path / "store")})
    copy_library(tmp_path / "first", str(database_url), {"store": str(tmp_path / "store")})
    with (
        Catalog.open(tmp_path / "first" / CATALOG_FILE) as first,
        Catalog.open(database_url) as database,
    ):
        compare_tables(first, database, lambda *_: None)
        assert database.find_problems() == first.find_problems()


def test_no_password_reaches_a_file_a_message_or_a_process_list(
    database_url: DatabaseUrl,
    postgresql_server: PostgresqlServer,
    tmp_path: Path,
    fake_plugin: Path,
    videos_folder: Path,
) -> None:
    password_url = postgresql_server.url(database_url.name).conninfo()
    secret = password_url.split(":")[2].rpartition("@")[0]
    assert secret != PASSWORD
    secrets = [secret.encode(), PASSWORD.encode()]
    environment = os.environ | {
        "VSEARCH_MODEL": "fake",
        "PYTHONPATH": os.pathsep.join([str(fake_plugin), os.environ.get("PYTHONPATH", "")]),
        "VSEARCH_CACHE": str(tmp_path / "cache"),
    }
    del environment["PGPASSWORD"]

    def run(*arguments: str | Path) -> bytes:
        result = subprocess.run(
            [sys.executable, "-m", "vsearch", "--log-file", tmp_path / "log", "-v", *arguments],
            env=environment, cwd=tmp_path, capture_output=True, check=False,
        )  # fmt: skip
        return result.stdout + result.stderr

    outputs = [
        run("library", "create", password_url, "--store", tmp_path / "store"),
        run("--library", password_url, "index", videos_folder),
        run("--library", password_url, "search", "green"),
        run("--library", password_url, "config", "--json"),
        run("--library", password_url, "model", "switch", "fake:other", "--background"),
    ]
    assert b"1 green" in outputs[2] or b"green.mp4" in outputs[2], outputs[2]
    assert b"PGPASSFILE" in outputs[1]
    child_id = int(outputs[-1].split(b"process ")[1].split(b";")[0])
    child_arguments = []
    process_folder = Path(f"/proc/{child_id}")
    while process_folder.exists():
        child_arguments.append((process_folder / "cmdline").read_bytes())
        if (process_folder / "stat").read_text().rpartition(") ")[2].startswith("Z"):
            break  # it has ended
        time.sleep(0.05)
    assert b"--library" in child_arguments[0]
    outputs.append(run("--library", password_url, "info"))
    assert b"fake:other" in outputs[-1]
    wrong_url = password_url.replace(secret, "wr0ng")
    outputs.append(run("--library", wrong_url, "info"))
    assert b"password" in outputs[-1]
    secrets.append(b"wr0ng")
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for text in (*outputs, *child_arguments, *stored):
        for each_secret in secrets:
            assert each_secret not in text, text[:2_000]


def test_a_missing_database_is_explained(
    postgresql_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    url = str(postgresql_server.url("missing"))
    with pytest.raises(LibraryError, match="missing"):
        Library.open(url)
    with pytest.raises(NoLibraryError, match="vsearch library create"):
        Library.open(str(postgresql_server.url("postgres")))
