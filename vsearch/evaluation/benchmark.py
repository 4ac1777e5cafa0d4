"""Retrieval as a whole, measured: a library is asked for what a dataset knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DatasetError
from vsearch.evaluation import metrics
from vsearch.evaluation.datasets import paths
from vsearch.evaluation.protocol import protocol
from vsearch.evaluation.trial import best_segments, first_ranks, scores, trial
from vsearch.search.query import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.evaluation.datasets import Dataset, Item
    from vsearch.evaluation.metrics import Measure, Relevant, Scores
    from vsearch.evaluation.protocol import Protocol
    from vsearch.evaluation.trial import Trial
    from vsearch.library import Library
    from vsearch.types import Matrix, Span, Video


@dataclass(frozen=True, slots=True)
class Task:
    """One way of asking, and how well it went."""

    name: str
    queries: int
    answers: int  # among which the right one had to be found
    measures: tuple[Measure, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """A caption whose video did not come first."""

    caption: str
    path: Path
    rank: int  # of the best right answer, from 1


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, on what, and how."""

    dataset: str
    captions: int
    videos: int
    missing: int
    unusable: int  # files that could not be indexed
    protocol: Protocol
    tasks: tuple[Task, ...]
    failures: tuple[Failure, ...]  # of text → video, the worst first


def evaluate(library: Library, dataset: Dataset) -> Report:
    """Measure every task that the dataset can. Its videos have to be in the library.

    Captions that are equal, and videos of one group, are right answers to each other. Raises
    DatasetError if no video is in the library and NoTextError if its model knows no words.
    """
    items, case = prepared(library, dataset)
    segments = [library.segments(video)[1] for video in case.videos]
    found = scores(case.captions, library.encoder, segments)
    tasks = [
        _task("text → video", found, case.relevant),
        _task("video → text", found.T, case.relevant.T),
    ]
    tasks += _clips(items, case.videos, segments)
    tasks += _moments(library, items)
    return Report(
        dataset.name,
        len(case.asked),
        len(case.videos),
        len(dataset.missing),
        len(paths(dataset.items)) - len(case.videos),
        protocol(library, case.videos, dataset.split),
        tuple(tasks),
        _failures(case, found),
    )


def prepared(library: Library, dataset: Dataset) -> tuple[list[Item], Trial]:
    """The items whose videos are in the library, and what is asked. Raises DatasetError."""
    known = {video.path: video for video in library.videos()}
    items = [item for item in dataset.items if item.path in known]
    if not items:
        raise DatasetError(f"{dataset.name}: none of its videos is in the library")
    return items, trial(items, [known[path] for path in paths(items)])


def _failures(case: Trial, found: Scores) -> tuple[Failure, ...]:
    pairs = zip(case.asked, first_ranks(found, case.relevant).tolist(), strict=True)
    wrong = [Failure(item.caption, item.path, rank) for item, rank in pairs if rank > 1]
    return tuple(sorted(wrong, key=lambda failure: -failure.rank))


def _clips(
    items: Sequence[Item], videos: Sequence[Video], segments: Sequence[Matrix]
) -> list[Task]:
    """Each video that is not alone in its group asks for the others of it."""
    groups: dict[Path, set[str]] = {video.path: set() for video in videos}
    for item in items:
        groups[item.path] |= {item.group} if item.group is not None else set()
    of = [groups[video.path] for video in videos]
    same = np.array([[i != j and bool(a & b) for j, b in enumerate(of)] for i, a in enumerate(of)])
    asking = np.flatnonzero(same.any(axis=1))
    if not len(asking):
        return []
    means = np.stack([rows.mean(axis=0) for rows in segments])
    found = best_segments(means[asking], segments)
    found[np.arange(len(asking)), asking] = -np.inf  # not itself
    return [_task("clip → clip", found, same[asking])]


def _moments(library: Library, items: Sequence[Item]) -> list[Task]:
    """The first moment for each caption that has a time: in its video, and in all of them."""
    timed = [item for item in items if item.span is not None]
    truth: dict[tuple[Path, str], list[Span]] = {}
    for item in timed:
        if item.span is not None:
            truth.setdefault((item.path, item.caption), []).append(item.span)
    if not truth:
        return []
    inside = [_first(library, caption, path, [str(path)]) for path, caption in truth]
    anywhere = [_first(library, caption, path, []) for path, caption in truth]
    right = list(truth.values())
    return [
        Task("text → moment in its video", len(truth), 1, tuple(metrics.moments(inside, right))),
        Task(
            "text → moment in all videos",
            len(truth),
            library.info().videos,
            tuple(metrics.moments(anywhere, right)),
        ),
    ]


def _first(library: Library, caption: str, path: Path, where: Sequence[str]) -> Span | None:
    """The first moment, or None if it is of another video."""
    best = next(iter(library.search(plain(caption, where), k=1)), None)
    return best.span if best is not None and best.video.path == path else None


def _task(name: str, found: Scores, relevant: Relevant) -> Task:
    queries, answers = found.shape
    return Task(name, queries, answers, tuple(metrics.retrieval(found, relevant)))
