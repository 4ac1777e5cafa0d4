"""The embedded model: CLIP ViT-B/16's image tower and a sentence encoder aligned to it.

Where the weights come from and how well they do is in `weights/MODEL_CARD.md`.
"""

from __future__ import annotations

import hashlib
import io
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vsearch.encoders.shipped import FOLDER, digests, read_verified
from vsearch.encoders.towers import TIERS, ImageTower, SentenceTower, unit
from vsearch.encoders.wording import DESCRIPTION, readings
from vsearch.errors import UnknownPluginError
from vsearch.types import Space

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vsearch.types import Images, Matrix, Vector

SHARED = ("centre.npy", "text.onnx", "tokenizer.json", "alignment.npz")  # by both tiers


class BuiltinEncoder:
    """Images and texts in the 512-d space of CLIP ViT-B/16 (Radford et al. 2021), centred.

    CLIP's pictures all lie in one narrow cone; without their mean they spread, unrelated ones have
    a similarity near 0, and the nearest neighbours are better (measured in MODEL_CARD.md).
    """

    prompt = DESCRIPTION
    variants: ClassVar = {name: (*tier.all_files, *SHARED) for name, tier in TIERS.items()}

    def __init__(self, argument: str = "", *, device: str = "auto", weights: Path = FOLDER) -> None:
        """Raises UnknownPluginError for an argument and WeightsError for missing weights."""
        if argument not in TIERS:
            raise UnknownPluginError(
                f"the embedded model has no tier {argument!r}; use --model builtin or "
                "--model builtin:fast"
            )
        tier = TIERS[argument]
        self._weights = weights
        self._see, self._read = ImageTower(weights, device, tier), SentenceTower(weights)
        self.space = Space(_space_name(weights), ImageTower.dim, speaks_text=True)
        self.image_size = tier.size
        self.text_digest = _digest("text.onnx", "alignment.npz", weights=weights)

    @property
    def precision(self) -> str:
        """What is computed in; texts always in float32."""
        return f"{self._see.kind.precision}; matrices stored as int8"

    def encode_images(self, images: Images) -> Matrix:
        """uint8 (N, H, W, 3) RGB -> float32 (N, 512), rows of unit length.

        The short side is brought to 224 pixels, in the fast tier to 128, and the centre square is
        seen, as in CLIP.
        """
        return self.centred(self._see(images))

    def centred(self, pictures: Matrix) -> Matrix:
        """CLIP's own features, float32 (N, 512), in this space: less their mean, unit length."""
        return unit(pictures - self._centre)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """N texts -> float32 (N, 512), rows of unit length.

        Each is the mean of the ways it may have been meant, see `wording`.
        """
        found = [self._mapped(readings(text, self._read.rank)).mean(axis=0) for text in texts]
        return unit(np.stack([np.zeros(self.space.dim, np.float32), *found])[1:])

    def _mapped(self, texts: Sequence[str]) -> Matrix:
        """N texts, each as it is -> float32 (N, 512), rows of unit length."""
        text_side = self._text_side
        return unit(self._read(texts) @ text_side["matrix"] + text_side["bias"])

    @property
    def querybank(self) -> Matrix:
        """Generic queries, float32 (B, 512) of unit length; see `search.querybank`."""
        return self._text_side["bank"].astype(np.float32)

    @cached_property
    def _centre(self) -> Vector:
        """The mean of pictures, float32 (512,)."""
        data = io.BytesIO(read_verified("centre.npy", self._weights))
        centre: Vector = np.load(data, allow_pickle=False)
        return centre

    @cached_property
    def _text_side(self) -> dict[str, npt.NDArray[Any]]:
        """From sentences to pictures: matrix (384, 512), bias (512,), and bank (B, 512)."""
        data = io.BytesIO(read_verified("alignment.npz", self._weights))
        with np.load(data, allow_pickle=False) as arrays:
            return dict(arrays)


def _space_name(weights: Path) -> str:
    """Pictures alone make the space: a better text side needs no new index."""
    return f"clip-vit-b-16-{_digest('image.onnx', 'centre.npy', weights=weights)}"


def _digest(*names: str, weights: Path) -> str:
    """One short digest of several weight files."""
    known = digests(weights)
    joined = "".join(known.get(name, "") for name in names)
    return hashlib.sha256(joined.encode()).hexdigest()[:8]
