"""A trained classifier judges videos by their stored frames. No torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from vsearch.analysis.labels import Label
from vsearch.errors import DamagedLibraryError, SpaceMismatchError
from vsearch.temporal.forward import Forward
from vsearch.temporal.weights import Weights
from vsearch.types import Features

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.types import Matrix, Segment, Space, Video
    from vsearch.vectors.features import FeatureStore

LONGEST = 64  # frames of a clip
REMEDY = "name a classifier.npz that `vsearch train classifier` made, or train one anew"


class Trained:
    """Gives the segments of a video probabilities. A `tagging.Labeller`."""

    def __init__(self, weights: Weights, store: FeatureStore, space: Space, path: Path) -> None:
        """Raises DamagedLibraryError and SpaceMismatchError; `path` is where they came from."""
        about = weights.about
        names, name, sharp = (about.get(each) for each in ("labels", "name", "temperature"))
        if not (
            _are_labels(names, weights.config.num_classes)
            and isinstance(name, str)
            and isinstance(sharp, float)
            and 0 < sharp < math.inf
        ):
            raise DamagedLibraryError(f"{path} does not say which labels it knows; {REMEDY}")
        if (about.get("space"), weights.config.features) != (space.name, space.dim):
            raise SpaceMismatchError(
                f"{path} was trained on {about.get('space')}, and the library answers by "
                f"{space.name}: use the model it was trained with (`vsearch model use`), or train "
                "a classifier anew"
            )
        self.names: tuple[str, ...] = tuple(names or ())
        self.source, self.model = f"classifier {name}", space.name
        self._forward, self._store, self._space = Forward(weights), store, space
        self._temperature = sharp

    @classmethod
    def load(cls, path: Path, store: FeatureStore, space: Space) -> Trained:
        """What `vsearch train classifier` saved."""
        return cls(Weights.load(path, "classifier", REMEDY), store, space, path)

    def judge(self, video: Video, segments: Sequence[Segment], _vectors: Matrix, /) -> Matrix:
        """Probabilities, float32 (S, K). Raises DamagedLibraryError for lost features."""
        features = self._store.load(video.id, self._space)
        clips = (thinned(features.within(segment.span)) for segment in segments)
        return softened(
            np.stack([self._forward.logits(clip.matrix, clip.times) for clip in clips]),
            self._temperature,
        )


def _are_labels(names: object, count: int) -> bool:
    """Whether these are the labels of so many outcomes, each another one."""
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        return False
    try:
        folded = {Label(each).name.casefold() for each in names}
    except ValueError:
        return False
    return 0 < len(folded) == len(names) == count


def thinned(features: Features, longest: int = LONGEST) -> Features:
    """At most so many frames, evenly drawn."""
    if len(features.times) <= longest:
        return features
    chosen = np.linspace(0, len(features.times) - 1, longest).round().astype(int)
    return Features(features.space, features.matrix[chosen], features.times[chosen])


def softened(logits: Matrix, temperature: float) -> Matrix:
    """Logits (N, K) as probabilities."""
    scaled = logits.astype(np.float64) / temperature
    raised = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    chances: Matrix = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
    return chances
