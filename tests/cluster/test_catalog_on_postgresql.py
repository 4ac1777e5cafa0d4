"""The catalog in PostgreSQL: several writers, lost connections, schemas, errors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, schema

from tests.support.catalog_rows import SPACE, add_video, index_video, make_spans, unit_vectors
from tests.support.fakes import FakeEncoder
from tests.support.postgresql_server import PASSWORD, PostgresqlServer, run_postgresql
from vsearch import Library
from vsearch.catalog import postgresql_connection
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.database_url import DatabaseUrl
from vsearch.catalog.open import BUNDLED_SCHEMA, open_pool
from vsearch.catalog.pool import MAX_IDLE_CONNECTIONS
from vsearch.catalog.revision import SCHEMA_HEAD, SchemaVersion
from vsearch.catalog.schema import Base
from vsearch.errors import (
    DamagedLibraryError,
    LibraryError,
    LockedError,
    NewerLibraryError,
    NoLibraryError,
)
from vsearch.progress import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vsearch.types import Images, Matrix

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]
SEGMENTS_PER_VIDEO = 3
WRITER = f"""
import os, sys
from tests.support.catalog_rows import index_video
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.database_url import DatabaseUrl
with Catalog.open(DatabaseUrl.parse(os.environ["DATABASE"])) as catalog:
    for number in range(int(sys.argv[2])):
        index_video(catalog, f"/films/{{sys.argv[1]}}/{{number}}.mp4", {SEGMENTS_PER_VIDEO})
"""
FUTURE_SCRIPT = f'''
import sqlalchemy as sa
from alembic import op

revision, down_revision = "9001", "{SCHEMA_HEAD}"


def upgrade() -> None:
    with op.batch_alter_table("videos") as batch:
        batch.add_column(sa.Column("title", sa.Text(), nullable=True))
'''


@pytest.fixture
def database_url(postgresql_server: PostgresqlServer) -> Iterator[DatabaseUrl]:
    """URL of a database with an empty catalog."""
    url = postgresql_server.create_database()
    yield url
    postgresql_server.drop_database(url)


@pytest.fixture
def empty_url(postgresql_server: PostgresqlServer) -> Iterator[DatabaseUrl]:
    """URL of a database without tables."""
    url = postgresql_server.create_database(empty=True)
    yield url
    postgresql_server.drop_database(url)


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresqlServer]:
    """Yield a server that tests of this module kill."""
    with run_postgresql() as server:
        if server is None:
            pytest.skip("requires PostgreSQL and the extra postgresql")
        yield server


def future_schema(folder: Path) -> SchemaVersion:
    """Return the bundled schema with one more migration."""
    shutil.copytree(
        BUNDLED_SCHEMA.scripts_folder, folder, ignore=shutil.ignore_patterns("__pycache__")
    )
    (folder / "versions" / "9001_future.py").write_text(FUTURE_SCRIPT)
    return SchemaVersion("9001", folder)


# --- several writers


def test_two_writers_add_everything_once_in_the_order_of_their_commits(
    database_url: DatabaseUrl,
) -> None:
    video_count = 200
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DATABASE": database_url.conninfo(),
    }
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name, str(video_count)], env=environment)
        for name in ("a", "b")
    ]
    seen_ids: list[int] = []
    seen_revision = 0
    with Catalog.open(database_url) as catalog:
        while True:
            are_writing = any(writer.poll() is None for writer in writers)
            with catalog.snapshot():
                revision = catalog.revision()
                new_ids = catalog.segment_ids(after_id=seen_ids[-1] if seen_ids else 0).tolist()
                counts = catalog.library_counts()
            assert revision >= seen_revision
            assert (revision > seen_revision) == bool(new_ids), "what is new has a new revision"
            seen_revision = revision
            seen_ids += new_ids
            # nothing was added below the last id, and there are whole videos only
            assert counts.segment_count == len(seen_ids) == counts.video_count * SEGMENTS_PER_VIDEO
            if not are_writing:
                break
        assert [writer.wait() for writer in writers] == [0, 0]
        assert len(seen_ids) == 2 * video_count * SEGMENTS_PER_VIDEO
        assert len({video.path for video in catalog.videos()}) == 2 * video_count
        for video in catalog.videos():
            ids = [segment.id for segment in catalog.segments_of_video(video.id)]
            assert ids == list(range(ids[0], ids[0] + SEGMENTS_PER_VIDEO))
        assert catalog.find_problems() == []


def test_two_writers_cannot_add_the_same_path(database_url: DatabaseUrl) -> None:
    errors: list[LibraryError] = []

    def add() -> None:
        with Catalog.open(database_url) as catalog:
            try:
                index_video(catalog, "/a.mp4")
            except LibraryError as exc:
                errors.append(exc)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 3
    assert {str(error).partition(" rejected ")[2] for error in errors} == {
        "a change: UNIQUE constraint failed: videos.path."
    }
    with Catalog.open(database_url) as catalog:
        assert catalog.library_counts().segment_count == SEGMENTS_PER_VIDEO


def test_a_writer_that_waits_for_too_long_is_refused(
    database_url: DatabaseUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgresql_connection._SETTINGS, "lock_timeout", "50ms")
    with Catalog.open(database_url) as catalog, Catalog.open(database_url) as other:
        with catalog.begin() as change:
            add_video(change, "/a.mp4")
            with pytest.raises(LockedError, match="is being written by another process"):
                index_video(other, "/b.mp4")
            assert other.videos() == [], "readers do not wait"
        index_video(other, "/b.mp4")
        assert len(catalog.videos()) == 2
        with catalog.hold(), pytest.raises(LockedError):
            index_video(other, "/c.mp4")


def test_each_change_has_another_number(database_url: DatabaseUrl) -> None:
    with Catalog.open(database_url) as catalog:
        numbers = [catalog.change_number()]
        for change_number in range(3):
            with catalog.begin() as change:
                change.save_search(f"name {change_number}", "a dog")
            numbers.append(catalog.change_number())
        assert catalog.change_number() == numbers[-1]
        assert len(set(numbers)) == 4
        assert catalog.revision() == 0


# --- lost connections


def test_a_server_that_is_killed_in_a_transaction_has_nothing_of_it(
    own_server: PostgresqlServer,
) -> None:
    with Catalog.open(own_server.create_database()) as catalog:
        video, ids = index_video(catalog, "/a.mp4")

        def write_and_kill() -> None:
            with catalog.begin() as change:
                change.remove_videos([video.id])
                other = add_video(change, "/b.mp4")
                change.add_segments(other.id, make_spans(9), unit_vectors(9), SPACE)
                own_server.kill()
                change.add_segments(other.id, make_spans(9), unit_vectors(9), SPACE)

        with pytest.raises(LibraryError, match="lost the connection to its server") as error:
            write_and_kill()
        assert PASSWORD not in str(error.value)
        own_server.start()
        assert catalog.videos() == [video], "a reader connects again"
        assert catalog.segment_ids().tolist() == ids.tolist()
        _, new_ids = index_video(catalog, "/b.mp4")
        assert new_ids.min() > ids.max()
        assert len(catalog.videos()) == 2
        assert catalog.find_problems() == []


def test_a_server_that_is_killed_before_the_commit_has_nothing_of_it(
    own_server: PostgresqlServer,
) -> None:
    with Catalog.open(own_server.create_database()) as catalog:

        def write_and_kill() -> None:
            with catalog.begin() as change:
                add_video(change, "/b.mp4")
                own_server.kill()

        with pytest.raises(LibraryError, match="lost the connection to its server"):
            write_and_kill()
        own_server.start()
        assert catalog.videos() == []
        index_video(catalog, "/b.mp4")
        assert len(catalog.videos()) == 1


def test_processes_wait_for_a_server_that_is_restarted(own_server: PostgresqlServer) -> None:
    with Catalog.open(own_server.create_database()) as catalog:
        video, _ = index_video(catalog, "/a.mp4")
        assert catalog.videos() == [video]
        for work in (catalog.videos, lambda: index_video(catalog, "/b.mp4")):
            own_server.stop()
            with ThreadPoolExecutor() as executor:
                work_result = executor.submit(work)
                own_server.start()
                assert work_result.result()
        assert len(catalog.videos()) == 2


def test_reads_in_a_snapshot_see_one_state(database_url: DatabaseUrl) -> None:
    with Catalog.open(database_url) as catalog, Catalog.open(database_url) as writer:
        _, ids = index_video(writer, "/a.mp4")
        with catalog.snapshot():
            assert catalog.segment_ids().tolist() == ids.tolist()
            with writer.begin() as change:
                change.remove_videos([1])
            assert catalog.segment_ids().tolist() == ids.tolist()
            assert catalog.is_outdated()
            assert catalog.is_replaced(1, SPACE)
        assert catalog.segment_ids().tolist() == []
        catalog.close()
        with pytest.raises(LibraryError, match="was closed"):
            catalog.videos()
        with catalog.reopen():
            assert catalog.videos() == []


def test_large_results_are_read_in_parts(database_url: DatabaseUrl) -> None:
    with Catalog.open(database_url) as catalog:
        with catalog.begin() as change:
            video = add_video(change, "/a.mp4")
            ids = change.add_segments(video.id, make_spans(500), unit_vectors(500), SPACE)
        batches = catalog.iter_vectors(SPACE, batch_size=100)
        first_ids, _ = next(batches)
        assert catalog.segment_count() == 500, "while the other query goes on"
        np.testing.assert_array_equal(
            np.concatenate([first_ids, *(batch_ids for batch_ids, _ in batches)]), ids
        )
        next(catalog.iter_vectors(SPACE, batch_size=100))  # never finished
        assert len(list(catalog.iter_videos_with_vectors(ids, SPACE))) == 1


# --- the schema


def test_new_tables_are_those_of_the_models(database_url: DatabaseUrl) -> None:
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: postgresql_connection.connect(database_url)
    )
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_name": lambda name, kind, _: (
                    kind != "table" or not str(name).endswith("_fts")
                )
            },
        )
        assert compare_metadata(context, Base.metadata) == []
        assert context.get_current_revision() == SCHEMA_HEAD
        found = inspect(connection)
        for table in Base.metadata.sorted_tables:
            checks = {check["name"] for check in found.get_check_constraints(table.name)}
            assert checks == {
                str(constraint.name)
                for constraint in table.constraints
                if isinstance(constraint, schema.CheckConstraint)
            }
    engine.dispose()


def test_a_later_migration_changes_a_filled_database(
    database_url: DatabaseUrl, tmp_path: Path, postgresql_server: PostgresqlServer
) -> None:
    with Catalog.open(database_url) as catalog:
        video, ids = index_video(catalog, "/a.mp4")
    future = future_schema(tmp_path / "scripts")
    with Catalog(database_url, open_pool(database_url, schema=future)) as catalog:
        assert catalog.videos() == [video]
        assert catalog.segment_ids().tolist() == ids.tolist()
    assert postgresql_server.run_sql(database_url.name, "SELECT title FROM videos") == [(None,)]
    with pytest.raises(NewerLibraryError, match=r"newer vsearch.*'9001'"):
        Catalog.open(database_url)


def test_a_failed_migration_leaves_the_database_unchanged(
    database_url: DatabaseUrl, tmp_path: Path
) -> None:
    future = future_schema(tmp_path / "scripts")
    script = future.scripts_folder / "versions" / "9001_future.py"
    script.write_text(script.read_text() + "    raise RuntimeError('half-way')\n")
    with pytest.raises(RuntimeError, match="half-way"):
        open_pool(database_url, schema=future)
    with Catalog.open(database_url) as catalog:
        index_video(catalog, "/a.mp4")


def test_processes_that_create_a_library_at_once_create_one(empty_url: DatabaseUrl) -> None:
    errors: list[Exception] = []

    def create() -> None:
        try:
            Catalog.open(empty_url, create=True).close()
        except Exception as exc:
            errors.append(exc)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with Catalog.open(empty_url) as catalog:
        assert catalog.revision() == 0


def test_a_database_without_a_library_is_named(empty_url: DatabaseUrl) -> None:
    with pytest.raises(NoLibraryError, match="there is no library in this database"):
        Catalog.open(empty_url)
    with Catalog.open(empty_url, create=None) as catalog:
        with pytest.raises(NoLibraryError):
            catalog.videos()
        catalog.create()
        assert catalog.videos() == []


def test_tables_of_another_program_are_not_touched(
    empty_url: DatabaseUrl, postgresql_server: PostgresqlServer
) -> None:
    postgresql_server.run_sql(empty_url.name, "CREATE TABLE notes (id int)")
    with pytest.raises(NoLibraryError):
        Catalog.open(empty_url)
    postgresql_server.run_sql(empty_url.name, "CREATE TABLE videos (id int)")
    with pytest.raises(DamagedLibraryError, match="tables of another program"):
        Catalog.open(empty_url, create=True)


# --- errors


def change_url(url: DatabaseUrl, *, password: str = "wrong", port: int = 0) -> DatabaseUrl:
    """Return a URL with another password or port."""
    server = url.hosts if not port else f"127.0.0.1:{port}"
    return DatabaseUrl.parse(f"postgresql://{url.user}:{password}@{server}/{url.database}")


def test_errors_name_the_database_and_not_the_password(
    database_url: DatabaseUrl, postgresql_server: PostgresqlServer
) -> None:
    cases = [
        (change_url(database_url, password="hunter2"), LibraryError, "refuses the user"),
        (change_url(database_url, password="hunter2", port=9), LibraryError, "cannot be reached"),
        (postgresql_server.url("missing"), NoLibraryError, "does not exist on the server"),
    ]
    for url, error_class, message in cases:
        with pytest.raises(error_class, match=message) as error:
            Catalog.open(url)
        assert str(url) in str(error.value)
        assert "hunter2" not in str(error.value)
        assert PASSWORD not in str(error.value)


def test_a_read_only_server_is_read_and_not_written(
    database_url: DatabaseUrl, postgresql_server: PostgresqlServer
) -> None:
    with Catalog.open(database_url) as catalog:
        index_video(catalog, "/a.mp4")
    postgresql_server.run_sql(
        "postgres", f"ALTER DATABASE {database_url.name} SET default_transaction_read_only = on"
    )
    with Catalog.open(database_url) as catalog:
        assert len(catalog.videos()) == 1
        with pytest.raises(LibraryError, match="read-only"):
            index_video(catalog, "/b.mp4")


def test_a_user_without_rights_is_refused(
    empty_url: DatabaseUrl, postgresql_server: PostgresqlServer
) -> None:
    postgresql_server.run_sql("postgres", "CREATE ROLE guest LOGIN PASSWORD 'welcome'")
    url = DatabaseUrl.parse(
        f"postgresql://guest:welcome@127.0.0.1:{postgresql_server.port}/{empty_url.name}"
    )
    with pytest.raises(LibraryError, match=r"GRANT CREATE ON SCHEMA"):
        Catalog.open(url, create=True)


def test_a_database_of_another_encoding_is_refused(postgresql_server: PostgresqlServer) -> None:
    postgresql_server.run_sql(
        "postgres",
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
    )
    with pytest.raises(LibraryError, match="encoding LATIN1"):
        Catalog.open(postgresql_server.url("latin"), create=True)


def test_an_old_server_is_refused(
    database_url: DatabaseUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_connection, "OLDEST_SERVER", 99)
    with pytest.raises(LibraryError, match="needs version 99 or newer"):
        Catalog.open(database_url)


def test_a_failed_read_is_repeated(
    database_url: DatabaseUrl, postgresql_server: PostgresqlServer
) -> None:
    end_others = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{database_url.name}'"
    )
    with Catalog.open(database_url) as catalog:
        video, _ = index_video(catalog, "/a.mp4")
        for _ in range(3):
            postgresql_server.run_sql("postgres", end_others)
            assert catalog.videos() == [video]
        postgresql_server.run_sql("postgres", end_others)
        index_video(catalog, "/b.mp4")
        assert len(catalog.videos()) == 2


def test_a_catalog_in_a_database_is_not_copied_into_a_file(
    database_url: DatabaseUrl, tmp_path: Path
) -> None:
    with (
        Catalog.open(database_url) as catalog,
        pytest.raises(LibraryError, match="pg_dump"),
    ):
        catalog.copy_to(tmp_path / "copy.sqlite3")


def test_the_pool_keeps_few_connections(
    database_url: DatabaseUrl, postgresql_server: PostgresqlServer
) -> None:
    count_sql = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database_url.name}'"
    with Catalog.open(database_url) as catalog:
        threads = [threading.Thread(target=catalog.videos) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        [(connection_count,)] = postgresql_server.run_sql("postgres", count_sql)
        assert connection_count <= MAX_IDLE_CONNECTIONS  # type: ignore[operator]


# --- two processes over the same files


class OvertakenEncoder(FakeEncoder):
    """An encoder during whose first call another process indexes a file."""

    def __init__(self, overtake: Callable[[], None]) -> None:
        super().__init__()
        self._overtake: Callable[[], None] | None = overtake

    def encode_images(self, images: Images) -> Matrix:
        """Let the other process finish first."""
        if self._overtake is not None:
            overtake, self._overtake = self._overtake, None
            overtake()
        return super().encode_images(images)


@pytest.mark.parametrize(
    ("other_name", "outcome"),
    [("green.mp4", Outcome.UNCHANGED), ("copy.mp4", Outcome.DUPLICATE)],
)
@pytest.mark.usefixtures("fake_model")
def test_a_video_is_stored_once_if_two_processes_index_it(
    empty_url: DatabaseUrl, tmp_path: Path, videos_folder: Path, other_name: str, outcome: Outcome
) -> None:
    location = empty_url.conninfo()
    shutil.copy(videos_folder / "green.mp4", videos_folder / "copy.mp4")
    Library.create(location, store=tmp_path / "store").close()

    def overtake() -> None:
        with Library.open(location) as other:
            [result] = other.index([videos_folder / other_name])
            assert result.outcome is Outcome.INDEXED

    with Library.open(location, encoder=OvertakenEncoder(overtake)) as library:
        [result] = library.index([videos_folder / "green.mp4"])
        assert result.outcome is outcome
        [video] = library.videos()
        assert result.video is not None
        assert result.video.id == video.id
        assert video.path.name == other_name
        assert len(library.features(video).frame_times)
