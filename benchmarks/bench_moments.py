"""Measure the boundaries of moments on films with known scenes.

    python -m benchmarks.bench_moments DATASET

Films of ten scenes each are concatenated from random captioned clips of DATASET (a file as for
`vsearch evaluate`), each trimmed to 3-12 s, and indexed. Every caption is searched in all films
together. The baselines use the same frame features: windows, a threshold on the score curve of the
frames, plain cuts of the feature sequence, and a watershed of the curve. `--work FOLDER` keeps the
films and the library for another run.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.support.joined_clips import SCENES_PER_REEL, index_reels, load_clips, make_reels
from vsearch.search.hubness import Querybank
from vsearch.storage.feature_store import FeatureStore
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeAlias

    import numpy.typing as npt

    from tests.support.joined_clips import Reel
    from vsearch import Library
    from vsearch.types import Features, Matrix, Vector

    SearchMethod: TypeAlias = Callable[[str, Sequence[Path]], "MomentAnswer | None"]
    FrameRuns: TypeAlias = Iterator[tuple[int, int]]  # first frame, and the one after the last
    CutMethod: TypeAlias = Callable[[Features, Vector], FrameRuns]  # the curve is float32 (T,)

FILM_COUNT = 10
TIOU_THRESHOLDS = (0.3, 0.5, 0.7)
HIT_TIOU = 0.5  # tIoU of a correct answer


@dataclass(frozen=True, slots=True)
class MomentAnswer:
    """A moment returned by a method."""

    video_path: Path
    span: Span


class ReferenceSearch:
    """Search of frame features cut into runs, each represented by its mean."""

    def __init__(self, library: Library, cut_method: CutMethod) -> None:
        store, space = FeatureStore(library.path / "features"), library.space
        assert space is not None
        self._cut_method = cut_method
        self._bank = Querybank.from_encoder(library.encoder)
        self._features_by_path = {
            video.path: store.load(video.id, space) for video in library.videos()
        }
        self._durations = {video.path: video.duration for video in library.videos()}

        self._encode_query = cache(lambda words: library.encoder.encode_texts([words])[0])

    def __call__(self, query_text: str, video_paths: Sequence[Path]) -> MomentAnswer | None:
        query = self._encode_query(query_text)
        scored_spans: list[tuple[float, Path, Span]] = []
        for path in video_paths:
            features = self._features_by_path[path]
            runs = list(self._cut_method(features, features.frame_vectors @ query))
            vectors = np.stack(
                [_mean_vector(features.frame_vectors[first:last]) for first, last in runs]
            )
            scores = vectors @ query - self._bank.hubness_penalty(vectors)
            best = int(scores.argmax())
            span = _run_span(features.frame_times, self._durations[path], *runs[best])
            scored_spans.append((float(scores[best]), path, span))
        _, path, span = max(scored_spans)
        return MomentAnswer(path, span)


def _mean_vector(frame_vectors: Matrix) -> Vector:
    mean_vector: Vector = frame_vectors.mean(axis=0)
    return mean_vector / np.linalg.norm(mean_vector)


def _run_span(
    frame_times: npt.NDArray[np.float64], duration: float, first_index: int, last_index: int
) -> Span:
    """Return a span that extends halfway to the adjacent frames."""
    edges = np.concatenate([[0.0], (frame_times[1:] + frame_times[:-1]) / 2, [duration]])
    return Span(float(edges[first_index]), float(edges[last_index]))


def cut_windows(features: Features, similarity_curve: Vector) -> FrameRuns:
    """Cut into windows of 8 s, one every 4 s."""
    times = features.frame_times
    for start in np.arange(0, max(times[-1] - 4, 1), 4.0):
        first, last = np.searchsorted(times, [start - 1e-6, start + 8 - 1e-6])
        if last > first:
            yield int(first), int(last)


def cut_at_threshold(features: Features, similarity_curve: Vector) -> FrameRuns:
    """Cut where the curve exceeds the middle between its mean and its peak."""
    above = similarity_curve >= (similarity_curve.mean() + similarity_curve.max()) / 2
    yield from _runs_between(np.flatnonzero(np.diff(above)) + 1, len(above))


def cut_at_changes(min_similarity: float) -> CutMethod:
    """Cut where adjacent frames differ by more than a threshold."""

    def cut_features(features: Features, similarity_curve: Vector) -> FrameRuns:
        likeness = (features.frame_vectors[1:] * features.frame_vectors[:-1]).sum(axis=1)
        yield from _runs_between(
            np.flatnonzero(likeness < min_similarity) + 1, len(similarity_curve)
        )

    return cut_features


def cut_watershed(features: Features, similarity_curve: Vector) -> FrameRuns:
    """Cut basins from each peak down to half its height above the mean, highest first."""
    smooth = np.convolve(np.pad(similarity_curve, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    free = np.ones(len(similarity_curve), bool)
    for peak in map(int, np.argsort(-smooth)):
        if not free[peak]:
            continue
        inside = free & (smooth >= (smooth[peak] + smooth.mean()) / 2)
        first, last = peak, peak + 1
        while first > 0 and inside[first - 1]:
            first -= 1
        while last < len(similarity_curve) and inside[last]:
            last += 1
        free[first:last] = False
        yield first, last


def _runs_between(run_edges: npt.NDArray[np.intp], frame_count: int) -> FrameRuns:
    ends = [0, *run_edges.tolist(), frame_count]
    yield from pairwise(ends)


def build_methods(library: Library) -> dict[str, SearchMethod]:
    """Build the baselines and vsearch."""

    def search_library(query_text: str, video_paths: Sequence[Path]) -> MomentAnswer | None:
        moments = library.search(query_text, k=1, videos=[str(path) for path in video_paths])
        return MomentAnswer(moments[0].video.path, moments[0].span) if moments else None

    cut_methods: dict[str, CutMethod] = {
        "windows of 8 s every 4 s": cut_windows,
        "curve above a threshold": cut_at_threshold,
        "feature cuts, cosine 0.6": cut_at_changes(0.6),
        "feature cuts, cosine 0.7": cut_at_changes(0.7),
        "watershed on the curve": cut_watershed,
    }
    return {
        name: ReferenceSearch(library, cut_method) for name, cut_method in cut_methods.items()
    } | {"vsearch": search_library}


@dataclass(frozen=True, slots=True)
class CaptionResult:
    """A caption, its true span and the answer of a method."""

    true_span: Span
    first_span: Span | None  # None: in another film
    span_in_film: Span | None  # where the film is named


def evaluate_method(method: SearchMethod, reels: Sequence[Reel]) -> list[CaptionResult]:
    """Search the caption of every scene in all films together."""
    paths = [film.path for film in reels]
    answers = []
    for film in reels:
        for scene in film.scenes:
            first_answer, answer_in_film = (
                method(scene.caption, paths),
                method(scene.caption, [film.path]),
            )
            is_right = first_answer is not None and first_answer.video_path == film.path
            answers.append(
                CaptionResult(
                    scene.span,
                    first_answer.span if first_answer and is_right else None,
                    answer_in_film.span if answer_in_film else None,
                )
            )
    return answers


def print_table(library: Library, films: Sequence[Reel]) -> None:
    """Evaluate every method and print the table."""
    draw = len({scene.caption for film in films for scene in film.scenes}) // SCENES_PER_REEL
    groups = [films[first : first + draw] for first in range(0, len(films), draw)]
    count = sum(len(film.scenes) for film in films)
    print(f"{count} captions, each of one scene, searched in {draw} films")
    print(f"{'R@1, tIoU at least':26}   0.3   0.5   0.7 | 0.5 by scene length: ", end="")
    print("3-6 s 6-9 s 9-12 s | mIoU in the film | start error of hits")
    for name, method in build_methods(library).items():
        results = [result for group in groups for result in evaluate_method(method, group)]
        overlaps = [_span_overlap(result.first_span, result.true_span) for result in results]
        lengths = [result.true_span.duration for result in results]
        shares = [_format_share(overlaps, min_overlap) for min_overlap in TIOU_THRESHOLDS]
        by_length = [
            _format_share(
                [o for o, n in zip(overlaps, lengths, strict=True) if low <= n < low + 3], HIT_TIOU
            )
            for low in (3, 6, 9)
        ]
        errors = [
            abs(result.first_span.start - result.true_span.start)
            for result in results
            if result.first_span is not None and result.first_span.iou(result.true_span) >= HIT_TIOU
        ]
        inside = np.mean(
            [_span_overlap(result.span_in_film, result.true_span) for result in results]
        )
        error = np.mean(errors) if errors else np.nan
        print(f"{name:26} {' '.join(shares)} | {' ' * 23}{' '.join(by_length)}", end="")
        print(f" | {inside:17.3f} | {error:.2f} s", flush=True)


def _span_overlap(found_span: Span | None, true_span: Span) -> float:
    return found_span.iou(true_span) if found_span is not None else 0.0


def _format_share(overlaps: Sequence[float], min_overlap: float) -> str:
    return f"{np.mean([one >= min_overlap for one in overlaps]):5.0%}" if overlaps else "    -"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument(
        "--seed", type=int, default=2, help="random seed; the constants were chosen with 1"
    )
    parser.add_argument("--work", type=Path, help="folder that keeps the films and the library")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = options.work / str(options.seed) if options.work else Path(folder)
        clips = load_clips(options.dataset)
        reels = make_reels(clips, FILM_COUNT, work / "films", np.random.default_rng(options.seed))
        with index_reels(work / "library-films", reels) as library:
            print_table(library, reels)


if __name__ == "__main__":
    main()
