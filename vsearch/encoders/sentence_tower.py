"""The sentence encoder all-MiniLM-L6-v2 (Reimers and Gurevych 2019; Wang et al. 2020), in NumPy.

A BERT of six blocks (Devlin et al. 2019). NumPy loads it in a fraction of the time that a session
of ONNX Runtime takes, which matters for one query. `weights/MODEL_CARD.md` documents the weights.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vsearch.encoders.bundled_weights import read_verified_arrays, read_verified_file
from vsearch.encoders.network_layers import (
    gelu,
    multiply_rows,
    normalize_layer,
    normalize_rows,
    softmax,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vsearch.types import Matrix

SENTENCE_FILE, TOKENIZER_FILE = "text.npz", "tokenizer.json"
MAX_TOKENS = 256  # of a text; the rest is truncated, as in all-MiniLM-L6-v2's own pipeline
TEXT_BATCH = 8  # texts per batch; larger ones are no faster
BLOCK_COUNT, HEAD_COUNT, HEAD_SIZE = 6, 12, 32
MATRIX_NAMES = ("qkv", "attention", "hidden", "output")  # of a block, in order of use
MASKED_SCORE = np.float32(-1e9)  # of a token that does not exist: its attention weight is 0


class SentenceTower:
    """Text tower for English: all-MiniLM-L6-v2 and its tokenizer.

    Args:
        weights_folder: Folder of the weight files.
    """

    dim = HEAD_COUNT * HEAD_SIZE

    def __init__(self, weights_folder: Path) -> None:
        self._weights_folder = weights_folder
        self._load_lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Matrix:
        """Encode N texts as float32 (N, 384), rows of unit length."""
        with self._load_lock:
            tokenizer, network = self._tokenizer, self._network
        vector_batches = [np.empty((0, self.dim), np.float32)]
        for batch_start in range(0, len(texts), TEXT_BATCH):
            token_lists = [
                tokenizer.encode(sentence).ids
                for sentence in texts[batch_start : batch_start + TEXT_BATCH]
            ]
            vector_batches.append(encode_tokens(token_lists, network))
        return normalize_rows(np.concatenate(vector_batches))

    def word_rank(self, vocabulary_word: str) -> int | None:
        """Return the frequency rank of a word, 0 for the most frequent; None if it is not a token.

        BERT's WordPiece vocabulary is ordered by frequency.
        """
        with self._load_lock:
            tokenizer = self._tokenizer
        token_id: int | None = tokenizer.token_to_id(vocabulary_word)
        return token_id

    @cached_property
    def _network(self) -> dict[str, npt.NDArray[Any]]:
        return decode_matrices(read_verified_arrays(SENTENCE_FILE, self._weights_folder))

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer  # deferred: images need no tokenizer

        tokenizer = Tokenizer.from_str(
            read_verified_file(TOKENIZER_FILE, self._weights_folder).decode()
        )
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.no_padding()
        return tokenizer


def decode_matrices(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Multiply the matrices of the blocks, int8 (6, K, N), by their column scales (6, N).

    Word embeddings stay int8: a text needs only a few of their rows.
    """
    return {
        name: np.multiply(array, arrays[f"{name}_scales"][:, None], dtype=np.float32)
        if name in MATRIX_NAMES
        else array
        for name, array in arrays.items()
    }


def encode_tokens(
    token_lists: Sequence[Sequence[int]], network: Mapping[str, npt.NDArray[Any]]
) -> Matrix:
    """Encode texts as the mean of the last block's token states.

    Args:
        token_lists: Token ids of N texts, at least one each.
        network: Arrays of the network by name, see `tools/build_encoder/sentence.py`.

    Returns:
        float32 (N, 384), not normalized.
    """
    lengths = np.array([len(token_ids) for token_ids in token_lists])
    is_token = np.arange(lengths.max()) < lengths[:, None]  # (N, T)
    token_ids, positions = np.concatenate(token_lists), np.nonzero(is_token)[1]
    states = network["words"][token_ids] * network["words_scales"][token_ids, None]
    states = normalize_layer(states + network["positions"][positions], *network["words_norm"])
    for i in range(BLOCK_COUNT):

        def project(inputs: Matrix, name: str, i: int = i) -> Matrix:
            product = multiply_rows(inputs, network[name][i])
            product += network[f"{name}_bias"][i]
            return product

        context = project(attend(project(states, "qkv"), is_token), "attention")
        states = normalize_layer(states + context, *network["attention_norm"][i])
        update = project(gelu(project(states, "hidden")), "output")
        states = normalize_layer(states + update, *network["output_norm"][i])
    text_starts = np.cumsum(lengths) - lengths
    mean_states: Matrix = np.add.reduceat(states, text_starts) / lengths[:, None]
    return mean_states.astype(np.float32)


def attend(projections: Matrix, is_token: npt.NDArray[np.bool_]) -> Matrix:
    """Apply multi-head scaled dot-product attention (Vaswani et al. 2017) within each text.

    Args:
        projections: Queries, keys and values of all M tokens, float32 (M, 3·384).
        is_token: True where a text has a token, bool (N, T), M times.

    Returns:
        float32 (M, 384).
    """
    padded = np.zeros((*is_token.shape, projections.shape[1]), np.float32)
    padded[is_token] = projections
    heads = padded.reshape(*is_token.shape, 3, HEAD_COUNT, HEAD_SIZE)
    queries, keys, values = heads.transpose(2, 0, 3, 1, 4)  # each (N, heads, T, size)
    scores = queries @ keys.swapaxes(2, 3)
    scores *= np.float32(HEAD_SIZE**-0.5)
    scores += np.where(is_token, np.float32(0), MASKED_SCORE)[:, None, None]
    context = (softmax(scores) @ values).swapaxes(1, 2)
    token_context: Matrix = context[is_token].reshape(len(projections), -1)
    return token_context
