"""The catalogue's file: opened, and created or upgraded first where it has to be."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from vsearch.catalog.connection import connect
from vsearch.catalog.failures import explained
from vsearch.catalog.pool import Pool
from vsearch.catalog.schema import Schema, read_revision
from vsearch.errors import DamagedLibraryError, LibraryError, NoLibraryError

HEAD = "0006"  # the newest migration; opening a catalogue at it needs no Alembic, which is slow

_MAGIC = b"SQLite format 3\0"
_SHORTEST = 512  # bytes of a page, and so of a database


def _shipped_scripts() -> Path:
    """The migrations: inside the package when installed, at the top of a source checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


SHIPPED = Schema(HEAD, _shipped_scripts())


def open_pool(path: Path, *, create: bool = False, schema: Schema = SHIPPED) -> Pool:
    """The connections to a catalogue at the newest schema, made or upgraded if need be."""
    with explained(path):
        found = _find(path)
        if found is None and not create:
            raise NoLibraryError(f"there is no library at {path.parent}: index a video first")
        if found != schema.head:
            from vsearch.catalog.upgrade import upgrade  # brings Alembic: slow, seldom needed

            upgrade(path, found, schema)
        return Pool(path)


def _find(path: Path) -> str | None:
    """The schema's revision in the file; None if there is no file or nothing in it."""
    try:
        if not path.exists() or _is_blank(path):
            return None
    except OSError as error:
        raise LibraryError(f"{path} cannot be read: {error.strerror}") from error
    with closing(connect(path)) as connection:
        return read_revision(connection, path)


def _is_blank(path: Path) -> bool:
    """Whether the file is empty; SQLite takes a very short one for empty, and would fill it."""
    if not path.is_file() or path.with_name(f"{path.name}-journal").exists():
        return False  # something SQLite has to refuse, or to recover
    with path.open("rb") as file:
        start = file.read(_SHORTEST)
    if start and not (len(start) == _SHORTEST and start.startswith(_MAGIC)):
        raise DamagedLibraryError(
            f"{path} is not a catalogue of vsearch, or is damaged from its first byte. Restore it "
            "from a backup, or move it away and index the videos again."
        )
    return not start
