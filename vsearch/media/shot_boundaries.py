"""Find the boundaries between shots, and where gradual transitions begin and end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.media.shot_candidates import (
    HALF_WIDTHS,
    NEAR_SECONDS,
    TIME_TOLERANCE,
    ChangeCurves,
    iter_measured_cuts,
    iter_measured_transitions,
    list_context,
    score_cut,
    score_transition,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from vsearch.media.shot_candidates import Candidate
    from vsearch.media.shot_features import FrameSignatures

_END_PROGRESS = 0.08  # of a transition, up to which a frame belongs to the old shot
_MIN_CUT_PROGRESS = 0.6  # between two frames; less, and the transition is gradual
_MIN_STEADY_FRAMES = 6
_MIN_SHOT_SECONDS = 0.3  # between two cuts
_MAX_BLANK_VARIANCE = 25.0  # of the pixels of a uniform image
_MAX_BLANK_SECONDS = 2.0  # longer, uniform images are a shot
_MIN_GAP_SECONDS = 0.1  # between a transition and another boundary
_MAX_STEADY_CHANGE = 0.005  # squared, relative to the squared change of the whole transition
_MIN_FRAMES = 2


@dataclass(frozen=True, slots=True)
class ShotBoundary:
    """A place where one shot may give way to another; for a cut, both times coincide."""

    start_time: float  # seconds, last frame of the old shot
    end_time: float  # seconds, first frame of the new shot
    window: tuple[float, float]  # seconds, the frames that were compared
    half_width: float  # seconds, scale at which it was found
    score: float  # above 0 for a boundary
    is_blank_before: bool = False  # whether a uniform image precedes it
    is_blank_after: bool = False  # whether a uniform image follows it

    @property
    def is_cut(self) -> bool:
        """True if the shots follow each other without a transition."""
        return self.start_time == self.end_time


def find_boundaries(
    frames: FrameSignatures, start_time: float, end_time: float
) -> list[ShotBoundary]:
    """Find boundaries at places between two times.

    Args:
        frames: Consecutive frames, from well before `start_time` to well after `end_time`.
        start_time: First place in seconds.
        end_time: End of the places in seconds, excluded.

    Returns:
        Boundaries with a positive score; one transition may be found several times.
    """
    if len(frames) < _MIN_FRAMES:
        return []
    curves = ChangeCurves(frames)
    margin = max(HALF_WIDTHS)
    cuts = [
        (candidate, score)
        for candidate, measurements in iter_measured_cuts(
            curves, start_time - margin, end_time + margin
        )
        if (score := score_cut(measurements)) > 0
    ]
    boundaries = [
        _locate_boundary(curves, candidate, score)
        for candidate, score in cuts
        if start_time <= curves.place_times[candidate.before] < end_time
    ]
    cut_frames = [candidate.after for candidate, _ in cuts]
    for candidate, measurements in iter_measured_transitions(
        curves, start_time, end_time, cut_frames
    ):
        score = score_transition(measurements)
        if score > 0:
            boundaries.append(_locate_boundary(curves, candidate, score))
    return boundaries


def _locate_boundary(curves: ChangeCurves, candidate: Candidate, score: float) -> ShotBoundary:
    """Determine the span of a boundary from the course of the change around it."""
    frames, times = curves.frames, curves.time_list
    start, end = candidate.before, candidate.after
    context_before, context_after = list_context(curves, candidate, NEAR_SECONDS)
    context = slice(context_before.start, context_after.stop)
    if candidate.half_width:
        start, end = _follow_change(frames, slice(start, end + 1), candidate)
        # Where the change has begun before the window, or goes on after it, see more of it.
        first_frame = context.start if start <= candidate.before + 1 else candidate.before
        stop_frame = context.stop if end >= candidate.after - 1 else candidate.after + 1
        start, end = _follow_change(frames, slice(first_frame, stop_frame), candidate)
    elif _has_steady_ends(frames.centered[context]):
        start, end = _follow_change(frames, context, candidate)
    start_time, end_time = times[start], times[end]
    return ShotBoundary(
        end_time if end - start == 1 else start_time,
        end_time,
        (times[candidate.before], times[candidate.after]),
        candidate.half_width,
        score,
        bool(frames.variances[context.start] < _MAX_BLANK_VARIANCE),
        bool(frames.variances[context.stop - 1] < _MAX_BLANK_VARIANCE),
    )


def _follow_change(
    frames: FrameSignatures, frame_range: slice, candidate: Candidate
) -> tuple[int, int]:
    """Return the last frame of the old shot and the first one of the new shot.

    Args:
        frames: All frames.
        frame_range: From a frame of the old shot to one of the new shot.
        candidate: Frames that are compared; the result where the change has no clear course.
    """
    pixels, first_frame = frames.centered[frame_range], frame_range.start
    middle = (candidate.before + candidate.after + 1) // 2
    total_change = pixels[-1] - pixels[0]
    progress = (pixels - pixels[0]) @ total_change / (float(total_change @ total_change) + 1e-3)
    steps = np.diff(progress)
    if steps.max() >= _MIN_CUT_PROGRESS:
        start = first_frame + int(steps.argmax())
        return start, start + 1
    old_frames = np.flatnonzero(progress[: middle - first_frame] <= _END_PROGRESS)
    new_frames = np.flatnonzero(progress[middle - first_frame :] >= 1 - _END_PROGRESS)
    if not (len(old_frames) and len(new_frames)):
        return candidate.before, candidate.after
    return first_frame + int(old_frames[-1]), middle + int(new_frames[0])


def _has_steady_ends(pixels: npt.NDArray[np.float32]) -> bool:
    """Return whether the first two frames are alike, and the last two: (F, P), centered."""
    if len(pixels) < _MIN_STEADY_FRAMES:
        return False
    end_changes = pixels[[0, -1]] - pixels[[1, -2]]
    total_change = pixels[-1] - pixels[0]
    return bool(
        np.einsum("ep,ep->e", end_changes, end_changes).max()
        < _MAX_STEADY_CHANGE * (total_change @ total_change)
    )


def select_boundaries(boundaries: list[ShotBoundary]) -> list[ShotBoundary]:
    """Return the best boundaries that are compatible with each other, in order of time.

    A change between consecutive frames explains whatever is found across it; among others, the
    higher score counts.
    """
    selected: list[ShotBoundary] = []
    for boundary in sorted(boundaries, key=lambda found: (found.half_width > 0, -found.score)):
        if not any(_is_same_change(boundary, other) for other in selected):
            selected.append(boundary)
    return _join_fades(sorted(selected, key=lambda boundary: boundary.end_time))


def _join_fades(boundaries: list[ShotBoundary]) -> list[ShotBoundary]:
    """Join a fade-out and the fade-in after it; drop a fade with no shot on its other side."""
    joined: list[ShotBoundary] = []
    for boundary in boundaries:
        if (
            joined
            and joined[-1].is_blank_after
            and boundary.is_blank_before
            and boundary.start_time - joined[-1].end_time <= _MAX_BLANK_SECONDS
        ):
            joined[-1] = replace(boundary, start_time=joined[-1].start_time, is_blank_before=False)
        else:
            joined.append(boundary)
    if joined and joined[0].is_blank_before and not joined[0].is_cut:
        del joined[0]
    if joined and joined[-1].is_blank_after and not joined[-1].is_cut:
        del joined[-1]
    return joined


def _is_same_change(boundary: ShotBoundary, selected: ShotBoundary) -> bool:
    min_distance = _MIN_SHOT_SECONDS if boundary.half_width == 0 else _MIN_GAP_SECONDS
    if (
        boundary.start_time - min_distance < selected.end_time
        and selected.start_time < boundary.end_time + min_distance
    ):
        return True
    window_start, window_end = boundary.window
    return (
        selected.half_width == 0
        and window_start - TIME_TOLERANCE <= selected.end_time
        and selected.start_time <= window_end + TIME_TOLERANCE
    )
