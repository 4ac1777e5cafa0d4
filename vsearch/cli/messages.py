"""Messages of commands: printed on stderr, and written to the log file if there is one.

They are log records of their own logger, which decides what is printed: everything, or with --quiet
errors only. Results go to stdout, and not through this module.
"""

from __future__ import annotations

import logging
from contextlib import suppress

import click

MESSAGE_LOGGER = logging.getLogger("vsearch.cli.messages")
MESSAGE_LOGGER.setLevel(logging.INFO)


class _EchoHandler(logging.Handler):
    """Prints messages on stderr, unless they were printed already."""

    def emit(self, record: logging.LogRecord) -> None:
        if not getattr(record, "is_printed", False):
            with suppress(OSError, ValueError):  # stderr is full or closed
                click.echo(record.getMessage(), err=True)


_ECHO_HANDLER = _EchoHandler()
MESSAGE_LOGGER.addHandler(_ECHO_HANDLER)


def set_quiet(is_quiet: bool) -> None:
    """Print errors only, or all messages."""
    _ECHO_HANDLER.setLevel(logging.ERROR if is_quiet else logging.INFO)


def is_quiet() -> bool:
    """Return whether errors only are printed."""
    return _ECHO_HANDLER.level > logging.INFO


def print_note(text: str) -> None:
    """Print a message that is not an error, such as a hint or a finished step."""
    MESSAGE_LOGGER.info("%s", text)


def print_problem(text: str) -> None:
    """Print a message of a failure, also with --quiet."""
    MESSAGE_LOGGER.error("%s", text)


def print_summary_line(text: str) -> None:
    """Print the counts of a run on stdout, unless --quiet is given."""
    if not is_quiet():
        click.echo(text)
    log_printed(text)


def log_printed(text: str, level: int = logging.INFO) -> None:
    """Write a message that is printed elsewhere to the log file."""
    MESSAGE_LOGGER.log(level, "%s", text, extra={"is_printed": True})
