"""Reading and writing of NumPy arrays in .npz and .npy files that may come from elsewhere.

Nothing is unpickled, and reading a file never allocates more memory than the file is long. Readers
raise almost any exception for a damaged file; call them within `atomic_files.damage_as_error`.
"""

from __future__ import annotations

import math
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vsearch.storage.atomic_files import atomic_write

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from vsearch.types import Ids, Matrix


def save_arrays(npz_path: Path, arrays: dict[str, Any]) -> None:
    """Write named arrays to one uncompressed .npz file, atomically."""
    with atomic_write(npz_path, sweep=False) as npz_file:
        np.savez(npz_file, **arrays)


def load_arrays(npz_path: Path, *array_names: str) -> dict[str, npt.NDArray[Any]]:
    """Read arrays that `save_arrays` wrote.

    Args:
        npz_path: The file.
        array_names: The arrays to read; none: all.

    Returns:
        The arrays by name.

    Raises:
        ValueError: The file is compressed, or declares more data than it contains.
    """
    with zipfile.ZipFile(npz_path) as archive:
        zip_members = archive.infolist()
    if any(zip_member.compress_type != zipfile.ZIP_STORED for zip_member in zip_members):
        raise ValueError(f"{npz_path} is compressed")  # a few bytes could expand to gigabytes
    if sum(zip_member.file_size for zip_member in zip_members) > npz_path.stat().st_size:
        raise ValueError(f"{npz_path} declares more data than it contains")
    with np.load(npz_path, allow_pickle=False) as npz_arrays:
        return {
            array_name: npz_arrays[array_name] for array_name in array_names or npz_arrays.files
        }


def find_damaged_archives(folder: Path) -> list[Path]:
    """Return the .npz files in a folder that do not match the checksums in them, sorted.

    Args:
        folder: The folder; it may be missing.
    """
    damaged_paths = []
    for npz_path in sorted(folder.glob("*.npz")):
        try:
            load_arrays(npz_path)
        except Exception:  # damaged files raise almost anything
            damaged_paths.append(npz_path)
    return damaged_paths


def save_id_vectors(file_path: Path, vector_ids: Ids, vectors: Matrix) -> None:
    """Write ids int64 (N,) and vectors float32 (N, D) to one file for `map_id_vectors`."""
    save_npy_sequence(file_path, np.asarray(vector_ids, np.int64), np.asarray(vectors, np.float32))


def map_id_vectors(file_path: Path) -> tuple[Ids, Matrix]:
    """Memory-map ids and vectors that `save_id_vectors` wrote.

    Args:
        file_path: The file.

    Returns:
        Ids int64 (N,) and vectors float32 (N, D), read-only.

    Raises:
        ValueError: The file contains other arrays.
    """
    vector_ids, vectors = map_npy_sequence(file_path, np.int64, np.float32)
    if vectors.ndim != 2 or vector_ids.shape != vectors.shape[:1]:
        raise ValueError(f"{file_path}: {vector_ids.shape} ids, but {vectors.shape} vectors")
    return vector_ids, vectors


def save_npy_sequence(file_path: Path, *arrays: npt.NDArray[Any]) -> None:
    """Write arrays to one file, as consecutive .npy streams, atomically."""
    with atomic_write(file_path, sweep=False) as npy_file:
        for array in arrays:
            np.save(npy_file, np.ascontiguousarray(array))


def map_npy_sequence(file_path: Path, *array_types: type[np.generic]) -> list[npt.NDArray[Any]]:
    """Memory-map arrays that `save_npy_sequence` wrote.

    Args:
        file_path: The file.
        array_types: The expected dtype of each array.

    Returns:
        The arrays, read-only.

    Raises:
        ValueError: An array has another dtype or memory layout.
    """
    with file_path.open("rb") as npy_file:
        return [_map_array(npy_file, file_path, np.dtype(array_type)) for array_type in array_types]


def _map_array(
    npy_file: BinaryIO, file_path: Path, expected_dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    """Map the .npy array at the position of `npy_file`, and move the position to its end."""
    if np.lib.format.read_magic(npy_file) != (1, 0):
        raise ValueError(f"{file_path}: unsupported .npy version")
    shape, is_fortran_order, dtype = np.lib.format.read_array_header_1_0(npy_file)
    if dtype != expected_dtype or is_fortran_order:
        raise ValueError(f"{file_path}: expected row-major {expected_dtype}, found {dtype}")
    data_offset = npy_file.tell()
    npy_file.seek(math.prod(shape) * dtype.itemsize, 1)
    if 0 in shape:
        return np.empty(shape, expected_dtype)
    return np.memmap(file_path, expected_dtype, "r", data_offset, shape)
