"""A linear map from sentences to pictures, fitted on image-text pairs with both encoders frozen.

Ridge regression from pictures to sentences, turned round, is where it starts; a symmetric InfoNCE
loss (CLIP, Radford et al. 2021) over batches of pairs then teaches it to rank, as in locked-image
tuning (LiT, Zhai et al. 2022) with all but the last layer of the text side frozen, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Ids, Matrix

RIDGE = 1.0
EPOCHS = 30
BATCH = 1024
RATE = 1e-3
DECAY = 0.05
BANK, ROUNDS = 1024, 10  # generic queries, and how often k-means goes round
SHARPNESS = 20.0  # 1 / temperature, where learning starts


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pictures and the texts that describe them."""

    images: Matrix  # float32 (N, D), unit length, centred
    texts: Matrix  # float32 (M, E), unit length
    of: Sequence[Ids]  # for each picture the rows of `texts` that describe it
    groups: Ids  # (N,) pictures of one group show the same thing


@dataclass(frozen=True, slots=True)
class LinearMap:
    """text @ matrix + bias points to the pictures that fit."""

    matrix: npt.NDArray[np.float32]  # (E, D)
    bias: npt.NDArray[np.float32]  # (D,)

    def __call__(self, texts: Matrix) -> Matrix:
        """float32 (N, E) -> float32 (N, D), rows of unit length."""
        mapped = texts @ self.matrix + self.bias
        unit: Matrix = mapped / np.linalg.norm(mapped, axis=1, keepdims=True)
        return unit


def fit(pairs: Pairs, seeds: Sequence[int] = (0, 1, 2)) -> LinearMap:
    """The mean of the maps that the seeds lead to; they start at one point and stay close."""
    start = ridge(pairs)
    maps = [_contrastive(pairs, start, seed) for seed in seeds]
    return LinearMap(
        np.mean([m.matrix for m in maps], axis=0, dtype=np.float32),
        np.mean([m.bias for m in maps], axis=0, dtype=np.float32),
    )


def querybank(queries: Matrix, count: int = BANK, seed: int = 0) -> Matrix:
    """Generic queries: the centres of many real ones, (N, D) -> at most (count, D), unit length.

    Spherical k-means (Dhillon & Modha 2001): few vectors that stand for all that might be asked.
    """
    random = torch.Generator().manual_seed(seed)
    rows = torch.tensor(queries)
    centres = rows[torch.randperm(len(rows), generator=random)[:count]]
    for _ in range(ROUNDS):
        nearest = (rows @ centres.T).argmax(dim=1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, rows)
        filled = sums.norm(dim=1) > 0
        centres = torch.where(filled[:, None], functional.normalize(sums, dim=1), centres)
    found: Matrix = centres.numpy()
    return found


def ridge(pairs: Pairs) -> LinearMap:
    """Where `fit` starts: the map from pictures to centred sentences, transposed."""
    rows = np.concatenate(list(pairs.of))
    images = np.repeat(pairs.images, [len(texts) for texts in pairs.of], axis=0)
    weight = np.repeat([1 / len(texts) for texts in pairs.of], [len(texts) for texts in pairs.of])
    mean = pairs.texts[np.unique(rows)].mean(axis=0)
    weighted = images.T * weight
    inner = weighted @ images + RIDGE * np.eye(images.shape[1])
    solved = np.linalg.solve(inner, weighted @ (pairs.texts[rows] - mean))
    matrix = (solved.T / np.linalg.norm(solved) * 16).astype(np.float32)
    return LinearMap(matrix, -mean @ matrix)


def _contrastive(pairs: Pairs, start: LinearMap, seed: int) -> LinearMap:
    """Train from `start` on; every epoch shows each picture once with one of its texts."""
    random = np.random.default_rng(seed)
    weight = torch.tensor(start.matrix, requires_grad=True)
    bias = torch.tensor(start.bias, requires_grad=True)
    sharpness = torch.tensor(np.log(SHARPNESS), dtype=torch.float32, requires_grad=True)
    groups: list[dict[str, Any]] = [
        {"params": [weight, bias]},
        {"params": [sharpness], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, RATE, weight_decay=DECAY)
    size = min(BATCH, len(pairs.images))
    per_epoch = len(pairs.images) // size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE, total_steps=EPOCHS * per_epoch, pct_start=0.1
    )
    for _ in range(EPOCHS):
        order = random.permutation(len(pairs.images))
        for step in range(per_epoch):
            batch = order[step * size : (step + 1) * size]
            chosen = [random.choice(pairs.of[i]) for i in batch]
            texts = torch.tensor(pairs.texts[chosen]) @ weight + bias
            images = torch.tensor(pairs.images[batch])
            loss = info_nce(texts, images, sharpness, torch.tensor(pairs.groups[batch]))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return LinearMap(weight.detach().numpy(), bias.detach().numpy())


def info_nce(
    texts: torch.Tensor, images: torch.Tensor, sharpness: torch.Tensor, groups: torch.Tensor
) -> torch.Tensor:
    """Symmetric cross-entropy over (B, B) similarities; others of one's group do not count."""
    scores = functional.normalize(texts, dim=-1) @ images.T * sharpness.exp()
    same = groups[:, None] == groups[None, :]
    same.fill_diagonal_(False)
    scores = scores.masked_fill(same, -1e4)
    target = torch.arange(len(scores))
    loss: torch.Tensor = (
        functional.cross_entropy(scores, target) + functional.cross_entropy(scores.T, target)
    ) / 2
    return loss
