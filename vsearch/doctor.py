"""What is wrong with a library, in sentences, and how good its index is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DamagedLibraryError
from vsearch.ingest import gone
from vsearch.vectors.truth import FAR, NEAR, NEAREST, Truth, perturbed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vsearch.catalog.repository import Catalog
    from vsearch.ingest import Stores
    from vsearch.search.current import Current, CurrentIndex
    from vsearch.types import Video

QUESTIONS = 100  # of each kind
TIMED = 5  # of them also compared one by one, for the time it takes
UNSEEN = 1  # the seed: an index that tunes itself does it by others


@dataclass(frozen=True, slots=True)
class Recall:
    """How much of the ten truly nearest segments the index finds, for questions of one kind."""

    about: str  # what is asked
    questions: int
    recall: float  # 0 to 1
    seconds: float  # that the index takes for one, the median
    exact: float  # seconds that comparing every vector in memory takes for one


def recall(catalog: Catalog, index: CurrentIndex) -> list[Recall]:
    """The recall of the present index, against every vector; nothing for an empty library."""
    current = index.get()
    if current is None or not len(current.ids):
        return []
    sample = catalog.sample(current.space)
    kinds = {
        f"segments, changed to a cosine of {cosine:g}": perturbed(
            sample, QUESTIONS, (cosine,), UNSEEN
        )
        for cosine in (NEAR, FAR)
    }
    words = index.questions(current.space)
    kinds["generic questions in words"] = words[:: max(1, len(words) // QUESTIONS)][:QUESTIONS]
    truths = {about: Truth(asked) for about, asked in kinds.items() if len(asked)}
    exact = _compare(catalog, current, list(truths.values()))
    return [_measured(current, about, truth, exact) for about, truth in truths.items()]


def _compare(catalog: Catalog, current: Current, truths: list[Truth]) -> float:
    """Show all vectors to the truths; returns the seconds that a question alone takes."""
    spent, single = 0.0, truths[0].questions[:TIMED]
    for ids, vectors in catalog.iter_vectors(current.space):
        for truth in truths:
            truth.see(ids, vectors)
        began = time.perf_counter()
        for question in single:
            vectors @ question
        spent += time.perf_counter() - began
    return spent / len(single)


def _measured(current: Current, about: str, truth: Truth, exact: float) -> Recall:
    found, took = [], []
    for question in truth.questions:
        began = time.perf_counter()
        ids, _ = current.index.search(question, NEAREST)
        took.append(time.perf_counter() - began)
        found.append(ids.tolist())
    share = truth.recall(found)
    return Recall(about, len(truth.questions), share, float(np.median(took)), exact)


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
