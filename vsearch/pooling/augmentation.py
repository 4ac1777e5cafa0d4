"""Augmentation of clips with distractor frames in feature space; nothing is decoded.

Distractors are inserted into a clip and no frame is removed, so the clean clip stays the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from vsearch.types import Matrix, Times

RandomGenerator: TypeAlias = np.random.Generator
FrameMask: TypeAlias = npt.NDArray[np.bool_]  # (T,)
DistractorKind: TypeAlias = Literal["image", "neighbor", "repeat", "degraded"]
DISTRACTOR_KINDS: tuple[DistractorKind, ...] = (  # sampled uniformly
    "image",
    "image",
    "neighbor",
    "neighbor",
    "repeat",
    "degraded",
)
MAX_RUN_FRAMES = 8  # longest run of distractors
NOISE_NORM = 0.15  # of the noise between frames of a still image


@dataclass(frozen=True, slots=True, eq=False)
class AugmentedClip:
    """Frame vectors, their times and which of them are clean."""

    frame_vectors: Matrix  # float32 (T, D), rows of unit length
    frame_times: Times  # float64 (T,) seconds
    clean_mask: FrameMask  # bool (T,)

    @classmethod
    def from_frames(cls, frame_vectors: Matrix, frame_times: Times) -> AugmentedClip:
        """Return a clip whose frames are all clean.

        Args:
            frame_vectors: Float32 (T, D), rows of unit length.
            frame_times: Float64 (T,) seconds.
        """
        return cls(frame_vectors, frame_times, np.ones(len(frame_vectors), np.bool_))

    @property
    def target_vector(self) -> Matrix:
        """The mean of the clean frames, float32 (D,) of unit length."""
        mean_vector = self.frame_vectors[self.clean_mask].mean(axis=0)
        unit_vector: Matrix = (mean_vector / max(float(np.linalg.norm(mean_vector)), 1e-9)).astype(
            np.float32
        )
        return unit_vector


def mix_with_distractors(
    clean_clip: AugmentedClip,
    other_frames: Matrix,
    distractors: Matrix,
    distractor_share: float,
    rng: RandomGenerator,
) -> AugmentedClip:
    """Insert distractor frames into a clip.

    Args:
        clean_clip: The clip.
        other_frames: Frames of another clip, float32 (N, D).
        distractors: Distractor images, float32 (M, D).
        distractor_share: Share of distractors in the result, in [0, 1); at least one frame.
        rng: Random generator.

    Returns:
        The longer clip.

    Raises:
        ValueError: If the share is out of range.
    """
    if not 0 <= distractor_share < 1:
        raise ValueError(f"the distractor share must be in [0, 1), not {distractor_share}")
    frame_rows, clean_flags = list(clean_clip.frame_vectors), [True] * len(clean_clip.frame_vectors)
    frames_left = max(1, round(distractor_share / (1 - distractor_share) * len(frame_rows)))
    while frames_left:
        run_length = min(frames_left, int(rng.integers(1, MAX_RUN_FRAMES + 1)))
        distractor_kind = DISTRACTOR_KINDS[int(rng.integers(0, len(DISTRACTOR_KINDS)))]
        insert_index, distractor_run = _make_distractor_run(
            distractor_kind, frame_rows, clean_flags, other_frames, distractors, run_length, rng
        )
        frame_rows[insert_index:insert_index] = list(distractor_run)
        clean_flags[insert_index:insert_index] = [False] * len(distractor_run)
        frames_left -= len(distractor_run)
    frame_interval = (
        float(np.median(np.diff(clean_clip.frame_times)))
        if len(clean_clip.frame_times) > 1
        else 1.0
    )
    frame_times = clean_clip.frame_times[0] + frame_interval * np.arange(len(frame_rows))
    return AugmentedClip(
        np.stack(frame_rows).astype(np.float32), frame_times, np.array(clean_flags)
    )


def _make_distractor_run(
    distractor_kind: DistractorKind,
    frame_rows: list[Matrix],
    clean_flags: list[bool],
    other_frames: Matrix,
    distractors: Matrix,
    run_length: int,
    rng: RandomGenerator,
) -> tuple[int, Matrix]:
    """Return the position and the vectors (1 to `run_length`, D) of a run of distractors."""
    clean_indices = [frame_index for frame_index, is_clean in enumerate(clean_flags) if is_clean]
    anchor_index = clean_indices[int(rng.integers(0, len(clean_indices)))]
    distractor_image = distractors[int(rng.integers(0, len(distractors)))]
    if distractor_kind == "repeat":  # frozen frame
        return anchor_index + 1, np.repeat(frame_rows[anchor_index][None], run_length, axis=0)
    if distractor_kind == "degraded":  # out of focus or overexposed
        kept_share = rng.uniform(0.15, 0.6)
        return anchor_index + int(rng.integers(0, 2)), _normalize_rows(
            kept_share * frame_rows[anchor_index][None]
            + (1 - kept_share) * _add_grain(distractor_image, run_length, rng)
        )
    if distractor_kind == "neighbor":  # the end of the previous shot, or the start of the next one
        first_index = int(rng.integers(0, max(1, len(other_frames) - run_length + 1)))
        return (0 if rng.random() < 0.5 else len(frame_rows)), other_frames[
            first_index : first_index + run_length
        ]
    return int(rng.integers(0, len(frame_rows) + 1)), _add_grain(distractor_image, run_length, rng)


def _add_grain(distractor_image: Matrix, run_length: int, rng: RandomGenerator) -> Matrix:
    """Repeat an image (D,) with noise: (`run_length`, D)."""
    noise_vectors = rng.normal(size=(run_length, len(distractor_image))) * (
        NOISE_NORM / np.sqrt(len(distractor_image))
    )
    return _normalize_rows(distractor_image + noise_vectors)


def _normalize_rows(row_vectors: npt.NDArray[np.float64]) -> Matrix:
    unit_vectors: Matrix = row_vectors / np.maximum(
        np.linalg.norm(row_vectors, axis=1, keepdims=True), 1e-9
    )
    return unit_vectors.astype(np.float32)
