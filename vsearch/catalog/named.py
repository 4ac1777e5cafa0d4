"""Which videos a person means by a path."""

from __future__ import annotations

import os
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vsearch.catalog.repository import Catalog
    from vsearch.types import Video


def named(catalog: Catalog, names: Iterable[str]) -> list[Video]:
    """The videos that any of the names means, each once, sorted by path.

    A name means the video at that path or all below that folder. What has `*`, `?` or `[` in it,
    and a name of which there is no file here, is a glob over the whole library.
    """
    found = {video.id: video for name in names for video in _meant(catalog, name)}
    return sorted(found.values(), key=lambda video: str(video.path))


def _meant(catalog: Catalog, name: str) -> list[Video]:
    path = Path(os.path.abspath(Path(name).expanduser()))  # noqa: PTH100 - as indexing does
    if (video := catalog.find(path)) is not None:
        return [video]
    below = [video for video in catalog.videos() if video.path.is_relative_to(path)]
    if below or (os.path.exists(path) and not has_magic(name)):  # noqa: PTH110 - never raises
        return below
    return catalog.videos([name])
