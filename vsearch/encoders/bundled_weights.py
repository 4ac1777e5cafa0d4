"""Read the weight files in the package, verified by digest, or row by row by checksum."""

from __future__ import annotations

import hashlib
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

CHECKSUM_BYTES = 4  # of a CRC-32 at the end of a row
WEIGHTS_FOLDER = Path(__file__).parent / "weights"


def read_checksums(weights_folder: Path = WEIGHTS_FOLDER) -> dict[str, str]:
    """Return the SHA-256 of each weight file as recorded in SHA256SUMS, by file name.

    Raises:
        WeightsError: SHA256SUMS is missing.
    """
    try:
        checksum_lines = (weights_folder / "SHA256SUMS").read_text("ascii").splitlines()
    except OSError as error:
        raise WeightsError(
            f"{weights_folder}: the embedded model is missing; reinstall vsearch"
        ) from error
    return {
        file_name: file_digest
        for file_digest, file_name in (
            checksum_line.split("  ", 1) for checksum_line in checksum_lines if checksum_line
        )
    }


def read_verified_file(file_name: str, weights_folder: Path = WEIGHTS_FOLDER) -> bytes:
    """Read a weight file.

    Raises:
        WeightsError: The file is missing, or its SHA-256 is not the recorded one.
    """
    file_path = weights_folder / file_name
    try:
        file_bytes = file_path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{file_path}: weights of the embedded model cannot be read ({error.strerror}); "
            "reinstall vsearch"
        ) from error
    if hashlib.sha256(file_bytes).hexdigest() != read_checksums(weights_folder).get(file_name):
        raise WeightsError(
            f"{file_path}: its SHA-256 is not the one in SHA256SUMS, so it is damaged or was "
            "replaced; "
            "reinstall vsearch"
        )
    return file_bytes


def read_verified_arrays(file_name: str, weights_folder: Path) -> dict[str, npt.NDArray[Any]]:
    """Read all arrays of an .npz weight file by name.

    Raises:
        WeightsError: The file is missing, or its SHA-256 is not the recorded one.
    """
    file_buffer = io.BytesIO(read_verified_file(file_name, weights_folder))
    with np.load(file_buffer, allow_pickle=False) as npz_arrays:
        return dict(npz_arrays)


def append_checksums(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Append its CRC-32, little-endian, to each row of a matrix: uint8 (V, W) to (V, W + 4)."""
    checksums = np.array([zlib.crc32(row) for row in np.ascontiguousarray(rows)], "<u4")
    return np.concatenate([rows, checksums.view(np.uint8).reshape(-1, CHECKSUM_BYTES)], axis=1)


class ChecksummedRows:
    """Rows of a uint8 matrix in an .npy weight file, mapped into memory.

    Only the rows in use are read and verified, as reading and digesting a large file takes longer
    than encoding a text.

    Args:
        file_name: File with the output of `append_checksums`.
        shape: Shape of the matrix with checksums.
        weights_folder: Folder of the weight files.

    Raises:
        WeightsError: The file is missing, truncated, or has another shape.
    """

    def __init__(self, file_name: str, shape: tuple[int, int], weights_folder: Path) -> None:
        self._file_path = weights_folder / file_name
        try:
            self._rows = np.load(self._file_path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise WeightsError(
                f"{self._file_path}: weights of the embedded model cannot be read ({error}); "
                "reinstall vsearch"
            ) from error
        if self._rows.shape != shape or self._rows.dtype != np.uint8:
            raise WeightsError(
                f"{self._file_path}: its shape is not {shape}, so it is damaged or was replaced; "
                "reinstall vsearch"
            )

    def read_rows(self, row_indices: Sequence[int]) -> npt.NDArray[np.uint8]:
        """Read N rows.

        Args:
            row_indices: Rows; negative ones count from the end.

        Returns:
            uint8 (N, W), without checksums.

        Raises:
            WeightsError: The CRC-32 of a row is not the recorded one.
        """
        rows = self._rows[np.array(row_indices, np.int64)]
        contents: npt.NDArray[np.uint8] = rows[:, :-CHECKSUM_BYTES]
        checksums = rows[:, -CHECKSUM_BYTES:]
        for content, checksum in zip(contents, checksums, strict=True):
            if zlib.crc32(content) != int.from_bytes(checksum.tobytes(), "little"):
                raise WeightsError(
                    f"{self._file_path}: the CRC-32 of a row is not the recorded one, so it is "
                    "damaged; reinstall vsearch"
                )
        return contents
