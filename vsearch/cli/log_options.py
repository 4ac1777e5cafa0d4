"""Options of all commands for messages: --verbose, --quiet, --log-file, --log-level, --no-color."""

from __future__ import annotations

import logging
import logging.handlers
import os
import re
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from vsearch import __version__
from vsearch.cli.messages import MESSAGE_LOGGER, log_printed, set_quiet
from vsearch.cli.render import escape_unprintable
from vsearch.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

C = TypeVar("C", bound=click.Command)
LOG_LEVELS = ("debug", "info", "warning", "error")
LOGGERS_AT_WARNING = (  # only their warnings are printed, with and without --verbose
    "alembic",
    "vsearch.cluster.task_pool",
    "vsearch.encoders.query_adapter",
    "vsearch.encoders.text_tower",
    "vsearch.search.searcher",
    "vsearch.search.cue_embedding",
    "vsearch.training.trainer",
)
LOGGERS_OF_DAMAGE = (  # their warnings are printed even without --verbose
    "vsearch.index.cache",
    "vsearch.search.hubness",
    "vsearch.search.null_queries",
    "vsearch.search.stored_frames",
)
ACCESS_LOGGER = "vsearch.server.access_log"  # is a result of `serve`: always printed
_META_KEY, _STARTED_KEY = "vsearch.cli.log_options", "vsearch.cli.log_options.started"
_FILE_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s"
_SECRETS_RE = re.compile(
    r"(?i)(?P<user>://)[^/@\s]+(?=@)"
    r"|(?P<bearer>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}"
    r"|(?P<value>[\w-]*(?:token|secret|passw(?:or)?d|signature|api[-_]?key|credential)[\w-]*=)"
    r"[^&\s'\"]+"
)


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Options for messages, given before or after the name of a command."""

    verbose: bool = False
    quiet: bool = False
    log_file: Path | None = None
    log_level: str | None = None
    no_color: bool = False

    @property
    def stderr_level(self) -> int:
        """Level from which log records are printed."""
        if self.quiet:
            return logging.ERROR
        if self.log_level is not None and self.log_file is None:
            return _parse_level(self.log_level)
        return logging.INFO if self.verbose else logging.ERROR

    @property
    def file_level(self) -> int:
        """Level from which log records are written to the log file."""
        return _parse_level(self.log_level or "info")


class _LogOption(click.Option):
    """An option of all commands, of which only the main help says something."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        return super().get_help_record(ctx) if ctx.parent is None else None


def add_log_options(command: click.Command) -> click.Command:
    """Let a command and all of its subcommands accept the options for messages.

    Args:
        command: A command; those that have the options are left as they are.
    """
    if not any(isinstance(parameter, _LogOption) for parameter in command.params):
        command.params.extend(_make_options(has_variables=False))
    for subcommand in command.commands.values() if isinstance(command, click.Group) else ():
        add_log_options(subcommand)
    return command


def main_log_options(command: C) -> C:
    """Add the options for messages, with their environment variables, to the main command."""
    command.params.extend(_make_options(has_variables=True))
    return command


def configure_logging(context: click.Context) -> LogOptions:
    """Set up messages and log records as the options of a command request.

    Args:
        context: Context of the command, whose `color` is set as well.

    Returns:
        The options.

    Raises:
        SettingsError: If the log file cannot be written.
    """
    options: LogOptions = context.meta.get(_META_KEY, LogOptions())
    context.color = _choose_color(options, os.environ)
    set_quiet(options.quiet)
    handlers: list[logging.Handler] = [_StderrHandler(options)]
    if options.log_file is not None:
        handlers.append(_open_log_file(options.log_file, options.file_level))
    root_logger = logging.getLogger()
    for handler in root_logger.handlers[:]:
        if isinstance(handler, _StderrHandler | _LogFileHandler):  # of the previous options
            root_logger.removeHandler(handler)
            handler.close()
    for handler in handlers:
        root_logger.addHandler(handler)
    lowest_level = min(options.stderr_level, options.file_level if len(handlers) > 1 else 99)
    # not of other packages, whose records may have addresses and headers
    logging.getLogger("vsearch").setLevel(min(lowest_level, logging.WARNING))
    for logger_name in LOGGERS_AT_WARNING:
        logging.getLogger(logger_name).setLevel(
            logging.NOTSET if lowest_level == logging.DEBUG else logging.WARNING
        )
    if options.log_file is not None and not context.meta.get(_STARTED_KEY):
        context.meta[_STARTED_KEY] = True
        log_printed(f"vsearch {__version__}: {shlex.join(sys.argv[1:])}")
    return options


def list_log_settings(context: click.Context) -> dict[str, tuple[str, str]]:
    """Return the value of each option for messages and its source, by name of the option.

    Args:
        context: Context of a command.
    """
    options: LogOptions = context.meta.get(_META_KEY, LogOptions())
    values = {
        "quiet": str(options.quiet).lower(),
        "log-file": "" if options.log_file is None else str(options.log_file.absolute()),
        "log-level": options.log_level or "",
        "color": {None: "auto", False: "no", True: "yes"}[_choose_color(options, os.environ)],
    }
    sources = dict.fromkeys(values, "default")
    for name in values:
        parameter_name = name.replace("-", "_")
        source = context.find_root().get_parameter_source(parameter_name)
        if source == ParameterSource.ENVIRONMENT:
            sources[name] = f"VSEARCH_{parameter_name.upper()}"
        elif name != "color" and getattr(options, parameter_name):
            sources[name] = f"--{name}"
    if options.no_color:
        sources["color"] = "--no-color"
    elif values["color"] != "auto":
        sources["color"] = "NO_COLOR" if values["color"] == "no" else "FORCE_COLOR"
    return {name: (value, sources[name]) for name, value in values.items()}


def redact_secrets(text: str) -> str:
    """Replace tokens, passwords and signatures in addresses and headers by `***`."""
    return _SECRETS_RE.sub(
        lambda match: f"{match['user'] or match['bearer'] or match['value']}***", text
    )


def _make_options(*, has_variables: bool) -> list[click.Parameter]:
    """Return the options; those after the name of a command do not read variables once more."""

    def variable(name: str) -> str | None:
        return name if has_variables else None

    def option(*flags: str, **settings: Any) -> click.Parameter:
        return _LogOption(list(flags), expose_value=False, callback=_store_option, **settings)

    return [
        option("-v", "--verbose", is_flag=True, help="Print more messages to stderr."),
        option(
            "-q",
            "--quiet",
            is_flag=True,
            help="Print results and errors only; `index`, `transcribe` and `ocr` print nothing "
            "unless something fails.",
        ),
        option(
            "--log-file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            envvar=variable("VSEARCH_LOG_FILE"),
            help="Append messages with their times to this file, also those that --quiet hides.",
        ),
        option(
            "--log-level",
            type=click.Choice(LOG_LEVELS),
            envvar=variable("VSEARCH_LOG_LEVEL"),
            help="Least severity of the log records in --log-file, or on stderr without one.  "
            "[default: info in a file, error on stderr]",
        ),
        option(
            "--no-color",
            is_flag=True,
            help="Print without colors; so does the variable NO_COLOR. FORCE_COLOR keeps them "
            "where the output is not a terminal.",
        ),
    ]


def _store_option(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Store an option that was given; after the name of a command, it takes effect at once."""
    if value in (None, False) or parameter.name is None:
        return
    stored_options = context.meta.get(_META_KEY, LogOptions())
    context.meta[_META_KEY] = replace(stored_options, **{parameter.name: value})
    if context.parent is not None:
        configure_logging(context)


def _parse_level(level_name: str) -> int:
    return int(getattr(logging, level_name.upper()))


def _choose_color(options: LogOptions, environment: Mapping[str, str]) -> bool | None:
    """Return whether to print colors; None leaves that to the output."""
    if options.no_color or environment.get("NO_COLOR"):
        return False
    return True if environment.get("FORCE_COLOR", "0") not in ("", "0") else None


def _open_log_file(log_path: Path, level: int) -> logging.Handler:
    try:
        file_handler = _LogFileHandler(log_path.expanduser(), encoding="utf-8")
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"--log-file {log_path}: cannot be written ({reason}); choose another file"
        ) from error
    file_handler.setLevel(level)
    file_handler.setFormatter(_FileFormatter(_FILE_FORMAT, "%Y-%m-%dT%H:%M:%S"))
    return file_handler


class _EscapingFormatter(logging.Formatter):
    """Log formatter that escapes control characters, so that records cannot steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(escape_unprintable, super().format(record).split("\n")))


class _StderrHandler(logging.Handler):
    """Prints log records; messages are printed by their own handler."""

    def __init__(self, options: LogOptions) -> None:
        super().__init__()
        self._level = options.stderr_level
        important_loggers = () if options.quiet else (*LOGGERS_AT_WARNING, *LOGGERS_OF_DAMAGE)
        self._levels = dict.fromkeys(important_loggers, logging.WARNING)
        self._levels[ACCESS_LOGGER] = logging.WARNING if options.quiet else logging.INFO
        self.setFormatter(_EscapingFormatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record that is severe enough."""
        level = min(self._level, self._levels.get(record.name, self._level))
        if record.name != MESSAGE_LOGGER.name and record.levelno >= level:
            with suppress(OSError, ValueError):  # stderr is full or closed
                click.echo(self.format(record), err=True)


class _FileFormatter(_EscapingFormatter):
    """Formatter without secrets, in which only the first line of a record is not indented."""

    def format(self, record: logging.LogRecord) -> str:
        return redact_secrets(super().format(record)).replace("\n", "\n    ")


class _LogFileHandler(logging.handlers.WatchedFileHandler):
    """Appends to a file, also after it was rotated; a full disk does not stop the command."""

    def __init__(self, log_path: Path, encoding: str) -> None:
        super().__init__(log_path, encoding=encoding, errors="backslashreplace")
        self._has_failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            super().emit(record)
        except (OSError, ValueError):  # the folder is gone
            self.handleError(record)

    def close(self) -> None:
        """Close the file; what is left of a full disk's log is given up."""
        with suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - of logging
        """Print once that the log is incomplete."""
        if not self._has_failed:
            self._has_failed = True
            with suppress(OSError, ValueError):
                reason = escape_unprintable(str(sys.exc_info()[1]))
                click.echo(f"vsearch: the log cannot be written: {reason}", err=True)
