"""Creation of the catalog's tables, and upgrade of those of older versions.

Everything happens in one SQLite transaction, which includes DDL: a killed process leaves either the
old or the new schema. A second process waits and then finds the work done.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event
from sqlalchemy.pool import NullPool

from vsearch.catalog.connection import (
    BUSY_TIMEOUT_SECONDS,
    allow_triggers,
    connect_uri,
    copy_database,
    translate_errors,
)
from vsearch.catalog.lock import WriteLock
from vsearch.catalog.revision import read_revision
from vsearch.errors import DamagedLibraryError, LibraryError, NewerLibraryError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from vsearch.catalog.database_url import CatalogLocation
    from vsearch.catalog.revision import SchemaVersion

ALEMBIC_LOCK = threading.Lock()  # Alembic keeps its state in globals


def upgrade_catalog(catalog_path: Path, found_revision: str | None, schema: SchemaVersion) -> None:
    """Upgrade a catalog, after a backup next to it, or create its tables.

    Args:
        catalog_path: The SQLite file.
        found_revision: Its present revision; None: it is empty or does not exist.
        schema: The schema to upgrade to.

    Raises:
        LockedError: Another process, maybe of an older version, is writing to the library.
        NewerLibraryError: The revision is not known.
        DamagedLibraryError: The catalog is damaged; it is left unchanged.
    """
    alembic_config = create_alembic_config(schema)
    refuse_newer(catalog_path, found_revision, alembic_config)
    if found_revision is None:
        _make_folder(catalog_path)
    uri_query = "mode=rwc" if found_revision is None else "mode=rw"
    engine = create_engine(
        "sqlite://",
        creator=lambda: allow_triggers(connect_uri(catalog_path, uri_query)),
        poolclass=NullPool,
    )
    event.listen(
        engine, "begin", lambda sql_connection: sql_connection.exec_driver_sql("BEGIN IMMEDIATE")
    )
    write_lock = WriteLock(catalog_path.parent)
    with ALEMBIC_LOCK:
        try:
            if found_revision is not None:
                write_lock.acquire(timeout=BUSY_TIMEOUT_SECONDS)
            with engine.begin() as connection:
                _run_migrations(catalog_path, connection, alembic_config, schema)
        finally:
            write_lock.release()


def check_closed_catalog(catalog_path: Path, schema: SchemaVersion) -> None:
    """Check a catalog that nothing else uses, without changing it.

    Args:
        catalog_path: The SQLite file.
        schema: The newest known schema.

    Raises:
        NewerLibraryError: A newer version of vsearch wrote it.
        DamagedLibraryError: It is damaged or not a catalog.
    """
    with (
        translate_errors(catalog_path),
        closing(connect_uri(catalog_path, "mode=ro&immutable=1")) as connection,
    ):
        found_revision = read_revision(connection, catalog_path)
        if found_revision is None:
            raise DamagedLibraryError(f"{catalog_path} has no tables")
        refuse_newer(catalog_path, found_revision, create_alembic_config(schema))
        _refuse_damaged(connection, catalog_path)


def _run_migrations(
    catalog_path: Path, connection: Connection, alembic_config: Config, schema: SchemaVersion
) -> None:
    """Migrate in the open transaction, with foreign keys off because tables may be rebuilt."""
    sqlite_connection = connection.connection.dbapi_connection
    assert isinstance(sqlite_connection, sqlite3.Connection)  # noqa: S101 - from `connect_uri`
    # read again, because another process may have upgraded in the meantime
    found_revision = read_revision(sqlite_connection, catalog_path)
    if found_revision == schema.head_revision:
        return
    refuse_newer(catalog_path, found_revision, alembic_config)
    if found_revision is not None:
        _refuse_damaged(sqlite_connection, catalog_path)
        _back_up_catalog(catalog_path, found_revision)
    last_ids = _read_last_ids(sqlite_connection, found_revision)
    alembic_config.attributes["connection"] = connection
    command.upgrade(alembic_config, schema.head_revision)
    _restore_last_ids(sqlite_connection, last_ids)
    if found_revision is None:
        library_row = (1, 0, installed_version())
        sqlite_connection.execute(
            "INSERT INTO library (id, revision, created_by_version) VALUES (?, ?, ?)", library_row
        )
    if sqlite_connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise DamagedLibraryError(
            f"{catalog_path} is damaged: some rows refer to rows that do not exist. It was not "
            "upgraded and is unchanged. Restore it from a backup or index the videos again."
        )


def _read_last_ids(
    sqlite_connection: sqlite3.Connection, found_revision: str | None
) -> list[tuple[int, str]]:
    """Return the highest id ever used of each AUTOINCREMENT table, with its name."""
    return (
        []
        if found_revision is None
        else sqlite_connection.execute("SELECT seq, name FROM sqlite_sequence").fetchall()
    )


def _restore_last_ids(
    sqlite_connection: sqlite3.Connection, last_ids: list[tuple[int, str]]
) -> None:
    """Restore the highest ids, because a rebuilt table knows only those still in it."""
    for last_id, table_name in last_ids:
        sqlite_connection.execute(
            "DELETE FROM sqlite_sequence WHERE name = ? AND seq < ?", (table_name, last_id)
        )
        sqlite_connection.execute(
            "INSERT INTO sqlite_sequence (seq, name) SELECT ?1, ?2 WHERE NOT EXISTS "
            "(SELECT 1 FROM sqlite_sequence WHERE name = ?2)",
            (last_id, table_name),
        )


def create_alembic_config(schema: SchemaVersion) -> Config:
    """Return the configuration with which Alembic finds the migrations."""
    alembic_config = Config()
    alembic_config.set_main_option("script_location", str(schema.scripts_folder).replace("%", "%%"))
    return alembic_config


def refuse_newer(
    location: CatalogLocation, found_revision: str | None, alembic_config: Config
) -> None:
    """Raise NewerLibraryError if a revision is not known."""
    script_directory = ScriptDirectory.from_config(alembic_config)
    if found_revision is not None and found_revision not in {
        migration.revision for migration in script_directory.walk_revisions()
    }:
        raise NewerLibraryError(
            f"{location} was written by a newer vsearch: its schema is {found_revision!r}, "
            f"this version knows up to {script_directory.get_current_head()!r}. Upgrade vsearch; "
            "the library is unchanged."
        )


def _refuse_damaged(sqlite_connection: sqlite3.Connection, catalog_path: Path) -> None:
    """Raise DamagedLibraryError, because rebuilding tables could hide damage."""
    [(check_result,)] = sqlite_connection.execute("PRAGMA quick_check(1)").fetchall()
    if check_result != "ok":
        raise DamagedLibraryError(
            f"{catalog_path} is damaged ({' '.join(check_result.split())}). It was not upgraded "
            "and is unchanged. Restore it from a backup or index the videos again."
        )


def _make_folder(catalog_path: Path) -> None:
    try:  # only for its owner: it will have pictures and transcripts of private videos
        catalog_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise LibraryError(
            f"no library can be created in {catalog_path.parent}: {exc.strerror}. Choose another "
            "folder."
        ) from exc


def _back_up_catalog(catalog_path: Path, found_revision: str) -> None:
    """Copy the catalog to `<name>.<revision>.bak`; the caller holds the write lock."""
    backup_path = catalog_path.with_name(f"{catalog_path.name}.{found_revision}.bak")
    partial_path = backup_path.with_name(f"{backup_path.name}.tmp")
    partial_path.unlink(missing_ok=True)
    with closing(connect_uri(catalog_path, "mode=ro")) as source_db:
        copy_database(source_db, partial_path)
    partial_path.replace(backup_path)


def installed_version() -> str:
    """Return the version of vsearch."""
    try:
        return version("vsearch")
    except PackageNotFoundError:  # a checkout that is not installed
        return "unknown"
