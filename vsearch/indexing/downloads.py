"""Downloads of a library: files from URLs, in a folder inside the library."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from vsearch.errors import MediaError, MissingExtraError
from vsearch.media.discovery import DiscoveredFile
from vsearch.media.download import (
    RECORD_SUFFIX,
    WebPageError,
    download_file,
    guess_file_name,
    read_record,
)
from vsearch.media.urls import redact_url
from vsearch.media.web_video import download_web_video
from vsearch.storage.atomic_files import PARTIAL_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from vsearch.media.download import DownloadOptions, DownloadProgress

DOWNLOADS_FOLDER = "downloads"  # inside the library
_DIGEST_RE = re.compile(r"-([0-9a-f]{12})(?:\.\w+)?\Z")


def fetch_urls(
    urls: Iterable[str],
    library_path: Path,
    options: DownloadOptions,
    on_progress: Callable[[DownloadProgress], None],
) -> Iterator[tuple[DiscoveredFile, str]]:
    """Download files, each once; those that are there and unchanged are not downloaded again.

    Args:
        urls: URLs of http or https.
        library_path: Folder of the library.
        options: Limits.
        on_progress: Called while data arrives.

    Yields:
        The file, or the reason why there is none, and the URL without credentials.
    """
    folder = library_path.absolute() / DOWNLOADS_FOLDER
    for url in dict.fromkeys(urls):
        try:
            discovered_file = DiscoveredFile(_fetch_url(url, folder, options, on_progress))
        except (MediaError, MissingExtraError) as error:
            discovered_file = DiscoveredFile(planned_path(url, library_path), str(error))
        yield discovered_file, redact_url(url)


def _fetch_url(
    url: str,
    folder: Path,
    options: DownloadOptions,
    on_progress: Callable[[DownloadProgress], None],
) -> Path:
    try:
        return download_file(url, folder, options, on_progress)
    except WebPageError:
        record = read_record(folder, url)
        if record.name and (folder / record.name).is_file():
            return folder / record.name  # a page does not show whether its video has changed
        return download_web_video(url, folder, options.max_bytes, on_progress)


def planned_path(url: str, library_path: Path) -> Path:
    """Return the path of the file of a URL, or the one that it will probably have.

    Args:
        url: The URL.
        library_path: Folder of the library.
    """
    folder = library_path.absolute() / DOWNLOADS_FOLDER
    return folder / (read_record(folder, url).name or guess_file_name(url))


def delete_downloads(library_path: Path, removed_paths: Iterable[Path]) -> None:
    """Delete downloaded files of videos that were removed from the library.

    Args:
        library_path: Folder of the library.
        removed_paths: Paths of files that no video has any more; others are left alone.
    """
    folder = library_path.absolute() / DOWNLOADS_FOLDER
    for file_path in removed_paths:
        digest_match = _DIGEST_RE.search(file_path.name)
        if file_path.parent != folder or digest_match is None:
            continue
        with suppress(OSError):
            file_path.unlink(missing_ok=True)
        for suffix in (RECORD_SUFFIX, PARTIAL_SUFFIX):
            with suppress(OSError):
                (folder / f"{digest_match[1]}{suffix}").unlink(missing_ok=True)
        shutil.rmtree(folder / f"{digest_match[1]}.page", ignore_errors=True)


def find_download_problems(library_path: Path, known_paths: Iterable[Path]) -> Iterator[str]:
    """Find incomplete downloads, and downloaded files that are not in the library.

    Args:
        library_path: Folder of the library.
        known_paths: Paths of all files of all videos.

    Yields:
        Problems found, each a sentence with the remedy.
    """
    folder = library_path.absolute() / DOWNLOADS_FOLDER
    try:
        names = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    except OSError:
        return
    known_names = {path.name for path in known_paths}
    partial_names = [name for name in names if name.endswith((PARTIAL_SUFFIX, ".page"))]
    if partial_names:
        count_text = "a download is" if len(partial_names) == 1 else "some downloads are"
        yield (
            f"{folder}: {count_text} incomplete; `vsearch index URL` continues; or delete what "
            f"ends in {PARTIAL_SUFFIX} or .page"
        )
    for name in names:
        if _DIGEST_RE.search(name) and name not in known_names:
            yield (
                f"{folder / name}: was downloaded but is not in the library; "
                "`vsearch index` it, or delete it"
            )
