"""Translation of errors of PostgreSQL: what is wrong with which database, and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg

from vsearch.catalog.database_url import PASSWORD_ADVICE
from vsearch.errors import DamagedLibraryError, LibraryError, LockedError, NoLibraryError

if TYPE_CHECKING:
    from vsearch.catalog.database_url import DatabaseUrl

_LOST_CONNECTION = (
    "lost the connection to its server ({error}). A change that was not finished was not stored; "
    "run the command again when the server is back."
)
_UNREACHABLE = (
    "cannot be reached ({error}). Check that the server is running, and its host name and port."
)
_NO_ACCESS = f"refuses the user ({{error}}). Check the user name; the password: {PASSWORD_ADVICE}."
_CHANGED_MEANWHILE = (
    "is being changed by another process at the same moment ({error}). Run the command again."
)
# by the beginning of SQLSTATE, the longest first:
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_ERRORS_BY_STATE: dict[str, tuple[type[LibraryError], str]] = {
    "25006": (
        LibraryError,
        "cannot be written: the server or the session is read-only ({error}). Name the primary "
        "server in the URL.",
    ),
    "42501": (
        LibraryError,
        "refuses the user ({error}). Let the owner of the database grant what is missing, for "
        "example `GRANT CREATE ON SCHEMA public TO …`.",
    ),
    "42P01": (
        LibraryError,
        "does not have the tables of this version any more ({error}). It was probably upgraded or "
        "deleted by another process; run the command again.",
    ),
    "53100": (
        LibraryError,
        "cannot grow: the disk of the server is full ({error}). Free some space and run the "
        "command again; stored data is safe.",
    ),
    "53300": (
        LibraryError,
        "has no free connections ({error}). Raise max_connections of the server, put PgBouncer "
        "before it, or run fewer processes.",
    ),
    "55P03": (
        LockedError,
        "is being written by another process, for too long ({error}). Try again when it has "
        "finished.",
    ),
    "57014": (LibraryError, "stopped a query that took too long ({error})."),
    "08": (LibraryError, _LOST_CONNECTION),
    "22": (LibraryError, "rejected a value: {error}."),
    "23": (LibraryError, "rejected a change: {error}."),
    "28": (LibraryError, _NO_ACCESS),
    "3D": (
        NoLibraryError,
        "does not exist on the server. Create the database with `createdb`, and the library in it "
        "with `vsearch library create`.",
    ),
    "40": (LockedError, _CHANGED_MEANWHILE),
    "57P": (LibraryError, _LOST_CONNECTION),
    "XX00": (
        DamagedLibraryError,
        "is damaged ({error}). Restore the database from a backup.",
    ),
}
_ERRORS_BY_STATE["42703"] = _ERRORS_BY_STATE["42P01"]
_OTHER_ERROR = LibraryError, "cannot be used ({error})."
# errors while connecting have no SQLSTATE; the texts are in the language of the server
_STATES_BY_TEXT = (
    (re.compile(r"FATAL: .*database \".*\" does not exist"), "3D000"),
    (re.compile(r"authentication failed|no password supplied|no pg_hba\.conf entry"), "28000"),
    (re.compile(r"role \".*\" does not exist|not permitted to log in"), "28000"),
    (re.compile(r"too many (?:clients|connections)|remaining connection slots"), "53300"),
)
# a constraint is named after its table and column
_CONSTRAINT_KINDS = {"23505": "UNIQUE", "23503": "FOREIGN KEY", "23514": "CHECK"}


def to_library_error(database_url: DatabaseUrl, exc: Exception) -> LibraryError | None:
    """Return the error to raise instead of one of psycopg or SQLAlchemy; None for others.

    Args:
        database_url: The database, for the message.
        exc: The error.
    """
    driver_error = find_driver_error(exc)
    if driver_error is None:
        return None
    error_class, template = _choose_message(driver_error)
    return error_class(f"{database_url} {template.format(error=_describe(driver_error))}")


def find_driver_error(exc: Exception) -> Exception | None:
    """Return the underlying error of psycopg or SQLAlchemy, None for other exceptions."""
    if isinstance(exc, psycopg.Error):
        return exc
    from sqlalchemy.exc import SQLAlchemyError  # deferred: slow

    if isinstance(exc, SQLAlchemyError):
        driver_error = getattr(exc, "orig", None)
        return driver_error if isinstance(driver_error, Exception) else exc
    return None


def is_transient(exc: Exception) -> bool:
    """Return True if a read may succeed when it is repeated: a conflict, or a lost connection."""
    state = getattr(exc, "sqlstate", None)
    if state is None:
        return isinstance(exc, psycopg.OperationalError)
    return str(state).startswith(("08", "40", "57P"))


def _choose_message(driver_error: Exception) -> tuple[type[LibraryError], str]:
    state = getattr(driver_error, "sqlstate", None) or _guess_state(str(driver_error))
    for length in (5, 4, 3, 2):
        if state[:length] in _ERRORS_BY_STATE:
            return _ERRORS_BY_STATE[state[:length]]
    if isinstance(driver_error, psycopg.OperationalError):
        is_new = "connection failed" in str(driver_error) or "timeout" in str(driver_error)
        return LibraryError, _UNREACHABLE if is_new else _LOST_CONNECTION
    return _OTHER_ERROR


def _guess_state(error_text: str) -> str:
    return next((state for pattern, state in _STATES_BY_TEXT if pattern.search(error_text)), "")


def _describe(driver_error: Exception) -> str:
    """Return the message of an error on one line, of a constraint as SQLite describes it."""
    diagnostics = getattr(driver_error, "diag", None)
    if (constraint_kind := _CONSTRAINT_KINDS.get(getattr(driver_error, "sqlstate", "") or "")) and (
        diagnostics is not None
    ):
        name = str(diagnostics.constraint_name or "")
        table_name = str(diagnostics.table_name or "")
        column_name = name.partition(f"_{table_name}_")[2] or name
        return f"{constraint_kind} constraint failed: {table_name}.{column_name}"
    primary_text = getattr(diagnostics, "message_primary", None)
    lines = str(primary_text or driver_error).strip().splitlines()
    return "; ".join(line.strip() for line in lines if line.strip()).rstrip(".")
