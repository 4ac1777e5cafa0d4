"""Arrays in files. Nothing is unpickled, and no more memory is filled than the file is long."""

from __future__ import annotations

import math
import struct
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vsearch.files import replaced

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path
    from typing import BinaryIO

    from vsearch.types import Ids, Matrix


def save_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays under their names into one .npz file."""
    with replaced(path) as file:
        np.savez(file, **arrays)


def load_arrays(path: Path, *names: str) -> dict[str, npt.NDArray[Any]]:
    """What `save_arrays` wrote, or some of it; read a file from elsewhere inside `files.usable`."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError(f"{path}: compressed")  # a few bytes could become gigabytes
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise ValueError(f"{path}: promises more than it holds")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in names or arrays.files}


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file the rows of a matrix are."""

    offset: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def read(self, file: FileIO, rows: slice) -> npt.NDArray[Any]:
        """Some rows; ValueError where the file ends before them."""
        width, count = self.shape[1] * self.dtype.itemsize, rows.stop - rows.start
        file.seek(self.offset + rows.start * width)
        return np.frombuffer(file.read(count * width), self.dtype).reshape(count, self.shape[1])


def place(path: Path, name: str) -> Place:
    """Where a matrix of what `save_arrays` wrote is; see `load_arrays`."""
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{name}.npy")
        with archive.open(member) as file:
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError(f"{path}: another kind of .npy")
            shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)
            within = file.tell()
    if member.compress_type != zipfile.ZIP_STORED or by_column or len(shape) != 2:
        raise ValueError(f"{path}: {name} of shape {shape} is not there row by row")
    with path.open("rb") as raw:
        raw.seek(member.header_offset + 26)  # lengths of the name and of what follows it
        before = 30 + sum(struct.unpack("<HH", raw.read(4)))
    return Place(member.header_offset + before + within, shape, dtype)


def save_rows(path: Path, ids: Ids, vectors: Matrix) -> None:
    """Write ids int64 (N,) and vectors float32 (N, D), one .npy after the other, into one file."""
    save_stack(path, np.asarray(ids, np.int64), np.asarray(vectors, np.float32))


def load_rows(path: Path) -> tuple[Ids, Matrix]:
    """Map what `save_rows` wrote; read a file from elsewhere inside `files.usable`."""
    ids, vectors = load_stack(path, np.int64, np.float32)
    if vectors.ndim != 2 or ids.shape != vectors.shape[:1]:
        raise ValueError(f"{path}: {ids.shape} ids for vectors of {vectors.shape}")
    return ids, vectors


def save_stack(path: Path, *arrays: npt.NDArray[Any]) -> None:
    """Write arrays into one file, one .npy after the other."""
    with replaced(path) as file:
        for array in arrays:
            np.save(file, np.ascontiguousarray(array))


def load_stack(path: Path, *kinds: type[np.generic]) -> list[npt.NDArray[Any]]:
    """Map what `save_stack` wrote, arrays of these kinds; see `load_rows`."""
    with path.open("rb") as file:
        return [_mapped(file, path, np.dtype(kind)) for kind in kinds]


def _mapped(file: BinaryIO, path: Path, expected: np.dtype[Any]) -> npt.NDArray[Any]:
    """The .npy array that begins where `file` stands, read-only; `file` moves on to its end."""
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError(f"{path}: another kind of .npy")
    shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype != expected or by_column:
        raise ValueError(f"{path}: {dtype} in place of {expected}, or by column")
    start = file.tell()
    file.seek(math.prod(shape) * dtype.itemsize, 1)
    if 0 in shape:
        return np.empty(shape, expected)
    return np.memmap(path, expected, "r", start, shape)
