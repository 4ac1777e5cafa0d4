"""Fit a linear map from sentences to images on image-text pairs, with both encoders frozen.

It starts from ridge regression from images to sentences, transposed. A symmetric InfoNCE loss
(CLIP, Radford et al. 2021) over batches of pairs then trains it to rank, as in locked-image tuning
(LiT, Zhai et al. 2022) with all but the last layer of the text side frozen, too. A third of the
texts are replaced by short forms of them, as people type words rather than captions. The map of
the multilingual tower is also drawn to the English vectors of the same texts (distillation, as in
Reimers and Gurevych 2020), which keeps translations close to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vsearch.types import Ids, Matrix

RIDGE_PENALTY = 1.0
EPOCH_COUNT = 20
SHORT_FORM_SHARE = 0.3  # of the texts that have short forms
DISTILLATION_WEIGHT = 2.0  # of the mean cosine distance to the English vectors
BATCH_PAIRS = 1024
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.05
QUERYBANK_SIZE, KMEANS_ITERATIONS = 1024, 10
INITIAL_INVERSE_TEMPERATURE = 20.0


@dataclass(frozen=True, slots=True)
class AlignmentPairs:
    """Images and the texts that describe them."""

    image_vectors: Matrix  # float32 (N, D), unit length, centered
    text_vectors: Matrix  # float32 (M, E), unit length
    caption_rows: Sequence[Ids]  # for each image, the rows of `text_vectors` that describe it
    group_ids: Ids  # (N,); images of one group show the same thing
    short_form_rows: Mapping[int, Ids]  # of a row of `text_vectors`, the rows of its short forms

    def draw_texts(self, image_rows: Ids, rng: np.random.Generator) -> Ids:
        """Draw one text of each image, or a short form of it: rows of `text_vectors`, (B,)."""
        text_rows = [rng.choice(self.caption_rows[image_row]) for image_row in image_rows]
        return np.array(
            [
                rng.choice(self.short_form_rows[text_row])
                if text_row in self.short_form_rows and rng.random() < SHORT_FORM_SHARE
                else text_row
                for text_row in text_rows
            ]
        )


@dataclass(frozen=True, slots=True)
class LinearMap:
    """Affine map from sentence vectors to image vectors: text @ matrix + bias."""

    weight_matrix: npt.NDArray[np.float32]  # (E, D)
    bias_vector: npt.NDArray[np.float32]  # (D,)

    def __call__(self, text_vectors: Matrix) -> Matrix:
        """Map float32 (N, E) to float32 (N, D), rows of unit length."""
        mapped_vectors = text_vectors @ self.weight_matrix + self.bias_vector
        unit_vectors: Matrix = mapped_vectors / np.linalg.norm(
            mapped_vectors, axis=1, keepdims=True
        )
        return unit_vectors


def fit_linear_map(
    training_pairs: AlignmentPairs,
    target_vectors: Matrix | None = None,
    random_seeds: Sequence[int] = (0, 1, 2),
) -> LinearMap:
    """Fit a map for each seed and average them; they start at one point and stay close.

    Args:
        training_pairs: Images and texts.
        target_vectors: Vectors of the texts in another tower, float32 (M, D), to distill; None: no
            distillation.
        random_seeds: Seed of each map.
    """
    ridge_map = fit_ridge_map(training_pairs)
    trained_maps = [
        _train_contrastive(training_pairs, ridge_map, target_vectors, random_seed)
        for random_seed in random_seeds
    ]
    return LinearMap(
        np.mean(
            [trained_map.weight_matrix for trained_map in trained_maps], axis=0, dtype=np.float32
        ),
        np.mean(
            [trained_map.bias_vector for trained_map in trained_maps], axis=0, dtype=np.float32
        ),
    )


def cluster_querybank(
    query_vectors: Matrix, bank_size: int = QUERYBANK_SIZE, random_seed: int = 0
) -> Matrix:
    """Cluster queries into generic ones that represent them.

    Spherical k-means (Dhillon & Modha 2001).

    Args:
        query_vectors: float32 (N, D), unit length.
        bank_size: Number of clusters at most.
        random_seed: Seed of the initial centroids.

    Returns:
        float32 (B, D), unit length.
    """
    rng = torch.Generator().manual_seed(random_seed)
    query_tensor = torch.tensor(query_vectors)
    centroids = query_tensor[torch.randperm(len(query_tensor), generator=rng)[:bank_size]]
    for _ in range(KMEANS_ITERATIONS):
        nearest_centroids = (query_tensor @ centroids.T).argmax(dim=1)
        cluster_sums = torch.zeros_like(centroids).index_add_(0, nearest_centroids, query_tensor)
        is_filled = cluster_sums.norm(dim=1) > 0
        centroids = torch.where(
            is_filled[:, None], functional.normalize(cluster_sums, dim=1), centroids
        )
    bank_vectors: Matrix = centroids.numpy()
    return bank_vectors


def fit_ridge_map(training_pairs: AlignmentPairs) -> LinearMap:
    """Fit the initial map: ridge regression from images to centered sentences, transposed.

    Args:
        training_pairs: Images and texts.
    """
    text_rows = np.concatenate(list(training_pairs.caption_rows))
    image_vectors = np.repeat(
        training_pairs.image_vectors,
        [len(caption_rows) for caption_rows in training_pairs.caption_rows],
        axis=0,
    )
    pair_weights = np.repeat(
        [1 / len(caption_rows) for caption_rows in training_pairs.caption_rows],
        [len(caption_rows) for caption_rows in training_pairs.caption_rows],
    )
    mean_text = training_pairs.text_vectors[np.unique(text_rows)].mean(axis=0)
    weighted_images = image_vectors.T * pair_weights
    gram_matrix = weighted_images @ image_vectors + RIDGE_PENALTY * np.eye(image_vectors.shape[1])
    ridge_solution = np.linalg.solve(
        gram_matrix, weighted_images @ (training_pairs.text_vectors[text_rows] - mean_text)
    )
    weight_matrix = (ridge_solution.T / np.linalg.norm(ridge_solution) * 16).astype(np.float32)
    return LinearMap(weight_matrix, -mean_text @ weight_matrix)


def _train_contrastive(
    training_pairs: AlignmentPairs,
    initial_map: LinearMap,
    target_vectors: Matrix | None,
    random_seed: int,
) -> LinearMap:
    """Train a map; every epoch uses each image once with one of its texts."""
    rng = np.random.default_rng(random_seed)
    weight_matrix = torch.tensor(initial_map.weight_matrix, requires_grad=True)
    bias_vector = torch.tensor(initial_map.bias_vector, requires_grad=True)
    log_inverse_temperature = torch.tensor(
        np.log(INITIAL_INVERSE_TEMPERATURE), dtype=torch.float32, requires_grad=True
    )
    parameter_groups: list[dict[str, Any]] = [
        {"params": [weight_matrix, bias_vector]},
        {"params": [log_inverse_temperature], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(parameter_groups, LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    batch_size = min(BATCH_PAIRS, len(training_pairs.image_vectors))
    steps_per_epoch = len(training_pairs.image_vectors) // batch_size
    lr_scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=EPOCH_COUNT * steps_per_epoch, pct_start=0.1
    )
    for _ in range(EPOCH_COUNT):
        image_order = rng.permutation(len(training_pairs.image_vectors))
        for batch_index in range(steps_per_epoch):
            image_rows = image_order[batch_index * batch_size : (batch_index + 1) * batch_size]
            text_rows = training_pairs.draw_texts(image_rows, rng)
            mapped_texts = (
                torch.tensor(training_pairs.text_vectors[text_rows]) @ weight_matrix + bias_vector
            )
            image_batch = torch.tensor(training_pairs.image_vectors[image_rows])
            batch_loss = compute_info_nce(
                mapped_texts,
                image_batch,
                log_inverse_temperature,
                _shares_content(training_pairs.group_ids[image_rows], text_rows),
            )
            if target_vectors is not None:
                target_batch = torch.tensor(target_vectors[text_rows])
                batch_loss += DISTILLATION_WEIGHT * (
                    1 - functional.cosine_similarity(mapped_texts, target_batch).mean()
                )
            optimizer.zero_grad()
            batch_loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            lr_scheduler.step()
    return LinearMap(weight_matrix.detach().numpy(), bias_vector.detach().numpy())


def _shares_content(group_ids: Ids, text_rows: Ids) -> torch.Tensor:
    """Mark pairs of a batch of the same group or text, bool (B, B): not negatives."""
    return torch.tensor(
        (group_ids[:, None] == group_ids[None, :]) | (text_rows[:, None] == text_rows[None, :])
    )


def compute_info_nce(
    text_vectors: torch.Tensor,
    image_vectors: torch.Tensor,
    log_inverse_temperature: torch.Tensor,
    shares_content: torch.Tensor,
) -> torch.Tensor:
    """Compute symmetric cross-entropy over similarities, ignoring other pairs of equal content.

    Args:
        text_vectors: (B, D), of any length.
        image_vectors: (B, D), unit length.
        log_inverse_temperature: Scalar.
        shares_content: bool (B, B).
    """
    logits = (
        functional.normalize(text_vectors, dim=-1) @ image_vectors.T * log_inverse_temperature.exp()
    )
    is_ignored = shares_content.clone().fill_diagonal_(False)
    logits = logits.masked_fill(is_ignored, -1e4)
    target_rows = torch.arange(len(logits))
    symmetric_loss: torch.Tensor = (
        functional.cross_entropy(logits, target_rows)
        + functional.cross_entropy(logits.T, target_rows)
    ) / 2
    return symmetric_loss
