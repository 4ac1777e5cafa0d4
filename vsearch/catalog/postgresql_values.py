"""Conversion of values for PostgreSQL, which are then the same as with SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.adapt import Buffer, Dumper
from psycopg.types.string import StrDumper, StrDumperUnknown, TextLoader

from vsearch.catalog.fts import FtsExpression
from vsearch.catalog.rows import PathBytes, path_bytes_to_text

if TYPE_CHECKING:
    from psycopg import Connection


class _TextDumper(StrDumperUnknown):
    """Texts in which U+FFFD replaces U+0000, which PostgreSQL cannot store."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))


class _PathDumper(StrDumper):
    """Paths that are not UTF-8, as text."""

    def dump(self, obj: Any) -> Buffer | None:
        return super().dump(path_bytes_to_text(obj))


class _FtsDumper(Dumper):
    """Full-text queries."""

    oid = 3615  # tsquery

    def dump(self, obj: FtsExpression) -> Buffer | None:
        return obj.to_tsquery().encode()


def adapt_values(connection: Connection[Any]) -> None:
    """Let a connection accept and return the same values as `sqlite3`.

    Args:
        connection: A new connection.
    """
    connection.adapters.register_dumper(str, _TextDumper)
    connection.adapters.register_dumper(PathBytes, _PathDumper)
    connection.adapters.register_dumper(FtsExpression, _FtsDumper)
    connection.adapters.register_loader("timestamp", TextLoader)
