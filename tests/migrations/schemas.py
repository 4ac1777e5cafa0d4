"""Libraries of old schemas, and a future schema that rebuilds tables."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from vsearch.catalog.open import BUNDLED_SCHEMA
from vsearch.catalog.revision import SCHEMA_HEAD, SchemaVersion

FUTURE = "9001"
SCRIPT = f'''
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{FUTURE}", "{SCHEMA_HEAD}"


def upgrade() -> None:
    op.create_table("words", sa.Column("id", sa.Integer(), primary_key=True))
    rebuild = {{"recreate": "always", "table_kwargs": {{"sqlite_autoincrement": True}}}}
    with op.batch_alter_table("videos", **rebuild) as batch:
        batch.add_column(sa.Column("title", sa.Text(), nullable=True))
    with op.batch_alter_table("segments", **rebuild) as batch:
        batch.add_column(sa.Column("shot", sa.Integer(), nullable=True))
'''


def frozen(revision: str, file: Path) -> Path:
    """Create a library as a released schema left it, with data."""
    script = Path(__file__).with_name(f"v{revision}.sql").read_text("utf-8")
    with closing(sqlite3.connect(file)) as raw:
        raw.executescript(script)
        raw.execute("PRAGMA journal_mode = WAL")
    return file


def future(folder: Path) -> SchemaVersion:
    """Return the bundled schema with one more migration."""
    shutil.copytree(
        BUNDLED_SCHEMA.scripts_folder, folder, ignore=shutil.ignore_patterns("__pycache__")
    )
    (folder / "versions" / f"{FUTURE}_future.py").write_text(SCRIPT)
    return SchemaVersion(FUTURE, folder)


def revision_of(file: Path) -> str | None:
    """Return the schema revision of a file, None if it has no tables."""
    with closing(sqlite3.connect(file)) as raw:
        if not raw.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return None
        return str(raw.execute("SELECT version_num FROM alembic_version").fetchone()[0])
