"""Opening of a catalog file, which is created or upgraded first if necessary."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from vsearch.catalog.connection import ConnectionPool, connect, translate_errors
from vsearch.catalog.revision import SchemaVersion, read_revision
from vsearch.errors import DamagedLibraryError, LibraryError, NoLibraryError

# the newest migration; opening a catalog at it does not import Alembic, which is slow
SCHEMA_HEAD = "0007"
_SQLITE_MAGIC = b"SQLite format 3\0"
_MIN_PAGE_BYTES = 512  # the smallest page, and so the smallest database


def _bundled_migrations() -> Path:
    """Return the folder of migrations: in the package, or at the top of a source checkout."""
    package_folder = Path(__file__).resolve().parents[1]
    packaged_folder = package_folder / "migrations"
    return packaged_folder if packaged_folder.is_dir() else package_folder.parent / "migrations"


BUNDLED_SCHEMA = SchemaVersion(SCHEMA_HEAD, _bundled_migrations())


def open_pool(
    catalog_path: Path, *, create: bool = False, schema: SchemaVersion = BUNDLED_SCHEMA
) -> ConnectionPool:
    """Open a catalog and bring it to the newest schema.

    Args:
        catalog_path: The SQLite file.
        create: Create the file if it does not exist.
        schema: The schema to upgrade to.

    Returns:
        A pool of connections.

    Raises:
        NoLibraryError: The file does not exist, and `create` is False.
        NewerLibraryError: A newer version of vsearch wrote it.
        DamagedLibraryError: It is damaged or not a catalog.
        LockedError: It must be upgraded, and another process is writing.
    """
    with translate_errors(catalog_path):
        found_revision = _find_revision(catalog_path)
        if found_revision is None and not create:
            raise NoLibraryError(
                f"there is no library at {catalog_path.parent}: index a video first"
            )
        if found_revision != schema.head_revision:
            from vsearch.catalog.upgrade import upgrade_catalog  # deferred: brings Alembic

            upgrade_catalog(catalog_path, found_revision, schema)
        return ConnectionPool(catalog_path)


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
    """Return whether the file is empty; raise DamagedLibraryError if it is not a database.

    SQLite considers a very short file empty and would overwrite it.
    """
    if (
        not catalog_path.is_file()
        or catalog_path.with_name(f"{catalog_path.name}-journal").exists()
    ):
        return False  # left to SQLite to reject or recover
    with catalog_path.open("rb") as catalog_file:
        header_bytes = catalog_file.read(_MIN_PAGE_BYTES)
    if header_bytes and not (
        len(header_bytes) == _MIN_PAGE_BYTES and header_bytes.startswith(_SQLITE_MAGIC)
    ):
        raise DamagedLibraryError(
            f"{catalog_path} is not a vsearch catalog, or its header is damaged. Restore it from a "
            "backup, or move it away and index the videos again."
        )
    return not header_bytes
