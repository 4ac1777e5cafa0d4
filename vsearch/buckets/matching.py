"""Glob patterns in buckets, expanded as `glob` does on disk: `*`, `?`, `[…]` and `**`."""

from __future__ import annotations

import glob
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from vsearch.buckets.bucket_path import BucketPath, iter_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ANY_FOLDERS = "**"


def iter_matches(glob_pattern: BucketPath) -> Iterator[BucketPath]:
    """Yield the files and folders that match a pattern; files have `listed_info`.

    Args:
        glob_pattern: Path with wildcards in its key, not in the name of the bucket.

    Raises:
        OSError: The bucket cannot be listed.
    """
    bucket = BucketPath(f"{glob_pattern.scheme}://{glob_pattern.bucket_name}")
    yield from _match_parts(bucket, glob_pattern.parts[3:])


def _match_parts(folder: BucketPath, pattern_parts: Sequence[str]) -> Iterator[BucketPath]:
    pattern_part, *further_parts = pattern_parts
    if pattern_part == _ANY_FOLDERS:
        if further_parts:
            yield from _match_parts(folder, further_parts)
    elif further_parts and not glob.has_magic(pattern_part):
        yield from _match_parts(folder / pattern_part, further_parts)
        return
    for entry in iter_entries(folder):
        is_hidden = entry.name.startswith(".") and not pattern_part.startswith(".")
        if is_hidden or not entry.has_valid_name:
            continue
        if pattern_part == _ANY_FOLDERS:
            if not further_parts:
                yield entry.path
            elif entry.is_dir():
                yield from _match_parts(entry.path, pattern_parts)
        elif fnmatchcase(entry.name, pattern_part):
            if not further_parts:
                yield entry.path
            elif entry.is_dir():
                yield from _match_parts(entry.path, further_parts)
