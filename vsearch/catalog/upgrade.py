"""Creates the tables of a catalogue, or brings those of an older vsearch up to date.

Everything happens in one transaction of SQLite, whose DDL is transactional: a process that is
killed leaves the old schema or the new one. Whoever comes second finds the work done.
"""

from __future__ import annotations

import os
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

from vsearch.catalog.connection import PATIENCE, attach
from vsearch.catalog.lock import WriteLock
from vsearch.catalog.schema import Schema, read_revision
from vsearch.errors import DamagedLibraryError, LibraryError, NewerLibraryError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection


_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps what it works on in globals


def upgrade(path: Path, found: str | None, schema: Schema) -> None:
    """Bring a catalogue from revision `found` (None: nothing there) to the schema's head.

    Raises LockedError while another process, maybe of an older vsearch, writes to the library.
    """
    config = _config(schema)
    _refuse_newer(path, found, config)
    if found is None:
        _make_folder(path)
    mode = "mode=rwc" if found is None else "mode=rw"
    engine = create_engine("sqlite://", creator=lambda: attach(path, mode), poolclass=NullPool)
    event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
    lock = WriteLock(path.parent)
    with _ONE_AT_A_TIME:
        try:
            if found is not None:
                lock.acquire(timeout=PATIENCE)
            with engine.begin() as connection:
                _migrate(path, connection, config, schema)
        finally:
            lock.release()


def _migrate(path: Path, connection: Connection, config: Config, schema: Schema) -> None:
    """Migrate inside the transaction; foreign keys are off, as tables may be built anew."""
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)  # noqa: S101 - what `attach` returns
    found = read_revision(raw, path)  # again: somebody else may have been faster
    if found == schema.head:
        return
    _refuse_newer(path, found, config)
    if found is not None:
        _refuse_damaged(raw, path)
        _back_up(path, found)
    given = _ids_given(raw, found)
    config.attributes["connection"] = connection
    command.upgrade(config, schema.head)
    _remember_ids(raw, given)
    if found is None:
        row = (1, 0, _own_version())
        raw.execute("INSERT INTO library (id, revision, created_with) VALUES (?, ?, ?)", row)
    if raw.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise DamagedLibraryError(
            f"{path} is damaged: some of its rows point to rows that are gone, so it was not "
            "upgraded and is as it was. Restore it from a backup or index the videos again."
        )


def _ids_given(raw: sqlite3.Connection, found: str | None) -> list[tuple[int, str]]:
    """The highest id ever given in each table that never gives one twice."""
    return [] if found is None else raw.execute("SELECT seq, name FROM sqlite_sequence").fetchall()


def _remember_ids(raw: sqlite3.Connection, given: list[tuple[int, str]]) -> None:
    """Keep them: a table that was built anew only remembers the ids it still has."""
    for highest, name in given:
        raw.execute("DELETE FROM sqlite_sequence WHERE name = ? AND seq < ?", (name, highest))
        raw.execute(
            "INSERT INTO sqlite_sequence (seq, name) SELECT ?1, ?2 WHERE NOT EXISTS "
            "(SELECT 1 FROM sqlite_sequence WHERE name = ?2)",
            (highest, name),
        )


def _config(schema: Schema) -> Config:
    config = Config()
    config.set_main_option("script_location", str(schema.scripts).replace("%", "%%"))
    return config


def _refuse_newer(path: Path, found: str | None, config: Config) -> None:
    scripts = ScriptDirectory.from_config(config)
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise NewerLibraryError(
            f"{path} was written by a newer vsearch (its schema is {found!r}, this one knows "
            f"up to {scripts.get_current_head()!r}). Upgrade vsearch; the library is untouched."
        )


def _refuse_damaged(raw: sqlite3.Connection, path: Path) -> None:
    """A new schema may do without what is broken, and so hide it."""
    [(told,)] = raw.execute("PRAGMA quick_check(1)").fetchall()
    if told != "ok":
        raise DamagedLibraryError(
            f"{path} is damaged ({' '.join(told.split())}), so it was not upgraded and is as it "
            "was. Restore it from a backup or index the videos again."
        )


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LibraryError(
            f"no library can be made in {path.parent}: {error.strerror}. Choose another folder."
        ) from error


def _back_up(path: Path, found: str) -> None:
    """Copy the catalogue to `<name>.<revision>.bak`; the caller keeps writers out."""
    target = path.with_name(f"{path.name}.{found}.bak")
    partial = target.with_name(f"{target.name}.tmp")
    partial.unlink(missing_ok=True)
    with closing(attach(path, "mode=ro")) as source, closing(attach(partial, "mode=rwc")) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(target)


def _own_version() -> str:
    try:
        return version("vsearch")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
