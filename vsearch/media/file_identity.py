"""Identity of a video file: its state on disk, and a digest of its whole content.

The fingerprint of a file (`discovery.compute_fingerprint`) is read quickly and finds candidates;
files that differ only between the sampled blocks share it. What is proven is proven by the state,
or by the digest, for which the whole file is read.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from vsearch.buckets.bucket_path import BucketPath
from vsearch.errors import UnreadableError
from vsearch.media.discovery import (
    FULLY_FINGERPRINTED_BYTES,
    compute_fingerprint,
    format_read_error,
)
from vsearch.types import FileIdentity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CHUNK_BYTES = 2**20
_MAX_UNREAD_BYTES = 2**20  # of a file in a bucket, read only for its digest; or a share of the file
_MAX_UNREAD_DIVISOR = 16
# Coarsest resolution of modification times (FAT): a file can change twice without a new time.
_TIME_RESOLUTION_NS = 2_000_000_000


def read_file_state(file_path: Path) -> FileIdentity:
    """Return the present state of a file, without its digest.

    Raises:
        OSError: The file cannot be accessed.
    """
    stat_result = file_path.stat()
    return FileIdentity(
        stat_result.st_size,
        stat_result.st_mtime_ns,
        stat_result.st_ctime_ns,  # of a file in a bucket: the ETag as a number
        None if isinstance(file_path, BucketPath) else str(stat_result.st_ino),
    )


def read_present_state(file_path: Path) -> FileIdentity:
    """Return the state of a file now, not that in the listing of the bucket where it was found.

    Raises:
        OSError: The file cannot be accessed.
    """
    if isinstance(file_path, BucketPath):
        file_path = file_path.forget_listing()
    return read_file_state(file_path)


def is_settled(file_state: FileIdentity) -> bool:
    """Return whether a change after this moment certainly changes the state, too."""
    if file_state.inode is None:  # in a bucket, where the ETag changes
        return True
    return abs(time.time_ns() - file_state.mtime_ns) >= _TIME_RESOLUTION_NS


def compute_digest(file_path: Path, check_cancelled: Callable[[], None] = lambda: None) -> str:
    """Compute a digest of the whole content of a file.

    Args:
        file_path: The file.
        check_cancelled: Called for each megabyte; an exception it raises ends the reading.

    Returns:
        32 hexadecimal digits.

    Raises:
        UnreadableError: The file cannot be read.
    """
    digest = hashlib.sha256()  # in hardware on many processors
    try:
        if isinstance(file_path, BucketPath):
            return file_path.open_ranges().compute_digest(check_cancelled)
        with file_path.open("rb", buffering=0) as video_file:
            while chunk := video_file.read(_CHUNK_BYTES):
                check_cancelled()
                digest.update(chunk)
    except OSError as error:
        raise UnreadableError(format_read_error(file_path, error)) from error
    return digest.hexdigest()[:32]


def is_fully_fingerprinted(file_state: FileIdentity) -> bool:
    """Return whether the fingerprint of a file covers its whole content."""
    return file_state.size_bytes <= FULLY_FINGERPRINTED_BYTES


def confirm_content(
    file_path: Path, known_identity: FileIdentity, fingerprint: str
) -> FileIdentity | None:
    """Check that a file still has the content that was recorded, reading no more than needed.

    Nothing is read if the state is the recorded one, otherwise the sampled blocks, and the whole
    file only if they are the same.

    Args:
        file_path: The file.
        known_identity: Its recorded identity.
        fingerprint: Its recorded fingerprint.

    Returns:
        The identity to record from now on; None if the content has changed, or may have changed.

    Raises:
        OSError: The file cannot be accessed.
        UnreadableError: The file cannot be read.
    """
    present_state = read_file_state(file_path)
    if isinstance(file_path, BucketPath) and _has_same_etag(known_identity, present_state):
        return replace(present_state, content_digest=known_identity.content_digest)
    if known_identity.has_state(present_state):
        if known_identity.ctime_ns is not None:
            return known_identity
        return replace(present_state, content_digest=known_identity.content_digest)
    settled, digest = is_settled(present_state), known_identity.content_digest
    if present_state.size_bytes != known_identity.size_bytes:
        return None
    if compute_fingerprint(file_path) != fingerprint:
        return None
    if not is_fully_fingerprinted(present_state) and (
        digest is None or compute_digest(file_path) != digest
    ):
        return None
    if read_present_state(file_path) != present_state:
        return None  # it changes while it is read
    return replace(
        present_state,
        ctime_ns=present_state.ctime_ns if settled else 0,
        content_digest=digest,
    )


def identify_content(
    file_path: Path,
    earlier_state: FileIdentity,
    check_cancelled: Callable[[], None] = lambda: None,
    *,
    settled: bool,
) -> FileIdentity:
    """Return the identity to record for a file that was just read.

    Args:
        file_path: The file.
        earlier_state: Its state before it was read; a digest that is known is not computed again.
        check_cancelled: Called for each megabyte; an exception it raises ends the reading.
        settled: Result of `is_settled` for that state.

    Returns:
        The identity; without a digest if the file changed while it was read (then its `ctime_ns`
        is 0), or if a file in a bucket was read only in part.

    Raises:
        UnreadableError: The file cannot be read.
    """
    digest = earlier_state.content_digest
    if digest is None and not _was_read_in_part(file_path):
        digest = compute_digest(file_path, check_cancelled)
    try:
        present_state = read_present_state(file_path)
    except OSError as error:
        raise UnreadableError(format_read_error(file_path, error)) from error
    is_same = present_state == replace(earlier_state, content_digest=None) or (
        isinstance(file_path, BucketPath) and _has_same_etag(earlier_state, present_state)
    )
    if not is_same:
        return replace(earlier_state, ctime_ns=0, content_digest=None)
    return replace(
        present_state, ctime_ns=present_state.ctime_ns if settled else 0, content_digest=digest
    )


def _has_same_etag(known_identity: FileIdentity, present_state: FileIdentity) -> bool:
    """Return whether a file in a bucket has its recorded ETag, as if it is uploaded again."""
    return (known_identity.size_bytes, known_identity.ctime_ns) == (
        present_state.size_bytes,
        present_state.ctime_ns,
    )


def _was_read_in_part(file_path: Path) -> bool:
    """Return whether a digest of a file in a bucket would read much of it for the first time."""
    if not isinstance(file_path, BucketPath):
        return False
    try:
        range_file = file_path.open_ranges()
    except OSError:
        return False  # computing the digest then reports it
    unread_bytes = range_file.count_unhashed_bytes()
    return unread_bytes > max(_MAX_UNREAD_BYTES, range_file.info.size_bytes // _MAX_UNREAD_DIVISOR)
