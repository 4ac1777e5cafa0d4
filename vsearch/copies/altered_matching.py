"""Pixel-level alignment of a video with a copy that is mirrored, rotated, faster or slower.

Turning a frame turns its grid of cells, so all orientations are compared without decoding again.
A few frames and all speeds select the orientation; the motion of all frames selects the speed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from vsearch.copies.alterations import Alteration
from vsearch.copies.luma_matching import (
    CELL_GRID_SIZE,
    CENTERED_CROPS,
    LUMA_FPS,
    MAX_STILL_CHANGE,
    MIN_STILL_CORRELATION,
    compute_cell_vectors,
    correlate_motion,
    find_best_crop,
    sum_diagonals,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from vsearch.copies.luma_matching import CellVectors, Crop, LumaClip, LumaFrames
    from vsearch.types import Span, Times

ORIENTATIONS = tuple(product((False, True), (0, 90, 180, 270)))  # mirrored, degrees clockwise
MAX_SPEED = 2.0  # a copy plays at most twice as fast, and at least half as fast
COMMON_SPEEDS = (1 / 2, 1 / 1.75, 1 / 1.5, 0.75, 0.8, 1.0, 1.25, 1 / 0.75, 1.5, 1.75, 2.0)
SPEEDS = (*COMMON_SPEEDS, *np.geomspace(1 / MAX_SPEED, MAX_SPEED, 25).tolist())  # steps of 6 %
LIKELY_SPEED_GAIN = 0.08  # correlation by which an odd speed must be better than a likely one
NEAR_SPEED = 0.06  # relative difference of such speeds, at most
SPEED_REFINEMENTS = (1.0, 0.96, 0.97, 0.98, 0.99, 1.01, 1.02, 1.03, 1.04)
PROBE_FRAMES = 12  # frames that select the orientation
TRIED_ORIENTATIONS = 2  # orientations whose motion is compared
MIN_PROBE_SECONDS = 2.5  # a shorter part fits too many speeds and orientations
# more is required than of unaltered copies, because more alterations are tried
MIN_ALTERED_CORRELATION = 0.85  # minimum mean correlation of the frames
MIN_ALTERED_MOTION_CORRELATION = 0.75  # minimum correlation of their motion


@dataclass(frozen=True, slots=True)
class AlteredMatch:
    """The best alignment of a part of a video with a window of an altered copy."""

    alteration: Alteration
    copy_start: float  # time in the copy at which the part begins, in seconds
    image_correlation: float  # mean correlation of the frames, in [-1, 1]
    motion_correlation: float  # correlation of the motion, in [-1, 1]
    motion_share: float  # energy of the motion, in [0, 1]

    @property
    def is_still(self) -> bool:
        """True if the part has no motion, so that time and speed are guesses."""
        return self.motion_share < MAX_STILL_CHANGE

    @property
    def is_copy(self) -> bool:
        """True if the correlations are high enough for an altered copy."""
        if self.is_still:
            return self.image_correlation >= MIN_STILL_CORRELATION
        return (
            self.image_correlation >= MIN_ALTERED_CORRELATION
            and self.motion_correlation >= MIN_ALTERED_MOTION_CORRELATION
        )

    @property
    def total_correlation(self) -> float:
        """Sum of both correlations, by which alignments are compared."""
        return self.image_correlation + self.motion_correlation


def find_altered_alignment(
    source_clip: LumaClip,
    source_span: Span,
    copy_clip: LumaClip,
    copy_window: Span,
    *,
    expected_speeds: Collection[float] = (),
) -> AlteredMatch | None:
    """Locate a part of a video within a window of a copy, whatever its orientation and speed.

    Args:
        source_clip: Luma frames of the video.
        source_span: The part to locate, in seconds.
        copy_clip: Luma frames of the copy.
        copy_window: Where to search, in seconds of the copy.
        expected_speeds: Speeds to try besides `SPEEDS`, such as the ratio of the durations.

    Returns:
        The best alignment, which may also be unaltered; None if the part or the window is too
        short.
    """
    frame_count = round(source_span.duration * LUMA_FPS)
    if source_span.duration < MIN_PROBE_SECONDS or frame_count < 2:
        return None
    source_clip, copy_clip = source_clip.crop_letterbox(), copy_clip.crop_letterbox()
    source_frames = source_clip.sample_at(source_span.start + np.arange(frame_count) / LUMA_FPS)
    copy_times = np.arange(copy_window.start, copy_window.end + 1e-6, 1 / LUMA_FPS)
    copy_frames = copy_clip.sample_at(copy_times)
    best_match: AlteredMatch | None = None
    for source_crop in CENTERED_CROPS:  # either may show less of the scene
        source_vectors = compute_cell_vectors(source_frames, source_crop)
        aligned_match = _align_altered(source_vectors, copy_frames, copy_times, expected_speeds)
        if aligned_match is not None and (
            best_match is None or aligned_match.total_correlation > best_match.total_correlation
        ):
            best_match = aligned_match
        if best_match is None or best_match.is_copy:
            break
    if best_match is None:
        return None
    is_grayscale = source_clip.lacks_colors_of(copy_clip) or copy_clip.lacks_colors_of(source_clip)
    alteration = replace(best_match.alteration, is_grayscale=is_grayscale)
    return replace(best_match, alteration=alteration)


def _align_altered(
    source_vectors: CellVectors,
    copy_frames: LumaFrames,
    copy_times: Times,
    expected_speeds: Collection[float],
) -> AlteredMatch | None:
    """Return the best alignment of the cells of a part, or None if the window is too short."""
    motion = source_vectors - source_vectors.mean(axis=0)
    is_still = float((motion**2).sum() / len(motion)) < MAX_STILL_CHANGE
    likely_speeds = frozenset((*COMMON_SPEEDS, *expected_speeds))
    speeds = (1.0,) if is_still else tuple(sorted({*SPEEDS, *likely_speeds}))
    aligner = _Aligner(source_vectors, copy_frames, copy_times, likely_speeds)
    matches = [
        match
        for is_mirrored, degrees, crop in aligner.rank_orientations(speeds)
        for match in aligner.iter_matches(Alteration(is_mirrored, degrees), speeds, crop)
    ]
    best_match = max(matches, key=_rate_match, default=None)
    return None if best_match is None else aligner.refine_match(best_match)


@dataclass(frozen=True, slots=True)
class _Aligner:
    """Frames of a part of a video and of a window of its copy, both at `LUMA_FPS`."""

    source_vectors: CellVectors
    copy_frames: LumaFrames
    copy_times: Times
    likely_speeds: frozenset[float]

    def rank_orientations(self, speeds: tuple[float, ...]) -> Iterator[tuple[bool, int, Crop]]:
        """Yield the most likely orientations, each with the crop that fits best."""
        frame_count = len(self.source_vectors)
        probe_rows = np.linspace(0, frame_count - 1, min(PROBE_FRAMES, frame_count)).astype(int)
        scores: dict[tuple[bool, int, Crop], float] = {}
        for crop in CENTERED_CROPS:
            copy_vectors = compute_cell_vectors(self.copy_frames, crop)
            for is_mirrored, degrees in ORIENTATIONS:
                probe_vectors = _turn_cells(self.source_vectors[probe_rows], is_mirrored, degrees)
                similarities = probe_vectors @ copy_vectors.T  # (PROBE_FRAMES, copy frames)
                scores[is_mirrored, degrees, crop] = max(
                    _best_probe_score(similarities, probe_rows / speed) for speed in speeds
                )
        ranked = sorted(scores, key=lambda orientation: -scores[orientation])
        best_by_turn = {orientation[:2]: orientation for orientation in reversed(ranked)}
        yield from sorted(best_by_turn.values(), key=lambda orientation: -scores[orientation])[
            :TRIED_ORIENTATIONS
        ]

    def iter_matches(
        self, orientation: Alteration, speeds: Iterable[float], crop: Crop
    ) -> Iterator[AlteredMatch]:
        """Yield the best alignment at each speed that fits into the window."""
        source_vectors = _turn_cells(
            self.source_vectors, orientation.is_mirrored, orientation.rotation_degrees
        )
        copy_vectors = compute_cell_vectors(self.copy_frames, crop)
        for speed in speeds:
            # the slower one of both is sampled at each of its frames
            source_rows = np.arange(0, len(source_vectors), max(1.0, speed)).astype(int)
            copy_rows = np.arange(0, len(copy_vectors), max(1.0, 1 / speed)).astype(int)
            if len(source_rows) < 2 or len(copy_rows) < len(source_rows):
                continue
            sampled_source, sampled_copy = source_vectors[source_rows], copy_vectors[copy_rows]
            image_correlation = sum_diagonals(sampled_source @ sampled_copy.T) / len(source_rows)
            motion_correlation, motion_share = correlate_motion(sampled_source, sampled_copy)
            best_offset = int((image_correlation + motion_correlation).argmax())
            yield AlteredMatch(
                replace(orientation, speed=speed),
                float(self.copy_times[copy_rows[best_offset]]),
                float(image_correlation[best_offset]),
                float(motion_correlation[best_offset]),
                motion_share,
            )

    def refine_match(self, match: AlteredMatch) -> AlteredMatch:
        """Return the match with the crop and the speed that fit best."""
        alteration = match.alteration
        speed = alteration.speed
        start_row = int(np.searchsorted(self.copy_times, match.copy_start - 1e-6))
        copy_rows = (start_row + np.arange(len(self.source_vectors)) / speed).astype(int)
        copy_rows = copy_rows[copy_rows < len(self.copy_frames)]
        source_vectors = _turn_cells(
            self.source_vectors, alteration.is_mirrored, alteration.rotation_degrees
        )
        crop = find_best_crop(source_vectors[: len(copy_rows)], self.copy_frames[copy_rows])
        if match.is_still:
            return max((match, *self.iter_matches(alteration, [speed], crop)), key=_rate_match)
        near_speeds = {
            *(speed * factor for factor in SPEED_REFINEMENTS),
            *(likely for likely in self.likely_speeds if abs(likely / speed - 1) < NEAR_SPEED),
        }
        matches = [
            match,
            *self.iter_matches(
                alteration,
                (near for near in near_speeds if 1 / MAX_SPEED <= near <= MAX_SPEED),
                crop,
            ),
        ]
        best_match = max(matches, key=_rate_match)
        likely_matches = (
            near_match
            for near_match in matches
            if near_match.alteration.speed in self.likely_speeds
            and near_match.total_correlation >= best_match.total_correlation - LIKELY_SPEED_GAIN
        )
        return max(likely_matches, key=_rate_match, default=best_match)


def _rate_match(match: AlteredMatch) -> float:
    return match.total_correlation


def _turn_cells(cell_vectors: CellVectors, is_mirrored: bool, degrees: int) -> CellVectors:
    """Mirror cells horizontally, then turn them clockwise."""
    cells = cell_vectors.reshape(-1, CELL_GRID_SIZE, CELL_GRID_SIZE)
    if is_mirrored:
        cells = cells[:, :, ::-1]
    return np.rot90(cells, -degrees // 90, axes=(1, 2)).reshape(len(cells), -1)


def _best_probe_score(similarities: CellVectors, probe_positions: Times) -> float:
    """Return the best mean similarity over all starts in the copy.

    Args:
        similarities: Of probe frames and copy frames, float32 (P, N).
        probe_positions: Frames of the copy between its start and each probe frame, (P,).
    """
    frame_offsets = probe_positions.astype(int)
    start_count = similarities.shape[1] - int(frame_offsets[-1])
    if start_count < 1:
        return -1.0
    starts = np.arange(start_count)[:, None]
    return float(
        similarities[np.arange(len(frame_offsets)), starts + frame_offsets].mean(axis=1).max()
    )
