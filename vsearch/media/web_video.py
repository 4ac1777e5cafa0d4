"""Download of the video on a web page by yt-dlp, in a process of its own."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from vsearch.errors import MissingExtraError, TooLargeError, UnreadableError
from vsearch.media.download import (
    DownloadProgress,
    DownloadRecord,
    make_digest,
    make_file_name,
    write_record,
)
from vsearch.media.urls import redact_url
from vsearch.storage.atomic_files import PARTIAL_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_POLL_SECONDS = 0.2
_MAX_MESSAGE_BYTES = 16 * 1024
_FIXED_ARGUMENTS = (
    "--ignore-config",
    "--no-playlist",
    "--playlist-items=1",
    "--no-progress",
    "--no-cache-dir",
    "--socket-timeout=30",
    "--retries=3",
    "--windows-filenames",
    "--format-sort=res:1080",
    "--output=%(title).60B.%(ext)s",
)


def download_web_video(
    url: str,
    folder: Path,
    max_bytes: int,
    on_progress: Callable[[DownloadProgress], None] = lambda _: None,
) -> Path:
    """Download the video on a web page.

    What an interrupted run has received is continued.

    Args:
        url: URL of the page.
        folder: Folder of downloads.
        max_bytes: Largest file.
        on_progress: Called while data arrives.

    Returns:
        Path of the video.

    Raises:
        MissingExtraError: yt-dlp is not installed.
        TooLargeError: The video exceeds the limit.
        UnreadableError: yt-dlp cannot download a video from the page.
    """
    shown_url = redact_url(url)
    command = _find_command()
    if command is None:
        raise MissingExtraError(
            f"{shown_url}: is a web page, not a video file; to index the videos of web pages, "
            "pip install 'vsearch[web]'; or download the file with a browser"
        )
    work_folder = folder / f"{make_digest(url)}.page"
    work_folder.mkdir(parents=True, exist_ok=True)
    command += [*_FIXED_ARGUMENTS, f"--max-filesize={max_bytes}", f"--paths={work_folder}"]
    message_path = work_folder / "messages.txt"
    with (
        message_path.open("wb") as message_file,
        subprocess.Popen(  # noqa: S603 - without a shell
            [*command, "--", url],
            stdin=subprocess.DEVNULL,
            stdout=message_file,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            while process.poll() is None:
                received_bytes = _measure_folder(work_folder)
                on_progress(DownloadProgress(shown_url, received_bytes, None))
                if received_bytes > 2 * max_bytes:  # pictures and sound, while they are joined
                    raise TooLargeError(_describe_limit(shown_url, max_bytes))
                time.sleep(_POLL_SECONDS)
        finally:
            process.kill()
    return _take_video(url, folder, work_folder, max_bytes, message_path)


def _find_command() -> list[str] | None:
    if importlib.util.find_spec("yt_dlp") is not None:
        return [sys.executable, "-P", "-m", "yt_dlp"]  # -P: not from the working directory
    program_path = shutil.which("yt-dlp")
    return None if program_path is None else [program_path]


def _measure_folder(folder: Path) -> int:
    total_bytes = 0
    for path in folder.iterdir():
        try:
            total_bytes += path.stat().st_size
        except OSError:  # renamed meanwhile
            continue
    return total_bytes


def _take_video(
    url: str, folder: Path, work_folder: Path, max_bytes: int, message_path: Path
) -> Path:
    """Move the downloaded video out of the work folder, and delete that."""
    shown_url = redact_url(url)
    with message_path.open("rb") as message_file:
        message_text = message_file.read(_MAX_MESSAGE_BYTES).decode("utf-8", "replace")
    message_path.unlink()
    video_paths = [
        path
        for path in work_folder.iterdir()
        if path.is_file() and not path.is_symlink() and path.suffix not in (PARTIAL_SUFFIX, ".ytdl")
    ]
    if not video_paths:
        if "larger than max-filesize" in message_text:
            raise TooLargeError(_describe_limit(shown_url, max_bytes))
        error_lines = [line for line in message_text.splitlines() if line.startswith("ERROR:")]
        reason = error_lines[-1].removeprefix("ERROR:").strip() if error_lines else "no video found"
        reason = reason.replace(url, shown_url)[:300]
        raise UnreadableError(
            f"{shown_url}: yt-dlp cannot download a video from this page ({reason}); check the "
            "URL, or download the file with a browser"
        )
    video_path = max(video_paths, key=lambda path: path.stat().st_size)
    if video_path.stat().st_size > max_bytes:
        shutil.rmtree(work_folder, ignore_errors=True)
        raise TooLargeError(_describe_limit(shown_url, max_bytes))
    file_name = make_file_name(video_path.stem, url, video_path.suffix)
    video_path.replace(folder / file_name)
    write_record(folder, url, DownloadRecord(shown_url, file_name))
    shutil.rmtree(work_folder, ignore_errors=True)
    return folder / file_name


def _describe_limit(shown_url: str, max_bytes: int) -> str:
    return f"{shown_url}: is larger than {max_bytes / 1e9:g} GB; allow more with --max-download"
