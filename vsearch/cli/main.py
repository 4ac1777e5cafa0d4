"""The `vsearch` command: options that every subcommand shares, and how errors are told."""

from __future__ import annotations

import io
import logging
import sys
from typing import NoReturn

import click

from vsearch import __version__
from vsearch.cli.options import shared
from vsearch.cli.render import printable
from vsearch.cli.roster import Roster
from vsearch.errors import NoTextError, QueryError, SettingsError, VSearchError

INTERRUPTED = 130  # as shells have it
WARNING = (
    "alembic", "vsearch.encoders.text_tower", "vsearch.encoders.adapter", "vsearch.asking",
    "vsearch.temporal.training", "vsearch.transcripts",
)  # fmt: skip


@click.group(cls=Roster, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vsearch")
@shared
@click.option("-v", "--verbose", is_flag=True, help="Say more about what happens.")
def cli(verbose: bool) -> None:
    """Find the moment: search your own videos by words, picture or example clip.

    \b
    vsearch index ~/Movies
    vsearch search "a dog jumps into a pool"
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("%(message)s"))
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, handlers=[handler])
    # of these what is odd, and no more
    for name in WARNING:
        logging.getLogger(name).setLevel(logging.WARNING)


def main() -> NoReturn:
    """Run the command line and exit with its documented code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal's code page lacks
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(standalone_mode=False, prog_name="vsearch")
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (QueryError, SettingsError) as error:
        code = _say(error, 1 if isinstance(error, NoTextError) else 2)
    except VSearchError as error:
        code = _say(error, 1)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Stopped.", err=True)
        code = INTERRUPTED
    except OSError as error:  # a page that cannot be written, a disk that is full
        code = _say(error, 1)
    sys.exit(code if isinstance(code, int) else 0)


class _Printable(logging.Formatter):
    """Log lines in which nothing can steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).split("\n")))


def _say(error: Exception, code: int) -> int:
    click.echo(f"vsearch: {printable(str(error))}", err=True)
    return code
