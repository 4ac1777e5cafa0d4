"""The embedded model: CLIP ViT-B/16's image tower and a sentence encoder aligned to it.

Where the weights come from and how well they do is in `weights/MODEL_CARD.md`.
"""

from __future__ import annotations

import hashlib
import io
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vsearch.encoders.shipped import FOLDER, digests, read_verified
from vsearch.encoders.towers import SIZE, ImageTower, SentenceTower, unit
from vsearch.errors import UnknownPluginError
from vsearch.types import Space

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.types import Images, Matrix, Vector


class BuiltinEncoder:
    """Images and texts in the 512-d space of CLIP ViT-B/16 (Radford et al. 2021), centred.

    CLIP's pictures all lie in one narrow cone; without their mean they spread, unrelated ones have
    a similarity near 0, and the nearest neighbours are better (measured in MODEL_CARD.md).
    """

    def __init__(self, argument: str = "", *, device: str = "auto", weights: Path = FOLDER) -> None:
        """Raises UnknownPluginError for an argument and WeightsError for missing weights."""
        if argument:
            raise UnknownPluginError(
                f"the embedded model has no variant {argument!r}; use --model builtin"
            )
        self._weights = weights
        self._see, self._read = ImageTower(weights, device), SentenceTower(weights)
        self.space = Space(_space_name(weights), ImageTower.dim, speaks_text=True)
        self.image_size = SIZE

    def encode_images(self, images: Images) -> Matrix:
        """uint8 (N, H, W, 3) RGB -> float32 (N, 512), rows of unit length.

        The short side is brought to 224 pixels and the centre square is seen, as in CLIP.
        """
        return unit(self._see(images) - self._centre)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """N texts -> float32 (N, 512), rows of unit length."""
        matrix, bias = self._map
        return unit(self._read(texts) @ matrix + bias)

    @cached_property
    def _centre(self) -> Vector:
        """The mean of pictures, float32 (512,)."""
        data = io.BytesIO(read_verified("centre.npy", self._weights))
        centre: Vector = np.load(data, allow_pickle=False)
        return centre

    @cached_property
    def _map(self) -> tuple[Matrix, Vector]:
        """From sentences to pictures: float32 (384, 512) and (512,)."""
        data = io.BytesIO(read_verified("alignment.npz", self._weights))
        with np.load(data, allow_pickle=False) as arrays:
            return arrays["matrix"], arrays["bias"]


def _space_name(weights: Path) -> str:
    """Pictures alone make the space: a better text side needs no new index."""
    known = digests(weights)
    both = known.get("image.onnx", "") + known.get("centre.npy", "")
    return f"clip-vit-b-16-{hashlib.sha256(both.encode()).hexdigest()[:8]}"
