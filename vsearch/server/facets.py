"""Values to filter by: years, folders and tags of the library, most frequent first."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from pydantic import BaseModel

from vsearch.query.filters import CONTENT_KINDS
from vsearch.server.schemas import PrintableText  # noqa: TC001 - pydantic reads annotations

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vsearch.library import Library

MAX_VALUES = 200  # per facet
_GLOB_CHARS = set("*?[]")


class YearFacet(BaseModel):
    """A year in which videos were recorded."""

    year: int
    count: int


class FolderFacet(BaseModel):
    """A folder that contains videos."""

    name: PrintableText
    path: PrintableText
    pattern: PrintableText  # value of the filter `path:`
    count: int  # with those in its subfolders


class TagFacet(BaseModel):
    """A tag of videos or of parts of them."""

    label: PrintableText
    count: int


class FacetsResponse(BaseModel):
    """Values to filter by; at most 200 of each kind."""

    years: list[YearFacet]
    folders: list[FolderFacet]
    tags: list[TagFacet]
    contents: list[str]  # values of the filter `has:`


def count_facets(library: Library) -> FacetsResponse:
    """Count the years, folders and tags of a library.

    Args:
        library: The open library.

    Returns:
        Years, the latest first; folders by path; tags, the most frequent first.
    """
    videos = library.outline().videos
    year_counts = Counter(video.local_time.year for video in videos)
    tagged_videos = {(tag.video_id, tag.label) for tag in library.tags.list()}
    label_counts = Counter(label for _, label in tagged_videos)
    return FacetsResponse(
        years=[
            YearFacet(year=year, count=count)
            for year, count in sorted(year_counts.items(), reverse=True)[:MAX_VALUES]
        ],
        folders=_count_folders(video.folder_text for video in videos),
        tags=[
            TagFacet(label=label, count=count)
            for label, count in label_counts.most_common(MAX_VALUES)
        ],
        contents=list(CONTENT_KINDS),
    )


def _count_folders(folder_texts: Iterable[str]) -> list[FolderFacet]:
    """Return the folders with videos and those that several of these have in common."""
    direct_counts = Counter(folder_texts)
    counts: Counter[str] = Counter()
    subfolders: dict[str, set[str]] = {}
    for folder, count in direct_counts.items():
        counts[folder] += count
        below, parent = folder, os.path.dirname(folder)  # noqa: PTH120 - of text, not of a file
        while parent != below:
            counts[parent] += count
            subfolders.setdefault(parent, set()).add(below)
            below, parent = parent, os.path.dirname(parent)  # noqa: PTH120
    video_count = direct_counts.total()
    shown = [
        folder
        for folder in counts
        if counts[folder] < video_count
        and folder.isprintable()
        and (folder in direct_counts or len(subfolders.get(folder, ())) > 1)
    ]
    most_common = sorted(shown, key=lambda folder: -counts[folder])[:MAX_VALUES]
    name_counts = Counter(os.path.basename(folder) for folder in counts)  # noqa: PTH119
    return [
        _describe_folder(folder, counts[folder], name_counts)
        for folder in sorted(most_common, key=str.casefold)
    ]


def _describe_folder(folder: str, count: int, name_counts: Counter[str]) -> FolderFacet:
    name = os.path.basename(folder)  # noqa: PTH119
    is_unique = name_counts[name] == 1 and not _GLOB_CHARS & set(name)
    return FolderFacet(
        name=name,
        path=folder,
        pattern=f"{name}/*" if is_unique else folder,  # the short one is easier to read
        count=count,
    )
