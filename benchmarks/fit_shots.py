"""Fit the weights of the shot detector to films of the tuning half of the clips.

    python -m benchmarks.fit_shots CLIPS [--films 5] [--seed 2]

Logistic regression separates candidates at known boundaries from all others by the logarithms of
their measurements: a model for cuts, one for transitions that mix both shots (dissolves, wipes,
fades), and one for those that push one shot out. Prints the weights and the remaining errors.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.bench_shots import encode_film, iter_films, split_clips
from benchmarks.shot_films import KINDS, load_clips
from vsearch.media.sampler import Sampler
from vsearch.media.shot_candidates import (
    ChangeCurves,
    iter_measured_cuts,
    iter_measured_transitions,
)
from vsearch.media.shot_features import FrameSignatures, describe_frames
from vsearch.types import GrayImages, Span, Times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RIDGE = 1e-3  # on weights of standardized measurements
NEWTON_STEPS = 30
MATCHING_WIDTHS = (0.55, 4.0)  # width of a window, relative to a transition that it may show


@dataclass(frozen=True, slots=True)
class Example:
    """A labeled candidate."""

    kind_name: str
    half_width: float  # seconds; 0 for cuts
    measurements: npt.NDArray[np.float64]
    is_boundary: bool


class FrameRecorder:
    """A `ShotDetector` that keeps the signatures of all frames."""

    def __init__(self) -> None:
        self.parts: list[FrameSignatures] = []

    def process(self, luma_thumbnails: GrayImages, frame_times: Times) -> None:
        """Keep the signatures."""
        self.parts.append(describe_frames(luma_thumbnails, frame_times))

    def cuts(self) -> Times:
        """Return no cuts."""
        return np.empty(0)


def iter_examples(
    kind_name: str, frames: FrameSignatures, boundaries: list[Span]
) -> Iterator[Example]:
    """Yield labeled candidates; those that show a part of a boundary are left out."""
    times, curves = frames.times, ChangeCurves(frames)
    cut_times = [span.start for span in boundaries if not span.duration]
    cut_frames = np.searchsorted(times, np.array(cut_times) - 1e-3).tolist()
    for candidate, measurements in iter_measured_cuts(curves, -1, np.inf):
        is_cut = candidate.after in cut_frames
        middle = (times[candidate.before] + times[candidate.after]) / 2
        if is_cut or not any(
            span.duration and span.start - 0.05 <= middle <= span.end + 0.05 for span in boundaries
        ):
            yield Example(kind_name, 0.0, measurements, is_cut)
    for candidate, measurements in iter_measured_transitions(
        curves, -1, np.inf, cut_frames, -np.inf
    ):
        window = Span(float(times[candidate.before]), float(times[candidate.after]))
        middle = (window.start + window.end) / 2
        touched = [span for span in boundaries if span.overlaps(window, 0.1)]
        is_shown = any(
            abs(middle - (span.start + span.end) / 2) <= max(0.12, span.duration / 4)
            and MATCHING_WIDTHS[0]
            <= 2 * candidate.half_width / max(span.duration, 1e-6)
            <= MATCHING_WIDTHS[1]
            for span in touched
        )
        if is_shown or not touched:
            yield Example(kind_name, candidate.half_width, measurements, is_shown)


def fit_weights(examples: list[Example]) -> npt.NDArray[np.float64]:
    """Fit a logistic regression by Newton's method: the weights, then the bias.

    Examples of a kind count by the square root of their number.
    """
    inputs = np.array([example.measurements for example in examples])
    labels = np.array([example.is_boundary for example in examples], float)
    groups = np.array([f"{example.kind_name} {example.is_boundary}" for example in examples])
    _, group_of, counts = np.unique(groups, return_inverse=True, return_counts=True)
    example_weights = (1 / np.sqrt(counts))[group_of]
    example_weights /= example_weights.sum()
    means, deviations = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    columns = np.c_[(inputs - means) / deviations, np.ones(len(inputs))]
    penalties = np.append(np.full(inputs.shape[1], RIDGE), 0.0)
    weights = np.zeros(columns.shape[1])
    for _ in range(NEWTON_STEPS):
        predictions = 1 / (1 + np.exp(-np.clip(columns @ weights, -30, 30)))
        gradient = columns.T @ (example_weights * (predictions - labels)) + penalties * weights
        curvature = example_weights * np.maximum(predictions * (1 - predictions), 1e-6)
        weights -= np.linalg.solve(
            (columns.T * curvature) @ columns + np.diag(penalties + 1e-9), gradient
        )
    scaled = weights[:-1] / deviations
    return np.append(scaled, weights[-1] - scaled @ means)


def print_model(title: str, examples: list[Example], is_used: Callable[[Example], bool]) -> None:
    """Fit a model to some of the examples and print it."""
    used = [example for example in examples if is_used(example)]
    weights = fit_weights(used)
    scores = [float(weights[:-1] @ example.measurements + weights[-1]) for example in used]
    missed = sum(
        score <= 0 and example.is_boundary for score, example in zip(scores, used, strict=True)
    )
    wrong = sum(
        score > 0 and not example.is_boundary for score, example in zip(scores, used, strict=True)
    )
    print(f"{title}: {len(used)} candidates, {missed} missed, {wrong} wrong")
    print("  ", ", ".join(f"{weight:.2f}" for weight in weights[:-1]), "bias", f"{weights[-1]:.2f}")


def main() -> None:
    """Print the weights."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", type=Path)
    parser.add_argument("--films", type=int, default=5)
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    clips = split_clips(list(load_clips(arguments.clips)))["tuning"]
    examples: list[Example] = []
    with TemporaryDirectory() as folder:
        video_path = Path(folder) / "film.mkv"
        for kind_name in KINDS:
            for film in iter_films(clips, kind_name, arguments.films, arguments.seed):
                encode_film(film, video_path)
                recorder = FrameRecorder()
                for _ in Sampler(video_path, fps=1, short_side=64, shot_detector=recorder):
                    pass
                frames = FrameSignatures.concatenate(recorder.parts)
                examples += iter_examples(kind_name, frames, film.transitions)
    print_model("cuts", examples, lambda example: not example.half_width)
    print_model(
        "mixing",
        examples,
        lambda example: (
            example.half_width > 0 and not (example.is_boundary and example.kind_name == "push")
        ),
    )
    print_model(
        "moving",
        examples,
        lambda example: (
            # as `score_transition` requires
            example.measurements[5] < -2 * example.half_width < 0
            and (example.kind_name == "push" or not example.is_boundary)
        ),
    )


if __name__ == "__main__":
    main()
