"""Names of files in a store, made of what the files contain.

They have no ids of one catalog: two writers give the same content the same name, and another
content another one, so that nothing is ever replaced by something else; and a copy of a library
finds the files of the original.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.storage.atomic_files import safe_file_name
from vsearch.storage.feature_files import SUFFIX

if TYPE_CHECKING:
    from vsearch.types import Space

FEATURES_PREFIX = "features/1"  # and the version of the names
FRAMES_PREFIX = "frames/1"
THUMBNAILS_PREFIX = "thumbnails/1"


def features_name(fingerprint: str, space: Space, crc32: int) -> str:
    """Return the name of frame features.

    Args:
        fingerprint: Of the video; another file, or another sampling, may share it.
        space: The embedding space.
        crc32: Checksum of the features, which tells these apart.
    """
    folder_name = safe_file_name(space.name)
    video_name = safe_file_name(fingerprint)
    return f"{FEATURES_PREFIX}/{folder_name}/{video_name[:2]}/{video_name}-{crc32:08x}{SUFFIX}"


def content_folder(prefix: str, content_digest: str) -> str:
    """Return the folder of the frames or thumbnails of one content.

    Args:
        prefix: `FRAMES_PREFIX` or `THUMBNAILS_PREFIX`.
        content_digest: Of the whole video file.
    """
    folder_name = safe_file_name(content_digest)
    return f"{prefix}/{folder_name[:2]}/{folder_name}"
