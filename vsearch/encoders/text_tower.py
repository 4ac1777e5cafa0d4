"""Pictures by one model, words by another: a library keeps its vectors and hears better.

The embedded model's pictures are those of CLIP ViT-B/16, centred: x is stored as s = unit(x − c).
CLIP's own words t mean t·x, and t·x = t·c + |x − c| t·s. The first part is the same for every
picture and |x − c| varies little, so t as it is ranks the stored vectors almost as CLIP would have.
On 662 frames of 57 clips |x − c| is 0.74 ± 0.07; for 57 directions made from captions both orders
have a rank correlation of 0.998 (0.997 for random directions), 52 find the same clip first, and 9.3
of the first ten clips are the same. Without what all texts have in common it would be 0.77.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.encoders.notes import Notes
from vsearch.errors import ModelError, NoTextError, SpaceMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vsearch.protocols import Encoder
    from vsearch.types import Images, Matrix

log = logging.getLogger(__name__)

PROBES, SIDE = 8, 224  # pictures that tell two models apart, and their pixels
AGREED = 0.5  # one space in two precisions: over 0.7; two spaces: within 0.1 of nothing


class TextTower:
    """An `Encoder`: space and pictures of one model, words of another that is loaded for them."""

    def __init__(self, pictures: Encoder, name: str, load: Callable[[], Encoder]) -> None:
        """`name` is what the user calls the model of the words, `load` makes it."""
        self.space = replace(pictures.space, speaks_text=True)
        self.image_size = pictures.image_size
        self._pictures, self._name, self._load = pictures, name, load
        self._words: Encoder | None = None
        self._lock = threading.Lock()

    def encode_images(self, images: Images) -> Matrix:
        """uint8 (N, H, W, 3) RGB of any size -> float32 (N, D), rows of unit length."""
        return self._pictures.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """N texts -> float32 (N, D), rows of unit length.

        Raises ModelError if there is no such model, NoTextError if it reads no words and
        SpaceMismatchError if its vectors are of another length.
        """
        with self._lock:
            if self._words is None:
                self._words = self._checked(self._load())
        return self._words.encode_texts(texts)

    def _checked(self, words: Encoder) -> Encoder:
        if not words.space.speaks_text:
            raise NoTextError(
                f"the text model {self._name} understands pictures only: leave --text-model out, "
                "or name one that reads words (openclip:ARCH/TAG)"
            )
        if words.space.dim != self.space.dim:
            raise SpaceMismatchError(
                f"the text model {self._name} gives vectors of {words.space.dim} numbers, but "
                f"those of {self.space.name} have {self.space.dim}: name the text model that "
                "belongs to it (openclip:ViT-B-16/openai for the embedded one), or leave "
                "--text-model out"
            )
        found = _noted_agreement(self._pictures, words)
        if found is not None and found < AGREED:
            log.warning(
                "The pictures of the text model %s are not those of %s (agreement %.2f of 1): what "
                "is found by words may mean nothing. Name the text model that belongs to it, or "
                "leave --text-model out.",
                self._name, self.space.name, found,
            )  # fmt: skip
        return words


def _noted_agreement(pictures: Encoder, words: Encoder) -> float | None:
    """The agreement, measured once for two models on this machine."""
    if pictures.space.name == words.space.name:
        return 1.0
    key, notes = f"{pictures.space.name} {words.space.name}", Notes()
    known = notes.get("agreement", key)
    if isinstance(known, float):
        return known
    found = agreement(pictures, words)
    if found is not None:
        notes.put("agreement", key, found)
    return found


def agreement(one: Encoder, other: Encoder) -> float | None:
    """How far two models put the same pictures in the same place: 1 entirely, 0 not at all.

    The correlation of their vectors once each model's mean is taken away, so that it does not
    matter whether one of them is centred. Similarities among pictures would not do: they are the
    same in a space that is turned. None if the other model encodes no pictures.
    """
    images = _probes()
    try:
        theirs = other.encode_images(images)
    except (ModelError, NoTextError, NotImplementedError):
        return None
    a, b = (rows - rows.mean(axis=0) for rows in (one.encode_images(images), theirs))
    return float((a * b).sum() / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))


def _probes() -> Images:
    """uint8 (8, 224, 224, 3): discs, squares, stripes and noise on gradients."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0 : 1 : SIDE * 1j, 0 : 1 : SIDE * 1j]
    pictures = []
    for number in range(PROBES):
        start, right, down, colour = random.uniform(0, 255, (4, 3))
        across, along, radius = random.uniform((0.3, 0.3, 0.1), (0.7, 0.7, 0.3))
        shapes = (
            (x - across) ** 2 + (y - along) ** 2 < radius**2,
            np.maximum(abs(x - across), abs(y - along)) < radius,
            np.sin(40 * (x * across + y * along)) > 0,
            random.random((SIDE, SIDE)) < radius,
        )
        picture = start + (right - start) * x[..., None] + (down - start) * y[..., None] / 2
        pictures.append(np.where(shapes[number % 4][..., None], colour, picture))
    probes: Images = np.clip(pictures, 0, 255).astype(np.uint8)
    return probes
