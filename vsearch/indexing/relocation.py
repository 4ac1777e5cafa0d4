"""Relocation of videos whose folder was moved or whose drive has another path now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from vsearch.errors import LibraryError, UnreadableError
from vsearch.indexing.indexed_folders import make_absolute
from vsearch.indexing.places import list_places
from vsearch.media.discovery import compute_fingerprint
from vsearch.media.file_identity import is_settled, read_file_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.types import FileIdentity, Video

RelocationOutcome: TypeAlias = Literal["moved", "not found", "different", "taken"]
_FAT_RESOLUTION_NS = 2_000_000_000  # of modification times


@dataclass(frozen=True, slots=True)
class RelocationResult:
    """Result for one file: that of a video, or a duplicate of it.

    Attributes:
        video: The video, with the old path of this file.
        new_path: Where it should be now.
        outcome: "moved" if it is there, "not found", "different" if the file there has other
            content, "taken" if that file is another video of the library.
    """

    video: Video
    new_path: Path
    outcome: RelocationOutcome


def relocate_videos(
    catalog: Catalog, old_folder: Path, new_folder: Path, *, dry_run: bool = False
) -> Iterator[RelocationResult]:
    """Change the paths of the videos below a folder.

    The file at the new path must have the recorded size and the same sampled content; it is not
    read as a whole, because that takes hours for a drive.

    Args:
        catalog: The catalog.
        old_folder: The folder, or a single file, as it was.
        new_folder: The folder or file as it is now.
        dry_run: Change nothing.

    Yields:
        One result per file, in order of path.

    Raises:
        LibraryError: No video is below the old folder.
    """
    old_folder, new_folder = make_absolute(old_folder), make_absolute(new_folder)
    places = [
        (old_path, video)
        for video in catalog.videos()
        for old_path in list_places(video)
        if old_path.is_relative_to(old_folder)
    ]
    if not places:
        raise LibraryError(f"{old_folder}: no video of the library is there; see `vsearch list`")
    for old_path, video in sorted(places, key=lambda place: place[0]):
        new_path = new_folder / old_path.relative_to(old_folder)
        outcome = _relocate(catalog, video, old_path, new_path, dry_run)
        yield RelocationResult(replace(video, path=old_path), new_path, outcome)


def _relocate(
    catalog: Catalog, video: Video, old_path: Path, new_path: Path, dry_run: bool
) -> RelocationOutcome:
    is_duplicate = old_path != video.path
    known_identity = catalog.duplicate_file(old_path) if is_duplicate else None
    try:
        new_state = read_file_state(new_path)
        known_identity = known_identity or catalog.file_identity(video.id)
        if new_state.size_bytes != known_identity.size_bytes:
            return "different"
        if compute_fingerprint(new_path) != video.fingerprint:
            return "different"
    except (OSError, UnreadableError):
        return "not found"
    other_video = catalog.video_by_path(new_path)
    if other_video is not None and other_video.id != video.id:
        return "taken"
    if dry_run:
        return "moved"
    new_identity = _trust_state(new_state, known_identity)
    with catalog.begin() as transaction:
        if is_duplicate:
            transaction.set_duplicate_file(old_path, None)
            if other_video is None:  # which is a file of the same video
                transaction.set_duplicate_file(new_path, new_identity, video.id)
        else:
            transaction.move_video(video.id, new_path, new_state.size_bytes, new_state.mtime_ns)
            transaction.set_file_identity(video.id, new_identity)
    return "moved"


def _trust_state(new_state: FileIdentity, known_identity: FileIdentity) -> FileIdentity:
    """Return the identity to record: without the same modification time, indexing reads the file.

    A change time of 0 is never that of a file.
    """
    has_same_time = abs(new_state.mtime_ns - known_identity.mtime_ns) <= _FAT_RESOLUTION_NS
    is_trusted = has_same_time and known_identity.ctime_ns != 0 and is_settled(new_state)
    return replace(
        new_state,
        ctime_ns=new_state.ctime_ns if is_trusted else 0,
        content_digest=known_identity.content_digest,
    )
