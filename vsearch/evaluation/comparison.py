"""Models, frame rates and poolers on one test set: what each finds, and what it costs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.encoders import speed
from vsearch.errors import DatasetError, NoTextError, SpaceMismatchError, VSearchError
from vsearch.evaluation.metrics import measure, shares
from vsearch.evaluation.trial import best_segments, first_ranks, trial
from vsearch.plugins import names, resolve
from vsearch.search.querybank import Querybank
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.evaluation.datasets import Dataset
    from vsearch.evaluation.metrics import Measure
    from vsearch.evaluation.trial import Trial
    from vsearch.library import Library
    from vsearch.protocols import Pooler
    from vsearch.types import Features, Matrix, Span, Vector

THINNED = (1, 2, 4)  # every frame that is stored, every second, every fourth
HALF, FLOAT = 2, 8  # bytes of a number in a vector or a feature, and of a time


@dataclass(frozen=True, slots=True)
class Configuration:
    """One way to index, what it finds and what it costs."""

    model: str
    space: str
    fps: float
    pooler: str
    measures: tuple[Measure, ...]  # R@1, R@5, MRR of text → video
    thinned: bool  # a lower rate than was decoded, made by leaving frames out
    frames: int
    encode: float  # seconds of encoding and pooling for an hour of video, on this machine now
    size: float  # bytes of features and vectors for an hour of video
    best: bool = False  # no other is as good in every respect and better in one


@dataclass(frozen=True, slots=True)
class Comparison:
    """Configurations on the videos that all of them know."""

    queries: int
    videos: int
    left_out: int  # videos that some library does not hold
    configurations: tuple[Configuration, ...]
    skipped: tuple[str, ...]  # poolers that cannot be used, and why


@dataclass(slots=True)
class _Tally:
    """What one configuration adds up to, video by video."""

    fps: float
    pooler: Pooler
    every: int
    columns: list[Vector] = field(default_factory=list)  # float32 (Q,) one a video
    frames: int = 0
    vectors: int = 0
    pooling: float = 0.0  # seconds


def compare(libraries: Sequence[Library], dataset: Dataset) -> Comparison:
    """Ask every library for what the set knows, with every pooler and at lower frame rates.

    Segments stay as they are; at a lower rate they hold fewer frames. Videos that one of the
    libraries lacks are left out of all. Raises DatasetError if none is left, NoTextError for a
    model that knows no words and DamagedLibraryError for features that are missing.
    """
    known = [{video.path: video for video in library.videos()} for library in libraries]
    common = sorted(set.intersection(*(set(videos) for videos in known)))
    items = [item for item in dataset.items if item.path in set(common)]
    if not items:
        raise DatasetError(f"{dataset.name}: none of its videos is in every library compared")
    case = trial(items, [known[0][path] for path in common])
    poolers, skipped = _poolers()
    rows: list[Configuration] = []
    for library, videos in zip(libraries, known, strict=True):
        chosen = replace(case, videos=tuple(videos[path] for path in common))
        rows += _configurations(library, chosen, poolers, skipped)
    everywhere = set[object]().union(*known)
    left_out = len(everywhere) - len(common)
    return Comparison(
        len(case.asked),
        len(common),
        left_out,
        tuple(marked(_once(rows))),
        tuple(dict.fromkeys(skipped)),
    )


def check(library: Library) -> None:
    """Whether a library can be asked by words, before an hour is spent on it.

    Raises NoTextError, and SpaceMismatchError if another model made it.
    """
    space = library.encoder.space
    if library.space not in (None, space):
        raise SpaceMismatchError(
            f"{library.path} was not indexed with {space.name}: name its own model by --model"
        )
    if not space.speaks_text:
        raise NoTextError(
            f"{space.name} understands pictures only, and the queries here are words: leave "
            f"{library.settings.model} out"
        )


def marked(rows: Sequence[Configuration]) -> Iterator[Configuration]:
    """The same, those that are not dominated marked: by MRR, time and size."""
    costs = [(-row.measures[-1].value, row.encode, row.size) for row in rows]
    for row, mine in zip(rows, costs, strict=True):
        beaten = any(
            other != mine and all(a <= b for a, b in zip(other, mine, strict=True))
            for other in costs
        )
        yield replace(row, best=not beaten)


def _once(rows: Sequence[Configuration]) -> list[Configuration]:
    """Each rate once: as it was decoded, where it was."""
    chosen: dict[tuple[str, float, str], Configuration] = {}
    for row in sorted(rows, key=lambda row: row.thinned):
        chosen.setdefault((row.space, row.fps, row.pooler), row)
    kept = set(map(id, chosen.values()))
    return [row for row in rows if id(row) in kept]


def _poolers() -> tuple[dict[str, Pooler], list[str]]:
    """All that are registered and can be made."""
    found: dict[str, Pooler] = {}
    skipped = []
    for name in names("poolers"):
        try:
            found[name] = resolve("poolers", name)()
        except VSearchError as error:
            skipped.append(f"pooler {name}: {error}")
    return found, skipped


def _configurations(
    library: Library, case: Trial, poolers: dict[str, Pooler], skipped: list[str]
) -> Iterator[Configuration]:
    """One library at several rates with several poolers; those made for other spaces skipped."""
    space = library.encoder.space
    texts = library.encoder.encode_texts(case.captions)
    bank = Querybank.of(library.encoder)
    rate = library.settings.fps
    tried = [*poolers.values(), *([library.own_pooler] if library.own_pooler else [])]
    tallies = [_Tally(rate / n, one, n) for n in THINNED for one in tried]
    store = FeatureStore(library.path / "features")
    for video in case.videos:
        features = store.load(video.id, space)
        spans = [segment.span for segment in library.segments(video)[0]]
        for tally in list(tallies):
            try:
                _add(tally, features, spans, texts, bank)
            except VSearchError as error:
                skipped.append(f"pooler {tally.pooler.name} on {space.name}: {error}")
                tallies.remove(tally)
    settings = library.settings
    pace = 1 / speed.measure(settings.model, settings.device, library.encoder).rate
    for tally in tallies:
        yield _summed(library, case, tally, pace)


def _add(
    tally: _Tally, features: Features, spans: Sequence[Span], texts: Matrix, bank: Querybank
) -> None:
    """One video: its segments pooled anew, and how well each text fits the best of them."""
    kept = [thinned(features, span, tally.every) for span in spans]
    began = time.perf_counter()
    vectors = np.stack([tally.pooler.pool(each.matrix, each.times) for each in kept])
    tally.pooling += time.perf_counter() - began
    tally.columns.append(best_segments(texts, [vectors], bank)[:, 0])
    tally.frames += sum(len(each.times) for each in kept)
    tally.vectors += len(vectors)


def thinned(features: Features, span: Span, every: int) -> Features:
    """The frames of a segment that a lower rate would have seen, or its middle one if none."""
    inside = features.within(span)
    numbers = np.searchsorted(features.times, inside.times)
    seen = numbers % every == 0
    if not seen.any():
        seen[len(seen) // 2] = True
    return replace(inside, matrix=inside.matrix[seen], times=inside.times[seen])


def _summed(library: Library, case: Trial, tally: _Tally, pace: float) -> Configuration:
    first = first_ranks(np.stack(tally.columns, axis=1), case.relevant)
    hours = sum(video.duration for video in case.videos) / 3600
    space = library.encoder.space
    size = tally.frames * (HALF * space.dim + FLOAT) + tally.vectors * HALF * space.dim
    return Configuration(
        library.settings.model,
        space.name,
        tally.fps,
        tally.pooler.name,
        tuple(measure(name, values) for name, values in shares(first[None]).items()),
        tally.every > 1,
        tally.frames,
        float(f"{(tally.frames * pace + tally.pooling) / hours:.3g}"),
        float(round(size / hours)),
    )
