"""Which videos a person means by a path."""

from __future__ import annotations

import os
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch.catalog.globs import matcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vsearch.catalog.repository import Catalog
    from vsearch.types import Video


def named(catalog: Catalog, names: Iterable[str]) -> list[Video]:
    """The videos that any of the names means, each once, sorted by path.

    A name means the video at that path or all below that folder. What has `*`, `?` or `[` in it,
    and a name of which there is no file here, is a glob over the whole library.
    """
    found = catalog.videos_by_id(ids_named(catalog, names)).values()
    return sorted(found, key=lambda video: str(video.path))


def ids_named(catalog: Catalog, names: Iterable[str], *, disk: bool = True) -> set[int]:
    """The ids of the videos that any of the names means, see `named`.

    Without `disk` it is not looked whether there are such files.
    """
    paths = catalog.paths()
    places = {path: id_ for id_, path in paths.items()}
    return {id_ for name in names for id_ in _meant(paths, places, name, disk)}


def _meant(
    paths: Mapping[int, Path], places: Mapping[Path, int], name: str, disk: bool
) -> list[int]:
    own = os.path.expanduser(name) if disk else name  # noqa: PTH111 - never raises
    path = Path(os.path.abspath(own))  # noqa: PTH100 - never raises
    if (known := places.get(path)) is not None:
        return [known]
    below = [id_ for id_, each in paths.items() if each.is_relative_to(path)]
    if below or (disk and not has_magic(name) and os.path.exists(path)):  # noqa: PTH110 - nor does it
        return below
    matches = matcher([name])
    return [id_ for id_, each in paths.items() if matches(each)]
