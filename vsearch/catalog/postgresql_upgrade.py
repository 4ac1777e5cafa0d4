"""Creation and upgrade of the catalog's tables in PostgreSQL.

A new database gets the tables of `schema` at once and the number of the newest migration; later
migrations change it as they change SQLite files. Everything happens in one transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from vsearch.catalog.connection import translate_errors
from vsearch.catalog.dialect import POSTGRESQL_DDL
from vsearch.catalog.postgresql_connection import PostgresReader, connect
from vsearch.catalog.revision import SCHEMA_HEAD, read_database_revision
from vsearch.catalog.schema import Base
from vsearch.catalog.upgrade import (
    ALEMBIC_LOCK,
    create_alembic_config,
    installed_version,
    refuse_newer,
)

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

    from vsearch.catalog.database_url import DatabaseUrl
    from vsearch.catalog.revision import SchemaVersion

# processes that open a library at the same moment upgrade it one after the other
_UPGRADE_LOCK_SQL = "SELECT pg_advisory_xact_lock(hashtext('vsearch'), 0)"
_INSERT_LIBRARY_SQL = "INSERT INTO library (id, revision, created_by_version) VALUES (1, 0, %s)"


def upgrade_database(database_url: DatabaseUrl, schema: SchemaVersion) -> None:
    """Upgrade the tables of a catalog, or create them.

    Args:
        database_url: The database.
        schema: The schema to upgrade to.

    Raises:
        LockedError: Another process is using the tables.
        NewerLibraryError: The revision is not known.
        LibraryError: The user must not create tables.
    """
    alembic_config = create_alembic_config(schema)
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(database_url),
        isolation_level="READ COMMITTED",
        poolclass=NullPool,
        use_native_hstore=False,
    )
    with translate_errors(database_url), ALEMBIC_LOCK, engine.begin() as connection:
        connection.exec_driver_sql(_UPGRADE_LOCK_SQL)
        # read again, because another process may have upgraded in the meantime
        reader = PostgresReader(connection.connection.dbapi_connection)  # type: ignore[arg-type]
        found_revision = read_database_revision(reader, database_url)
        refuse_newer(database_url, found_revision, alembic_config)
        alembic_config.attributes["connection"] = connection
        if found_revision is None:
            _create_tables(connection, alembic_config)
        command.upgrade(alembic_config, schema.head_revision)


def _create_tables(connection: Connection, alembic_config: Config) -> None:
    Base.metadata.create_all(connection)
    for statement in POSTGRESQL_DDL:
        connection.exec_driver_sql(statement)
    command.stamp(alembic_config, SCHEMA_HEAD)
    connection.exec_driver_sql(_INSERT_LIBRARY_SQL, (installed_version(),))
