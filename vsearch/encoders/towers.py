"""The two networks of the embedded model, loaded on first use."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.encoders import engine, grown
from vsearch.encoders.pictures import crop_to_square
from vsearch.encoders.shipped import read_verified
from vsearch.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vsearch.types import Images, Matrix

log = logging.getLogger(__name__)

TOKENS = 256  # of a text; the rest is cut off, as in all-MiniLM-L6-v2's own pipeline
BESIDE = 8  # texts at once: the readings of a query take little longer than one of them


@dataclass(frozen=True, slots=True)
class Tier:
    """An image tower in the package."""

    files: tuple[str, ...]  # its graph, then those that the graph borrows arrays from
    int8: tuple[str, ...]  # the same for int8 arithmetic, see `grown.py`
    size: int  # pixels: the side of the square that it sees

    @property
    def all_files(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.files, *self.int8)))


TIERS = {
    "": Tier(("image.onnx",), ("image-int8.npz", "image.onnx"), 224),
    "fast": Tier(("fast.onnx", "image.onnx"), ("fast-int8.npz", "image.onnx"), 128),
}


class ImageTower:
    """CLIP ViT-B/16's image half, or its likeness that sees pictures smaller."""

    dim = 512

    def __init__(self, folder: Path, device: str, tier: Tier = TIERS[""]) -> None:
        self._folder, self._device, self._tier = folder, device, tier
        self._lock = threading.Lock()

    def __call__(self, images: Images) -> Matrix:
        """The centre squares of uint8 (N, H, W, 3) RGB -> float32 (N, 512) of unit length."""
        with self._lock:
            run, size = self._network, self.kind.batch
        found = [np.empty((0, self.dim), np.float32)]
        for start in range(0, len(images), size):
            found.append(run(crop_to_square(images[start : start + size], self._tier.size)))
        return unit(np.concatenate(found))

    @cached_property
    def kind(self) -> engine.Kind:
        """How it is run. Raises ModelError for a device that is not there."""
        return engine.choose(self._device)

    @cached_property
    def _network(self) -> Callable[[Images], Matrix]:
        if self.kind is engine.INT8_OPENVINO:
            try:
                return engine.openvino(self._graph())
            except WeightsError:
                raise
            except Exception as error:  # whatever is wrong with it, there is another way
                log.warning(
                    "OpenVINO is installed but cannot run the embedded model (%s); ONNX Runtime "
                    "does, a little slower",
                    str(error).strip().partition("\n")[0] or type(error).__name__,
                )
                self.kind = engine.INT8_ORT
        run = engine.onnx_runtime(self._graph(), self.kind)
        return lambda images: run({"images": images})

    def _graph(self) -> engine.Graph:
        """The network's graph, and the files that it borrows from, verified."""
        files = self._tier.int8 if self.kind.precision == "int8" else self._tier.files
        first, *others = (read_verified(name, self._folder) for name in files)
        lenders = dict(zip(files[1:], others, strict=True))
        if self.kind.precision == "int8":
            first, lenders[grown.GROWN] = grown.read(first, lenders["image.onnx"])
        return engine.Graph(first, lenders)


class SentenceTower:
    """all-MiniLM-L6-v2 and its tokenizer."""

    dim = 384

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Matrix:
        """N texts -> float32 (N, 384) of unit length."""
        with self._lock:
            tokenizer, run = self._tokenizer, self._network
        found = [np.empty((0, self.dim), np.float32)]
        for start in range(0, len(texts), BESIDE):
            known = [tokenizer.encode(text).ids for text in texts[start : start + BESIDE]]
            found.append(run(_padded(known)))
        return unit(np.concatenate(found))

    def rank(self, word: str) -> int | None:
        """How common a word is, 0 the most; None if it is not known as a whole.

        BERT's WordPiece vocabulary lists words by how often they occur.
        """
        with self._lock:
            tokenizer = self._tokenizer
        known: int | None = tokenizer.token_to_id(word)
        return known

    @cached_property
    def _network(self) -> Callable[[dict[str, Any]], Matrix]:
        return engine.onnx_runtime(engine.Graph(read_verified("text.onnx", self._folder)))

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer  # deferred: pictures need none

        tokenizer = Tokenizer.from_str(read_verified("tokenizer.json", self._folder).decode())
        tokenizer.enable_truncation(TOKENS)
        tokenizer.no_padding()
        return tokenizer


def _padded(known: Sequence[Sequence[int]]) -> dict[str, npt.NDArray[np.int64]]:
    """Ids of N texts and what of them is text, int64 (N, T): the rest is masked."""
    ids = np.zeros((len(known), max(map(len, known))), np.int64)
    mask = np.zeros_like(ids)
    for row, kept, own in zip(ids, mask, known, strict=True):
        row[: len(own)], kept[: len(own)] = own, 1
    return {"ids": ids, "mask": mask}


def unit(rows: npt.NDArray[np.float32]) -> Matrix:
    """Rows scaled to length 1; a row of zeros stays one."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Matrix = (rows / np.maximum(length, 1e-12)).astype(np.float32)
    return scaled
