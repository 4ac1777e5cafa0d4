"""Files of frame features: .safetensors, and .npz of older versions.

Readers raise almost any exception for a damaged file; call them within
`atomic_files.damage_as_error`.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from functools import lru_cache
from io import BytesIO, UnsupportedOperation
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.storage.array_files import load_arrays
from vsearch.storage.atomic_files import atomic_write
from vsearch.types import Features, Space

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO, TypeAlias

    import numpy.typing as npt

    from vsearch.storage.stored_files import StoredFile
    from vsearch.types import Matrix, Span, Times

    FeaturePath: TypeAlias = Path | StoredFile

SUFFIX, OLD_SUFFIX = ".safetensors", ".npz"
BLOCK_FRAMES = 1_024  # converted at a time
CHECKED_ROWS = 32  # frame vectors with one checksum; a file of many frames has more
MAX_CHECKSUMS = 4_096  # in the header
CACHED_LAYOUTS = 256  # files; the times of an hour take 29 kB
_NUMPY_DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
_MAX_HEADER_BYTES = 100_000  # many times what `write_features` needs


def write_features(feature_path: Path, features: Features) -> int:
    """Write features to a .safetensors file, atomically.

    Args:
        feature_path: The file.
        features: As of `dump_features`.

    Returns:
        The checksum of all of them.

    Raises:
        OSError: The file cannot be written.
    """
    with atomic_write(feature_path, sweep=False) as feature_file:
        return dump_features(feature_file, features)


def dump_features(feature_file: BinaryIO, features: Features) -> int:
    """Write features to an open file, in the format .safetensors.

    The file contains `matrix` float16 (T, D) and `times` float64 (T,) in seconds; its metadata are
    `space` as JSON, `crc32` of all of them, `times_crc32` of space and times, and for every
    `checked_rows` rows of the matrix, the start value, one of the `row_crc32` in hexadecimal.

    Args:
        feature_file: The file.
        features: Frame vectors float32 (T, D), stored as float16, and times.

    Returns:
        The checksum of all of them.
    """
    space = features.space
    space_json = json.dumps([space.name, space.dim, space.supports_text])
    frame_times = np.ascontiguousarray(features.frame_times, "<f8")
    crc32 = _checksum(space_json, chain([frame_times], _half_blocks(features.frame_vectors)))
    checked_rows = max(CHECKED_ROWS, -(-len(frame_times) // MAX_CHECKSUMS))
    row_blocks = _half_blocks(features.frame_vectors, checked_rows)
    metadata = {
        "space": space_json,
        "crc32": str(crc32),
        "times_crc32": str(_checksum(space_json, [frame_times])),
        "checked_rows": str(checked_rows),
        "row_crc32": " ".join(
            f"{zlib.crc32(row_block.data, checked_rows):x}" for row_block in row_blocks
        ),
    }
    _write_tensors(feature_file, frame_times, features.frame_vectors, metadata)
    return crc32


def read_checksum(feature_path: FeaturePath) -> int | None:
    """Return the recorded checksum of a file; None for a file of an older version.

    Args:
        feature_path: The file.
    """
    if feature_path.suffix == OLD_SUFFIX:
        return None
    with feature_path.open("rb") as feature_file:
        return int(_TensorLayout(feature_file).metadata["crc32"])


def read_features(feature_path: FeaturePath) -> Features:
    """Read all features of a file, frame vectors as float32 (T, D).

    Args:
        feature_path: The file.

    Returns:
        The features.
    """
    if isinstance(feature_path, Path) and feature_path.suffix == OLD_SUFFIX:
        arrays = load_arrays(feature_path)
        space_json = str(arrays["space"])
        return _to_features(_parse_space(space_json), arrays["times"], arrays["matrix"])
    with feature_path.open("rb") as feature_file:
        return _read_tensors(feature_file)[0]


def check_content(feature_path: Path, content: bytes) -> tuple[Features, int | None]:
    """Return the features in the content of a file, and its recorded checksum.

    Args:
        feature_path: The file, which is read once more if an older version wrote it.
        content: Its content.

    Returns:
        The features, and the recorded checksum as in `read_checksum`.
    """
    if feature_path.suffix == OLD_SUFFIX:
        return read_features(feature_path), None
    return _read_tensors(BytesIO(content))


def _read_tensors(feature_file: BinaryIO) -> tuple[Features, int]:
    """Return all features in a .safetensors file, and its recorded checksum."""
    layout = _TensorLayout(feature_file)
    frame_times = layout.read_checked_times(feature_file)
    matrix = layout.read_checked_rows(feature_file, slice(0, layout.row_count()))
    space_json = layout.metadata["space"]
    if layout.metadata["crc32"] != str(_checksum(space_json, [frame_times, matrix])):
        raise ValueError("the checksum does not match")
    features = _to_features(_parse_space(space_json), frame_times, matrix)
    return features, int(layout.metadata["crc32"])


def read_features_around(feature_path: FeaturePath, span: Span) -> tuple[Features, int | None]:
    """Read the features of the frames in a span, and of one frame before and after it.

    Only these rows are read from disk, except from files of older versions.

    Args:
        feature_path: The file.
        span: The span, in seconds.

    Returns:
        The features, and the recorded checksum of the file as in `read_checksum`.
    """
    if feature_path.suffix == OLD_SUFFIX:
        features = read_features(feature_path)
        _check_times(features.frame_times)
        rows = _find_rows(features.frame_times, span)
        frame_vectors, frame_times = features.frame_vectors[rows], features.frame_times[rows]
        return Features(features.space, frame_vectors, frame_times), None
    with feature_path.open("rb", buffering=0) as feature_file:
        layout, space, frame_times = _read_layout(feature_path, _read_state(feature_file))
        rows = _find_rows(frame_times, span)
        matrix = layout.read_checked_rows(feature_file, rows)
    return _to_features(space, frame_times[rows], matrix), int(layout.metadata["crc32"])


@lru_cache(maxsize=CACHED_LAYOUTS)
def _read_layout(
    feature_path: FeaturePath,
    file_state: tuple[int, ...],  # noqa: ARG001 - a key of the cache
) -> tuple[_TensorLayout, Space, Times]:
    """Return the layout, the space and the frame times of a file, after checking the times."""
    with feature_path.open("rb") as feature_file:
        layout = _TensorLayout(feature_file)
        frame_times, vector_count = layout.read_checked_times(feature_file), layout.row_count()
    if layout.checked_rows is None:
        read_features(feature_path)  # an older version wrote only one checksum
    if vector_count != len(frame_times):
        raise ValueError(f"{vector_count} vectors for {len(frame_times)} times")
    _check_times(frame_times)
    return layout, _parse_space(layout.metadata["space"]), frame_times


def forget_layouts() -> None:
    """Read the layouts of all files again: one of them was damaged."""
    _read_layout.cache_clear()


def _read_state(feature_file: BinaryIO) -> tuple[int, ...]:
    """Return what changes if a file is replaced; files of a store never are."""
    try:
        file_stat = os.fstat(feature_file.fileno())
    except UnsupportedOperation:
        return ()
    return file_stat.st_mtime_ns, file_stat.st_size, file_stat.st_ino


def _check_times(frame_times: Times) -> None:
    if not (np.isfinite(frame_times).all() and (np.diff(frame_times) >= 0).all()):
        raise ValueError("the frame times are not finite and ascending")


def _find_rows(frame_times: Times, span: Span) -> slice:
    first_row, last_row = np.searchsorted(frame_times, [span.start, span.end]).tolist()
    return slice(max(first_row - 1, 0), min(last_row + 1, len(frame_times)))


def read_space_name(feature_path: Path) -> str:
    """Return the name of the space in a .npz file.

    Args:
        feature_path: The file.

    Returns:
        The name.
    """
    space_name, *_ = json.loads(str(load_arrays(feature_path, "space")["space"]))
    return str(space_name)


def _write_tensors(
    feature_file: BinaryIO, frame_times: Times, frame_vectors: Matrix, metadata: dict[str, str]
) -> None:
    """Write a .safetensors file. `safetensors.save` would copy long videos in memory twice."""
    times_end = frame_times.nbytes
    matrix_end = times_end + 2 * frame_vectors.size
    header = {
        "__metadata__": metadata,
        "times": {"dtype": "F64", "shape": frame_times.shape, "data_offsets": [0, times_end]},
        "matrix": {
            "dtype": "F16",
            "shape": frame_vectors.shape,
            "data_offsets": [times_end, matrix_end],
        },
    }
    header_bytes = json.dumps(header).encode()
    header_bytes += b" " * (-len(header_bytes) % 8)  # aligns the data
    feature_file.write(len(header_bytes).to_bytes(8, "little") + header_bytes)
    feature_file.write(frame_times.data)
    for block in _half_blocks(frame_vectors):
        feature_file.write(block.data)


def _half_blocks(
    frame_vectors: Matrix, block_rows: int = BLOCK_FRAMES
) -> Iterator[npt.NDArray[np.float16]]:
    """Yield frame vectors as float16, some rows at a time, which bounds memory."""
    for first_row in range(0, len(frame_vectors), block_rows):
        yield np.ascontiguousarray(frame_vectors[first_row : first_row + block_rows], "<f2")


class _TensorLayout:
    """Positions of the tensors in a .safetensors file.

    `safetensors.safe_open` maps the file into memory, so that a failing disk, or a file that is
    truncated meanwhile, would kill the process (SIGBUS) instead of raising an exception.
    """

    def __init__(self, feature_file: BinaryIO) -> None:
        header_bytes = int.from_bytes(feature_file.read(8), "little")
        if header_bytes > _MAX_HEADER_BYTES:
            raise ValueError(f"a header of {header_bytes} bytes")
        self._header: dict[str, Any] = json.loads(feature_file.read(header_bytes))
        self._data_offset = 8 + header_bytes
        self.metadata: dict[str, str] = self._header["__metadata__"]
        self.checked_rows: int | None = None  # in a file of an older version
        if self.metadata.keys() & {"times_crc32", "checked_rows", "row_crc32"}:
            self.checked_rows = max(1, int(self.metadata["checked_rows"]))
            self._row_checksums = self.metadata["row_crc32"].split()

    def row_count(self) -> int:
        """Return the number of vectors."""
        return int(self._header["matrix"]["shape"][0])

    def read_rows(
        self, feature_file: BinaryIO, tensor_name: str, rows: slice = slice(None)
    ) -> npt.NDArray[Any]:
        """Return all or some rows of a tensor, read-only."""
        tensor = self._header[tensor_name]
        dtype, (row_count, *row_shape) = np.dtype(_NUMPY_DTYPES[tensor["dtype"]]), tensor["shape"]
        row_bytes = math.prod(row_shape) * dtype.itemsize
        start_offset, end_offset = tensor["data_offsets"]
        try:
            file_bytes = feature_file.seek(0, os.SEEK_END)
        except UnsupportedOperation:  # of a store; rows that are missing are noticed below
            file_bytes = self._data_offset + end_offset
        if end_offset - start_offset != row_count * row_bytes or not (
            0 <= start_offset <= end_offset <= file_bytes - self._data_offset
        ):
            raise ValueError(f"{tensor_name} does not fit into {file_bytes} bytes: {tensor}")
        first_row, end_row, _ = rows.indices(row_count)
        feature_file.seek(self._data_offset + start_offset + first_row * row_bytes)
        tensor_bytes = feature_file.read((end_row - first_row) * row_bytes)
        return np.frombuffer(tensor_bytes, dtype).reshape(end_row - first_row, *row_shape)

    def read_checked_times(self, feature_file: BinaryIO) -> npt.NDArray[Any]:
        """Return the frame times; ValueError if they are damaged."""
        frame_times = self.read_rows(feature_file, "times")
        if self.checked_rows is not None and self.metadata["times_crc32"] != str(
            _checksum(self.metadata["space"], [frame_times])
        ):
            raise ValueError("the checksum of the times does not match")
        return frame_times

    def read_checked_rows(self, feature_file: BinaryIO, rows: slice) -> npt.NDArray[Any]:
        """Return rows of the matrix; ValueError if one of the blocks around them is damaged."""
        if self.checked_rows is None:
            return self.read_rows(feature_file, "matrix", rows)
        first_block, end_block = rows.start // self.checked_rows, -(-rows.stop // self.checked_rows)
        first_row = first_block * self.checked_rows
        matrix = self.read_rows(
            feature_file, "matrix", slice(first_row, end_block * self.checked_rows)
        )
        row_checksums = self._row_checksums[first_block:end_block]
        blocks = range(0, len(matrix), self.checked_rows)
        for first_checked, row_checksum in zip(blocks, row_checksums, strict=True):
            checked_block = matrix[first_checked : first_checked + self.checked_rows]
            if f"{zlib.crc32(checked_block.data, self.checked_rows):x}" != row_checksum:
                raise ValueError("the checksum of the vectors does not match")
        return matrix[rows.start - first_row : rows.stop - first_row]


def _checksum(space_json: str, arrays: Iterable[npt.NDArray[Any]]) -> int:
    crc32 = zlib.crc32(space_json.encode())
    for array in arrays:
        crc32 = zlib.crc32(array.data, crc32)
    return crc32


def _parse_space(space_json: str) -> Space:
    return Space(*json.loads(space_json))


def _to_features(space: Space, frame_times: npt.NDArray[Any], matrix: npt.NDArray[Any]) -> Features:
    """Convert and check the content of a file."""
    if (matrix.dtype.kind, frame_times.dtype.kind, frame_times.ndim) != ("f", "f", 1) or not len(
        frame_times
    ):
        raise ValueError(f"matrix of {matrix.dtype}, times {frame_times.dtype} {frame_times.shape}")
    frame_times, frame_vectors = frame_times.astype(np.float64), matrix.astype(np.float32)
    if not (np.isfinite(frame_times).all() and np.isfinite(frame_vectors).all()):
        raise ValueError("a frame time or a frame vector is not finite")
    return Features(space, frame_vectors, frame_times)
