"""`vsearch open`: open a result of the last search in a player."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsearch.cli.options import library_path_option

if TYPE_CHECKING:
    from vsearch.cli.options import CommonOptions


@click.command("open")
@click.argument("result_number", metavar="N", type=click.IntRange(1), default=1)
@library_path_option
@click.pass_obj
def open_command(options: CommonOptions, result_number: int) -> None:
    """Open result N of the last search in a player; without N, the first.

    mpv, VLC and ffplay start at the time of the result; otherwise the desktop's default program
    opens the file.

    \b
    vsearch search a dog jumps
    vsearch open 3
    """
    from vsearch.cli.player import open_result  # deferred, as for all commands
    from vsearch.search import last_search

    with options.open_library(ignore_invalid_settings=True) as library:
        result_ref = last_search.load_last_search(library.cache_path).get_result(result_number)
        videos = library.videos([result_ref.video_path])
    video_path = Path(result_ref.video_path)
    is_photo = any(video.path == video_path and video.is_photo for video in videos)
    open_result(video_path, None if is_photo else result_ref.span.start)
