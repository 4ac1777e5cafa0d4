"""Open a video at a time in a player of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from vsearch.buckets.bucket_path import BucketPath
from vsearch.cli.messages import print_note
from vsearch.cli.render import format_path, format_time
from vsearch.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FAILURE_SECONDS = 1.0  # within which a program that cannot open a file ends
PLAYER_ARGUMENTS: dict[str, Callable[[str, str], list[str]]] = {
    "mpv": lambda path, start: [f"--start={start}", "--", path],
    "vlc": lambda path, start: [f"--start-time={start}", path],
    "ffplay": lambda path, start: ["-loglevel", "error", "-ss", start, "-i", path],
}
OPENERS = ("open",) if sys.platform == "darwin" else ("xdg-open",)
_OTHER_PLACES = {  # of players that are not on the search path
    "vlc": (
        "/Applications/VLC.app/Contents/MacOS/VLC",
        r"C:\Program Files\VideoLAN\VLC\vlc.exe",
        r"C:\Program Files (x86)\VideoLAN\VLC\vlc.exe",
    )
}


def open_result(video_path: Path, start_seconds: float | None) -> None:
    """Open a result and print with which program; see `open_video`."""
    program_name = open_video(video_path, start_seconds)
    is_at_time = start_seconds is not None and program_name in PLAYER_ARGUMENTS
    time_text = f" at {format_time(start_seconds)}" if is_at_time and start_seconds else ""
    print_note(f"Opened {format_path(video_path)}{time_text} with {program_name}.")


def open_video(video_path: Path, start_seconds: float | None) -> str:
    """Open a video in a player, or in the program that the desktop opens such files with.

    No shell is involved, and the program is not waited for, except for a moment to see it fail.

    Args:
        video_path: The file.
        start_seconds: Where to start, if the player can; None for a picture.

    Returns:
        The name of the program.

    Raises:
        MediaError: The file is missing or in a bucket, or no program can open it.
    """
    if isinstance(video_path, BucketPath):
        raise MediaError(f"{video_path}: is in a bucket; play it in the page of `vsearch serve`")
    if not video_path.is_file():
        raise MediaError(f"{video_path}: is not on this machine, or its drive is not connected")
    # an absolute path never starts with a dash
    path_text = os.path.abspath(video_path)  # noqa: PTH100 - links stay, as names may matter
    if start_seconds is not None:
        for player_name, build_arguments in PLAYER_ARGUMENTS.items():
            if (program_path := _find_program(player_name)) is not None:
                _start_program([program_path, *build_arguments(path_text, f"{start_seconds:.3f}")])
                return player_name
    if sys.platform == "win32":
        os.startfile(path_text)  # noqa: S606 - opens the file as a double click does
        return "the default program"
    for opener_name in OPENERS:
        if (program_path := shutil.which(opener_name)) is not None:
            _start_program([program_path, path_text])
            return opener_name
    raise MediaError(
        f"{video_path}: no program was found that opens it; install mpv or VLC, or open it yourself"
    )


def _find_program(player_name: str) -> str | None:
    """Return the path of a player, or None."""
    return shutil.which(player_name) or next(
        (place for place in _OTHER_PLACES.get(player_name, ()) if os.access(place, os.X_OK)), None
    )


def _start_program(command_line: list[str]) -> None:
    """Start a program detached from the terminal. Raises MediaError if it fails at once."""
    program_name = os.path.basename(command_line[0])  # noqa: PTH119
    try:
        process = subprocess.Popen(  # noqa: S603 - no shell, and an absolute path
            command_line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise MediaError(f"{program_name} cannot be started ({error.strerror})") from error
    try:
        exit_status = process.wait(timeout=FAILURE_SECONDS)
    except subprocess.TimeoutExpired:
        return  # it shows the video
    if exit_status != 0:
        raise MediaError(f"{program_name} could not open the file (exit status {exit_status})")
