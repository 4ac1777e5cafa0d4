"""Opening of a catalog file, which is created or upgraded first if necessary."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch.catalog.commit_chain import check_commit_chain
from vsearch.catalog.connection import connect, translate_errors
from vsearch.catalog.database_url import CatalogLocation, DatabaseUrl
from vsearch.catalog.revision import SCHEMA_HEAD, SchemaVersion, read_revision
from vsearch.catalog.sqlite_pool import SqlitePool
from vsearch.errors import DamagedLibraryError, LibraryError, NoLibraryError
from vsearch.storage.feature_store import FeatureStore

if TYPE_CHECKING:
    from vsearch.catalog.pool import ConnectionPool

FEATURES_FOLDER = "features"  # in the library
log = logging.getLogger(__name__)
_MIN_PAGE_BYTES = 512  # the smallest page, and so the smallest database


def _bundled_migrations() -> Path:
    """Return the folder of migrations: in the package, or at the top of a source checkout."""
    package_folder = Path(__file__).resolve().parents[1]
    packaged_folder = package_folder / "migrations"
    return packaged_folder if packaged_folder.is_dir() else package_folder.parent / "migrations"


BUNDLED_SCHEMA = SchemaVersion(SCHEMA_HEAD, _bundled_migrations())


def open_pool(
    location: CatalogLocation,
    *,
    create: bool | None = False,
    schema: SchemaVersion = BUNDLED_SCHEMA,
) -> ConnectionPool:
    """Open a catalog and bring it to the newest schema.

    Args:
        location: The SQLite file, or the database.
        create: Create the catalog if it does not exist; None: `ConnectionPool.prepare` will.
        schema: The schema to upgrade to.

    Returns:
        A pool of connections.

    Raises:
        NoLibraryError: It does not exist, and `create` is False.
        NewerLibraryError: A newer version of vsearch wrote it.
        DamagedLibraryError: It is damaged or not a catalog, or it is missing but its features are
            not.
        LockedError: It must be upgraded, and another process is writing.
        LibraryError: The database cannot be reached.
    """
    if isinstance(location, DatabaseUrl):
        return _open_database(location, create, schema)
    try:
        prepare_catalog(location, create=bool(create), schema=schema)
    except NoLibraryError:
        if create is not None or location.exists():
            raise
    return SqlitePool(
        location, lambda create_file: prepare_catalog(location, create=create_file, schema=schema)
    )


def _open_database(
    database_url: DatabaseUrl, create: bool | None, schema: SchemaVersion
) -> ConnectionPool:
    try:
        from vsearch.catalog.postgresql_pool import PostgresPool  # deferred: needs psycopg
    except ImportError as exc:
        raise LibraryError(
            f"{database_url} cannot be opened without a driver for PostgreSQL ({exc}); install it "
            "with `pip install 'vsearch[postgresql]'`"
        ) from exc
    pool = PostgresPool(database_url, schema)
    try:
        with translate_errors(database_url):
            pool.prepare(create=bool(create))
    except NoLibraryError:
        if create is not None:
            pool.close()
            raise
    except BaseException:
        pool.close()
        raise
    return pool


def prepare_catalog(
    catalog_path: Path, *, create: bool = False, schema: SchemaVersion = BUNDLED_SCHEMA
) -> None:
    """Check a catalog file, and create or upgrade it if necessary.

    Takes the arguments of `open_pool`, and raises the same exceptions.
    """
    with translate_errors(catalog_path):
        if hidden_copy_warning := check_commit_chain(catalog_path):
            log.error("%s", hidden_copy_warning)
        found_revision = _find_revision(catalog_path)
        if found_revision is None:
            refuse_lost_catalog(catalog_path)
            if not create:
                raise NoLibraryError(
                    f"there is no library at {catalog_path.parent}: index a video first"
                )
        if found_revision != schema.head_revision:
            from vsearch.catalog.upgrade import upgrade_catalog  # deferred: brings Alembic

            upgrade_catalog(catalog_path, found_revision, schema)


def refuse_lost_catalog(catalog_path: Path) -> None:
    """Raise DamagedLibraryError if the features of a library remain without its catalog."""
    feature_count = len(FeatureStore(catalog_path.parent / FEATURES_FOLDER).video_ids())
    if not feature_count:
        return
    problem_text = "is empty" if catalog_path.exists() else "is missing"
    backup_paths = sorted(catalog_path.parent.glob(f"{catalog_path.name}.*.bak"))
    older_copy = f", or the older {backup_paths[-1].name} next to it" if backup_paths else ""
    raise DamagedLibraryError(
        f"{catalog_path} {problem_text}, but {FEATURES_FOLDER}/ has the frame features of "
        f"{feature_count} videos, which an empty catalog would lose. Restore a backup with "
        f"`vsearch restore`{older_copy}; or move {FEATURES_FOLDER}/ away and index the videos "
        "again."
    )


def _find_revision(catalog_path: Path) -> str | None:
    """Return the schema revision of a file, None if it does not exist or is empty."""
    try:
        if not catalog_path.exists() or _is_blank(catalog_path):
            return None
    except OSError as exc:
        raise LibraryError(f"{catalog_path} cannot be read: {exc.strerror}") from exc
    with closing(connect(catalog_path)) as connection:
        return read_revision(connection, catalog_path)


def _is_blank(catalog_path: Path) -> bool:
    """Return whether the file is empty; raise DamagedLibraryError if it is too short.

    SQLite considers a very short file empty and would overwrite it.
    """
    if (
        not catalog_path.is_file()
        or catalog_path.with_name(f"{catalog_path.name}-journal").exists()
    ):
        return False  # left to SQLite to reject or recover
    # only the size: to open and close the file would release the locks of other connections
    size_bytes = catalog_path.stat().st_size
    if 0 < size_bytes < _MIN_PAGE_BYTES:
        raise DamagedLibraryError(
            f"{catalog_path} is not a vsearch catalog, or its header is damaged. Restore it from a "
            "backup, or move it away and index the videos again."
        )
    return size_bytes == 0
