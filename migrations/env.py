"""Alembic environment of the catalog's migrations.

vsearch runs it with an open connection, a developer with

    alembic -x catalog=/tmp/dev.sqlite3 upgrade head
    alembic -x catalog=/tmp/dev.sqlite3 revision --autogenerate --rev-id 0002 -m "add a column"

After adding a migration, set SCHEMA_HEAD in vsearch/catalog/revision.py and freeze a library of the
new schema in tests/migrations. A batch that rebuilds `videos`, `segments` or `cues` needs
table_kwargs={"sqlite_autoincrement": True}.

A new database in PostgreSQL gets the tables of vsearch/catalog/schema.py and the number of the
newest migration (vsearch/catalog/postgresql_upgrade.py); migrations after 0010 run on it, too. So
use `op` and portable SQL, text with the collation "C" as in 0010, and no SQL of FTS5: what differs
depends on `op.get_bind().dialect.name`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import context
from sqlalchemy import create_engine

from vsearch.catalog.schema import Base

if TYPE_CHECKING:
    from sqlalchemy import Connection


def run_migrations(connection: Connection) -> None:
    """Run the migrations on a connection, within its transaction if it has one."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,  # SQLite changes most tables by rebuilding them
        transactional_ddl=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def migrate_file() -> None:
    """Run the migrations on the catalog selected by `-x catalog=FILE`."""
    catalog_path = context.get_x_argument(as_dictionary=True).get("catalog")
    if catalog_path is None:
        raise SystemExit("no catalog selected, use: alembic -x catalog=FILE …")
    with create_engine(f"sqlite:///{catalog_path}").begin() as connection:
        run_migrations(connection)


open_connection = context.config.attributes.get("connection")
if open_connection is None:
    migrate_file()
else:
    run_migrations(open_connection)
