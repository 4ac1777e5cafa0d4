"""A Transformer over the frames of a clip, after VideoBERT (Sun et al. 2019), in PyTorch.

Frame features are embedded linearly, get positional encodings of their times, and pass through a
pre-norm encoder (Vaswani et al. 2017; Xiong et al. 2020) with a learned [CLS]. Two heads use it:
`ClipClassifier`, and `TransformerPooling`, which corrects the mean of the frames and so stays in
their space. `vsearch.pooling.numpy_transformer` computes the same without torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional

from vsearch.pooling.weights import ATTENTION_ROUNDS, LAYER_NORM_EPSILON, POSITIONS_PER_SECOND

if TYPE_CHECKING:
    from torch import Tensor

    from vsearch.pooling.weights import TransformerConfig

FRAME_TOKEN, TEXT_TOKEN = 0, 1  # token modalities


@dataclass(frozen=True, slots=True)
class TransformerOutput:
    """Final states of a batch of sequences."""

    clip_state: Tensor  # (B, H) of [CLS]
    frame_states: Tensor  # (B, T, H); undefined for padding
    cls_attention: Tensor  # (B, T) of the last layer, averaged over heads; sum <= 1


class VideoTransformer(nn.Module):
    """Encoder of sequences of frame features and text vectors."""

    def __init__(self, network_config: TransformerConfig) -> None:
        super().__init__()
        self.network_config = network_config
        self.embed = nn.Linear(network_config.features, network_config.hidden)
        self.cls = nn.Parameter(torch.empty(network_config.hidden))
        self.modality = nn.Embedding(2, network_config.hidden)  # segment embedding of VideoBERT
        self.drop = nn.Dropout(network_config.dropout)
        self.blocks = nn.ModuleList(
            TransformerBlock(network_config) for _ in range(network_config.layers)
        )
        self.norm = nn.LayerNorm(network_config.hidden, eps=LAYER_NORM_EPSILON)
        self.apply(_initialize_layer)
        nn.init.normal_(self.cls, std=0.02)

    def forward(
        self,
        frame_vectors: Tensor,
        frame_times: Tensor,
        frame_mask: Tensor | None = None,
        token_modality: Tensor | None = None,
    ) -> TransformerOutput:
        """Encode sequences.

        Args:
            frame_vectors: Frame features or text vectors, (B, T, D).
            frame_times: Their times in seconds, (B, T).
            frame_mask: Real tokens, bool (B, T), false for padding; all if None.
            token_modality: FRAME_TOKEN or TEXT_TOKEN, int64 (B, T); all frames if None.

        Returns:
            The states of [CLS] and of the tokens.
        """
        batch_size, frame_count, _ = frame_vectors.shape
        if frame_mask is None:
            frame_mask = torch.ones(
                batch_size, frame_count, dtype=torch.bool, device=frame_vectors.device
            )
        scaled_frames = frame_vectors * math.sqrt(
            self.network_config.features
        )  # from unit length to unit variance
        x = self.embed(scaled_frames) + self._encode_positions(frame_times)
        x = x + (
            self.modality.weight[FRAME_TOKEN]
            if token_modality is None
            else self.modality(token_modality)
        )
        x = torch.cat([self.cls.expand(batch_size, 1, -1).to(x.dtype), x], dim=1)  # (B, 1 + T, H)
        visible_mask = functional.pad(frame_mask, (1, 0), value=True)[
            :, None, None, :
        ]  # (B, 1, 1, 1 + T)
        x = self.drop(x)
        cls_attention = frame_mask.float()
        for block_index, transformer_block in enumerate(self.blocks):
            if block_index == len(self.blocks) - 1:
                last_block = cast("TransformerBlock", transformer_block)
                cls_attention = last_block.attention.compute_cls_attention(
                    last_block.norm1(x), visible_mask
                )
            x = transformer_block(x, visible_mask)
        x = self.norm(x)
        return TransformerOutput(x[:, 0], x[:, 1:], cls_attention)

    def _encode_positions(self, frame_times: Tensor) -> Tensor:
        """Encode the times as sinusoids (B, T, H), or the indices, as configured.

        Times, because clips differ in frame rate and have gaps.
        """
        if self.network_config.positions == "index":
            position_steps = torch.arange(frame_times.shape[1], device=frame_times.device).expand(
                frame_times.shape
            )
        else:
            position_steps = (frame_times - frame_times[:, :1]) * POSITIONS_PER_SECOND
        return encode_sinusoids(position_steps, self.network_config.hidden)


class TransformerBlock(nn.Module):
    """Pre-norm attention and MLP, each with a residual connection."""

    def __init__(self, network_config: TransformerConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(network_config.hidden, eps=LAYER_NORM_EPSILON)
        self.attention = MultiHeadAttention(network_config)
        self.norm2 = nn.LayerNorm(network_config.hidden, eps=LAYER_NORM_EPSILON)
        self.widen = nn.Linear(network_config.hidden, network_config.mlp)
        self.narrow = nn.Linear(network_config.mlp, network_config.hidden)
        self.drop = nn.Dropout(network_config.dropout)

    def forward(self, x: Tensor, visible_mask: Tensor) -> Tensor:
        """Transform (B, N, H) with the mask bool (B, 1, 1, N) to (B, N, H)."""
        x = x + self.drop(self.attention(self.norm1(x), visible_mask))
        hidden_states = functional.gelu(self.widen(self.norm2(x)), approximate="tanh")
        block_output: Tensor = x + self.drop(self.narrow(self.drop(hidden_states)))
        return block_output


class MultiHeadAttention(nn.Module):
    """Multi-head scaled dot-product attention."""

    def __init__(self, network_config: TransformerConfig) -> None:
        super().__init__()
        self.head_count, self.dropout_rate = network_config.heads, network_config.dropout
        self.qkv = nn.Linear(network_config.hidden, 3 * network_config.hidden)
        self.out = nn.Linear(network_config.hidden, network_config.hidden)

    def forward(self, x: Tensor, visible_mask: Tensor) -> Tensor:
        """Transform (B, N, H) with the mask bool (B, 1, 1, N) to (B, N, H)."""
        q, k, v = self._split_heads(x)
        attended_values = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=visible_mask, dropout_p=self.dropout_rate if self.training else 0.0
        )  # (B, heads, N, H / heads)
        attention_output: Tensor = self.out(attended_values.transpose(1, 2).flatten(2))
        return attention_output

    def compute_cls_attention(self, x: Tensor, visible_mask: Tensor) -> Tensor:
        """Return the attention of [CLS] to the other tokens, (B, N - 1), averaged over heads."""
        q, k, _ = self._split_heads(x)
        attention_logits = (
            q[:, :, :1] @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        )  # (B, heads, 1, N)
        attention_weights = attention_logits.masked_fill(~visible_mask, -math.inf).softmax(dim=-1)
        return attention_weights.mean(dim=1)[:, 0, 1:]

    def _split_heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project (B, N, H) to queries, keys and values, each (B, heads, N, H / heads)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.head_count, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v


class ClipClassifier(nn.Module):
    """Linear classifier of clips on the [CLS] state."""

    def __init__(self, network_config: TransformerConfig) -> None:
        super().__init__()
        if not network_config.num_classes:
            raise ValueError("a classifier needs num_classes")
        self.network_config = network_config
        self.transformer = VideoTransformer(network_config)
        self.head = nn.Linear(network_config.hidden, network_config.num_classes)
        _initialize_layer(self.head)

    def forward(
        self, frame_vectors: Tensor, frame_times: Tensor, frame_mask: Tensor | None = None
    ) -> Tensor:
        """Classify clips.

        Args:
            frame_vectors: Frame features, (B, T, D).
            frame_times: Their times in seconds, (B, T).
            frame_mask: Real frames, bool (B, T), false for padding; all if None.

        Returns:
            Logits (B, num_classes).
        """
        logits: Tensor = self.head(
            self.transformer(frame_vectors, frame_times, frame_mask).clip_state
        )
        return logits


@dataclass(frozen=True, slots=True)
class PoolingOutput:
    """Pooled vectors and frame weights of a batch of clips."""

    clip_vectors: Tensor  # (B, D) of unit length
    frame_weights: Tensor  # (B, T), sum 1


class TransformerPooling(nn.Module):
    """normalize(mean(x) + g · head(transformer(x))), in the space of the frames x.

    The head corrects the mean: it is a weighted mean of the frames minus the plain mean, plus a
    projection of [CLS]. A frame's weight is its attention under a query from [CLS], increased by
    its similarity to the weighted mean (mean shift, Comaniciu & Meer 2002). g is initialized to
    zero, so that an untrained pooler is the mean (SkipInit, De & Smith 2020).
    """

    def __init__(self, network_config: TransformerConfig) -> None:
        super().__init__()
        self.network_config = network_config
        self.transformer = VideoTransformer(network_config)
        self.query = nn.Linear(network_config.hidden, network_config.hidden)
        self.key = nn.Linear(network_config.hidden, network_config.hidden)
        self.project = nn.Linear(network_config.hidden, network_config.features)
        self.agree = nn.Parameter(torch.tensor(4.0))
        self.gate = nn.Parameter(torch.zeros(()))
        for linear_layer in (self.query, self.key):
            _initialize_layer(linear_layer)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(
        self, frame_vectors: Tensor, frame_times: Tensor, frame_mask: Tensor | None = None
    ) -> PoolingOutput:
        """Pool clips.

        Args:
            frame_vectors: Frame vectors of unit length, (B, T, D).
            frame_times: Their times in seconds, (B, T).
            frame_mask: Real frames, bool (B, T), false for padding; all if None.

        Returns:
            Clip vectors and frame weights.
        """
        if frame_mask is None:
            frame_mask = torch.ones_like(frame_times, dtype=torch.bool)
        transformer_output = self.transformer(frame_vectors, frame_times, frame_mask)
        clip_query = self.query(transformer_output.clip_state)[:, None]  # (B, 1, H)
        frame_logits = (clip_query * self.key(transformer_output.frame_states)).sum(
            dim=-1
        ) / math.sqrt(self.network_config.hidden)
        uniform_weights = frame_mask / frame_mask.sum(dim=1, keepdim=True)
        mean_vectors = torch.einsum("bt,btd->bd", uniform_weights, frame_vectors)
        frame_weights, weighted_means = uniform_weights, mean_vectors
        for _ in range(ATTENTION_ROUNDS):
            frame_agreement = torch.einsum(
                "btd,bd->bt", frame_vectors, functional.normalize(weighted_means, dim=-1)
            )
            weight_logits = frame_logits + self.agree * frame_agreement
            frame_weights = weight_logits.masked_fill(~frame_mask, -math.inf).softmax(
                dim=-1
            )  # (B, T)
            weighted_means = torch.einsum("bt,btd->bd", frame_weights, frame_vectors)
        mean_correction = (
            weighted_means - mean_vectors + self.project(transformer_output.clip_state)
        )
        clip_vectors = functional.normalize(mean_vectors + self.gate * mean_correction, dim=-1)
        return PoolingOutput(
            clip_vectors,
            uniform_weights + self.gate.clamp(0, 1) * (frame_weights - uniform_weights),
        )


def encode_sinusoids(position_steps: Tensor, encoding_size: int) -> Tensor:
    """Encode positions as sines, then cosines, with wavelengths of 2π to 20,000π steps.

    Args:
        position_steps: Positions, (B, T).
        encoding_size: Even number of features.

    Returns:
        Encodings (B, T, encoding_size).
    """
    half_size = encoding_size // 2
    angular_rates = torch.exp(
        torch.arange(half_size, device=position_steps.device, dtype=torch.float32)
        * (-math.log(10_000.0) / half_size)
    )
    position_angles = position_steps[..., None].float() * angular_rates
    return torch.cat([position_angles.sin(), position_angles.cos()], dim=-1)


def _initialize_layer(layer_module: nn.Module) -> None:
    """Initialize as in BERT (Devlin et al. 2019)."""
    if isinstance(layer_module, nn.Linear):
        nn.init.normal_(layer_module.weight, std=0.02)
        nn.init.zeros_(layer_module.bias)
    elif isinstance(layer_module, nn.Embedding):
        nn.init.normal_(layer_module.weight, std=0.02)
