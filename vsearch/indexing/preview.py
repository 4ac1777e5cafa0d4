"""Preview of an indexing run, without decoding or writing anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from vsearch.content_match import FileContent, is_unchanged
from vsearch.errors import MediaError, NoLibraryError
from vsearch.media.discovery import find_videos
from vsearch.media.file_status import is_missing
from vsearch.media.urls import redact_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.media.discovery import DiscoveryOptions, SkippedEntry

PreviewState: TypeAlias = Literal[
    "new", "changed", "unchanged", "moved", "duplicate", "skipped", "failed"
]


@dataclass(frozen=True, slots=True)
class PreviewEntry:
    """Outcome that indexing a file or folder would have.

    Attributes:
        path: Absolute path.
        state: Outcome to expect; "skipped" for what is excluded.
        reason: Why it is skipped or fails, or the known video with the same content.
    """

    path: Path
    state: PreviewState
    reason: str = ""


def preview_index(
    paths: Sequence[Path],
    catalog: Catalog,
    options: DiscoveryOptions,
    downloads: Sequence[tuple[str, Path]] = (),
) -> Iterator[PreviewEntry]:
    """Yield the outcome that indexing each file would have.

    Args:
        paths: Files, folders and globs.
        catalog: The catalog, which need not exist yet.
        options: What is left out.
        downloads: URLs, and the paths at which their files are or will be.

    Yields:
        One entry per file, and per video or folder that is left out.
    """
    for url, download_path in downloads:
        yield _preview_download(url, download_path, catalog)
    skipped_entries: list[SkippedEntry] = []
    for discovered_file in find_videos(paths, options, skipped_entries.append):
        yield from _take_skipped(skipped_entries)
        if discovered_file.error is not None:
            yield PreviewEntry(discovered_file.path, "failed", discovered_file.error)
        else:
            yield _preview_file(discovered_file.path, catalog)
    yield from _take_skipped(skipped_entries)


def _take_skipped(skipped_entries: list[SkippedEntry]) -> Iterator[PreviewEntry]:
    for skipped_entry in skipped_entries:
        yield PreviewEntry(skipped_entry.path, "skipped", skipped_entry.reason)
    skipped_entries.clear()


def _preview_download(url: str, download_path: Path, catalog: Catalog) -> PreviewEntry:
    """Return the entry of a URL; whether it has changed on its server is not checked."""
    if not download_path.is_file():
        return PreviewEntry(download_path, "new", f"to be downloaded from {redact_url(url)}")
    return replace(_preview_file(download_path, catalog), reason=f"from {redact_url(url)}")


def _preview_file(file_path: Path, catalog: Catalog) -> PreviewEntry:
    try:
        known_video = catalog.video_by_path(file_path)
        if known_video is not None:
            is_same = is_unchanged(known_video, catalog)
            return PreviewEntry(file_path, "unchanged" if is_same else "changed")
        for twin_video in FileContent(file_path, catalog).find_videos():
            state: PreviewState = "moved" if is_missing(twin_video.path) else "duplicate"
            return PreviewEntry(file_path, state, str(twin_video.path))
    except NoLibraryError:
        pass
    except MediaError as error:
        return PreviewEntry(file_path, "failed", str(error))
    return PreviewEntry(file_path, "new")
