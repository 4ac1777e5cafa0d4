"""Whether a pooler may take the place of the mean: on clean clips and on the same mixed with junk.

A trained pooler has to be no worse on clips as they are and far better where 30 to 50 % of the
frames are junk; otherwise the mean, which nobody has to trust, stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.evaluation.benchmark import prepared
from vsearch.evaluation.metrics import measure, shares
from vsearch.evaluation.trial import first_ranks
from vsearch.media.junk import drawn
from vsearch.pooler import AUTO, pooler_for
from vsearch.search.querybank import Querybank
from vsearch.temporal.mixing import Clip, mixed
from vsearch.temporal.pooling import MeanPooler
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.evaluation.datasets import Dataset
    from vsearch.evaluation.metrics import Measure, Relevant
    from vsearch.library import Library
    from vsearch.protocols import Encoder, Pooler
    from vsearch.types import Matrix

SEEDS = (0, 1, 2)
SHARES = (0.3, 0.5)  # of junk
LOST, GAINED = 0.005, 0.06  # R@1 that it may lose on clean clips, and has to gain on mixed ones
PICTURES = 140  # of junk, none that a pooler was trained on
UNSEEN = 77_003  # seed of these
LONGEST = 64  # frames of a clip


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Clips, what is asked for, and which clip is right for what."""

    clips: tuple[Clip, ...]  # clean
    queries: Matrix  # float32 (Q, D)
    relevant: Relevant  # bool (Q, clips)
    junk: Matrix  # float32 (M, D)
    bank: Querybank  # for queries in words


@dataclass(frozen=True, slots=True)
class Gate:
    """R@1 and MRR of the mean and of a pooler, over several mixtures."""

    pooler: str
    clips: int
    queries: int
    seeds: int
    mean_clean: tuple[Measure, ...]
    clean: tuple[Measure, ...]
    mean_mixed: tuple[Measure, ...]
    mixed: tuple[Measure, ...]
    present: str | None = None  # the trained pooler that is in use
    present_mixed: tuple[Measure, ...] = ()

    @property
    def lost(self) -> float:
        """R@1 lost on clean clips, negative where it finds more."""
        return self.mean_clean[0].value - self.clean[0].value

    @property
    def gained(self) -> float:
        """R@1 gained on clips mixed with junk."""
        return self.mixed[0].value - self.mean_mixed[0].value

    @property
    def beaten(self) -> bool:
        """Whether the trained pooler that is in use finds more in clips mixed with junk."""
        return bool(self.present_mixed) and self.present_mixed[0].value > self.mixed[0].value

    @property
    def passed(self) -> bool:
        """Whether it may take the place of the mean, and of what is in use."""
        enough = self.lost <= LOST + 1e-9 and self.gained >= GAINED - 1e-9
        return enough and not self.beaten


def hopeless(case: Case) -> float | None:
    """R@1 of the mean with junk where that leaves no room to pass, else None."""
    found = _measures(case, MeanPooler(), [_mixtures(case, seed) for seed in SEEDS])[0].value
    return found if found > 1 - GAINED else None


def gate(case: Case, pooler: Pooler, present: Pooler | None = None) -> Gate:
    """Ask for every clip, as it is and mixed with junk by each of the seeds.

    `present` is what is in use, if that is a trained one.
    """
    mean = MeanPooler()
    mixtures = [_mixtures(case, seed) for seed in SEEDS]
    return Gate(
        pooler.name,
        len(case.clips),
        len(case.queries),
        len(SEEDS),
        _measures(case, mean, [case.clips]),
        _measures(case, pooler, [case.clips]),
        _measures(case, mean, mixtures),
        _measures(case, pooler, mixtures),
        None if present is None else present.name,
        () if present is None else _measures(case, present, mixtures),
    )


def gate_of(library: Library, dataset: Dataset) -> Gate | None:
    """Judge the trained pooler that fits a library on a dataset; None where there is only the mean.

    Raises what `case_of` does, and ModelError.
    """
    pooler = pooler_for(AUTO, library.path, library.encoder.space)
    return None if isinstance(pooler, MeanPooler) else gate(case_of(library, dataset), pooler)


def case_of(library: Library, dataset: Dataset) -> Case:
    """Every video of a dataset as one clip, and its captions.

    Raises DatasetError if no video is in the library, NoTextError and DamagedLibraryError.
    """
    _, trial = prepared(library, dataset)
    encoder, store = library.encoder, FeatureStore(library.path / "features")
    features = [store.load(video.id, encoder.space) for video in trial.videos]
    clips = tuple(evenly(Clip.of(each.matrix, each.times)) for each in features)
    queries, bank = encoder.encode_texts(trial.captions), Querybank.of(encoder)
    return Case(clips, queries, trial.relevant, junk_pictures(encoder), bank)


def junk_pictures(encoder: Encoder) -> Matrix:
    """Pictures of nothing that no pooler has seen, float32 (140, D)."""
    return encoded_junk(encoder, PICTURES, UNSEEN)


def encoded_junk(encoder: Encoder, count: int, seed: int) -> Matrix:
    """Drawn pictures of nothing, float32 (count, D)."""
    pictures = drawn(count, seed)
    return np.concatenate([encoder.encode_images(pictures[i : i + 8]) for i in range(0, count, 8)])


def evenly(clip: Clip) -> Clip:
    """No more than 64 of its frames."""
    if len(clip.times) <= LONGEST:
        return clip
    kept = np.linspace(0, len(clip.times) - 1, LONGEST).round().astype(int)
    return Clip(clip.frames[kept], clip.times[kept], clip.clean[kept])


def _mixtures(case: Case, seed: int) -> list[Clip]:
    random, clips = np.random.default_rng(seed), case.clips
    return [
        mixed(clip, clips[place - 1].frames, case.junk, float(random.uniform(*SHARES)), random)
        for place, clip in enumerate(clips)
    ]


def _measures(case: Case, pooler: Pooler, takes: Sequence[Sequence[Clip]]) -> tuple[Measure, ...]:
    """R@1, R@5 and MRR over all takes of the clips."""
    ranks = []
    for clips in takes:
        vectors = np.stack([pooler.pool(clip.frames, clip.times) for clip in clips])
        scores = case.queries @ vectors.T - case.bank.excess(vectors)
        ranks.append(first_ranks(scores, case.relevant))
    return tuple(
        measure(name, values) for name, values in shares(np.concatenate(ranks)[None]).items()
    )
