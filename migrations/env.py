"""Alembic environment: run by vsearch with an open connection, or by a developer:

    alembic -x catalog=/tmp/dev.sqlite3 upgrade head
    alembic -x catalog=/tmp/dev.sqlite3 revision --autogenerate --rev-id 0002 -m "what changes"

Then set SCHEMA_HEAD in vsearch/catalog/open.py and freeze a library of the new schema in
tests/migrations. A batch that rebuilds `videos`, `segments` or `cues` needs
table_kwargs={"sqlite_autoincrement": True}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import context
from sqlalchemy import create_engine

from vsearch.catalog.schema import Base

if TYPE_CHECKING:
    from sqlalchemy import Connection


def run(connection: Connection) -> None:
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


def develop() -> None:
    """Run the migrations on the file given as `-x catalog=FILE`."""
    file = context.get_x_argument(as_dictionary=True).get("catalog")
    if file is None:
        raise SystemExit("no catalog given, use: alembic -x catalog=FILE …")
    with create_engine(f"sqlite:///{file}").begin() as connection:
        run(connection)


given = context.config.attributes.get("connection")
if given is None:
    develop()
else:
    run(given)
