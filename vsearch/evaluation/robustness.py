"""How much is lost when people type otherwise than a caption is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.evaluation.benchmark import prepared
from vsearch.evaluation.metrics import measure, shares
from vsearch.evaluation.trial import first_ranks, scores
from vsearch.evaluation.variants import KINDS, SEEDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.evaluation.datasets import Dataset
    from vsearch.evaluation.metrics import Measure, Ranks, Relevant
    from vsearch.library import Library
    from vsearch.protocols import Encoder
    from vsearch.types import Matrix


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of typing otherwise, measured on the captions that it changes."""

    kind: str
    captions: int  # all of them
    changed: int
    before: str  # an example; "" if nothing was changed
    after: str
    clean: tuple[Measure, ...]  # R@1, R@5, MRR of these captions as written; none if none
    typed: tuple[Measure, ...]  # as typed otherwise
    lost: tuple[Measure, ...]  # the difference; its interval is of pairs


def robustness(library: Library, dataset: Dataset) -> list[Variant]:
    """Text → video with every caption typed otherwise, kind by kind.

    Raises DatasetError if no video is in the library and NoTextError if its model knows no words.
    """
    _, case = prepared(library, dataset)
    segments = [library.segments(video)[1] for video in case.videos]
    clean = _ranks([case.captions], library.encoder, segments, case.relevant)
    found = []
    for kind in KINDS:
        typed = _typed(kind, case.captions)
        first = _ranks(typed, library.encoder, segments, case.relevant)
        found.append(_variant(kind, case.captions, typed, clean, first))
    return found


def _typed(kind: str, captions: Sequence[str]) -> list[list[str]]:
    """The captions typed otherwise, as often as chance is asked."""
    if kind == "typo":
        return [[KINDS[kind](caption, seed) for caption in captions] for seed in range(SEEDS)]
    return [[KINDS[kind](caption, number) for number, caption in enumerate(captions)]]


def _ranks(
    texts: Sequence[Sequence[str]],
    encoder: Encoder,
    segments: Sequence[Matrix],
    relevant: Relevant,
) -> Ranks:
    """The rank of the first right answer, (T, Q)."""
    return np.stack([first_ranks(scores(each, encoder, segments), relevant) for each in texts])


def _variant(
    kind: str, captions: list[str], typed: list[list[str]], clean: Ranks, first: Ranks
) -> Variant:
    changed = np.array([any(row[i] != one for row in typed) for i, one in enumerate(captions)])
    if not changed.any():
        return Variant(kind, len(captions), 0, "", "", (), (), ())
    before, after = shares(clean[:, changed]), shares(first[:, changed])
    example = int(np.flatnonzero(changed)[0])
    return Variant(
        kind,
        len(captions),
        int(changed.sum()),
        captions[example],
        next(row[example] for row in typed if row[example] != captions[example]),
        tuple(measure(name, values) for name, values in before.items()),
        tuple(measure(name, values) for name, values in after.items()),
        tuple(measure(name, before[name] - after[name]) for name in before),
    )
