"""Schema revisions: that of a database, and the one that migrations lead to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.errors import DamagedLibraryError

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """A schema revision and the migration scripts that lead to it."""

    head_revision: str
    scripts_folder: Path


def read_revision(connection: sqlite3.Connection, catalog_path: Path) -> str | None:
    """Return the schema revision of an open database, or None if it is empty.

    Args:
        connection: The database.
        catalog_path: Its file, for messages.

    Raises:
        DamagedLibraryError: It is the database of another program.
    """
    table_names = {
        table_name
        for (table_name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        )
    }
    if not table_names:
        return None
    version_rows = []
    if {"alembic_version", "library"} <= table_names:
        version_rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    if len(version_rows) != 1:
        raise DamagedLibraryError(
            f"{catalog_path} is a database, but not a vsearch catalog. Move it away, or choose "
            "another folder for the library."
        )
    return str(version_rows[0][0])
