"""Universal Sentence Encoder, multilingual (Yang et al. 2020), in NumPy.

A deep averaging network over token embeddings and their n-grams: a sentence takes a few
milliseconds, and only the token embeddings that it needs are decoded. `weights/MODEL_CARD.md`
documents the source of the weights.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vsearch.encoders.bundled_weights import (
    CHECKSUM_BYTES,
    ChecksummedRows,
    read_verified_arrays,
)
from vsearch.encoders.network_layers import multiply_rows, normalize_layer, normalize_rows
from vsearch.encoders.unigram_tokenizer import UnigramTokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vsearch.types import Matrix

EMBEDDING_FILE, NETWORK_FILE = "multilingual-embeddings.npy", "multilingual.npz"
MAX_TEXT_CHARACTERS = 1_000  # of a text; the rest is truncated
NGRAM_OFFSETS = {2: 0, 3: -1, 5: -2}  # n-gram order: first token, relative to the current one
UNKNOWN_ROW, START_ROW, END_ROW = -3, -2, -1  # the last token embeddings; before them, the pieces
TEXT_BATCH = 8  # texts per batch
SCALE_BYTES = 2  # of a float16
NIBBLE_CENTER = 7.5  # of the 4-bit codes 0 to 15


class MultilingualTower:
    """Text tower for sixteen languages.

    Args:
        weights_folder: Folder of the weight files.
    """

    dim = 512

    def __init__(self, weights_folder: Path) -> None:
        self._weights_folder = weights_folder
        self._load_lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Matrix:
        """Encode N texts as float32 (N, 512), rows of unit length."""
        with self._load_lock:
            tokenizer, network, embeddings = self._tokenizer, self._network, self._embeddings
        vector_batches = [np.empty((0, self.dim), np.float32)]
        for batch_start in range(0, len(texts), TEXT_BATCH):
            row_lists = [
                [START_ROW, *map(_find_row, tokenizer(text[:MAX_TEXT_CHARACTERS])), END_ROW]
                for text in texts[batch_start : batch_start + TEXT_BATCH]
            ]
            packed_rows = embeddings.read_rows([row for rows in row_lists for row in rows])
            lengths = np.array(list(map(len, row_lists)))
            vector_batches.append(encode_tokens(unpack_embeddings(packed_rows), lengths, network))
        return np.concatenate(vector_batches)

    def score_word(self, word: str) -> tuple[float, int]:
        """Return the log-probability of a word in the vocabulary, and the number of its pieces."""
        with self._load_lock:
            tokenizer = self._tokenizer
        pieces = tokenizer(word)
        return sum(map(tokenizer.score_piece, pieces)), len(pieces)

    @cached_property
    def _embeddings(self) -> ChecksummedRows:
        """Token embeddings, see `unpack_embeddings`; the last three are of special tokens."""
        row_count = len(self._npz_arrays["piece_hashes"]) - UNKNOWN_ROW
        row_bytes = self.dim // 2 + SCALE_BYTES + CHECKSUM_BYTES
        return ChecksummedRows(EMBEDDING_FILE, (row_count, row_bytes), self._weights_folder)

    @cached_property
    def _npz_arrays(self) -> dict[str, npt.NDArray[Any]]:
        return read_verified_arrays(NETWORK_FILE, self._weights_folder)

    @cached_property
    def _tokenizer(self) -> UnigramTokenizer:
        return UnigramTokenizer(
            self._npz_arrays["piece_hashes"],
            self._npz_arrays["piece_scores"],
            int(self._npz_arrays["max_piece_length"]),
        )

    @cached_property
    def _network(self) -> dict[str, Matrix]:
        """Arrays of the network, float32; matrices are stored as uint8 with minimum and step."""
        steps = {
            array_name.removesuffix("_range"): value_range
            for array_name, value_range in self._npz_arrays.items()
            if array_name.endswith("_range")
        }
        return {
            array_name: array * steps[array_name][1] + steps[array_name][0]
            if array_name in steps
            else array
            for array_name, array in self._npz_arrays.items()
        }


def _find_row(piece: int | None) -> int:
    return UNKNOWN_ROW if piece is None else piece


def pack_embeddings(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Quantize embeddings to 4 bits with one scale a row.

    Args:
        embeddings: float32 (V, D), D even.

    Returns:
        uint8 (V, D/2 + 2): pairs of codes, then the row's scale as float16. The scale of a row is
        the one of least squared error among a few.
    """
    row_stds = embeddings.std(axis=1, keepdims=True)
    best_scales, best_errors = np.zeros_like(row_stds), np.full(len(embeddings), np.inf)
    for factor in (0.28, 0.30, 0.32, 0.335, 0.35, 0.37, 0.39, 0.42):
        scales = (row_stds * factor).astype(np.float16).astype(np.float32)
        errors = ((_quantize(embeddings, scales) - NIBBLE_CENTER) * scales - embeddings) ** 2
        row_errors = errors.sum(axis=1)
        is_better = row_errors < best_errors
        best_scales[is_better] = scales[is_better]
        best_errors[is_better] = row_errors[is_better]
    codes = _quantize(embeddings, best_scales).astype(np.uint8)
    scale_bytes = best_scales.astype("<f2").view(np.uint8)
    return np.concatenate([codes[:, ::2] | codes[:, 1::2] << 4, scale_bytes], axis=1)


def _quantize(embeddings: Matrix, scales: Matrix) -> Matrix:
    safe_scales = np.where(scales > 0, scales, 1)
    codes: Matrix = np.clip(np.round(embeddings / safe_scales + NIBBLE_CENTER), 0, 15)
    return codes


def unpack_embeddings(packed_rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Decode rows of `pack_embeddings`, uint8 (T, D/2 + 2), to float32 (T, D)."""
    code_pairs = packed_rows[:, :-2]
    scales = np.ascontiguousarray(packed_rows[:, -2:]).view("<f2").astype(np.float32)
    codes = np.stack([code_pairs & 15, code_pairs >> 4], axis=2).reshape(len(packed_rows), -1)
    embeddings: npt.NDArray[np.float32] = (codes.astype(np.float32) - NIBBLE_CENTER) * scales
    return embeddings


def encode_tokens(
    token_vectors: Matrix, lengths: npt.NDArray[np.int64], network: Mapping[str, Matrix]
) -> Matrix:
    """Encode the token embeddings of N sentences.

    Args:
        token_vectors: float32 (T, 512), the tokens of one sentence after the other.
        lengths: Tokens of each sentence, int64 (N,), T in all.
        network: Arrays of the network by name.

    Returns:
        float32 (N, 512), rows of unit length.
    """
    branches = [token_vectors]
    projections = [
        multiply_rows(token_vectors, network[f"proj{n}"]) + network[f"proj_b{n}"]
        for n in NGRAM_OFFSETS
    ]
    branch_inputs = normalize_layer(
        np.concatenate(projections, axis=1),
        np.concatenate([network[f"ln_g{n}"] for n in NGRAM_OFFSETS]),
        np.concatenate([network[f"ln_b{n}"] for n in NGRAM_OFFSETS]),
    )
    for n, branch in zip(NGRAM_OFFSETS, np.split(branch_inputs, 3, axis=1), strict=True):
        for layer in (1, 2):
            ngrams = concatenate_ngrams(branch, n, lengths)
            hidden = multiply_rows(ngrams, network[f"w{layer}_{n}"]) + network[f"b{layer}_{n}"]
            branch = branch + np.maximum(hidden, 0)
        branches.append(branch)
    features = normalize_layer(np.concatenate(branches, axis=1), network["ln_g"], network["ln_b"])
    token_features = multiply_rows(features, network["cnn_W"]) + network["cnn_b"]
    # The sum over tokens is divided by the root of their number, as in the original.
    sums = np.add.reduceat(token_features, np.cumsum(lengths) - lengths)
    pooled: Matrix = (sums / np.sqrt(lengths)[:, None]).astype(np.float32)
    hidden0 = np.maximum(multiply_rows(pooled, network["d0"]), 0)
    hidden1 = np.maximum(
        multiply_rows(pooled, network["p1"]) + multiply_rows(hidden0, network["d1"]), 0
    )
    hidden2 = np.maximum(multiply_rows(hidden1, network["d2"]), 0)
    return normalize_rows(
        np.tanh(multiply_rows(hidden1, network["p3"]) + multiply_rows(hidden2, network["d3"]))
    )


def concatenate_ngrams(token_vectors: Matrix, n: int, lengths: npt.NDArray[np.int64]) -> Matrix:
    """Concatenate n neighboring tokens, zeros outside the sentence: (T, D) to (T, n·D).

    Args:
        token_vectors: float32 (T, D).
        n: Order of the n-grams, one of `NGRAM_OFFSETS`.
        lengths: Tokens of each sentence, int64 (N,), T in all.
    """
    tokens = np.arange(len(token_vectors))
    ends = np.repeat(np.cumsum(lengths), lengths)[:, None]
    starts = ends - np.repeat(lengths, lengths)[:, None]
    neighbors = tokens[:, None] + NGRAM_OFFSETS[n] + np.arange(n)  # (T, n)
    is_inside = (neighbors >= starts) & (neighbors < ends)
    ngrams = token_vectors[np.where(is_inside, neighbors, 0)]
    ngrams[~is_inside] = 0
    joined: Matrix = ngrams.reshape(len(token_vectors), -1)
    return joined
