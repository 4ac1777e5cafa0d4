"""Run by Alembic: from vsearch with an open connection, or by a developer at the command line.

    alembic -x catalog=/tmp/dev.sqlite3 upgrade head
    alembic -x catalog=/tmp/dev.sqlite3 revision --autogenerate --rev-id 0002 -m "what changes"

Then set HEAD in vsearch/catalog/database.py and freeze a library of it in tests/migrations. A
batch that builds `videos` or `segments` anew needs table_kwargs={"sqlite_autoincrement": True}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import context
from sqlalchemy import create_engine

from vsearch.catalog.models import Base

if TYPE_CHECKING:
    from sqlalchemy import Connection


def run(connection: Connection) -> None:
    """Run the migrations on a connection, in the transaction it may already be in."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,  # SQLite changes a table by building it anew
        transactional_ddl=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def develop() -> None:
    """Run on the file given by `-x catalog=FILE`."""
    file = context.get_x_argument(as_dictionary=True).get("catalog")
    if file is None:
        raise SystemExit("say which catalogue: alembic -x catalog=FILE …")
    with create_engine(f"sqlite:///{file}").begin() as connection:
        run(connection)


given = context.config.attributes.get("connection")
if given is None:
    develop()
else:
    run(given)
