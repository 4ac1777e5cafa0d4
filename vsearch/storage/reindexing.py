"""The command that indexes one video again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_MAX_NAMED = 20  # videos in one message


def reindex_command(*video_paths: Path | str) -> str:
    """Return the command that indexes videos again though their files are unchanged, quoted."""
    return f"`vsearch index --force {' '.join(shlex.quote(str(path)) for path in video_paths)}`"


def describe_lost_features(video_paths: Iterable[Path]) -> str:
    """Return a sentence that names videos without usable frame features, and the remedy.

    Args:
        video_paths: At least one video.
    """
    video_paths = list(video_paths)
    count_text = "1 video are" if len(video_paths) == 1 else f"{len(video_paths)} videos are"
    more_text = f", and {len(video_paths) - _MAX_NAMED} more" * (len(video_paths) > _MAX_NAMED)
    return (
        f"the frame features of {count_text} missing or damaged: index them again with "
        f"{reindex_command(*video_paths[:_MAX_NAMED])}{more_text}"
    )
