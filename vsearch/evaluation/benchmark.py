"""Retrieval as a whole, measured: a library is asked for what a dataset knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DatasetError
from vsearch.evaluation import metrics
from vsearch.evaluation.datasets import paths

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.evaluation.datasets import Dataset, Item
    from vsearch.evaluation.metrics import Measure, Relevant, Scores
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
    model: str
    space: str  # model and digest of its weights
    fps: float
    pooler: str
    tasks: tuple[Task, ...]
    failures: tuple[Failure, ...]  # of text → video, the worst first


def evaluate(library: Library, dataset: Dataset) -> Report:
    """Measure every task that the dataset can. Its videos have to be in the library.

    Captions that are equal, and videos of one group, are right answers to each other. Raises
    DatasetError if no video is in the library and NoTextError if its model knows no words.
    """
    known = {video.path: video for video in library.videos()}
    items = [item for item in dataset.items if item.path in known]
    if not items:
        raise DatasetError(f"{dataset.name}: none of its videos is in the library")
    videos = [known[path] for path in paths(items)]
    segments = [library.segments(video)[1] for video in videos]
    asked = _queries(items)
    texts = library.encoder.encode_texts([item.caption for item in asked])
    scores = best_segments(texts, segments)
    relevant = _relevance(asked, [video.path for video in videos])
    tasks = [_task("text → video", scores, relevant), _task("video → text", scores.T, relevant.T)]
    tasks += _clips(items, videos, segments)
    tasks += _moments(library, items, known)
    info = library.info()
    return Report(
        dataset.name,
        len(asked),
        len(videos),
        len(dataset.missing),
        len(paths(dataset.items)) - len(videos),
        library.settings.model,
        info.space.name if info.space else "",
        library.settings.fps,
        info.pooler or "",
        tuple(tasks),
        _failures(asked, scores, relevant),
    )


def _failures(items: Sequence[Item], scores: Scores, relevant: Relevant) -> tuple[Failure, ...]:
    found = [
        Failure(item.caption, item.path, int(metrics.ranks(*row)[0]))
        for item, *row in zip(items, scores, relevant, strict=True)
    ]
    wrong = (failure for failure in found if failure.rank > 1)
    return tuple(sorted(wrong, key=lambda failure: -failure.rank))


def best_segments(queries: Matrix, segments: Sequence[Matrix]) -> Scores:
    """A video scores as its best segment: (Q, D) and V times (S, D) -> (Q, V)."""
    return np.stack([(queries @ rows.T).max(axis=1) for rows in segments], axis=1)


def _queries(items: Sequence[Item]) -> list[Item]:
    """Each caption once, however many moments of its video are right for it."""
    timed = {(item.path, item.caption, item.group): item for item in items if item.span}
    return [item for item in items if not item.span] + list(timed.values())


def _relevance(items: Sequence[Item], videos: Sequence[Path]) -> Relevant:
    """Which video is right for which caption: bool (captions, videos)."""
    labels = [_labels(item) for item in items]
    column = {path: index for index, path in enumerate(videos)}
    columns: dict[str, set[int]] = {}  # the videos that a label is right for
    for item, names in zip(items, labels, strict=True):
        for name in names:
            columns.setdefault(name, set()).add(column[item.path])
    relevant = np.zeros((len(items), len(videos)), np.bool_)
    for row, names in zip(relevant, labels, strict=True):
        row[list(set().union(*(columns[name] for name in names)))] = True
    return relevant


def _labels(item: Item) -> set[str]:
    """What makes another item as right as this one."""
    words = {f"words {' '.join(item.caption.casefold().split())}", f"path {item.path}"}
    return words if item.group is None else words | {f"group {item.group}"}


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
    scores = best_segments(means[asking], segments)
    scores[np.arange(len(asking)), asking] = -np.inf  # not itself
    return [_task("clip → clip", scores, same[asking])]


def _moments(library: Library, items: Sequence[Item], known: dict[Path, Video]) -> list[Task]:
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
            len(known),
            tuple(metrics.moments(anywhere, right)),
        ),
    ]


def _first(library: Library, caption: str, path: Path, where: Sequence[str]) -> Span | None:
    """The first moment, or None if it is of another video."""
    best = next(iter(library.search(caption, k=1, videos=where)), None)
    return best.span if best is not None and best.video.path == path else None


def _task(name: str, scores: Scores, relevant: Relevant) -> Task:
    queries, answers = scores.shape
    return Task(name, queries, answers, tuple(metrics.retrieval(scores, relevant)))
