"""Query adapter: a residual linear map that moves text vectors closer to a library's own images.

`vsearch train align` fits it; this module stores, loads and applies it, without torch. Image
vectors, and so the index, stay the same.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import math
import threading
import zipfile
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.protocols import QuerybankEncoder, TextReader
from vsearch.storage.atomic_files import atomic_write, damage_as_error, remove_partial_files
from vsearch.types import TextReading

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.protocols import Encoder
    from vsearch.types import Images, Matrix

log = logging.getLogger(__name__)
ADAPTER_FILENAME = "adapter.npz"
MAX_ADAPTER_BYTES = 128 * 1024 * 1024  # enough for over 5,000 dimensions
PROBE_TEXTS = (
    "a dog jumps into a pool",
    "two people talk in a kitchen at night",
    "red",
    "the first car on the left turns",
)
# Cosine similarity: one model in two precisions has over 0.999, a retrained one below 0.98.
SAME_MODEL_SIMILARITY = 0.99
REMEDY_HINT = "train it again (`vsearch train align`) or remove it (`vsearch train align --remove`)"


@dataclass(frozen=True, slots=True, eq=False)
class ResidualLinearMap:
    """Residual linear map of text vectors: unit(t + t·A + b)."""

    weight_matrix: npt.NDArray[np.float32]  # A, (D, D)
    bias_vector: npt.NDArray[np.float32]  # b, (D,)

    @classmethod
    def identity(cls, vector_dim: int) -> Self:
        """Return the map that leaves every vector unchanged."""
        return cls(np.zeros((vector_dim, vector_dim), np.float32), np.zeros(vector_dim, np.float32))

    def __call__(self, text_vectors: Matrix) -> Matrix:
        """Map float32 (N, D) to float32 (N, D), rows of unit length."""
        mapped_vectors = text_vectors + text_vectors @ self.weight_matrix + self.bias_vector
        unit_vectors: Matrix = mapped_vectors / np.maximum(
            np.linalg.norm(mapped_vectors, axis=1, keepdims=True), 1e-12
        )
        return unit_vectors


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """Training record of an adapter. The field names are those of the adapter file."""

    space: str  # of the images
    words: str  # text model, as named in the settings
    source: str  # of the training rows: a file name, or subtitles
    rows: int  # trained on
    videos: int
    held_out: int  # rows of other videos, for the test
    before: float  # MRR on the held-out rows, without the adapter
    after: float  # and with it
    forced: bool = False  # installed although it was not better

    def __post_init__(self) -> None:
        """Raise ValueError for values of the wrong type, since they may come from a file."""
        text_fields: Sequence[object] = (self.space, self.words, self.source)
        count_fields: Sequence[object] = (self.rows, self.videos, self.held_out)
        score_fields: Sequence[object] = (self.before, self.after)
        if not all(isinstance(field_value, str) for field_value in text_fields):
            raise ValueError(f"not strings: {text_fields}")
        if (
            not all(type(field_value) is int for field_value in count_fields)
            or type(self.forced) is not bool
        ):
            raise ValueError(f"not integers: {count_fields}")
        if not all(
            isinstance(field_value, float) and math.isfinite(field_value)
            for field_value in score_fields
        ):
            raise ValueError(f"not finite numbers: {score_fields}")


@dataclass(frozen=True, slots=True, eq=False)
class QueryAdapter:
    """A residual map and the model it belongs to."""

    residual_map: ResidualLinearMap
    probe_vectors: Matrix  # float32 (P, D): PROBE_TEXTS encoded by the text model
    training_info: AdapterInfo

    @property
    def digest(self) -> str:
        """SHA-256 of the whole adapter, in hexadecimal."""
        adapter_arrays = (
            self.residual_map.weight_matrix,
            self.residual_map.bias_vector,
            self.probe_vectors,
        )
        array_bytes = b"".join(
            np.ascontiguousarray(adapter_array, "<f4").tobytes() for adapter_array in adapter_arrays
        )
        return hashlib.sha256(
            array_bytes + _serialize_info(self.training_info).encode()
        ).hexdigest()

    def __str__(self) -> str:
        """Describe the training data for the user."""
        training_info = self.training_info
        return (
            f"{training_info.rows} rows of {training_info.videos} videos ({training_info.source}; "
            f"{self.digest[:8]})"
        )

    def is_compatible(self, encoder: Encoder) -> bool:
        """Return whether an encoder encodes texts as the one the adapter was trained for.

        Names are not sufficient: a file may have moved, or have other weights than before.
        """
        return bool(
            (self.probe_vectors * encoder.encode_texts(PROBE_TEXTS)).sum(axis=1).min()
            > SAME_MODEL_SIMILARITY
        )


class AdaptedEncoder:
    """Encoder whose text vectors pass through an adapter of its space. A `QuerybankEncoder`.

    Args:
        base_encoder: Encoder without the adapter.
        query_adapter: Adapter of its space.
    """

    def __init__(self, base_encoder: Encoder, query_adapter: QueryAdapter) -> None:
        self.space, self.image_size = base_encoder.space, base_encoder.image_size
        self.base_encoder, self._query_adapter = base_encoder, query_adapter
        self._is_compatible: bool | None = None  # unknown until words are encoded
        self._lock = threading.Lock()

    def __getattr__(self, attribute_name: str) -> Any:
        """Return other attributes of the base encoder, such as its precision."""
        return getattr(self.base_encoder, attribute_name)

    def encode_images(self, images: Images) -> Matrix:
        """Encode images with the base encoder.

        Args:
            images: uint8 (N, H, W, 3) RGB of any size.

        Returns:
            float32 (N, D), rows of unit length.
        """
        return self.base_encoder.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Encode texts and apply the adapter, if it was trained for this text model.

        Args:
            texts: N texts.

        Returns:
            float32 (N, D), rows of unit length.

        Raises:
            ModelError: The base encoder cannot run.
        """
        text_vectors, active_adapter = self.base_encoder.encode_texts(texts), self.active_adapter
        return (
            text_vectors
            if active_adapter is None or not len(text_vectors)
            else active_adapter.residual_map(text_vectors)
        )

    def read_text(self, text: str) -> TextReading:
        """Describe how the base encoder reads a text."""
        if isinstance(self.base_encoder, TextReader):
            return self.base_encoder.read_text(text)
        return TextReading()

    @cached_property
    def querybank(self) -> Matrix:
        """Querybank of the base encoder with the adapter applied, float32 (B, D); B may be 0."""
        if not isinstance(self.base_encoder, QuerybankEncoder):
            return np.empty((0, self.space.dim), np.float32)
        query_vectors, adapter = self.base_encoder.querybank, self.active_adapter
        return query_vectors if adapter is None else adapter.residual_map(query_vectors)

    @property
    def active_adapter(self) -> QueryAdapter | None:
        """Adapter, if it was trained for this text model; else None, with a warning."""
        with self._lock:
            if self._is_compatible is None:
                self._is_compatible = self._query_adapter.is_compatible(self.base_encoder)
                if not self._is_compatible:
                    log.warning(
                        "%s is not used: it was trained for the text model %s, and the current one "
                        "is different. Switch back to that model, %s.",
                        ADAPTER_FILENAME,
                        self._query_adapter.training_info.words,
                        REMEDY_HINT,
                    )
        return self._query_adapter if self._is_compatible else None


class AdapterFile:
    """Adapter file of a library, `adapter.npz`; reloaded when it changes. Thread-safe.

    Args:
        library_folder: Folder of the library.
    """

    def __init__(self, library_folder: Path) -> None:
        self.file_path = library_folder / ADAPTER_FILENAME
        self._cached_encoder: tuple[object, Encoder, Encoder] | None = (
            None  # file state, base, adapted
        )
        self._lock = threading.Lock()

    def read_adapter(self) -> QueryAdapter | None:
        """Return the installed adapter, whatever it was trained for; None if there is none.

        Raises:
            DamagedLibraryError: The file is damaged.
        """
        if not self.file_path.exists():
            return None
        with damage_as_error(self.file_path, f"it is not used; {REMEDY_HINT}"):
            return load_adapter(self.file_path)

    def write_adapter(self, query_adapter: QueryAdapter) -> None:
        """Install an adapter, replacing the previous one atomically.

        Raises:
            LibraryError: The file cannot be written.
        """
        remove_partial_files(self.file_path.parent)
        try:
            with atomic_write(self.file_path) as output_file:
                np.savez(
                    output_file,
                    matrix=query_adapter.residual_map.weight_matrix,
                    bias=query_adapter.residual_map.bias_vector,
                    probes=query_adapter.probe_vectors,
                    about=_serialize_info(query_adapter.training_info),
                    digest=query_adapter.digest,
                )
        except OSError as error:
            raise LibraryError(
                f"{self.file_path} cannot be written ({error.strerror or error}); check the disk "
                "and the permissions"
            ) from error

    def remove_file(self) -> bool:
        """Remove the file and return whether there was one."""
        existed_before = self.file_path.exists()
        self.file_path.unlink(missing_ok=True)
        return existed_before

    def find_problems(self) -> list[str]:
        """Return what is wrong with the file; nothing if it is intact or missing."""
        try:
            self.read_adapter()
        except DamagedLibraryError as error:
            return [str(error)]
        return []

    def wrap_encoder(self, base_encoder: Encoder) -> Encoder:
        """Return the encoder with the adapter applied, if one for its space is installed.

        A damaged adapter is logged as a warning, once, and not used.

        Args:
            base_encoder: Encoder without an adapter.
        """
        with self._lock:
            file_state = _read_file_state(self.file_path)
            if self._cached_encoder is None or self._cached_encoder[:2] != (
                file_state,
                base_encoder,
            ):
                self._cached_encoder = (file_state, base_encoder, self._build_adapted(base_encoder))
            return self._cached_encoder[2]

    def _build_adapted(self, base_encoder: Encoder) -> Encoder:
        try:
            query_adapter = self.read_adapter()
        except DamagedLibraryError as error:
            log.warning("%s", error)
            return base_encoder
        vector_space = base_encoder.space
        if (
            query_adapter is None
            or not vector_space.supports_text
            or query_adapter.training_info.space != vector_space.name
        ):
            return base_encoder
        return AdaptedEncoder(base_encoder, query_adapter)


def load_adapter(adapter_path: Path) -> QueryAdapter:
    """Load an adapter file written by `AdapterFile.write_adapter`.

    Raises:
        Exception: Of any type, if the file is damaged.
    """
    with adapter_path.open("rb") as input_file:
        file_bytes = input_file.read(MAX_ADAPTER_BYTES + 1)
    with zipfile.ZipFile(io.BytesIO(file_bytes)) as zip_archive:
        zip_members = zip_archive.infolist()
    is_uncompressed = all(
        zip_member.compress_type == zipfile.ZIP_STORED for zip_member in zip_members
    )
    if not is_uncompressed or sum(zip_member.file_size for zip_member in zip_members) > min(
        len(file_bytes), MAX_ADAPTER_BYTES
    ):
        raise ValueError(f"{adapter_path}: compressed, or too large")
    with np.load(io.BytesIO(file_bytes), allow_pickle=False) as npz_arrays:
        loaded_arrays = {
            array_name: npz_arrays[array_name]
            for array_name in ("matrix", "bias", "probes", "about", "digest")
        }
    training_info = AdapterInfo(**json.loads(str(loaded_arrays["about"])))
    query_adapter = QueryAdapter(
        ResidualLinearMap(loaded_arrays["matrix"], loaded_arrays["bias"]),
        loaded_arrays["probes"],
        training_info,
    )
    _validate_adapter(query_adapter, str(loaded_arrays["digest"]))
    return query_adapter


def _validate_adapter(query_adapter: QueryAdapter, expected_digest: str) -> None:
    vector_dim = len(query_adapter.residual_map.bias_vector)
    adapter_arrays = (
        query_adapter.residual_map.weight_matrix,
        query_adapter.residual_map.bias_vector,
        query_adapter.probe_vectors,
    )
    for expected_shape, adapter_array in zip(
        ((vector_dim, vector_dim), (vector_dim,), (len(PROBE_TEXTS), vector_dim)),
        adapter_arrays,
        strict=True,
    ):
        if (
            adapter_array.shape != expected_shape
            or adapter_array.dtype != np.float32
            or not np.isfinite(adapter_array).all()
        ):
            raise ValueError(
                f"{adapter_array.dtype} {adapter_array.shape} instead of float32 {expected_shape}, "
                "or not finite"
            )
    if query_adapter.digest != expected_digest:
        raise ValueError("digest mismatch")


def _serialize_info(training_info: AdapterInfo) -> str:
    return json.dumps(asdict(training_info), sort_keys=True)


def _read_file_state(file_path: Path) -> object:
    """Return inode, modification time and size, which change when the file is replaced."""
    try:
        file_stat = file_path.stat()
    except OSError:
        return None
    return file_stat.st_ino, file_stat.st_mtime_ns, file_stat.st_size
