"""What is wrong with a library, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.errors import DamagedLibraryError
from vsearch.ingest import gone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vsearch.ingest import Stores
    from vsearch.types import Video


def examine(stores: Stores) -> list[str]:
    """The problems of a library, a line each; none when it is sound."""
    found = stores.catalog.check()
    try:
        videos = {video.id: video for video in stores.catalog.videos()}
        found += _features(stores, videos)
    except DamagedLibraryError:
        return found  # which say so
    found += _files(stores, videos)
    found += [
        f"{video.path}: the file is gone; `vsearch remove --missing` forgets it"
        for video in videos.values()
        if gone(video.path)
    ]
    return found


def _features(stores: Stores, videos: Mapping[int, Video]) -> Iterator[str]:
    """What is missing or damaged, first in the space that is in use."""
    store = stores.features
    for known in sorted(stores.catalog.spaces(), key=lambda known: not known.in_use):
        damaged = [videos[id_].path for id_ in store.damaged(known.space) if id_ in videos]
        if known.in_use:
            for video_id in sorted(videos.keys() - store.ids(known.space)):
                yield f"{videos[video_id].path}: frame features are missing; index it again"
            for path in damaged:
                yield (
                    f"{path}: its frame features are damaged; index it with `vsearch index --again`"
                )
        elif damaged:
            yield (
                f"{len(damaged)} feature files of {known.space.name}, which is not in use, are "
                f"damaged; `vsearch model drop {known.space.name}` deletes what it has"
            )


def _files(stores: Stores, videos: Mapping[int, Video]) -> Iterator[str]:
    """Files of no video, and kept frames that are of no use."""
    for noun, ids in (("feature", stores.features.ids()), ("frame", stores.frames.ids())):
        if orphans := ids - videos.keys():
            yield (
                f"{len(orphans)} {noun} files belong to no video; the next `vsearch index` "
                "deletes them"
            )
    for video_id in stores.frames.damaged():
        if video_id in videos:
            yield (
                f"{videos[video_id].path}: its kept frames are damaged; "
                "`vsearch index --again --keep-frames` keeps them anew"
            )
