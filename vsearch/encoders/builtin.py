"""The embedded model: CLIP ViT-B/16's image tower and a sentence encoder aligned to it.

Both run on ONNX Runtime and load on first use, so that a text query never reads the image tower.
Where the weights come from and how well they do is in `weights/MODEL_CARD.md`.
"""

from __future__ import annotations

import hashlib
import io
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vsearch.encoders.pictures import crop_to_square
from vsearch.encoders.shipped import digests, read_verified
from vsearch.errors import ModelError, UnknownPluginError
from vsearch.types import Images, Matrix, Space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Vector

SIZE = 224  # pixels
BATCH = 8  # images at once: more is no faster on a CPU and takes more memory
TOKENS = 256  # of a text; the rest is cut off, as in all-MiniLM-L6-v2's own pipeline


class BuiltinEncoder:
    """Images and texts in the 512-d space of CLIP ViT-B/16 (Radford et al. 2021), centred.

    CLIP's pictures all lie in one narrow cone; without their mean they spread, unrelated ones have
    a similarity near 0, and the nearest neighbours are better (measured in MODEL_CARD.md).
    """

    def __init__(self, argument: str = "", *, device: str = "auto") -> None:
        """Raises UnknownPluginError for an argument and WeightsError for damaged weights."""
        if argument:
            raise UnknownPluginError(
                f"the embedded model has no variant {argument!r}; use --model builtin"
            )
        self._device = device
        self._lock = threading.Lock()
        self.space = Space(_space_name(), 512, speaks_text=True)
        self.image_size = SIZE

    def encode_images(self, images: Images) -> Matrix:
        """uint8 (N, H, W, 3) RGB -> float32 (N, 512), rows of unit length.

        The short side is brought to 224 pixels and the centre square is seen, as in CLIP.
        """
        tower = self._image_tower
        found = [np.empty((0, self.space.dim), np.float32)]
        for start in range(0, len(images), BATCH):
            batch = crop_to_square(images[start : start + BATCH], SIZE)
            found.append(unit(tower.run(None, {"images": batch})[0]) - self._centre)
        return unit(np.concatenate(found))

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """N texts -> float32 (N, 512), rows of unit length."""
        tower, tokenizer = self._text_tower
        found = [np.empty((0, self.space.dim), np.float32)]
        for text in texts:  # one at a time: no padding, so neighbours cannot change a vector
            ids = np.array([tokenizer.encode(text).ids], np.int64)
            sentence = unit(tower.run(None, {"ids": ids, "mask": np.ones_like(ids)})[0])
            found.append(sentence @ self._map["matrix"] + self._map["bias"])
        return unit(np.concatenate(found))

    @property
    def _image_tower(self) -> Any:
        with self._lock:
            return self._loaded_image_tower

    @property
    def _text_tower(self) -> tuple[Any, Any]:
        with self._lock:
            return self._loaded_text_tower

    @cached_property
    def _loaded_image_tower(self) -> Any:
        return _session("image.onnx", self._device)

    @cached_property
    def _loaded_text_tower(self) -> tuple[Any, Any]:
        from tokenizers import Tokenizer  # deferred: an image query needs none

        tokenizer = Tokenizer.from_str(read_verified("tokenizer.json").decode())
        tokenizer.enable_truncation(TOKENS)
        tokenizer.no_padding()
        return _session("text.onnx", "cpu"), tokenizer

    @cached_property
    def _centre(self) -> Vector:
        """The mean of pictures, float32 (512,)."""
        centre: Vector = np.load(io.BytesIO(read_verified("centre.npy")), allow_pickle=False)
        return centre

    @cached_property
    def _map(self) -> dict[str, npt.NDArray[np.float32]]:
        with np.load(io.BytesIO(read_verified("alignment.npz")), allow_pickle=False) as arrays:
            return dict(arrays)


def unit(rows: npt.NDArray[np.float32]) -> Matrix:
    """Rows scaled to length 1; a row of zeros stays one."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Matrix = (rows / np.maximum(length, 1e-12)).astype(np.float32)
    return scaled


def _space_name() -> str:
    """Pictures alone make the space: a better text side needs no new index."""
    known = digests()
    both = known["image.onnx"] + known["centre.npy"]
    return f"clip-vit-b-16-{hashlib.sha256(both.encode()).hexdigest()[:8]}"


def _session(name: str, device: str) -> Any:
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
    return onnxruntime.InferenceSession(read_verified(name), options, providers=providers)
