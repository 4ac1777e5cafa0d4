"""Schema revisions: that of a database, and the one that migrations lead to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.errors import DamagedLibraryError

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from vsearch.catalog.database_url import DatabaseUrl
    from vsearch.catalog.pool import ReadConnection

# the newest migration; opening a catalog at it does not import Alembic, which is slow
SCHEMA_HEAD = "0010"
# The code in a schema, of any version and without white space. A catalog from somebody else could
# otherwise delete rows or never end.
_KNOWN_CODE = frozenset(
    {
        "createvirtualtablecues_ftsusingfts5(text,content='cues',content_rowid='id',"
        "tokenize='unicode61remove_diacritics2',prefix='23')",
        "createtriggercues_insertedafterinsertoncuesbegininsertintocues_fts(rowid,text)"
        "values(new.id,new.text);end",
        "createtriggercues_deletedafterdeleteoncuesbegininsertintocues_fts(cues_fts,rowid,text)"
        "values('delete',old.id,old.text);end",
        "createtriggercues_updatedafterupdateoncuesbegininsertintocues_fts(cues_fts,rowid,text)"
        "values('delete',old.id,old.text);insertintocues_fts(rowid,text)"
        "values(new.id,new.text);end",
        "createvirtualtablenames_ftsusingfts5(words,content='video_names',content_rowid='video_id',"
        "tokenize='unicode61remove_diacritics2',prefix='23')",
        "createtriggernames_insertedafterinsertonvideo_namesbegininsertintonames_fts(rowid,words)"
        "values(new.video_id,new.words);end",
        "createtriggernames_deletedafterdeleteonvideo_namesbegininsertinto"
        "names_fts(names_fts,rowid,words)values('delete',old.video_id,old.words);end",
        "createtriggernames_updatedafterupdateonvideo_namesbegininsertinto"
        "names_fts(names_fts,rowid,words)values('delete',old.video_id,old.words);"
        "insertintonames_fts(rowid,words)values(new.video_id,new.words);end",
    }
)
_MAIN_TABLES = frozenset({"library", "videos", "segments"})
_IGNORED = re.compile(r"\s+|/\*.*?(?:\*/|$)|--[^\n]*", re.DOTALL)  # white space and comments
_CODE = re.compile(r"create(temp|temporary)?(trigger|view|virtual)|generatedalways|as\(")


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
        DamagedLibraryError: It is the database of another program, or one with triggers, views or
            virtual tables that vsearch does not create.
    """
    check_schema_objects(connection, catalog_path)
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


def check_schema_objects(connection: sqlite3.Connection, catalog_path: Path) -> None:
    """Check that the schema runs only known code: triggers, views, virtual and generated columns.

    Args:
        connection: The database.
        catalog_path: Its file, for messages.

    Raises:
        DamagedLibraryError: There is other code.
    """
    for object_type, object_name, schema_sql in connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    ):
        code_text = _IGNORED.sub("", str(schema_sql)).lower()
        has_code = object_type not in ("table", "index") or _CODE.search(code_text)
        if has_code and code_text not in _KNOWN_CODE:
            raise DamagedLibraryError(
                f"{catalog_path} has an unexpected {object_type} {str(object_name)[:100]!r}, which "
                "vsearch did not create and which could change or block the library. Restore it "
                "from a backup, or move it away and index the videos again."
            )


def read_database_revision(connection: ReadConnection, database_url: DatabaseUrl) -> str | None:
    """Return the schema revision of a catalog in PostgreSQL, or None if there is none.

    Other programs may have tables in the same database.

    Args:
        connection: The database.
        database_url: Its URL, for messages.

    Raises:
        DamagedLibraryError: Another program has tables of the same names.
    """
    table_names = {
        table_name
        for (table_name,) in connection.execute(
            "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = current_schema()"
        ).fetchall()
    }
    if not table_names & _MAIN_TABLES:
        return None
    version_rows = []
    if {"alembic_version", *_MAIN_TABLES} <= table_names:
        version_rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    if len(version_rows) != 1:
        raise DamagedLibraryError(
            f"{database_url} has tables of another program. Create the library in another database."
        )
    return str(version_rows[0][0])
