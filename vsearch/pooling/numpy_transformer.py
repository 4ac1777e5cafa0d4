"""NumPy implementation of `vsearch.training.transformer`, for inference without torch.

It processes one sequence at a time, without padding or dropout.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from vsearch.pooling.weights import ATTENTION_ROUNDS, LAYER_NORM_EPSILON, POSITIONS_PER_SECOND

if TYPE_CHECKING:
    from vsearch.pooling.weights import NetworkWeights
    from vsearch.types import Matrix, Times, Vector

Float32Array: TypeAlias = npt.NDArray[np.float32]
FRAME_TOKEN = 0  # token modality


class NumpyTransformer:
    """A trained network of any kind."""

    def __init__(self, network_weights: NetworkWeights) -> None:
        self.network_config = network_weights.network_config
        self._weight_arrays = network_weights.weight_arrays

    def encode_frames(self, frame_vectors: Matrix, frame_times: Times) -> Float32Array:
        """Encode a clip.

        Args:
            frame_vectors: Float32 (T, D).
            frame_times: Float64 (T,) seconds.

        Returns:
            States, float32 (1 + T, H), of [CLS] and the frames.
        """
        network_config, name_prefix = self.network_config, "transformer."
        scaled_frames = frame_vectors * np.float32(math.sqrt(network_config.features))
        x = self._apply_linear(scaled_frames, f"{name_prefix}embed") + self._encode_positions(
            frame_times
        )
        x = x + self._weight_arrays[f"{name_prefix}modality.weight"][FRAME_TOKEN]
        x = np.concatenate([self._weight_arrays[f"{name_prefix}cls"][None], x])
        for block_index in range(network_config.layers):
            block_prefix = f"{name_prefix}blocks.{block_index}."
            x = x + self._apply_attention(
                self._apply_layer_norm(x, f"{block_prefix}norm1"), f"{block_prefix}attention."
            )
            hidden_states = _apply_gelu(
                self._apply_linear(
                    self._apply_layer_norm(x, f"{block_prefix}norm2"), f"{block_prefix}widen"
                )
            )
            x = x + self._apply_linear(hidden_states, f"{block_prefix}narrow")
        return self._apply_layer_norm(x, f"{name_prefix}norm")

    def compute_logits(self, frame_vectors: Matrix, frame_times: Times) -> Vector:
        """Classify a clip with the head of a classifier.

        Args:
            frame_vectors: Float32 (T, D).
            frame_times: Float64 (T,) seconds.

        Returns:
            Logits, float32 (num_classes,).
        """
        return self._apply_linear(self.encode_frames(frame_vectors, frame_times)[0], "head")

    def pool_clip(self, frame_vectors: Matrix, frame_times: Times) -> tuple[Vector, Vector]:
        """Pool a clip with the head of a pooler.

        Args:
            frame_vectors: Float32 (T, D), rows of unit length.
            frame_times: Float64 (T,) seconds.

        Returns:
            Vector (D,), not normalized, and frame weights (T,) with sum 1.
        """
        token_states = self.encode_frames(frame_vectors, frame_times)
        query_vector = self._apply_linear(token_states[0], "query")  # (H,)
        frame_logits = (
            self._apply_linear(token_states[1:], "key")
            @ query_vector
            / math.sqrt(self.network_config.hidden)
        )
        mean_vector, correction_gate = frame_vectors.mean(axis=0), self._weight_arrays["gate"]
        uniform_weights = np.full(len(frame_vectors), 1 / len(frame_vectors), np.float32)
        frame_weights, weighted_mean = uniform_weights, mean_vector
        for _ in range(ATTENTION_ROUNDS):
            frame_agreement = (
                frame_vectors @ weighted_mean / max(float(np.linalg.norm(weighted_mean)), 1e-12)
            )
            frame_weights = _apply_softmax(
                frame_logits + self._weight_arrays["agree"] * frame_agreement
            )  # (T,)
            weighted_mean = frame_weights @ frame_vectors
        mean_correction = (
            weighted_mean - mean_vector + self._apply_linear(token_states[0], "project")
        )
        return mean_vector + correction_gate * mean_correction, uniform_weights + np.clip(
            correction_gate, 0, 1
        ) * (frame_weights - uniform_weights)

    def _encode_positions(self, frame_times: Times) -> Float32Array:
        """Encode the times as sinusoids (T, H), or the indices, as configured."""
        uses_index = self.network_config.positions == "index"
        position_steps = (
            np.arange(len(frame_times))
            if uses_index
            else (frame_times - frame_times[0]) * POSITIONS_PER_SECOND
        )
        half_width = self.network_config.hidden // 2
        angular_rates = np.exp(
            np.arange(half_width, dtype=np.float32) * np.float32(-math.log(10_000.0) / half_width)
        )
        position_angles = position_steps.astype(np.float32)[:, None] * angular_rates
        return np.concatenate([np.sin(position_angles), np.cos(position_angles)], axis=1)

    def _apply_attention(self, x: Float32Array, layer_name: str) -> Float32Array:
        head_count = self.network_config.heads
        q, k, v = (
            self._apply_linear(x, f"{layer_name}qkv")
            .reshape(len(x), 3, head_count, -1)
            .transpose(1, 2, 0, 3)
        )
        attention_weights = _apply_softmax(
            q @ k.transpose(0, 2, 1) / np.float32(math.sqrt(q.shape[-1]))
        )
        attended_values = (attention_weights @ v).transpose(1, 0, 2).reshape(len(x), -1)
        return self._apply_linear(attended_values, f"{layer_name}out")

    def _apply_linear(self, x: Float32Array, layer_name: str) -> Float32Array:
        output: Float32Array = (
            x @ self._weight_arrays[f"{layer_name}.weight"].T
            + self._weight_arrays[f"{layer_name}.bias"]
        )
        return output

    def _apply_layer_norm(self, x: Float32Array, layer_name: str) -> Float32Array:
        centered_input = x - x.mean(axis=-1, keepdims=True)
        normalized_input = centered_input / np.sqrt(
            (centered_input * centered_input).mean(axis=-1, keepdims=True) + LAYER_NORM_EPSILON
        )
        output: Float32Array = (
            normalized_input * self._weight_arrays[f"{layer_name}.weight"]
            + self._weight_arrays[f"{layer_name}.bias"]
        )
        return output


def _apply_softmax(x: Float32Array) -> Float32Array:
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    probabilities: Float32Array = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def _apply_gelu(x: Float32Array) -> Float32Array:
    """Apply GELU with the tanh approximation, as in the torch network."""
    tanh_input = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
    activation: Float32Array = 0.5 * x * (1 + np.tanh(tanh_input))
    return activation.astype(np.float32, copy=False)
