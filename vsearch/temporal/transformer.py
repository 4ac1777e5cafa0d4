"""A Transformer over the frames of a clip, in the manner of VideoBERT (Sun et al. 2019).

Frame features are embedded linearly, told when they are shown, and read by a pre-norm encoder
(Vaswani et al. 2017; Xiong et al. 2020) behind a learnt [CLS]. Two heads use it: `Classifier`, and
`TransformerPooling`, which corrects the mean of the frames and so stays in their space.
`temporal/forward.py` computes the same in numpy, where torch is not installed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional

from vsearch.temporal.weights import EPSILON, PER_SECOND, ROUNDS

if TYPE_CHECKING:
    from torch import Tensor

    from vsearch.temporal.weights import TransformerConfig

FRAME, WORDS = 0, 1  # the modality of a token


@dataclass(frozen=True, slots=True)
class States:
    """What the Transformer makes of a batch of sequences."""

    clip: Tensor  # (B, H) of [CLS]
    frames: Tensor  # (B, T, H); what is padding means nothing
    attention: Tensor  # (B, T) of [CLS] to the frames in the last layer, mean over heads; sum <= 1


class VideoTransformer(nn.Module):
    """Sequences of frame features -> states."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Linear(config.features, config.hidden)
        self.cls = nn.Parameter(torch.empty(config.hidden))
        self.modality = nn.Embedding(2, config.hidden)  # VideoBERT's segment embedding
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.hidden, eps=EPSILON)
        self.apply(_initialise)
        nn.init.normal_(self.cls, std=0.02)

    def forward(
        self,
        frames: Tensor,
        times: Tensor,
        mask: Tensor | None = None,
        modality: Tensor | None = None,
    ) -> States:
        """Frames float (B, T, D) shown at times float (B, T) seconds.

        `mask` is bool (B, T), false where there is only padding; `modality` is int64 (B, T),
        FRAME or WORDS; without it all are frames.
        """
        count, length, _ = frames.shape
        if mask is None:
            mask = torch.ones(count, length, dtype=torch.bool, device=frames.device)
        unit = frames * math.sqrt(self.config.features)  # rows of unit length: to unit variance
        x = self.embed(unit) + self._positions(times)
        x = x + (self.modality.weight[FRAME] if modality is None else self.modality(modality))
        x = torch.cat([self.cls.expand(count, 1, -1).to(x.dtype), x], dim=1)  # (B, 1 + T, H)
        seen = functional.pad(mask, (1, 0), value=True)[:, None, None, :]  # (B, 1, 1, 1 + T)
        x = self.drop(x)
        attention = mask.float()
        for number, block in enumerate(self.blocks):
            if number == len(self.blocks) - 1:
                last = cast("Block", block)
                attention = last.attention.of_first(last.norm1(x), seen)
            x = block(x, seen)
        x = self.norm(x)
        return States(x[:, 0], x[:, 1:], attention)

    def _positions(self, times: Tensor) -> Tensor:
        """Sinusoids (B, T, H) of the seconds since the first frame, or of its number.

        Seconds, because clips have different rates and gaps: what is 2 s apart is so in each.
        """
        if self.config.positions == "index":
            steps = torch.arange(times.shape[1], device=times.device).expand(times.shape)
        else:
            steps = (times - times[:, :1]) * PER_SECOND
        return sinusoids(steps, self.config.hidden)


class Block(nn.Module):
    """Attention, then an MLP, each on what was normalised and added to what was there."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden, eps=EPSILON)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.hidden, eps=EPSILON)
        self.widen = nn.Linear(config.hidden, config.mlp)
        self.narrow = nn.Linear(config.mlp, config.hidden)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """(B, N, H) and bool (B, 1, 1, N) -> (B, N, H)."""
        x = x + self.drop(self.attention(self.norm1(x), seen))
        hidden = functional.gelu(self.widen(self.norm2(x)), approximate="tanh")
        added: Tensor = x + self.drop(self.narrow(self.drop(hidden)))
        return added


class Attention(nn.Module):
    """Multi-head scaled dot-product attention."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.qkv = nn.Linear(config.hidden, 3 * config.hidden)
        self.out = nn.Linear(config.hidden, config.hidden)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """(B, N, H) and bool (B, 1, 1, N) -> (B, N, H)."""
        q, k, v = self._split(x)
        mixed = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=seen, dropout_p=self.dropout if self.training else 0.0
        )  # (B, heads, N, H / heads)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def of_first(self, x: Tensor, seen: Tensor) -> Tensor:
        """How much the first token heeds each of the others, (B, N - 1), mean over heads."""
        q, k, _ = self._split(x)
        scores = q[:, :, :1] @ k.transpose(2, 3) / math.sqrt(q.shape[-1])  # (B, heads, 1, N)
        heeds = scores.masked_fill(~seen, -math.inf).softmax(dim=-1)
        return heeds.mean(dim=1)[:, 0, 1:]

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, N, H) -> three of (B, heads, N, H / heads)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v


class Classifier(nn.Module):
    """Clips -> logits of classes, from [CLS]."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        if not config.num_classes:
            raise ValueError("a classifier needs num_classes")
        self.config = config
        self.transformer = VideoTransformer(config)
        self.head = nn.Linear(config.hidden, config.num_classes)
        _initialise(self.head)

    def forward(self, frames: Tensor, times: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, D), (B, T) seconds and bool (B, T) -> logits (B, num_classes)."""
        logits: Tensor = self.head(self.transformer(frames, times, mask).clip)
        return logits


@dataclass(frozen=True, slots=True)
class Pooled:
    """What pooling makes of a batch of clips."""

    clips: Tensor  # (B, D) of unit length
    weights: Tensor  # (B, T): how much each frame counts, sum 1


class TransformerPooling(nn.Module):
    """normalize(mean(x) + g · head(transformer(x))), in the space of the frames x.

    The head is what the mean should be corrected by: a weighted mean of the frames less the plain
    one, and a projection of [CLS]. A frame weighs what [CLS] finds it worth, and the more the more
    it agrees with the weighted mean (mean shift, Comaniciu & Meer 2002). g begins at zero, so that
    an untrained pooling *is* the mean (SkipInit, De & Smith 2020).
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = VideoTransformer(config)
        self.query = nn.Linear(config.hidden, config.hidden)
        self.key = nn.Linear(config.hidden, config.hidden)
        self.project = nn.Linear(config.hidden, config.features)
        self.agree = nn.Parameter(torch.tensor(4.0))
        self.gate = nn.Parameter(torch.zeros(()))
        for layer in (self.query, self.key):
            _initialise(layer)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, frames: Tensor, times: Tensor, mask: Tensor | None = None) -> Pooled:
        """Frames float (B, T, D) of unit length, times (B, T) seconds and bool (B, T)."""
        if mask is None:
            mask = torch.ones_like(times, dtype=torch.bool)
        states = self.transformer(frames, times, mask)
        query = self.query(states.clip)[:, None]  # (B, 1, H)
        worth = (query * self.key(states.frames)).sum(dim=-1) / math.sqrt(self.config.hidden)
        even = mask / mask.sum(dim=1, keepdim=True)
        mean = torch.einsum("bt,btd->bd", even, frames)
        weights, heeded = even, mean
        for _ in range(ROUNDS):
            agreement = torch.einsum("btd,bd->bt", frames, functional.normalize(heeded, dim=-1))
            scores = worth + self.agree * agreement
            weights = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)  # (B, T)
            heeded = torch.einsum("bt,btd->bd", weights, frames)
        correction = heeded - mean + self.project(states.clip)
        clips = functional.normalize(mean + self.gate * correction, dim=-1)
        return Pooled(clips, even + self.gate.clamp(0, 1) * (weights - even))


def sinusoids(steps: Tensor, size: int) -> Tensor:
    """Positions (B, T) -> (B, T, size): sines, then cosines, wavelengths of 2π to 20,000π steps."""
    half = size // 2
    rates = torch.exp(
        torch.arange(half, device=steps.device, dtype=torch.float32) * (-math.log(10_000.0) / half)
    )
    angles = steps[..., None].float() * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _initialise(module: nn.Module) -> None:
    """As in BERT (Devlin et al. 2019)."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
