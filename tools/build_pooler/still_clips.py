"""Synthetic clips of still images: the training data of the bundled pooler."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.pooling.augmentation import AugmentedClip
from vsearch.training.clip_dataset import PoolerExample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from vsearch.pooling.augmentation import RandomGenerator
    from vsearch.types import Matrix

MAX_CLIP_FRAMES = 20
SCENE_COUNT_PROBABILITIES = (0.9, 0.1)  # of one scene and of two
VALIDATION_CLIPS = 256


class StillClips:
    """A `ClipSource` of images that change as if a camera moved over them.

    A frame is the vector of an image plus part of the difference to its crop and to another image.
    """

    def __init__(self, scene_arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Use the arrays that `encode_scenes` wrote."""
        is_train = scene_arrays["train"]
        self._image_vectors, self._crop_offsets = scene_arrays["whole"], scene_arrays["moved"]
        self._text_vectors = scene_arrays["texts"]
        self._train_rows, self._held_out_rows = np.flatnonzero(is_train), np.flatnonzero(~is_train)
        self.distractors = np.concatenate(
            [scene_arrays["junk"], scene_arrays["spoiled"][is_train]]
        ).astype(np.float32)
        self.digest = hashlib.sha256(
            np.ascontiguousarray(self._image_vectors).tobytes()
        ).hexdigest()

    def sample_clip(self, rng: RandomGenerator) -> PoolerExample:
        """Return a random clip of one or two scenes."""
        return self._build_example(self._train_rows, rng)

    def validation_clips(self) -> Sequence[PoolerExample]:
        """Return clips of held-out images, always the same ones."""
        rng = np.random.default_rng(1)
        return [self._build_example(self._held_out_rows, rng) for _ in range(VALIDATION_CLIPS)]

    def _build_example(
        self, scene_rows: npt.NDArray[np.int64], rng: RandomGenerator
    ) -> PoolerExample:
        scene_count = 1 + int(
            rng.choice(len(SCENE_COUNT_PROBABILITIES), p=SCENE_COUNT_PROBABILITIES)
        )
        chosen_rows = rng.choice(scene_rows, scene_count, replace=False)
        frame_count = max(
            scene_count, int(np.exp(rng.uniform(np.log(2), np.log(MAX_CLIP_FRAMES + 1))))
        )
        cut_frames = np.sort(rng.choice(np.arange(1, frame_count), scene_count - 1, replace=False))
        shot_lengths = np.diff([0, *cut_frames, frame_count])
        shot_frames = [
            self._simulate_shot(int(scene_row), int(shot_length), rng)
            for scene_row, shot_length in zip(chosen_rows, shot_lengths, strict=True)
        ]
        frame_rate = float(rng.choice([0.5, 1.0, 1.0, 2.0, 4.0]))
        clip = AugmentedClip.from_frames(
            np.concatenate(shot_frames), np.arange(frame_count) / frame_rate
        )
        text_vector = self._text_vectors[chosen_rows[0]] if scene_count == 1 else None
        return PoolerExample(clip, text_vector, int(chosen_rows[0]))

    def _simulate_shot(self, scene_row: int, frame_count: int, rng: RandomGenerator) -> Matrix:
        """Return smoothly changing frames of one image, (frame_count, D)."""
        other_rows = rng.choice(len(self._crop_offsets), 3)
        change_directions = self._crop_offsets[[scene_row, *other_rows]]  # (4, D)
        walk_speed = rng.uniform(0.05, 0.8)
        random_walk = np.cumsum(
            rng.normal(0, walk_speed, (frame_count, len(change_directions))), axis=0
        )
        change_amounts = np.abs(np.sin(random_walk + rng.uniform(0, np.pi, len(change_directions))))
        change_amounts *= np.array([1.0, 0.5, 0.5, 0.5]) * rng.uniform(0.2, 1.0)
        frame_vectors: Matrix = (
            self._image_vectors[scene_row] + change_amounts @ change_directions
        ).astype(np.float32)
        frame_vectors /= np.linalg.norm(frame_vectors, axis=1, keepdims=True)
        return frame_vectors
