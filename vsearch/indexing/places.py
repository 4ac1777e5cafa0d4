"""Places of one content: the file of a video, and duplicates of it under other paths."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vsearch.errors import UnreadableError
from vsearch.indexing.indexed_folders import make_absolute
from vsearch.media.file_identity import confirm_content
from vsearch.media.file_status import find_file_statuses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.catalog.transaction import Transaction
    from vsearch.types import FileIdentity, Video


def update_places(
    catalog: Catalog, input_paths: Iterable[Path], indexed_folders: Sequence[Path]
) -> None:
    """Forget duplicates whose files were deleted; give videos the path of one that exists.

    Args:
        catalog: The catalog.
        input_paths: Files and folders that were indexed; other places are not checked.
        indexed_folders: All folders that were indexed; what is offline is kept.
    """
    inputs = list(map(make_absolute, input_paths))
    videos = [
        video
        for video in catalog.videos()
        if video.other_paths
        and any(place.is_relative_to(path) for place in list_places(video) for path in inputs)
    ]
    statuses = find_file_statuses(
        (place for video in videos for place in list_places(video)), indexed_folders
    )
    for video in videos:
        gone_places = {place for place in list_places(video) if statuses[place] == "missing"}
        if gone_places:
            forget_places(catalog, video, gone_places)


def forget_places(catalog: Catalog, video: Video, places: Iterable[Path]) -> None:
    """Forget the paths of some files of a video.

    If its first file is among them, a duplicate that still has the same content takes its place;
    without one, the path stays.

    Args:
        catalog: The catalog.
        video: The video, as it is in the catalog.
        places: Paths to forget.
    """
    forgotten_places = set(places)
    new_place = None
    if video.path in forgotten_places:
        kept_paths = [path for path in video.other_paths if path not in forgotten_places]
        new_place = find_available_place(catalog, video, kept_paths)
    with catalog.begin() as transaction:
        for place in forgotten_places - {video.path}:
            transaction.set_duplicate_file(place, None)
        if new_place is not None:
            move_to_place(transaction, video, *new_place)


def remove_places(catalog: Catalog, video: Video, places: Iterable[Path]) -> Video | None:
    """Remove some files of a video from the library; the others keep it.

    Args:
        catalog: The catalog.
        video: The video, as it is in the catalog.
        places: Paths to remove.

    Returns:
        The video with the paths that are left; None if none is left: then nothing is changed.
    """
    removed_places = set(places)
    kept_places = [place for place in list_places(video) if place not in removed_places]
    if not kept_places:
        return None
    forget_places(catalog, video, removed_places)
    present_video = catalog.videos_by_id([video.id])[video.id]
    if present_video.path in removed_places:  # the other files are offline or gone
        file_identity = catalog.duplicate_file(kept_places[0])
        assert file_identity is not None  # noqa: S101 - it is in `other_paths`
        with catalog.begin() as transaction:
            move_to_place(transaction, video, kept_places[0], file_identity)
        present_video = catalog.videos_by_id([video.id])[video.id]
    return present_video


def find_available_place(
    catalog: Catalog, video: Video, places: Iterable[Path]
) -> tuple[Path, FileIdentity] | None:
    """Return the first duplicate file that still has the content of a video, and its identity.

    Args:
        catalog: The catalog.
        video: The video.
        places: Paths of duplicates.
    """
    for place in places:
        recorded_identity = catalog.duplicate_file(place)
        if recorded_identity is None:
            continue
        known_digest = catalog.file_identity(video.id).content_digest
        known_identity = replace(
            recorded_identity,
            content_digest=recorded_identity.content_digest or known_digest,
        )
        try:
            present_identity = confirm_content(place, known_identity, video.fingerprint)
        except (OSError, UnreadableError):
            continue
        if present_identity is not None:
            return place, present_identity
    return None


def move_to_place(
    transaction: Transaction, video: Video, place: Path, file_identity: FileIdentity
) -> None:
    """Make a duplicate file the file of a video."""
    transaction.move_video(video.id, place, file_identity.size_bytes, file_identity.mtime_ns)
    transaction.set_file_identity(video.id, file_identity)


def list_places(video: Video) -> tuple[Path, ...]:
    """Return the path of a video and of its duplicates."""
    return (video.path, *video.other_paths)
