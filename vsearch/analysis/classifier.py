"""Classification of videos from stored frame features by a trained classifier, without torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from vsearch.analysis.labels import Label
from vsearch.errors import DamagedLibraryError, SpaceMismatchError
from vsearch.pooling.numpy_transformer import NumpyTransformer
from vsearch.pooling.weights import NetworkWeights
from vsearch.types import Features

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import Matrix, Segment, Space, Video

MAX_CLIP_FRAMES = 64
FIX_HINT = "pass a classifier.npz from `vsearch train classifier`, or train a new one"


class TrainedClassifier:
    """A `SegmentClassifier` with weights from `vsearch train classifier`."""

    def __init__(
        self, weights: NetworkWeights, feature_store: FeatureStore, space: Space, weights_path: Path
    ) -> None:
        """Use trained weights.

        Args:
            weights: Weights of a classifier.
            feature_store: Stored frame features of the library.
            space: Space of the library.
            weights_path: File of the weights, for messages.

        Raises:
            DamagedLibraryError: If the metadata of the weights are invalid.
            SpaceMismatchError: If the classifier was trained in another space.
        """
        trained_space, label_names, name, temperature = (
            weights.metadata.get(key) for key in ("space", "labels", "name", "temperature")
        )
        if not (
            _are_valid_labels(label_names, weights.network_config.num_classes)
            and isinstance(name, str)
            and isinstance(temperature, float)
            and 0 < temperature < math.inf
        ):
            raise DamagedLibraryError(f"{weights_path} has no valid metadata; {FIX_HINT}")
        if (trained_space, weights.network_config.features) != (space.name, space.dim):
            raise SpaceMismatchError(
                f"{weights_path} was trained in {trained_space}, but the library uses "
                f"{space.name}: use the model it was trained with (`vsearch model switch`), or "
                "train a new classifier"
            )
        self.label_names: tuple[str, ...] = tuple(label_names or ())
        self.source, self.model = f"classifier {name}", space.name
        self._network, self._temperature = NumpyTransformer(weights), temperature
        self._feature_store, self._space = feature_store, space

    @classmethod
    def load(
        cls, weights_path: Path, feature_store: FeatureStore, space: Space
    ) -> TrainedClassifier:
        """Load a classifier.npz that `vsearch train classifier` saved.

        Args:
            weights_path: The file.
            feature_store: Stored frame features of the library.
            space: Space of the library.

        Returns:
            The classifier.

        Raises:
            DamagedLibraryError: If the file cannot be read.
            SpaceMismatchError: If the classifier was trained in another space.
        """
        weights = NetworkWeights.load(weights_path, "classifier", FIX_HINT)
        return cls(weights, feature_store, space, weights_path)

    def predict(self, video: Video, segments: Sequence[Segment], _vectors: Matrix, /) -> Matrix:
        """Classify the segments of a video.

        Args:
            video: The video.
            segments: Its S segments.

        Returns:
            Probabilities, float32 (S, K).

        Raises:
            DamagedLibraryError: If the frame features are missing.
        """
        frame_features = self._feature_store.load(video.id, self._space)
        clips = (subsample_frames(frame_features.within(segment.span)) for segment in segments)
        logits = [
            self._network.compute_logits(clip.frame_vectors, clip.frame_times) for clip in clips
        ]
        return softmax_with_temperature(np.stack(logits), self._temperature)


def _are_valid_labels(label_names: object, class_count: int) -> bool:
    """Return whether the value is a list of distinct label names, one per class."""
    if not isinstance(label_names, list) or not all(isinstance(name, str) for name in label_names):
        return False
    try:
        folded_names = {Label(name).name.casefold() for name in label_names}
    except ValueError:
        return False
    return 0 < len(folded_names) == len(label_names) == class_count


def subsample_frames(frame_features: Features, max_frames: int = MAX_CLIP_FRAMES) -> Features:
    """Return at most `max_frames` frames, evenly sampled.

    Args:
        frame_features: Features of a clip.
        max_frames: Largest number of frames.
    """
    vectors, times = frame_features.frame_vectors, frame_features.frame_times
    if len(times) <= max_frames:
        return frame_features
    rows = np.linspace(0, len(times) - 1, max_frames).round().astype(int)
    return Features(frame_features.space, vectors[rows], times[rows])


def softmax_with_temperature(logits: Matrix, temperature: float) -> Matrix:
    """Convert logits to probabilities.

    Args:
        logits: Logits, float32 (N, K).
        temperature: Divides the logits.

    Returns:
        Probabilities, float32 (N, K).
    """
    scaled_logits = logits.astype(np.float64) / temperature
    exponentials = np.exp(scaled_logits - scaled_logits.max(axis=1, keepdims=True))
    probabilities: Matrix = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(
        np.float32
    )
    return probabilities
