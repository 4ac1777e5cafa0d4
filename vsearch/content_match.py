"""Comparison of files with the content that the catalog recorded for its videos."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from vsearch.errors import UnreadableError
from vsearch.media.discovery import compute_fingerprint, format_read_error
from vsearch.media.file_identity import (
    compute_digest,
    confirm_content,
    is_fully_fingerprinted,
    is_settled,
    read_file_state,
)

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.types import FileIdentity, Video


def is_unchanged(video: Video, catalog: Catalog) -> bool:
    """Return whether the file of a video exists and certainly has the content that was indexed."""
    try:
        return confirm_identity(video, catalog) is not None
    except (OSError, UnreadableError):
        return False


def confirm_identity(video: Video, catalog: Catalog) -> FileIdentity | None:
    """Return the identity to record for a video whose content is unchanged, otherwise None.

    Raises:
        OSError: The file cannot be accessed.
        UnreadableError: The file cannot be read.
    """
    return confirm_content(video.path, catalog.file_identity(video.id), video.fingerprint)


class FileContent:
    """Content of a file that is not in the catalog, or in another state there.

    Attributes:
        state: State of the file when its fingerprint was computed.
        settled: Whether that state can be trusted later; see `file_identity.is_settled`.
        fingerprint: Its fingerprint.
    """

    def __init__(self, file_path: Path, catalog: Catalog) -> None:
        """Read the sampled blocks of a file.

        Args:
            file_path: The file.
            catalog: The catalog.

        Raises:
            UnreadableError: The file cannot be read.
        """
        self._file_path, self._catalog = file_path, catalog
        try:
            self.state = read_file_state(file_path)
        except OSError as error:
            raise UnreadableError(format_read_error(file_path, error)) from error
        self.settled = is_settled(self.state)
        self.fingerprint = compute_fingerprint(file_path)

    @cached_property
    def digest(self) -> str:
        """Digest of the whole content, computed once per state of a file."""
        recorded_identity = self._catalog.duplicate_file(self._file_path)
        if recorded_identity is not None and recorded_identity.has_state(self.state):
            return recorded_identity.content_digest or compute_digest(self._file_path)
        return compute_digest(self._file_path)

    @property
    def identity(self) -> FileIdentity:
        """Identity to record: the digest is in it if it was computed."""
        return replace(
            self.state,
            ctime_ns=self.state.ctime_ns if self.settled else 0,
            content_digest=self.__dict__.get("digest"),
        )

    def find_videos(self) -> list[Video]:
        """Return the videos that were indexed with this content, whatever became of their files."""
        return [video for video in self.find_candidates() if self.was_indexed_as(video)]

    def find_candidates(self) -> list[Video]:
        """Return the videos with the same fingerprint, which may differ elsewhere."""
        return self._catalog.videos_by_fingerprint(self.fingerprint)

    def was_indexed_as(self, video: Video) -> bool:
        """Return whether a video, whose fingerprint is the same, was indexed with this content."""
        recorded_identity = self._catalog.file_identity(video.id)
        if is_fully_fingerprinted(self.state) or self._is_same_file(recorded_identity):
            return True
        if recorded_identity.content_digest is not None:
            return recorded_identity.content_digest == self.digest
        # Of an older version: the file itself has to be read, or its time has to be the same.
        return self.is_copy_of(video) or (
            not video.path.exists() and recorded_identity.mtime_ns == self.state.mtime_ns
        )

    def is_copy_of(self, video: Video) -> bool:
        """Return whether the file of a video, whose fingerprint is the same, has this content."""
        try:
            if video.path.samefile(self._file_path):
                return True
            present_identity = confirm_identity(video, self._catalog)
        except (OSError, UnreadableError):
            return False
        if present_identity is None:
            return False
        return is_fully_fingerprinted(self.state) or self.digest == (
            present_identity.content_digest or compute_digest(video.path)
        )

    def _is_same_file(self, recorded_identity: FileIdentity) -> bool:
        """Return whether this is the recorded file itself, renamed; in a bucket, a copy of it."""
        if recorded_identity.inode is None and self.state.inode is None:
            return bool(recorded_identity.ctime_ns) and (
                recorded_identity.ctime_ns,
                recorded_identity.size_bytes,
            ) == (self.state.ctime_ns, self.state.size_bytes)  # the same ETag
        return recorded_identity.inode is not None and (
            recorded_identity.inode,
            recorded_identity.size_bytes,
            recorded_identity.mtime_ns,
        ) == (self.state.inode, self.state.size_bytes, self.state.mtime_ns)
