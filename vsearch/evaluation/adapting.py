"""Words adapted to a library's own videos, and whether that finds more: `vsearch train align`.

The words of held-out videos look for their moment among the moments of *all* rows, those that were
learnt from as well: an adapter that draws every query to what it has learnt would pass among the
held-out ones alone. Scores are those of a search, less what fits every query.

Better means: the mean gain in MRR is above nothing, and so is the lower end of its 95 % interval –
of resampled queries and of resampled videos, whichever is lower, since the rows of one video stand
and fall together. That refuses a tie and most of what is better by chance: of adapters learnt from
shuffled captions 5 of 90 pass, with a 90 % interval 4 of 43. What is in use already counts as well:
the new one may not find less than it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.encoders.adapter import PROBES, AdaptedEncoder, Adapter, Map, Trained
from vsearch.evaluation.comparison import check
from vsearch.evaluation.metrics import Measure, measure, shares
from vsearch.evaluation.sample import sample
from vsearch.evaluation.trial import first_ranks
from vsearch.plugins import needed_by
from vsearch.search.querybank import Querybank

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.encoders.examples import Examples
    from vsearch.evaluation.datasets import Dataset
    from vsearch.evaluation.metrics import Ranks, Values
    from vsearch.evaluation.sample import Sample
    from vsearch.library import Library
    from vsearch.protocols import Encoder
    from vsearch.types import Ids, Matrix

LEVEL = (2.5, 97.5)  # the 95 % interval of the gain
RESAMPLES = 2_000
ASKED = 512  # queries at once


@dataclass(frozen=True, slots=True)
class Verdict:
    """How well the words of held-out rows find their moments."""

    answers: int  # moments among which they look
    before: tuple[Measure, ...]  # R@1, R@5 and MRR of the model as it is
    after: tuple[Measure, ...]  # adapted
    present: tuple[Measure, ...] | None  # by the adapter that is in use, if one is
    gain: Measure  # in MRR over the model as it is; with its 95 % interval

    @property
    def beaten(self) -> bool:
        """Whether the adapter that is in use finds more."""
        return self.present is not None and self.present[-1].value > self.after[-1].value

    @property
    def better(self) -> bool:
        """Whether the adapter may be installed."""
        return self.gain.value > 0 and self.gain.low > 0 and not self.beaten


@dataclass(frozen=True, slots=True)
class Alignment:
    """An adapter that was learnt, not yet installed, and how good it is."""

    adapter: Adapter
    verdict: Verdict
    held_videos: int
    left_out: tuple[str, ...]  # in words
    decay: float  # chosen by cross-validation, as are the steps
    steps: int  # 0: nothing helped
    seconds: float


def align(
    library: Library,
    dataset: Dataset | None = None,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> Alignment:
    """Learn an adapter from captions, or from the subtitles and file names of the library.

    Nothing is decoded and nothing written: see `install`. `progress` is told how many parts of how
    many are done. Raises DatasetError for too few rows, NoTextError, SpaceMismatchError and
    MissingExtraError.
    """
    with needed_by("training"):
        from vsearch.encoders.adaptation import learn  # deferred: brings torch
    began = time.monotonic()
    check(library)
    plain = _plain(library)
    rows = sample(library, plain, dataset, seed)
    kept, held = rows.examples[~rows.held], rows.examples[rows.held]
    learnt = learn(kept, seed, progress)
    verdict = judge(rows, learnt.map, library.adapter, getattr(plain, "querybank", None))
    trained = Trained(
        space=plain.space.name,
        words=library.settings.text_model or library.settings.model,
        source=rows.name,
        rows=len(kept),
        videos=len(np.unique(kept.videos)),
        held_out=len(held),
        before=verdict.before[-1].value,
        after=verdict.after[-1].value,
    )
    return Alignment(
        Adapter(learnt.map, plain.encode_texts(PROBES), trained),
        verdict,
        len(np.unique(held.videos)),
        rows.left_out,
        learnt.decay,
        learnt.steps,
        time.monotonic() - began,
    )


def install(library: Library, alignment: Alignment, *, force: bool = False) -> bool:
    """Use the adapter from now on if it is better, or by `force`; whether it is used.

    Raises LockedError, and SpaceMismatchError if the library's model was changed meanwhile.
    """
    adapter, better = alignment.adapter, alignment.verdict.better
    if better or force:
        library.adapt(replace(adapter, trained=replace(adapter.trained, forced=not better)))
    return better or force


def judge(
    rows: Sample, found: Map, present: Adapter | None = None, bank: Matrix | None = None
) -> Verdict:
    """Ask for what the held-out rows describe, with and without a map.

    `bank` are the generic queries of the model, float32 (B, D), if it brings some along.
    """
    held, answers = rows.examples[rows.held], _moments(rows.examples)
    plain = _ranks(held, answers, Map.nothing(held.texts.shape[1]), bank)
    moved = _ranks(held, answers, found, bank)
    return Verdict(
        len(answers),
        _measures(plain),
        _measures(moved),
        None if present is None else _measures(_ranks(held, answers, present.map, bank)),
        gain(1 / moved - 1 / plain, held.folds),
    )


def gain(values: Values, folds: Ids) -> Measure:
    """The mean gain of queries (Q,) and its 95 % interval, the more cautious one.

    Queries are resampled one by one, and by the fold (Q,) that they belong to.
    """
    _, of = np.unique(folds, return_inverse=True)
    each, sums = np.ones(len(values)), np.zeros(of.max() + 1)
    counts = sums.copy()
    np.add.at(sums, of.tolist(), values)
    np.add.at(counts, of.tolist(), each)
    bounds = [_interval(values, each), _interval(sums, counts)]
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    return Measure("MRR gained", float(values.mean()), low, high)


def _interval(sums: Values, counts: Values) -> tuple[float, float]:
    """Of the mean of what is resampled: sums and how many queries are in each."""
    random, means = np.random.default_rng(0), np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        chosen = random.integers(0, len(sums), len(sums))
        means[number] = sums[chosen].sum() / counts[chosen].sum()
    low, high = np.percentile(means, LEVEL)
    return float(low), float(high)


def _moments(rows: Examples) -> Examples:
    """Each moment once."""
    where = np.column_stack([rows.videos, rows.spans])
    return rows[np.unique(where, axis=0, return_index=True)[1]]


def _ranks(asked: Examples, answers: Examples, found: Map, bank: Matrix | None) -> Ranks:
    """Where the first right moment for each of the words is, int64 (Q,), from 1."""
    known = Querybank.empty(len(found.bias)) if bank is None else Querybank(found(bank))
    excess, ranks = known.excess(answers.pictures), []
    for start in range(0, len(asked), ASKED):
        part = asked[np.arange(start, min(start + ASKED, len(asked)))]
        scores = found(part.texts) @ answers.pictures.T - excess
        ranks.append(first_ranks(scores, part.alike(answers)))
    return np.concatenate(ranks)


def _measures(ranks: Ranks) -> tuple[Measure, ...]:
    return tuple(measure(name, values) for name, values in shares(ranks[None]).items())


def _plain(library: Library) -> Encoder:
    """The model without the adapter that may be in use."""
    encoder = library.encoder
    return encoder.plain if isinstance(encoder, AdaptedEncoder) else encoder
