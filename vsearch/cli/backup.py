"""`vsearch backup` and `restore`: keep a library in one file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsearch.cli.messages import print_problem
from vsearch.cli.options import library_path_option
from vsearch.cli.render import escape_unprintable, format_bytes, format_count

if TYPE_CHECKING:
    from vsearch.backup.archive import BackupInfo
    from vsearch.cli.options import CommonOptions


@click.command()
@click.argument("backup_path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@library_path_option
@click.pass_obj
def backup(options: CommonOptions, backup_path: Path, force: bool) -> None:
    """Write a backup of the library to FILE, even while it is being changed.

    It has everything but the videos and what can be computed again. Exit 1 if frame features of
    some videos are lost or damaged already; the backup is written all the same.
    """
    from vsearch.storage.reindexing import reindex_command  # deferred: rarely used

    with options.open_library() as library:
        backup_info = library.backup(backup_path, force=force)
    for video_path in backup_info.lost_features:
        problem = (
            f"{video_path}: frame features are missing or damaged in the library, and not in the "
            f"backup; index it again with {reindex_command(video_path)}"
        )
        print_problem(escape_unprintable(problem))
    _print_summary("saved", backup_info)
    if backup_info.lost_features:
        sys.exit(1)


@click.command()
@click.argument("backup_path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace the library in the folder.")
@library_path_option
@click.pass_obj
def restore(options: CommonOptions, backup_path: Path, force: bool) -> None:
    """Restore the library from FILE, a backup.

    The backup is checked first. A running server continues with the restored library.
    """
    from vsearch.library import Library  # deferred: --help needs no library

    _print_summary("restored", Library.restore(backup_path, options.library, force=force))


def _print_summary(verb: str, backup_info: BackupInfo) -> None:
    click.echo(
        f"{format_count(backup_info.video_count, 'video')} {verb}, "
        f"{format_bytes(backup_info.size_bytes)}, backup of {backup_info.created_at}"
    )
