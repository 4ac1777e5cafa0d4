"""Compare ways to align a sentence encoder with CLIP's image space, on the validation pairs.

    python -m benchmarks.bench_alignment PAIRS VECTORS.npy

PAIRS and VECTORS.npy (the cache of image vectors) as for `tools.build_encoder.build align`. Text →
image retrieval among all validation images, by the first text of each; three seeds for randomized
methods. The last columns use querybank normalization, as a search does.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from tools.build_encoder.alignment import (
    AlignmentPairs,
    LinearMap,
    cluster_querybank,
    compute_info_nce,
    fit_ridge_map,
)
from tools.build_encoder.build import encode_pairs, read_training_images
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER
from vsearch.encoders.sentence_tower import SentenceTower
from vsearch.search.hubness import Querybank
from vsearch.types import Matrix

TRAIN_SEEDS = (0, 1, 2)
TRAIN_EPOCHS, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY = 30, 1024, 1e-3, 0.05
JudgeFunction = Callable[[str, Matrix, Matrix, Matrix | None], None]


class AlignmentNet(nn.Module):
    """A linear map, optionally plus a multilayer perceptron."""

    def __init__(self, initial_map: LinearMap, *, with_perceptron: bool) -> None:
        super().__init__()
        self.linear_layer = nn.Linear(*initial_map.weight_matrix.shape)
        self.linear_layer.weight.data = torch.tensor(initial_map.weight_matrix.T)
        self.linear_layer.bias.data = torch.tensor(initial_map.bias_vector)
        wide_layer, output_layer = (
            nn.Linear(initial_map.weight_matrix.shape[0], 1024),
            nn.Linear(1024, initial_map.weight_matrix.shape[1]),
        )
        nn.init.zeros_(output_layer.weight)
        nn.init.zeros_(output_layer.bias)
        layers = nn.Sequential(wide_layer, nn.GELU(), nn.Dropout(0.2), output_layer)
        self.perceptron_layers = layers if with_perceptron else None

    def forward(self, texts: torch.Tensor) -> torch.Tensor:
        mapped: torch.Tensor = self.linear_layer(texts)
        return functional.normalize(
            mapped if self.perceptron_layers is None else mapped + self.perceptron_layers(texts),
            dim=1,
        )


def sigmoid_loss(
    texts: torch.Tensor, images: torch.Tensor, log_sharpness: torch.Tensor, is_same: torch.Tensor
) -> torch.Tensor:
    """Return the loss of SigLIP (Zhai et al. 2023) with its bias at 8."""
    signs = torch.where(is_same, 1.0, -1.0)
    return -functional.logsigmoid(signs * (texts @ images.T * log_sharpness.exp() - 8)).sum() / len(
        texts
    )


def train_alignment(
    pairs: AlignmentPairs,
    alignment_net: AlignmentNet,
    loss_function: Callable[..., torch.Tensor],
    seed: int,
) -> AlignmentNet:
    """Train as `tools.build_encoder` does, with any loss."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    log_sharpness = nn.Parameter(torch.tensor(np.log(20.0), dtype=torch.float32))
    parameters: list[dict[str, Any]] = [
        {"params": list(alignment_net.parameters())},
        {"params": [log_sharpness], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(parameters, LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = TRAIN_EPOCHS * (len(pairs.image_vectors) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1
    )
    for _ in range(TRAIN_EPOCHS):
        order = rng.permutation(len(pairs.image_vectors))
        for batch_start in range(0, len(order) - BATCH_SIZE + 1, BATCH_SIZE):
            batch = order[batch_start : batch_start + BATCH_SIZE]
            text_vectors = pairs.text_vectors[pairs.draw_texts(batch, rng)]
            texts = alignment_net(torch.tensor(text_vectors))
            images, groups = torch.tensor(pairs.image_vectors[batch]), pairs.group_ids[batch]
            is_same = torch.tensor(groups[:, None] == groups[None, :])
            loss = loss_function(texts, images, log_sharpness, is_same)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return alignment_net.eval()


def judge_ridges(
    pairs: AlignmentPairs, test_pairs: AlignmentPairs, judge_scores: JudgeFunction
) -> None:
    """Evaluate ridge regression in closed form, in either direction."""
    rows = np.concatenate(list(pairs.caption_rows))
    text_counts = [len(rows_of_image) for rows_of_image in pairs.caption_rows]
    images = np.repeat(pairs.image_vectors, text_counts, axis=0)
    text_weights = np.repeat([1 / n for n in text_counts], text_counts)[:, None]
    mean = pairs.text_vectors[np.unique(rows)].mean(axis=0)
    texts = pairs.text_vectors[rows] - mean
    query_vectors = (
        test_pairs.text_vectors[[rows_of_image[0] for rows_of_image in test_pairs.caption_rows]]
        - mean
    )
    for strength in (0.3, 1.0, 3.0, 10.0):
        image_map = _solve_ridge(images, texts, text_weights, strength)
        judge_scores(
            f"ridge, images → texts, λ {strength:g}",
            query_vectors,
            test_pairs.image_vectors @ image_map,
            None,
        )
        text_map = _solve_ridge(texts, images, text_weights, strength)
        judge_scores(
            f"ridge, texts → images, λ {strength:g}",
            query_vectors @ text_map,
            test_pairs.image_vectors,
            None,
        )


def _solve_ridge(
    source_rows: Matrix, target_rows: Matrix, row_weights: npt.NDArray[np.float64], penalty: float
) -> Matrix:
    inner = (source_rows * row_weights).T @ source_rows + penalty * np.eye(source_rows.shape[1])
    solution: Matrix = np.linalg.solve(inner, (source_rows * row_weights).T @ target_rows).astype(
        np.float32
    )
    return solution


def judge_contrastive(
    pairs: AlignmentPairs, test_pairs: AlignmentPairs, judge_scores: JudgeFunction
) -> None:
    """Evaluate linear and nonlinear maps with either loss."""
    initial_map, query_vectors = (
        fit_ridge_map(pairs),
        test_pairs.text_vectors[[of[0] for of in test_pairs.caption_rows]],
    )
    everything = pairs.text_vectors[np.unique(np.concatenate(list(pairs.caption_rows)))]
    for perceptron in (False, True):
        for name, loss in (("InfoNCE", compute_info_nce), ("sigmoid", sigmoid_loss)):
            for seed in TRAIN_SEEDS:
                net = train_alignment(
                    pairs, AlignmentNet(initial_map, with_perceptron=perceptron), loss, seed
                )
                with torch.no_grad():
                    bank = cluster_querybank(net(torch.tensor(everything)).numpy())
                    description = f"{'perceptron' if perceptron else 'linear'}, {name}, seed {seed}"
                    judge_scores(
                        description,
                        net(torch.tensor(query_vectors)).numpy(),
                        test_pairs.image_vectors,
                        bank,
                    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pairs", type=Path)
    parser.add_argument("vectors", type=Path)
    options = parser.parse_args()
    training_images = read_training_images(options.pairs, WEIGHTS_FOLDER, options.vectors)
    rows = encode_pairs(training_images, SentenceTower(WEIGHTS_FOLDER))
    pairs, test_pairs = rows.select_split("train"), rows.select_split("val")
    is_relevant = test_pairs.group_ids[:, None] == test_pairs.group_ids[None, :]

    def format_ranks(scores: Matrix) -> str:
        best = np.where(is_relevant, scores, -np.inf).max(axis=1)
        rank = (np.where(is_relevant, -np.inf, scores) > best[:, None]).sum(axis=1)
        shares = " ".join(f"{100 * (rank < k).mean():5.1f}" for k in (1, 5, 10))
        return f"{shares}  {100 * (1 / (rank + 1)).mean():5.1f}"

    def judge_scores(
        name: str, query_vectors: Matrix, image_vectors: Matrix, bank: Matrix | None
    ) -> None:
        scores = _normalize_rows(query_vectors) @ _normalize_rows(image_vectors).T
        line = f"{name:40} {format_ranks(scores)}"
        if bank is not None:
            line += f"   {format_ranks(scores - Querybank(bank).hubness_penalty(image_vectors))}"
        print(line, flush=True)

    print(f"{'':40}   R@1   R@5  R@10    MRR     R@1   R@5  R@10    MRR with a querybank")
    judge_ridges(pairs, test_pairs, judge_scores)
    judge_contrastive(pairs, test_pairs, judge_scores)


def _normalize_rows(rows: Matrix) -> Matrix:
    unit_rows: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit_rows


if __name__ == "__main__":
    main()
