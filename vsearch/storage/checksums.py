"""Checksums of large files, several times as fast as a plain CRC-32."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

_ROW_WORDS = 512  # 64-bit words in a row: 4 KiB, as in a page of memory
_BLOCK_BYTES = 512 * 1024  # read at once; fits into the cache of a core


def compute_checksum(file_path: Path) -> int:
    """Compute a checksum of a file, against accidental damage.

    A block is a matrix of 64-bit words. The checksum is the CRC-32 of the sums of all rows and
    columns, modulo 2**64, so that damage of one bit, of one row, or of two places never goes
    unnoticed.

    Args:
        file_path: The file.

    Returns:
        The checksum, in [0, 2**32).

    Raises:
        OSError: The file cannot be read.
    """
    checksum, block_buffer = 0, bytearray(_BLOCK_BYTES)
    with file_path.open("rb") as opened_file:
        while byte_count := opened_file.readinto(block_buffer):  # full, except at the end
            rows = byte_count // (8 * _ROW_WORDS)
            words = np.frombuffer(block_buffer, "<u8", rows * _ROW_WORDS).reshape(rows, _ROW_WORDS)
            for axis in (0, 1):
                checksum = zlib.crc32(np.add.reduce(words, axis=axis).data, checksum)
            remaining_bytes = memoryview(block_buffer)[8 * words.size : byte_count]
            checksum = zlib.crc32(remaining_bytes, checksum)
    return checksum
