"""The two networks of the embedded model, run by ONNX Runtime and loaded on first use."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.encoders.pictures import crop_to_square
from vsearch.encoders.shipped import read_verified
from vsearch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vsearch.types import Images, Matrix

BATCH = 8  # images at once: more is no faster on a CPU and takes more memory
TOKENS = 256  # of a text; the rest is cut off, as in all-MiniLM-L6-v2's own pipeline


@dataclass(frozen=True, slots=True)
class Tier:
    """An image tower in the package."""

    files: tuple[str, ...]  # its graph, then those that the graph borrows arrays from
    size: int  # pixels: the side of the square that it sees


TIERS = {"": Tier(("image.onnx",), 224), "fast": Tier(("fast.onnx", "image.onnx"), 128)}


class ImageTower:
    """CLIP ViT-B/16's image half, or its likeness that sees pictures smaller."""

    dim = 512

    def __init__(self, folder: Path, device: str, tier: Tier = TIERS[""]) -> None:
        self._folder, self._device, self._tier = folder, device, tier
        self._lock = threading.Lock()

    def __call__(self, images: Images) -> Matrix:
        """The centre squares of uint8 (N, H, W, 3) RGB -> float32 (N, 512) of unit length."""
        with self._lock:
            session = self._session
        found = [np.empty((0, self.dim), np.float32)]
        for start in range(0, len(images), BATCH):
            batch = crop_to_square(images[start : start + BATCH], self._tier.size)
            found.append(session.run(None, {"images": batch})[0])
        return unit(np.concatenate(found))

    @cached_property
    def _session(self) -> Any:
        return _session(self._folder, self._tier.files, self._device)


class SentenceTower:
    """all-MiniLM-L6-v2 and its tokenizer."""

    dim = 384

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Matrix:
        """N texts -> float32 (N, 384) of unit length."""
        with self._lock:
            tokenizer, session = self._tokenizer, self._session
        found = [np.empty((0, self.dim), np.float32)]
        for text in texts:  # one at a time: no padding, so neighbours cannot change a vector
            ids = np.array([tokenizer.encode(text).ids], np.int64)
            found.append(session.run(None, {"ids": ids, "mask": np.ones_like(ids)})[0])
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
    def _session(self) -> Any:
        return _session(self._folder, ("text.onnx",), "cpu")

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer  # deferred: pictures need none

        tokenizer = Tokenizer.from_str(read_verified("tokenizer.json", self._folder).decode())
        tokenizer.enable_truncation(TOKENS)
        tokenizer.no_padding()
        return tokenizer


def unit(rows: npt.NDArray[np.float32]) -> Matrix:
    """Rows scaled to length 1; a row of zeros stays one."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Matrix = (rows / np.maximum(length, 1e-12)).astype(np.float32)
    return scaled


def _session(folder: Path, files: Sequence[str], device: str) -> Any:
    """A network ready to run, on CUDA if ONNX Runtime was built for it and may use it.

    The first file is its graph, the others hold arrays that the graph borrows.
    """
    import onnxruntime  # deferred: asking for the space must not cost 300 ms

    providers = ["CPUExecutionProvider"]
    if device != "cpu" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers.insert(0, "CUDAExecutionProvider")
    elif device not in ("auto", "cpu"):
        raise ModelError(
            f"the embedded model cannot run on {device!r} here: ONNX Runtime offers "
            f"{', '.join(onnxruntime.get_available_providers())}; leave --device out"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # int8 matrices become float32 ones once, at load, instead of int8 arithmetic at every step
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    # idle threads sleep: the other core is decoding
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    graph, *lenders = (read_verified(name, folder) for name in files)
    if lenders:
        sizes = [len(data) for data in lenders]
        options.add_external_initializers_from_files_in_memory(list(files[1:]), lenders, sizes)
    return onnxruntime.InferenceSession(graph, options, providers=providers)
