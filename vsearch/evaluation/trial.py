"""Captions, and the videos among which theirs has to be found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.evaluation import metrics
from vsearch.search.querybank import Querybank

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.evaluation.datasets import Item
    from vsearch.evaluation.metrics import Ranks, Relevant, Scores
    from vsearch.protocols import Encoder
    from vsearch.types import Matrix, Video


@dataclass(frozen=True, slots=True)
class Trial:
    """What is asked, what may answer, and what is right."""

    asked: tuple[Item, ...]
    videos: tuple[Video, ...]
    relevant: Relevant  # (captions, videos)

    @property
    def captions(self) -> list[str]:
        """The words that are asked for."""
        return [item.caption for item in self.asked]


def trial(items: Sequence[Item], videos: Sequence[Video]) -> Trial:
    """Ask for every item among these videos, its own being one of them.

    Captions that are equal, and videos of one group, are right answers to each other.
    """
    asked = _queries(items)
    return Trial(tuple(asked), tuple(videos), _relevance(asked, [video.path for video in videos]))


def scores(texts: Sequence[str], encoder: Encoder, segments: Sequence[Matrix]) -> Scores:
    """How well each text fits each video, (Q, V). Raises NoTextError."""
    return best_segments(encoder.encode_texts(texts), segments, Querybank.of(encoder))


def best_segments(
    queries: Matrix, segments: Sequence[Matrix], bank: Querybank | None = None
) -> Scores:
    """A video scores as its best segment: (Q, D) and V times (S, D) -> (Q, V).

    With a `bank`, for queries in words, what fits every query is pushed back, as in a search.
    """
    found = []
    for rows in segments:
        each = queries @ rows.T  # (Q, S)
        best = each.max(axis=1)
        found.append(best if bank is None else best - bank.excess(rows)[each.argmax(axis=1)])
    return np.stack(found, axis=1)


def first_ranks(found: Scores, relevant: Relevant) -> Ranks:
    """The rank of the best right answer to each query, int64 (Q,), from 1."""
    pairs = zip(found, relevant, strict=True)
    return np.array([metrics.ranks(*pair)[0] for pair in pairs], np.int64)


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
