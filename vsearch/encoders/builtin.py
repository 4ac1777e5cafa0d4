"""The embedded model: CLIP ViT-B/16's image tower and a sentence encoder aligned to it.

It runs on ONNX Runtime or OpenVINO, without torch. Both networks are loaded on first use.
`weights/MODEL_CARD.md` documents the sources and the quality of the weights.
"""

from __future__ import annotations

import hashlib
import io
import logging
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vsearch.encoders import onnx_weights, runtime
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER, read_checksums, read_verified_file
from vsearch.encoders.query_variants import PROMPT_DESCRIPTION, prompt_variants
from vsearch.errors import UnknownPluginError, WeightsError
from vsearch.types import Space

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vsearch.types import Images, Matrix, Vector

log = logging.getLogger(__name__)
MAX_TOKENS = 256  # of a text; the rest is truncated, as in all-MiniLM-L6-v2's own pipeline
TEXT_BATCH = 8  # texts per batch: the variants of a query take little longer than one text
SHARED_FILES = ("centre.npy", "text.onnx", "tokenizer.json", "alignment.npz")  # of both tiers


def crop_to_square(images: Images, side_pixels: int) -> Images:
    """Crop images to the center square.

    Args:
        images: uint8 (N, H, W, 3).
        side_pixels: Side of the square; images are resized if their short side differs.

    Returns:
        uint8 (N, side_pixels, side_pixels, 3).
    """
    image_height, image_width = images.shape[1:3]
    if min(image_height, image_width) != side_pixels:
        return np.stack([_resize_square(image, side_pixels) for image in images])
    crop_top, crop_left = (image_height - side_pixels) // 2, (image_width - side_pixels) // 2
    return np.ascontiguousarray(
        images[:, crop_top : crop_top + side_pixels, crop_left : crop_left + side_pixels]
    )


def _resize_square(image: Images, side_pixels: int) -> Images:
    """Resize the center square of an image (H, W, 3), bicubic with antialiasing as in CLIP."""
    from PIL import Image  # deferred: frames mostly have the right size

    image_height, image_width = image.shape[:2]
    short_side = min(image_height, image_width)
    crop_left, crop_top = (image_width - short_side) / 2, (image_height - short_side) / 2
    crop_box = (crop_left, crop_top, crop_left + short_side, crop_top + short_side)
    square_image = Image.fromarray(image).resize(
        (side_pixels, side_pixels), Image.Resampling.BICUBIC, box=crop_box
    )
    return np.asarray(square_image)


@dataclass(frozen=True, slots=True)
class ModelTier:
    """Image tower in the package."""

    float32_files: tuple[str, ...]  # the graph, then the files of its external data
    int8_files: tuple[str, ...]  # the same for int8 arithmetic; see `onnx_weights.py`
    image_size: int  # side of the input in pixels

    @property
    def all_files(self) -> tuple[str, ...]:
        """Names of all files, each once."""
        return tuple(dict.fromkeys((*self.float32_files, *self.int8_files)))


MODEL_TIERS = {
    "": ModelTier(("image.onnx",), ("image-int8.npz", "image.onnx"), 224),
    "fast": ModelTier(("fast.onnx", "image.onnx"), ("fast-int8.npz", "image.onnx"), 128),
}


class ImageTower:
    """Image tower: CLIP ViT-B/16, or its distilled version for smaller images.

    Args:
        weights_folder: Folder of the weight files.
        device_name: "auto", "cpu" or "cuda".
        model_tier: Tier to load.
    """

    dim = 512

    def __init__(
        self, weights_folder: Path, device_name: str, model_tier: ModelTier = MODEL_TIERS[""]
    ) -> None:
        self._weights_folder, self._device_name, self._model_tier = (
            weights_folder,
            device_name,
            model_tier,
        )
        self._load_lock = threading.Lock()

    def __call__(self, images: Images) -> Matrix:
        """Encode the center squares of images.

        Args:
            images: uint8 (N, H, W, 3) RGB.

        Returns:
            float32 (N, 512), rows of unit length, not centered.
        """
        with self._load_lock:
            run_network, batch_size = self._network_runner, self.backend.batch_size
        vector_batches = [np.empty((0, self.dim), np.float32)]
        for batch_start in range(0, len(images), batch_size):
            vector_batches.append(
                run_network(
                    crop_to_square(
                        images[batch_start : batch_start + batch_size], self._model_tier.image_size
                    )
                )
            )
        return normalize_rows(np.concatenate(vector_batches))

    @cached_property
    def backend(self) -> runtime.Backend:
        """Runtime and precision. Raises ModelError if the device is not available."""
        return runtime.select_backend(self._device_name)

    @cached_property
    def _network_runner(self) -> Callable[[Images], Matrix]:
        if self.backend is runtime.INT8_OPENVINO:
            try:
                return runtime.load_openvino(self._load_graph())
            except WeightsError:
                raise
            except Exception as error:  # OpenVINO is optional: fall back on any error
                log.warning(
                    "OpenVINO is installed but cannot run the embedded model (%s); using ONNX "
                    "Runtime, which is slower",
                    str(error).strip().partition("\n")[0] or type(error).__name__,
                )
                self.backend = runtime.INT8_ORT
        run_session = runtime.load_onnx_runtime(self._load_graph(), self.backend)
        return lambda image_batch: run_session({"images": image_batch})

    def _load_graph(self) -> runtime.OnnxModel:
        """Load the graph and its external data, verified."""
        file_names = (
            self._model_tier.int8_files
            if self.backend.precision == "int8"
            else self._model_tier.float32_files
        )
        graph_bytes, *external_bytes = (
            read_verified_file(file_name, self._weights_folder) for file_name in file_names
        )
        external_files = dict(zip(file_names[1:], external_bytes, strict=True))
        if self.backend.precision == "int8":
            graph_bytes, external_files[onnx_weights.GENERATED_FILE] = (
                onnx_weights.read_scaled_graph(graph_bytes, external_files["image.onnx"])
            )
        return runtime.OnnxModel(graph_bytes, external_files)


class SentenceTower:
    """Text tower: all-MiniLM-L6-v2 and its tokenizer.

    Args:
        weights_folder: Folder of the weight files.
    """

    dim = 384

    def __init__(self, weights_folder: Path) -> None:
        self._weights_folder = weights_folder
        self._load_lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Matrix:
        """Encode N texts as float32 (N, 384), rows of unit length."""
        with self._load_lock:
            tokenizer, run_network = self._tokenizer, self._network_runner
        vector_batches = [np.empty((0, self.dim), np.float32)]
        for batch_start in range(0, len(texts), TEXT_BATCH):
            token_ids = [
                tokenizer.encode(sentence).ids
                for sentence in texts[batch_start : batch_start + TEXT_BATCH]
            ]
            vector_batches.append(run_network(_pad_tokens(token_ids)))
        return normalize_rows(np.concatenate(vector_batches))

    def word_rank(self, vocabulary_word: str) -> int | None:
        """Return the frequency rank of a word, 0 for the most frequent; None if it is not a token.

        BERT's WordPiece vocabulary is ordered by frequency.
        """
        with self._load_lock:
            tokenizer = self._tokenizer
        token_id: int | None = tokenizer.token_to_id(vocabulary_word)
        return token_id

    @cached_property
    def _network_runner(self) -> Callable[[dict[str, Any]], Matrix]:
        return runtime.load_onnx_runtime(
            runtime.OnnxModel(read_verified_file("text.onnx", self._weights_folder))
        )

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer  # deferred: images need no tokenizer

        tokenizer = Tokenizer.from_str(
            read_verified_file("tokenizer.json", self._weights_folder).decode()
        )
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.no_padding()
        return tokenizer


def _pad_tokens(token_lists: Sequence[Sequence[int]]) -> dict[str, npt.NDArray[np.int64]]:
    """Return token ids and mask of N texts, each int64 (N, T)."""
    padded_ids = np.zeros((len(token_lists), max(map(len, token_lists))), np.int64)
    token_mask = np.zeros_like(padded_ids)
    for id_row, mask_row, token_ids in zip(padded_ids, token_mask, token_lists, strict=True):
        id_row[: len(token_ids)], mask_row[: len(token_ids)] = token_ids, 1
    return {"ids": padded_ids, "mask": token_mask}


def normalize_rows(row_vectors: npt.NDArray[np.float32]) -> Matrix:
    """Scale the rows of a matrix to unit length; rows of zeros stay zero."""
    row_norms = np.linalg.norm(row_vectors, axis=-1, keepdims=True)
    unit_vectors: Matrix = (row_vectors / np.maximum(row_norms, 1e-12)).astype(np.float32)
    return unit_vectors


class BuiltinEncoder:
    """Encoder of images and texts in the centered 512-d space of CLIP ViT-B/16.

    CLIP (Radford et al. 2021) maps all images into a narrow cone. With the mean image subtracted
    they spread, the similarity of unrelated images is near 0, and nearest neighbors improve
    (measured in MODEL_CARD.md).

    Args:
        tier_name: "" or "fast".
        device: "auto", "cpu" or "cuda".
        weights_folder: Folder of the weight files.

    Raises:
        UnknownPluginError: There is no such tier.
        WeightsError: Weights are missing.
    """

    prompt = PROMPT_DESCRIPTION
    variants: ClassVar = {
        tier_name: (*model_tier.all_files, *SHARED_FILES)
        for tier_name, model_tier in MODEL_TIERS.items()
    }

    def __init__(
        self, tier_name: str = "", *, device: str = "auto", weights_folder: Path = WEIGHTS_FOLDER
    ) -> None:
        if tier_name not in MODEL_TIERS:
            raise UnknownPluginError(
                f"the embedded model has no tier {tier_name!r}; use --model builtin or "
                "--model builtin:fast"
            )
        model_tier = MODEL_TIERS[tier_name]
        self._weights_folder = weights_folder
        self._image_tower, self._sentence_tower = (
            ImageTower(weights_folder, device, model_tier),
            SentenceTower(weights_folder),
        )
        self.space = Space(_build_space_name(weights_folder), ImageTower.dim, supports_text=True)
        self.image_size = model_tier.image_size
        self.text_digest = _digest_files(
            "text.onnx", "alignment.npz", weights_folder=weights_folder
        )

    @property
    def precision(self) -> str:
        """Arithmetic of the image tower, for reports; texts are always computed in float32."""
        return f"{self._image_tower.backend.precision}; matrices stored as int8"

    def encode_images(self, images: Images) -> Matrix:
        """Encode images as float32 (N, 512), rows of unit length.

        The short side is resized to 224 pixels (fast tier: 128) and the center square is encoded,
        as in CLIP.

        Args:
            images: uint8 (N, H, W, 3) RGB.
        """
        return self.center_features(self._image_tower(images))

    def center_features(self, clip_features: Matrix) -> Matrix:
        """Subtract the mean image from CLIP's features, float32 (N, 512), and normalize."""
        return normalize_rows(clip_features - self._mean_image)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Encode N texts as float32 (N, 512), rows of unit length.

        The vector of a text is the mean over its prompt variants, see `query_variants`.
        """
        text_vectors = [
            self._map_texts(prompt_variants(query_text, self._sentence_tower.word_rank)).mean(
                axis=0
            )
            for query_text in texts
        ]
        return normalize_rows(np.stack([np.zeros(self.space.dim, np.float32), *text_vectors])[1:])

    def _map_texts(self, variant_texts: Sequence[str]) -> Matrix:
        """Encode N texts without variants as float32 (N, 512), rows of unit length."""
        alignment_arrays = self._alignment_arrays
        return normalize_rows(
            self._sentence_tower(variant_texts) @ alignment_arrays["matrix"]
            + alignment_arrays["bias"]
        )

    @cached_property
    def querybank(self) -> Matrix:
        """Generic queries, float32 (B, 512) of unit length; see `search.hubness`."""
        return self._alignment_arrays["bank"].astype(np.float32)

    @cached_property
    def _mean_image(self) -> Vector:
        """Mean image vector, float32 (512,)."""
        file_buffer = io.BytesIO(read_verified_file("centre.npy", self._weights_folder))
        mean_image: Vector = np.load(file_buffer, allow_pickle=False)
        return mean_image

    @cached_property
    def _alignment_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Sentence-to-image map and querybank: matrix (384, 512), bias (512,), bank (B, 512)."""
        file_buffer = io.BytesIO(read_verified_file("alignment.npz", self._weights_folder))
        with np.load(file_buffer, allow_pickle=False) as npz_arrays:
            return dict(npz_arrays)


def _build_space_name(weights_folder: Path) -> str:
    """Name the space after its image side only: better text weights need no new index."""
    return (
        f"clip-vit-b-16-{_digest_files('image.onnx', 'centre.npy', weights_folder=weights_folder)}"
    )


def _digest_files(*file_names: str, weights_folder: Path) -> str:
    """Combine the recorded digests of several weight files into a short one."""
    known_digests = read_checksums(weights_folder)
    joined_digests = "".join(known_digests.get(file_name, "") for file_name in file_names)
    return hashlib.sha256(joined_digests.encode()).hexdigest()[:8]
