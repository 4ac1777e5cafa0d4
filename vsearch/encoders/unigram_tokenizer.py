"""SentencePiece's unigram tokenizer (Kudo 2018), with the vocabulary as hashes in a NumPy array.

Loading a vocabulary of 128,000 pieces into a dictionary or trie takes longer than a query. Here
the pieces are sorted by hash, so that all substrings of a text are found by one binary search.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # of the polynomial hash, modulo 2**64
SPACE_SYMBOL = "▁"
INVISIBLE_TO_SPACE = dict.fromkeys((0x200B, 0x200E, 0x200F, 0xFEFF, 0xFFFD), " ")
UNKNOWN_PENALTY = 10.0  # an unknown character scores this much less than the rarest piece


class UnigramTokenizer:
    """Splits texts into the most probable sequence of pieces.

    Args:
        piece_hashes: uint64 (P,), ascending; made by `hash_substrings`.
        piece_scores: float32 (P,), log-probabilities of the same pieces.
        max_piece_length: Length of the longest piece in characters.
    """

    def __init__(
        self,
        piece_hashes: npt.NDArray[np.uint64],
        piece_scores: npt.NDArray[np.float32],
        max_piece_length: int,
    ) -> None:
        self._piece_hashes, self._piece_scores = piece_hashes, piece_scores
        self._max_piece_length = max_piece_length
        self._unknown_score = float(piece_scores.min()) - UNKNOWN_PENALTY

    def __call__(self, text: str) -> list[int | None]:
        """Return the indices of a text's pieces; None for a character in no piece."""
        normalized_text = normalize_text(text)
        if not normalized_text:
            return [None]
        best_scores = [0.0] + [-np.inf] * len(normalized_text)
        best_pieces: list[tuple[int, int | None]] = [(0, None)] * len(best_scores)
        for start, candidates in enumerate(self._find_pieces(normalized_text)):
            for piece_length, piece_index, piece_score in candidates:
                end, path_score = start + piece_length, best_scores[start] + piece_score
                if path_score > best_scores[end]:
                    best_scores[end], best_pieces[end] = path_score, (start, piece_index)
        pieces, end = [], len(normalized_text)
        while end > 0:
            end, piece_index_at_end = best_pieces[end]
            pieces.append(piece_index_at_end)
        return pieces[::-1]

    def score_piece(self, piece_index: int | None) -> float:
        """Return the log-probability of a piece, by its index; None: an unknown character."""
        return (
            self._unknown_score if piece_index is None else float(self._piece_scores[piece_index])
        )

    def _find_pieces(self, text: str) -> list[list[tuple[int, int | None, float]]]:
        """Return (length, index, score) of all pieces that start at each position of a text."""
        candidates: list[list[tuple[int, int | None, float]]] = [[] for _ in text]
        for piece_length, hashes in enumerate(
            hash_substrings(text, min(self._max_piece_length, len(text))), start=1
        ):
            piece_indices = np.searchsorted(self._piece_hashes, hashes)
            piece_indices[piece_indices == len(self._piece_hashes)] = 0
            is_piece = self._piece_hashes[piece_indices] == hashes
            for start in np.flatnonzero(is_piece).tolist():
                piece_index = int(piece_indices[start])
                piece_score = float(self._piece_scores[piece_index])
                candidates[start].append((piece_length, piece_index, piece_score))
            if piece_length == 1:
                for start in np.flatnonzero(~is_piece).tolist():
                    candidates[start].append((1, None, self._unknown_score))
        return candidates


def hash_substrings(text: str, max_length: int) -> Sequence[npt.NDArray[np.uint64]]:
    """Hash the substrings of a text.

    Args:
        text: N characters.
        max_length: Length of the longest substrings, at most N.

    Returns:
        For each length L from 1, the hashes of the substrings from each position, uint64 (N-L+1,).
    """
    code_points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    hashes = np.zeros(len(code_points) + 1, np.uint64)
    hashes_by_length = []
    for length in range(1, max_length + 1):
        hashes = hashes[:-1] * HASH_FACTOR + code_points[length - 1 :] + np.uint64(1)
        hashes_by_length.append(hashes)
    return hashes_by_length


def normalize_text(text: str) -> str:
    """Apply NFKC, as SentencePiece's `nmt_nfkc`, and mark the words' starts; empty stays empty."""
    normalized_text = unicodedata.normalize("NFKC", text.translate(INVISIBLE_TO_SPACE))
    words = re.split(r"[ \t\n\r\f\v]+", normalized_text.strip())
    return "".join(SPACE_SYMBOL + word for word in words if word)
