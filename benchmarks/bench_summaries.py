"""Evaluate summaries of concatenated clips.

    python -m benchmarks.bench_summaries CLIPS [LIBRARY]

Parts of different clips, of random length and in random order, are concatenated; the figure is the
share of clips that a summary shows for at least a second. The baselines, uniform and random
samples, have the same number of excerpts and seconds. Most films are joined from stored features of
the clips; some are written as files, indexed and summarized. LIBRARY keeps the features.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vsearch.analysis.summaries import SummaryInput, SummaryLength, build_summary
from vsearch.export.mp4 import ClipSpan, export_clips
from vsearch.library import Library
from vsearch.media.segmentation import segment_video
from vsearch.storage.feature_store import FeatureStore
from vsearch.types import Features, Span

MIN_SEEN_SECONDS = 1.0  # a clip counts as seen from this duration on
FEATURE_FILMS, FILE_FILMS = 60, 3  # joined from features, and encoded as files
RANDOM_DRAWS = 20  # random samples of each film
SUMMARY_SHARES = (0.1, 0.2, 0.3)  # of the film
Spans = Sequence[Span]
SampleFunction = Callable[[int, float, float], Spans]  # excerpts, seconds, seconds of the film


@dataclass(frozen=True, slots=True)
class FeatureClip:
    """A clip with its features."""

    path: Path
    features: Features
    duration: float


def load_clips(clips_folder: Path, library_path: Path) -> list[FeatureClip]:
    """Load the clips of a folder, indexing them if needed."""
    with Library.open(library_path) as library:
        failed = [
            index_result.error
            for index_result in library.index([clips_folder])
            if index_result.error
        ]
        store, space = FeatureStore(library.path / "features"), library.space
        assert space is not None, failed
        return [
            FeatureClip(video.path, store.load(video.id, space), video.duration)
            for video in library.videos([clips_folder])
            if video.duration >= 2 * MIN_SEEN_SECONDS
        ]


def draw_parts(clips: Sequence[FeatureClip], rng: np.random.Generator) -> list[ClipSpan]:
    """Draw 10 to 25 clips, half of them whole, else a part of at least two seconds."""
    parts = []
    for index in rng.permutation(len(clips))[: rng.integers(10, 26)]:
        clip, start, end = clips[index], 0.0, clips[index].duration
        if rng.random() < 0.5:
            length = rng.uniform(2 * MIN_SEEN_SECONDS, end)
            start = float(rng.uniform(0, end - length))
            end = start + length
        parts.append(ClipSpan(clip.path, Span(start, float(end))))
    return parts


def part_positions(parts: Sequence[ClipSpan]) -> list[Span]:
    """Return the span of each part in the film."""
    ends = np.cumsum([part.span.duration for part in parts]).tolist()
    return [Span(start, end) for start, end in zip([0.0, *ends[:-1]], ends, strict=True)]


def join_features(parts: Sequence[ClipSpan], clips: Sequence[FeatureClip]) -> Features:
    """Join the features of the parts."""
    features_by_path = {clip.path: clip.features for clip in clips}
    part_features = [features_by_path[part.path].within(part.span) for part in parts]
    times = [
        np.clip(features.frame_times - part.span.start, 0, None) + place.start
        for features, part, place in zip(part_features, parts, part_positions(parts), strict=True)
    ]
    matrix = np.concatenate([features.frame_vectors for features in part_features])
    return Features(part_features[0].space, matrix, np.concatenate(times))


def seen_share(excerpt_spans: Spans, clip_spans: Spans) -> float:
    """Return the share of clips that the excerpts show long enough."""
    seen_seconds = [
        sum(max(0.0, min(a.end, clip.end) - max(a.start, clip.start)) for a in excerpt_spans)
        for clip in clip_spans
    ]
    is_seen = [
        seconds >= min(MIN_SEEN_SECONDS, 0.9 * clip.duration)
        for seconds, clip in zip(seen_seconds, clip_spans, strict=True)
    ]
    return float(np.mean(is_seen))


def sample_uniformly(excerpt_count: int, total_seconds: float, film_duration: float) -> Spans:
    """Return evenly spaced excerpts."""
    each, gap = total_seconds / excerpt_count, film_duration / excerpt_count
    return [
        Span(gap * i + (gap - each) / 2, gap * i + (gap + each) / 2) for i in range(excerpt_count)
    ]


def make_random_sampler(rng: np.random.Generator) -> SampleFunction:
    """Return a sampler of random excerpts without overlaps."""

    def sample_randomly(excerpt_count: int, total_seconds: float, film_duration: float) -> Spans:
        each = total_seconds / excerpt_count
        free = np.sort(rng.uniform(0, film_duration - total_seconds, excerpt_count))
        return [Span(at + each * i, at + each * (i + 1)) for i, at in enumerate(free.tolist())]

    return sample_randomly


def compare_samples(
    excerpt_spans: Spans, clip_spans: Spans, rng: np.random.Generator
) -> list[float]:
    """Return the share of clips shown by vsearch, uniform, random and best samples."""
    duration, length = clip_spans[-1].end, sum(span.duration for span in excerpt_spans)
    draw = make_random_sampler(rng)
    by_chance = [
        seen_share(draw(len(excerpt_spans), length, duration), clip_spans)
        for _ in range(RANDOM_DRAWS)
    ]
    return [
        seen_share(excerpt_spans, clip_spans),
        seen_share(sample_uniformly(len(excerpt_spans), length, duration), clip_spans),
        float(np.mean(by_chance)),
        min(1.0, length / MIN_SEEN_SECONDS / len(clip_spans)),
    ]


def print_means(title: str, rows: Sequence[Sequence[float]]) -> None:
    """Print means over films with the 95 % interval of the advantage."""
    ours, even, chance, _ = np.mean(rows, axis=0)
    more = np.array([row[0] - row[1] for row in rows])
    spread = 1.96 * float(more.std()) / len(more) ** 0.5
    print(
        f"{title:34} {100 * ours:5.1f} {100 * even:8.1f} {100 * chance:7.1f}   "
        f"{ours / even:5.2f}× {ours / chance:7.2f}×   {100 * more.mean():+.1f} ± {100 * spread:.1f}"
    )


def measure_features(clips: Sequence[FeatureClip]) -> None:
    """Evaluate films joined from stored features."""
    for share in SUMMARY_SHARES:
        rows = []
        for seed in range(FEATURE_FILMS):
            rng = np.random.default_rng(seed)
            parts = draw_parts(clips, rng)
            film, positions = join_features(parts, clips), part_positions(parts)
            cuts = np.array([span.start for span in positions[1:]])
            spans = segment_video(film.frame_times, cuts, positions[-1].end)
            summary_input = SummaryInput(Path("joined"), film, spans, positions[-1].end)
            summary = build_summary(summary_input, SummaryLength(share=share))
            rows.append(
                compare_samples([excerpt.span for excerpt in summary.excerpts], positions, rng)
            )
        print_means(f"features, {100 * share:.0f} % of the film", rows)


def measure_files(clips: Sequence[FeatureClip]) -> None:
    """Evaluate films written as files and indexed."""
    rows: dict[float, list[list[float]]] = {share: [] for share in SUMMARY_SHARES}
    with tempfile.TemporaryDirectory() as folder, Library.open(Path(folder, "library")) as library:
        for seed in range(FILE_FILMS):
            rng = np.random.default_rng(1000 + seed)
            export = export_clips(draw_parts(clips, rng), Path(folder, f"{seed}.mp4"))
            failed = [
                index_result.error
                for index_result in library.index([export.path])
                if index_result.error
            ]
            assert not failed, failed
            for share in SUMMARY_SHARES:
                summary = library.summarize(export.path, length=f"{100 * share}%")
                excerpts = [index_result.span for index_result in summary.excerpts]
                rows[share].append(compare_samples(excerpts, export.output_spans, rng))
    for share in SUMMARY_SHARES:
        print_means(f"files, {100 * share:.0f} % of the film", rows[share])


def main(clips_folder: str, library_path: str = "indexes/evaluation/summaries") -> None:
    """Print the table."""
    clips = load_clips(Path(clips_folder), Path(library_path))
    print(f"{len(clips)} clips; share of clips shown, in %")
    print(f"{'':34} {'ours':>5} {'uniform':>8} {'random':>7}   {'ratio':>6} {'ratio':>8}   more")
    measure_features(clips)
    measure_files(clips)


if __name__ == "__main__":
    main(*sys.argv[1:])
