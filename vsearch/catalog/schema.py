"""Which version of the tables a file has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.errors import DamagedLibraryError

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Schema:
    """A version of the tables and the scripts that lead to it."""

    head: str
    scripts: Path


def read_revision(connection: sqlite3.Connection, path: Path) -> str | None:
    """The schema's revision, None in an empty database; another program's is refused."""
    tables = {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    if not tables:
        return None
    rows = []
    if {"alembic_version", "library"} <= tables:
        rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    if len(rows) != 1:
        raise DamagedLibraryError(
            f"{path} is a database, but not a catalogue of vsearch. Move it away, or choose "
            "another folder for the library."
        )
    return str(rows[0][0])
