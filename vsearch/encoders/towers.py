"""The two networks of the embedded model, run by ONNX Runtime and loaded on first use."""

from __future__ import annotations

import threading
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

SIZE = 224  # pixels
BATCH = 8  # images at once: more is no faster on a CPU and takes more memory
TOKENS = 256  # of a text; the rest is cut off, as in all-MiniLM-L6-v2's own pipeline


class ImageTower:
    """CLIP ViT-B/16's image half."""

    dim = 512

    def __init__(self, folder: Path, device: str) -> None:
        self._folder, self._device = folder, device
        self._lock = threading.Lock()

    def __call__(self, images: Images) -> Matrix:
        """The centre squares of uint8 (N, H, W, 3) RGB -> float32 (N, 512) of unit length."""
        with self._lock:
            session = self._session
        found = [np.empty((0, self.dim), np.float32)]
        for start in range(0, len(images), BATCH):
            batch = crop_to_square(images[start : start + BATCH], SIZE)
            found.append(session.run(None, {"images": batch})[0])
        return unit(np.concatenate(found))

    @cached_property
    def _session(self) -> Any:
        return _session(self._folder, "image.onnx", self._device)


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

    @cached_property
    def _session(self) -> Any:
        return _session(self._folder, "text.onnx", "cpu")

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


def _session(folder: Path, name: str, device: str) -> Any:
    """A network ready to run, on CUDA if ONNX Runtime was built for it and may use it."""
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
    return onnxruntime.InferenceSession(read_verified(name, folder), options, providers=providers)
