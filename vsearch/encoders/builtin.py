"""The embedded model: CLIP ViT-B/16's image tower and two sentence encoders aligned to it.

Images are encoded by ONNX Runtime or OpenVINO, texts by NumPy. Networks are loaded on first use.
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
from vsearch.encoders.bundled_weights import (
    WEIGHTS_FOLDER,
    read_checksums,
    read_verified_arrays,
    read_verified_file,
)
from vsearch.encoders.english_vocabulary import VOCABULARY_FILE, EnglishVocabulary
from vsearch.encoders.languages import LANGUAGE_FILE, SUPPORTED_NAMES, LanguageIdentifier
from vsearch.encoders.multilingual import EMBEDDING_FILE, NETWORK_FILE, MultilingualTower
from vsearch.encoders.network_layers import multiply_rows, normalize_rows
from vsearch.encoders.query_variants import PROMPT_DESCRIPTION, correct_spelling, prompt_variants
from vsearch.encoders.sentence_tower import SENTENCE_FILE, TOKENIZER_FILE, SentenceTower
from vsearch.errors import UnknownPluginError, WeightsError
from vsearch.memory import NEEDED_BY_SEARCH, MemoryNeed, check_memory
from vsearch.types import Space, TextReading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vsearch.types import Images, Matrix, Vector

log = logging.getLogger(__name__)
MULTILINGUAL_MAP_FILE = "multilingual-alignment.npz"
SENTENCE_MAP_FILE = "alignment.npz"
# Of the multilingual tower in the vector of an English text; chosen on validation pairs.
MULTILINGUAL_SHARE = 0.4
TEXT_FILES = (
    SENTENCE_FILE,
    SENTENCE_MAP_FILE,
    EMBEDDING_FILE,
    NETWORK_FILE,
    MULTILINGUAL_MAP_FILE,
    LANGUAGE_FILE,
    VOCABULARY_FILE,
)
TEXT_MEMORY_NEED = MemoryNeed(
    "the embedded text encoder", 200_000_000, 100_000_000, NEEDED_BY_SEARCH
)
SHARED_FILES = ("centre.npy", TOKENIZER_FILE, *TEXT_FILES)  # of both tiers


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

    def check_memory(self) -> None:
        """Raise ModelError if memory is limited too much for the network, unless it is loaded."""
        if "_network_runner" not in self.__dict__:  # before a runtime is imported, which may abort
            check_memory(runtime.MEMORY_NEEDS[runtime.select_cpu_backend(self._device_name)])

    @cached_property
    def backend(self) -> runtime.Backend:
        """Runtime and precision. Raises ModelError if the device is not available."""
        return runtime.select_backend(self._device_name)

    @cached_property
    def _network_runner(self) -> Callable[[Images], Matrix]:
        self.check_memory()
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


def mix_towers(sentence_vectors: Matrix, multilingual_vectors: Matrix) -> Matrix:
    """Mix the vectors of English texts by both text towers, mapped to the image space.

    Args:
        sentence_vectors: float32 (N, 512), rows of unit length.
        multilingual_vectors: Likewise.

    Returns:
        float32 (N, 512), rows of unit length.
    """
    return normalize_rows(
        (1 - MULTILINGUAL_SHARE) * sentence_vectors + MULTILINGUAL_SHARE * multilingual_vectors
    )


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
        ModelError: The device is not available.
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
        if device not in ("auto", "cpu"):
            runtime.select_backend(device)  # even if only texts are encoded, which need no device
        model_tier = MODEL_TIERS[tier_name]
        self._weights_folder = weights_folder
        self._image_tower, self._sentence_tower = (
            ImageTower(weights_folder, device, model_tier),
            SentenceTower(weights_folder),
        )
        self.space = Space(_build_space_name(weights_folder), ImageTower.dim, supports_text=True)
        self.image_size = model_tier.image_size
        self._multilingual_tower = MultilingualTower(weights_folder)
        self._english_vocabulary = EnglishVocabulary(weights_folder, self._sentence_tower.word_rank)
        self._identify_language = LanguageIdentifier(
            weights_folder, self._english_vocabulary, self._multilingual_tower.score_word
        )
        self.text_digest = _digest_files(*TEXT_FILES, weights_folder=weights_folder)

    @property
    def precision(self) -> str:
        """Arithmetic of the image tower, for reports; texts are always computed in float32."""
        return f"{self._image_tower.backend.precision}; matrices stored as int8"

    def check_memory(self) -> None:
        """Raise ModelError if this process may not use enough memory to encode images."""
        self._image_tower.check_memory()

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

        English is encoded by both text towers, see `mix_towers`: by the sentence tower as the mean
        over prompt variants, see `query_variants`, and by the multilingual tower with corrected
        spelling. Other languages are encoded by the multilingual tower alone.
        """
        self._check_text_memory()
        rank_word = self._english_vocabulary.rank_word
        is_english = np.array([self._identify_language(text).is_english for text in texts], bool)
        english_texts = [texts[i] for i in np.flatnonzero(is_english).tolist()]
        text_vectors = self._encode_multilingual(
            [
                correct_spelling(text, rank_word) if text_is_english else text
                for text, text_is_english in zip(texts, is_english, strict=True)
            ]
        )
        if english_texts:
            text_vectors[is_english] = mix_towers(
                self._encode_english(english_texts), text_vectors[is_english]
            )
        return text_vectors

    def _check_text_memory(self) -> None:
        if "_multilingual_map" not in self.__dict__:  # nothing is loaded yet
            check_memory(TEXT_MEMORY_NEED)

    def read_text(self, text: str) -> TextReading:
        """Report the language of a text, and its corrected and unknown words if it is English."""
        self._check_text_memory()
        language = self._identify_language(text)
        if not language.is_supported:
            supported_names = ("English", *sorted(SUPPORTED_NAMES.values()))
            return TextReading(
                language.name, is_supported=False, supported_languages=supported_names
            )
        if not language.is_english:
            return TextReading(language.name)
        replacements, unknown_words = self._english_vocabulary.check_words(text)
        return TextReading(language.name, replacements=replacements, unknown_words=unknown_words)

    def _encode_english(self, texts: Sequence[str]) -> Matrix:
        """Encode N ≥ 1 texts by the sentence tower as float32 (N, 512), rows of unit length."""
        variant_lists = [
            prompt_variants(text, self._english_vocabulary.rank_word) for text in texts
        ]
        variant_counts = np.array(list(map(len, variant_lists)))
        variant_vectors = _map_vectors(
            self._sentence_tower([variant for variants in variant_lists for variant in variants]),
            self._alignment_arrays,
        )
        first_rows = np.cumsum(variant_counts) - variant_counts
        return normalize_rows(np.add.reduceat(variant_vectors, first_rows))

    def _encode_multilingual(self, texts: Sequence[str]) -> Matrix:
        """Encode N texts by the multilingual tower as float32 (N, 512), rows of unit length."""
        return _map_vectors(self._multilingual_tower(texts), self._multilingual_map)

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
        return read_verified_arrays(SENTENCE_MAP_FILE, self._weights_folder)

    @cached_property
    def _multilingual_map(self) -> dict[str, npt.NDArray[Any]]:
        """Map from multilingual to image vectors: matrix (512, 512), bias (512,)."""
        return read_verified_arrays(MULTILINGUAL_MAP_FILE, self._weights_folder)


def _map_vectors(text_vectors: Matrix, linear_map: dict[str, npt.NDArray[Any]]) -> Matrix:
    """Map text vectors (N, E) to the image space, float32 (N, 512), rows of unit length."""
    return normalize_rows(multiply_rows(text_vectors, linear_map["matrix"]) + linear_map["bias"])


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
