"""Libraries of old schemas, and a schema of the future that builds tables anew."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from vsearch.catalog.database import HEAD, SHIPPED
from vsearch.catalog.schema import Schema

FUTURE = "9001"
SCRIPT = f'''
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{FUTURE}", "{HEAD}"


def upgrade() -> None:
    op.create_table("words", sa.Column("id", sa.Integer(), primary_key=True))
    anew = {{"recreate": "always", "table_kwargs": {{"sqlite_autoincrement": True}}}}
    with op.batch_alter_table("videos", **anew) as batch:
        batch.add_column(sa.Column("title", sa.Text(), nullable=True))
    with op.batch_alter_table("segments", **anew) as batch:
        batch.add_column(sa.Column("shot", sa.Integer(), nullable=True))
'''


def frozen(revision: str, file: Path) -> Path:
    """Make the library that a released schema left, data included."""
    script = Path(__file__).with_name(f"v{revision}.sql").read_text("utf-8")
    with closing(sqlite3.connect(file)) as raw:
        raw.executescript(script)
        raw.execute("PRAGMA journal_mode = WAL")
    return file


def future(folder: Path) -> Schema:
    """The shipped schema and one migration more."""
    shutil.copytree(SHIPPED.scripts, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / f"{FUTURE}_future.py").write_text(SCRIPT)
    return Schema(FUTURE, folder)


def revision_of(file: Path) -> str | None:
    """The schema's revision in a file, None if there is no table in it."""
    with closing(sqlite3.connect(file)) as raw:
        if not raw.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return None
        return str(raw.execute("SELECT version_num FROM alembic_version").fetchone()[0])
