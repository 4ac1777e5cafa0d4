"""Tests of catalogs that run on SQLite and PostgreSQL, and those that need a file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vsearch.catalog.database_url import CatalogLocation

# for tests of files, and of rows that only SQLite stores
SQLITE_ONLY = pytest.mark.parametrize("catalog_location", ["sqlite"], indirect=True)


def change_by_hand(location: CatalogLocation, *statements: str) -> None:
    """Run statements, in a file without the constraints that vsearch enables."""
    if isinstance(location, Path):
        with closing(sqlite3.connect(location)) as raw, raw:
            raw.execute("PRAGMA ignore_check_constraints = ON")
            for statement in statements:
                raw.execute(statement)
        return
    import psycopg  # deferred: optional

    with psycopg.connect(location.conninfo()) as connection:
        for statement in statements:
            connection.execute(statement)
