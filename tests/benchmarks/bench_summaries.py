"""Summaries of joined clips: python tests/benchmarks/bench_summaries.py CLIPS [LIBRARY]

Stretches of different clips, of random length and in random order, are joined; what is counted is
how many of the clips a summary shows for at least a second. Uniform and random samples have as many
excerpts as ours, and as many seconds. Most films are joined from the clips' stored features; some
are written as files, indexed and summarised as anyone's video is. LIBRARY keeps the features.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vsearch.analysis.length import Length
from vsearch.analysis.summarise import Material, summarise
from vsearch.library import Library
from vsearch.media.export import Part, export
from vsearch.media.sampling import segments
from vsearch.types import Features, Span
from vsearch.vectors.features import FeatureStore

SEEN = 1.0  # seconds of a clip that count as having seen it
FILMS, FILES, DRAWS = 60, 3, 20  # joined from features, as real files; random samples of each
BUDGETS = (0.1, 0.2, 0.3)  # of the film

Spans = Sequence[Span]
Sample = Callable[[int, float, float], Spans]  # excerpts, seconds, seconds of the film


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip and what is known of it."""

    path: Path
    features: Features
    duration: float


def known(folder: Path, library: Path) -> list[Clip]:
    """The clips of a folder, indexed first if need be."""
    with Library.open(library) as opened:
        failed = [one.error for one in opened.index([folder]) if one.error]
        store, space = FeatureStore(opened.path / "features"), opened.space
        assert space is not None, failed
        return [
            Clip(video.path, store.load(video.id, space), video.duration)
            for video in opened.videos([folder])
            if video.duration >= 2 * SEEN
        ]


def stretches(clips: Sequence[Clip], rng: np.random.Generator) -> list[Part]:
    """Some 10 to 25 clips, about half as a whole, of the others a part of at least two seconds."""
    parts = []
    for index in rng.permutation(len(clips))[: rng.integers(10, 26)]:
        clip, start, end = clips[index], 0.0, clips[index].duration
        if rng.random() < 0.5:
            length = rng.uniform(2 * SEEN, end)
            start = float(rng.uniform(0, end - length))
            end = start + length
        parts.append(Part(clip.path, Span(start, float(end))))
    return parts


def places(parts: Sequence[Part]) -> list[Span]:
    """Where each part is in the film."""
    ends = np.cumsum([part.span.duration for part in parts]).tolist()
    return [Span(start, end) for start, end in zip([0.0, *ends[:-1]], ends, strict=True)]


def joined(parts: Sequence[Part], clips: Sequence[Clip]) -> Features:
    """The features of the film that these parts make."""
    of = {clip.path: clip.features for clip in clips}
    found = [of[part.path].within(part.span) for part in parts]
    times = [
        np.clip(one.times - part.span.start, 0, None) + place.start
        for one, part, place in zip(found, parts, places(parts), strict=True)
    ]
    matrix = np.concatenate([one.matrix for one in found])
    return Features(found[0].space, matrix, np.concatenate(times))


def seen(excerpts: Spans, clips: Spans) -> float:
    """The share of the clips of which the excerpts show enough."""
    shown = [
        sum(max(0.0, min(a.end, clip.end) - max(a.start, clip.start)) for a in excerpts)
        for clip in clips
    ]
    enough = [s >= min(SEEN, 0.9 * clip.duration) for s, clip in zip(shown, clips, strict=True)]
    return float(np.mean(enough))


def uniform(count: int, length: float, duration: float) -> Spans:
    """Excerpts at even distances."""
    each, gap = length / count, duration / count
    return [Span(gap * i + (gap - each) / 2, gap * i + (gap + each) / 2) for i in range(count)]


def at_random(rng: np.random.Generator) -> Sample:
    """Excerpts anywhere, none over another."""

    def sample(count: int, length: float, duration: float) -> Spans:
        each = length / count
        free = np.sort(rng.uniform(0, duration - length, count))
        return [Span(at + each * i, at + each * (i + 1)) for i, at in enumerate(free.tolist())]

    return sample


def compared(excerpts: Spans, clips: Spans, rng: np.random.Generator) -> list[float]:
    """The share of the clips seen by ours, by a uniform sample, by random ones, and by the best."""
    duration, length = clips[-1].end, sum(span.duration for span in excerpts)
    draw = at_random(rng)
    by_chance = [seen(draw(len(excerpts), length, duration), clips) for _ in range(DRAWS)]
    return [
        seen(excerpts, clips),
        seen(uniform(len(excerpts), length, duration), clips),
        float(np.mean(by_chance)),
        min(1.0, length / SEEN / len(clips)),
    ]


def tell(title: str, rows: Sequence[Sequence[float]]) -> None:
    """Print the means of several films, and the 95 % interval of what ours sees more."""
    ours, even, chance, _ = np.mean(rows, axis=0)
    more = np.array([row[0] - row[1] for row in rows])
    spread = 1.96 * float(more.std()) / len(more) ** 0.5
    print(
        f"{title:34} {100 * ours:5.1f} {100 * even:8.1f} {100 * chance:7.1f}   "
        f"{ours / even:5.2f}× {ours / chance:7.2f}×   {100 * more.mean():+.1f} ± {100 * spread:.1f}"
    )


def from_features(clips: Sequence[Clip]) -> None:
    """Films joined from stored features."""
    for share in BUDGETS:
        rows = []
        for seed in range(FILMS):
            rng = np.random.default_rng(seed)
            parts = stretches(clips, rng)
            film, where = joined(parts, clips), places(parts)
            cuts = np.array([span.start for span in where[1:]])
            spans = segments(film.times, cuts, where[-1].end)
            material = Material(Path("joined"), film, spans, where[-1].end)
            found = summarise(material, Length(share=share))
            rows.append(compared([one.span for one in found.excerpts], where, rng))
        tell(f"features, {100 * share:.0f} % of the film", rows)


def from_files(clips: Sequence[Clip]) -> None:
    """Films written as files, indexed and summarised as any video."""
    rows: dict[float, list[list[float]]] = {share: [] for share in BUDGETS}
    with tempfile.TemporaryDirectory() as folder, Library.open(Path(folder, "library")) as library:
        for seed in range(FILES):
            rng = np.random.default_rng(1000 + seed)
            made = export(stretches(clips, rng), Path(folder, f"{seed}.mp4"))
            failed = [one.error for one in library.index([made.path]) if one.error]
            assert not failed, failed
            for share in BUDGETS:
                found = library.summarize(made.path, length=f"{100 * share}%")
                excerpts = [one.span for one in found.excerpts]
                rows[share].append(compared(excerpts, made.places, rng))
    for share in BUDGETS:
        tell(f"files, {100 * share:.0f} % of the film", rows[share])


def main(folder: str, library: str = "indexes/evaluation/summaries") -> None:
    """Print the table."""
    clips = known(Path(folder), Path(library))
    print(f"{len(clips)} clips; clips seen, in %")
    print(f"{'':34} {'ours':>5} {'uniform':>8} {'random':>7}   {'ratio':>6} {'ratio':>8}   more")
    from_features(clips)
    from_files(clips)


if __name__ == "__main__":
    main(*sys.argv[1:])
