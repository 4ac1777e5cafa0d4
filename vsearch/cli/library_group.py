"""`vsearch library create` and `copy`: create a library with its settings, or copy one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from vsearch.cli.messages import print_note
from vsearch.cli.progress import ProgressLine
from vsearch.cli.render import escape_unprintable, format_bytes, format_count, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F")
SETTING_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--store",
        metavar="DIR|URL",
        help="Where the frame features and kept frames of a library in a database are: a folder "
        "that all machines reach, or a bucket such as s3://films/store.",
    ),
    click.option(
        "--index",
        metavar="NAME",
        help="Vector index: auto, exact, faiss, sq8, ivf, pgvector, milvus:URL or a plugin.  "
        "[default: auto]",
    ),
    click.option(
        "--ray",
        metavar="URL",
        help="Address of the Ray cluster that indexes, such as ray://head:10001.  "
        "[default: this machine]",
    ),
)


def _setting_options(command: F) -> F:
    """Add --store, --index and --ray to a command."""
    for option in reversed(SETTING_OPTIONS):
        command = option(command)
    return command


@click.group()
def library() -> None:
    """Create a library in a folder or database, or copy one.

    \b
    vsearch library create postgresql://ann@db/films --store /mnt/films
    vsearch library copy ~/library postgresql://ann@db/films --store /mnt/films
    """


@library.command()
@click.argument("location", metavar="DIR|URL")
@_setting_options
def create(location: str, store: str | None, index: str | None, ray: str | None) -> None:
    """Create an empty library with its settings.

    The library is a new folder, or a PostgreSQL database: postgresql://USER@HOST/DATABASE. The
    database must exist; its password belongs into a password file or PGPASSWORD.
    """
    from vsearch.library import Library  # deferred: --help needs no library

    with Library.create(location, store=store, index=index, ray=ray) as created_library:
        name = escape_unprintable(created_library.location.absolute_name)
    click.echo(f"Created {name}")
    print_note(f"Index videos with `vsearch --library {name} index FOLDER`.")


@library.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@_setting_options
def copy(source: str, target: str, store: str | None, index: str | None, ray: str | None) -> None:
    """Copy a library from one folder or database to another.

    Nothing is decoded. The copy has the same ids, and every row is compared at the end. TO must be
    new, or a copy of the same library that was interrupted, which is then continued. Files of
    videos stay where they are, downloads included.
    """
    from vsearch.library_copy import copy_library  # deferred: --help needs no library

    given_settings = {"store": store, "index": index, "ray": ray}
    settings = {name: value for name, value in given_settings.items() if value is not None}
    with ProgressLine() as progress_line:
        library_copy = copy_library(source, target, settings, on_progress=progress_line.update_rows)
    print_table(
        [
            ("table", "rows", "digest"),
            *(
                (digest.table_name, f"{digest.row_count:,}", digest.digest[:12])
                for digest in library_copy.table_digests
            ),
        ],
        alignments="lr",
    )
    click.echo(
        f"{format_count(library_copy.row_count, 'row')} and "
        f"{format_count(library_copy.file_count, 'file')} "
        f"({format_bytes(library_copy.size_bytes)}) copied to "
        f"{escape_unprintable(library_copy.target)}; all rows are equal"
    )
