"""Find and score the places where one shot may give way to another.

A place is examined at several scales: consecutive frames, for cuts, and frames 0.5 and 1.2
seconds apart, for gradual transitions (twin comparison of Zhang, Kankanhalli and Smoliar, Automatic
Partitioning of Full-Motion Video, 1993). The score is a weighted sum of logarithms of measurements;
`benchmarks/fit_shots.py` fits the weights.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsearch.media.shot_features import (
    Registration,
    measure_changed_shares,
    measure_histogram_change,
    measure_least_histogram_change,
    measure_least_structure_change,
    measure_structure_change,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.media.shot_features import FrameSignatures, Indexes
    from vsearch.types import Times, Vector

HALF_WIDTHS = (0.25, 0.6)  # seconds on either side of a gradual transition
NEAR_SECONDS, FAR_SECONDS = 0.3, 1.2  # on either side of the compared frames
TIME_TOLERANCE = 1e-4  # seconds, of rounded times
# Histogram change, and its product with the structure change, that make a place a candidate.
_MIN_CUT_CHANGE, _MIN_CUT_NOVELTY = 0.12, 0.045
_MIN_TRANSITION_CHANGE, _MIN_TRANSITION_NOVELTY = 0.2, 0.08
_MIN_LEAST_CHANGE = 0.1  # of the histograms across a transition
_STEADINESS = 5  # index of the relative change of structure within either shot
_MAX_STEADINESS_SLOPE = -2.0  # times the half-width; otherwise the camera may pan
_MIN_STEP_RATIO = -2.0  # log; a still image makes no step a cut
_MIN_FLAT_SHARE = 0.92  # of the pixels in the three largest bins of a graphic without detail
_FLAT_STRUCTURE_CHANGE = -0.5  # log change to assume at least between such graphics
_REGISTERED_PARTS = 6  # of a transition
_MIXED_FRAMES = 4  # about so many frames of a transition are compared with mixtures
_MIN_PEAK_SECONDS = 0.1  # within which only the best place is kept
# Weights of measurements, in the order of `iter_measured_cuts` and `iter_measured_transitions`.
_CUT_WEIGHTS = np.array([3.01, 2.30, 1.97, -2.03, -1.10, 6.55])
_CUT_BIAS = 6.40
_TRANSITION_WEIGHTS = np.array(
    [
        [1.83, 3.20, 2.08, 1.51, -0.70, -0.43, -3.12, -4.15, 4.12, 5.71, -2.23],  # mixes shots
        [2.27, 0.00, 1.92, 1.04, -0.58, -0.22, -3.17, 4.70, 1.09, 7.26, -0.55],  # moves them
    ]
)
_TRANSITION_BIASES = np.array([4.12, 4.25])
_NEAR_REGISTRATION, _FAR_REGISTRATION = Registration(6, 12), Registration(4, 20)
Measurements = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Pair of frames on either side of a place."""

    half_width: float  # seconds; 0 for consecutive frames
    before: int  # frame indexes
    after: int


class ChangeCurves:
    """Changes between the frames on either side of every place, at every scale."""

    def __init__(self, frames: FrameSignatures) -> None:
        self.frames = frames
        self.place_times: Times = (frames.times[:-1] + frames.times[1:]) / 2
        self.time_list: list[float] = frames.times.tolist()
        self._place_list: list[float] = self.place_times.tolist()
        indexes = np.arange(len(frames) - 1)
        self.histogram_steps = measure_histogram_change(frames, indexes, indexes + 1)

    def list_candidates(
        self,
        half_width: float,
        start_time: float,
        end_time: float,
        cut_frames: Sequence[int] = (),
    ) -> list[Candidate]:
        """Return the local maxima of change that no cut explains.

        Args:
            half_width: Seconds from a place to the frames that are compared.
            start_time: First place in seconds.
            end_time: End of the places in seconds, excluded.
            cut_frames: First frames of shots, ascending.
        """
        before, after = self._pair_frames(half_width)
        histogram_changes = (
            measure_histogram_change(self.frames, before, after)
            if half_width
            else self.histogram_steps
        )
        min_change, min_novelty = (
            (_MIN_TRANSITION_CHANGE, _MIN_TRANSITION_NOVELTY)
            if half_width
            else (_MIN_CUT_CHANGE, _MIN_CUT_NOVELTY)
        )
        is_candidate = histogram_changes > min_change
        if half_width:
            is_candidate &= after - before > 1
        if cut_frames:
            cuts_before, cuts_after = np.searchsorted(cut_frames, [before, after], "right")
            is_candidate &= cuts_before == cuts_after
        places = np.flatnonzero(is_candidate)
        novelty = np.zeros(len(before), np.float32)
        novelty[places] = histogram_changes[places] * np.minimum(
            measure_structure_change(self.frames, before[places], after[places]), 1
        )
        padded_novelty = np.concatenate([[-1], novelty, [-1]])
        is_candidate = (self.place_times >= start_time) & (self.place_times < end_time)
        is_candidate &= novelty > min_novelty
        is_candidate &= (novelty > padded_novelty[:-2]) & (novelty >= padded_novelty[2:])
        peak_radius = max(half_width, _MIN_PEAK_SECONDS)
        return [
            Candidate(half_width, int(before[place]), int(after[place]))
            for place in np.flatnonzero(is_candidate).tolist()
            if self._is_peak(novelty, place, peak_radius)
        ]

    def _pair_frames(self, half_width: float) -> tuple[Indexes, Indexes]:
        """Return the frames at least `half_width` before and after every place."""
        indexes = np.arange(len(self.place_times))
        if not half_width:
            return indexes, indexes + 1
        times = self.frames.times
        before = np.searchsorted(times, self.place_times - half_width + TIME_TOLERANCE, "right")
        after = np.searchsorted(times, self.place_times + half_width - TIME_TOLERANCE)
        return np.maximum(before - 1, 0), np.minimum(after, len(times) - 1)

    def _is_peak(self, novelty: Vector, place: int, radius: float) -> bool:
        place_time = self._place_list[place]
        first_place = bisect_left(self._place_list, place_time - radius)
        last_place = bisect_left(self._place_list, place_time + radius + TIME_TOLERANCE)
        return place == first_place + int(novelty[first_place:last_place].argmax())


def score_cut(measurements: Measurements) -> float:
    """Return the score of a cut: above 0 for a boundary."""
    return float(_CUT_WEIGHTS @ measurements) + _CUT_BIAS


def score_transition(measurements: Measurements) -> float:
    """Return the score of a transition that mixes both shots, or moves one after the other."""
    mixing_score, moving_score = (_TRANSITION_WEIGHTS @ measurements + _TRANSITION_BIASES).tolist()
    half_width = math.exp(measurements[-1])
    may_move = measurements[_STEADINESS] < _MAX_STEADINESS_SLOPE * half_width
    return float(max(mixing_score, moving_score) if may_move else mixing_score)


def iter_measured_cuts(
    curves: ChangeCurves, start_time: float, end_time: float
) -> Iterator[tuple[Candidate, Measurements]]:
    """Yield candidates for cuts between two times in seconds, with their measurements.

    Measured are the registered change, the least change of histogram and of structure, the largest
    other change of either around it, relative to the change at the cut, and the changed share of
    the pixels: logarithms, (6,).
    """
    candidates = curves.list_candidates(0.0, start_time, end_time)
    if not candidates:
        return
    before, after = _index_candidates(candidates)
    registered_changes = _NEAR_REGISTRATION.measure_change(curves.frames, before, after)
    changed_shares = measure_changed_shares(curves.frames, before, after)
    for index, candidate in enumerate(candidates):
        measurements = np.array(
            [
                _log_ratio(registered_changes[index], 1, 0.03),
                *_measure_surroundings(curves, candidate),
                _log_ratio(changed_shares[index], 1, 0.03),
            ]
        )
        if _are_flat(curves.frames, candidate):
            measurements[[0, 2]] = np.maximum(measurements[[0, 2]], _FLAT_STRUCTURE_CHANGE)
        yield candidate, measurements


def iter_measured_transitions(
    curves: ChangeCurves,
    start_time: float,
    end_time: float,
    cut_frames: Sequence[int],
    min_score: float = 0.0,
) -> Iterator[tuple[Candidate, Measurements]]:
    """Yield candidates for gradual transitions with their measurements.

    Measured are the registered change and the share of the changes within that registration leaves;
    least change of histogram nearby and of structure farther away; change of histogram and of
    structure within either shot and largest one of the histogram between frames, relative to the
    change from shot to shot; what a mixture of frames or of histograms leaves; changed share of the
    pixels; half-width: logarithms, (11,). Registration is done where the score is high without it,
    which it can only lower.

    Args:
        curves: Changes between frames.
        start_time: First place in seconds.
        end_time: End of the places in seconds, excluded.
        cut_frames: First frames of shots, ascending.
        min_score: Candidates below it may be left out.
    """
    frames = curves.frames
    candidates = [
        candidate
        for half_width in HALF_WIDTHS
        for candidate in curves.list_candidates(half_width, start_time, end_time, cut_frames)
    ]
    if not candidates:
        return
    before, after = _index_candidates(candidates)
    histogram_changes = measure_histogram_change(frames, before, after).tolist()
    structure_changes = measure_structure_change(frames, before, after).tolist()
    changed_shares = measure_changed_shares(frames, before, after).tolist()
    measured: list[tuple[Candidate, Measurements]] = []
    for index, candidate in enumerate(candidates):
        near_context = list_context(curves, candidate, NEAR_SECONDS, cut_frames)
        least_histogram_change = measure_least_histogram_change(frames, *near_context)
        if least_histogram_change < _MIN_LEAST_CHANGE:
            continue
        far_context = list_context(curves, candidate, FAR_SECONDS, cut_frames)
        inner_frames = slice(candidate.before, candidate.after + 1)
        largest_step = float(curves.histogram_steps[candidate.before : candidate.after].max())
        histogram_change = histogram_changes[index]
        measurements = np.array(
            [
                _log_ratio(structure_changes[index], 1, 0.03),
                0.0,
                _log_ratio(least_histogram_change, 1, 0.03),
                _log_ratio(
                    measure_least_structure_change(frames, *map(_thin_frames, far_context)), 1, 0.05
                ),
                *_measure_shot_changes(
                    frames, *near_context, histogram_change, structure_changes[index]
                ),
                _log_ratio(largest_step, histogram_change, 0.02),
                _log_ratio(_measure_mixing_residual(frames.centered[inner_frames]), 1, 0.05),
                _log_ratio(_measure_histogram_residual(frames.histograms[inner_frames]), 1, 0.02),
                _log_ratio(changed_shares[index], 1, 0.03),
                math.log(candidate.half_width),
            ]
        )
        if score_transition(measurements) > min_score:
            measured.append((candidate, measurements))
    waiting = sorted(measured, key=lambda each: score_transition(each[1]), reverse=True)
    while waiting:
        # Of the candidates for one transition, the best mostly saves registering the others.
        batch: list[tuple[Candidate, Measurements]] = []
        for each in waiting:
            if not any(_share_place(each[0], candidate) for candidate, _ in batch):
                batch.append(each)
        registered = list(_register_transitions(frames, batch, min_score))
        yield from registered
        done = [candidate for candidate, _ in batch]
        found = [candidate for candidate, values in registered if score_transition(values) > 0]
        waiting = [
            each
            for each in waiting
            if each[0] not in done
            and (min_score < 0 or not any(_share_place(each[0], candidate) for candidate in found))
        ]


def _share_place(candidate: Candidate, other: Candidate) -> bool:
    """Return whether the middle of either window lies in the other one."""
    doubled_distance = abs(candidate.before + candidate.after - other.before - other.after)
    return doubled_distance <= max(candidate.after - candidate.before, other.after - other.before)


def _register_transitions(
    frames: FrameSignatures, measured: list[tuple[Candidate, Measurements]], min_score: float
) -> Iterator[tuple[Candidate, Measurements]]:
    """Complete the measurements by registration; yield candidates that remain above the score."""
    registered_changes = _FAR_REGISTRATION.measure_change(
        frames, *_index_candidates([candidate for candidate, _ in measured])
    )
    for (_, measurements), registered_change in zip(
        measured, registered_changes.tolist(), strict=True
    ):
        measurements[0] = _log_ratio(registered_change, 1, 0.03)
    remaining = [
        (candidate, measurements)
        for candidate, measurements in measured
        if score_transition(measurements) > min_score
    ]
    if not remaining:
        return
    part_edges = np.array(
        [
            np.linspace(candidate.before, candidate.after, _REGISTERED_PARTS + 1).astype(np.intp)
            for candidate, _ in remaining
        ]
    )
    # Every other part, to save time.
    before, after = part_edges[:, :-1:2].ravel(), part_edges[:, 1::2].ravel()
    registered_means, structure_means = (
        changes.reshape(len(remaining), -1).mean(axis=1)
        for changes in (
            _NEAR_REGISTRATION.measure_change(frames, before, after),
            measure_structure_change(frames, before, after),
        )
    )
    for index, (candidate, measurements) in enumerate(remaining):
        measurements[1] = _log_ratio(registered_means[index], structure_means[index], 0.01)
        yield candidate, measurements


def _are_flat(frames: FrameSignatures, candidate: Candidate) -> bool:
    """Return whether both frames have hardly more than three gray levels."""
    histograms = frames.histograms[[candidate.before, candidate.after]]
    return bool(np.partition(histograms, -3, axis=1)[:, -3:].sum(axis=1).min() > _MIN_FLAT_SHARE)


def _index_candidates(candidates: list[Candidate]) -> tuple[Indexes, Indexes]:
    """Return the frames before and after every candidate: two (P,)."""
    before, after = np.array(
        [(candidate.before, candidate.after) for candidate in candidates], np.intp
    ).T
    return before, after


def _log_ratio(value: float, reference: float, offset: float) -> float:
    """Return the logarithm of a ratio; the offset bounds the effect of noise."""
    return math.log((max(value, 0) + offset) / (reference + offset))


def list_context(
    curves: ChangeCurves, candidate: Candidate, seconds: float, cut_frames: Sequence[int] = ()
) -> tuple[slice, slice]:
    """Return the frames before and after a candidate within its shots, its own pair included."""
    times = curves.time_list
    first_frame = bisect_left(times, times[candidate.before] - seconds)
    end_frame = bisect_right(times, times[candidate.after] + seconds)
    if cut_frames:
        next_cut = bisect_right(cut_frames, candidate.before)
        if next_cut:
            first_frame = max(first_frame, cut_frames[next_cut - 1])
        if next_cut < len(cut_frames):
            end_frame = min(end_frame, cut_frames[next_cut])
    return slice(first_frame, candidate.before + 1), slice(candidate.after, end_frame)


def _measure_surroundings(curves: ChangeCurves, candidate: Candidate) -> list[float]:
    """Return how much a cut stands out: the second to fifth of its measurements."""
    frames = curves.frames
    context_before, context_after = list_context(curves, candidate, NEAR_SECONDS)
    steps = np.arange(context_before.start, context_after.stop - 1)
    histogram_steps = curves.histogram_steps[steps]
    structure_steps = measure_structure_change(frames, steps, steps + 1)
    cut_index = candidate.before - context_before.start
    histogram_change, structure_change = histogram_steps[cut_index], structure_steps[cut_index]
    histogram_steps[cut_index] = structure_steps[cut_index] = 0
    return [
        _log_ratio(measure_least_histogram_change(frames, context_before, context_after), 1, 0.03),
        _log_ratio(measure_least_structure_change(frames, context_before, context_after), 1, 0.05),
        max(_log_ratio(histogram_steps.max(), histogram_change, 0.02), _MIN_STEP_RATIO),
        _log_ratio(structure_steps.max(), structure_change, 0.05),
    ]


def _measure_shot_changes(
    frames: FrameSignatures,
    context_before: slice,
    context_after: slice,
    histogram_change: float,
    structure_change: float,
) -> tuple[float, float]:
    """Return how much either shot changes nearby, relative to the change from one to the other.

    Returns:
        Log ratios of the changes of histogram and of structure; the larger one of both shots.
    """
    first_frames = np.array([context_before.start, context_after.start])
    last_frames = np.array([context_before.stop - 1, context_after.stop - 1])
    return (
        _log_ratio(
            float(measure_histogram_change(frames, first_frames, last_frames).max()),
            histogram_change,
            0.02,
        ),
        _log_ratio(
            float(measure_structure_change(frames, first_frames, last_frames).max()),
            structure_change,
            0.05,
        ),
    )


def _thin_frames(frames: slice) -> slice:
    """Return at most about ten of the frames, evenly spaced."""
    return slice(frames.start, frames.stop, max((frames.stop - frames.start) // 8, 1))


def _measure_mixing_residual(pixels: npt.NDArray[np.float32]) -> float:
    """Return the change in the frames between that no mixture of first and last frame explains.

    The mixture is a blend, or a choice of either frame for each pixel.

    Args:
        pixels: float32 (F, P), centered.
    """
    frame_step = max((len(pixels) - 2) // _MIXED_FRAMES, 1)
    first_pixels, last_pixels = pixels[0, ::2], pixels[-1, ::2]
    inner_pixels = pixels[1:-1:frame_step, ::2]
    total_change = last_pixels - first_pixels
    squared_change = float(total_change @ total_change) + 1e-3
    since_first = inner_pixels - first_pixels
    progress = np.clip(since_first @ total_change / squared_change, 0, 1)
    blend_residuals = since_first - progress[:, None] * total_change
    blend_errors = np.sqrt(np.einsum("fp,fp->f", blend_residuals, blend_residuals) / squared_change)
    choice_errors = np.minimum(np.abs(since_first), np.abs(inner_pixels - last_pixels)).sum(
        axis=1
    ) / (np.abs(total_change).sum() + 1e-3)
    return float(np.minimum(blend_errors, 2 * choice_errors).mean())


def _measure_histogram_residual(histograms: npt.NDArray[np.float32]) -> float:
    """Return the share of pixels by which the inner frames differ from mixed histograms.

    A wipe or a moving camera mixes the histograms of both shots, a dissolve the pixels.
    """
    total_change = histograms[-1] - histograms[0]
    since_first = histograms[1:-1] - histograms[0]
    progress = np.clip(
        since_first @ total_change / (total_change @ total_change + np.float32(1e-9)), 0, 1
    )
    residuals = np.abs(since_first - progress[:, None] * total_change).sum(axis=1) / 2
    return float(residuals.mean())
