"""Distill the fast tier: CLIP's image tower for images of 128 instead of 224 pixels.

A third of the patches takes a third of the work. Matrices are frozen, so that both tiers share
them; positions, norms, biases and one scale per matrix column are trained until the embeddings of
small images match those of large ones (distillation, Hinton et al. 2015; biases and scales as in
BitFit, Ben Zaken et al. 2022, and (IA)³, Liu et al. 2022).

Part of rebuilding the embedded model; see `build.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from tools.build_encoder.onnx_graphs import CLIP_MEAN, CLIP_STD, QuantizedMatrix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vsearch.types import Images, Matrix, Vector

IMAGE_SIZE = 128
EPOCH_COUNT = 1
BATCH_IMAGES = 32
LEARNING_RATE = 1e-3
WARMUP_STEPS = 20
POSITION_WEIGHT_NAME = "embeddings.position_embedding.weight"


@dataclass(frozen=True, slots=True)
class DistillationDataset:
    """Small images, and the large tower's vectors of them."""

    small_images: Images  # uint8 (N, IMAGE_SIZE, IMAGE_SIZE, 3)
    target_vectors: Matrix  # float32 (N, 512), unit length, not centered
    mean_image: Vector  # float32 (512,)


class StudentTower:
    """Forward pass of the tower in torch, with trained and frozen parameters kept apart.

    Args:
        tower_weights: Weights by name, as returned by `onnx_graphs.read_clip_weights`.
        image_size: Side of the images in pixels.
    """

    def __init__(self, tower_weights: Mapping[str, Any], image_size: int) -> None:
        self.frozen_matrices: dict[str, torch.Tensor] = {}  # float32 (K, N)
        self.trained_tensors: dict[str, torch.Tensor] = {}  # float32, each a leaf
        for parameter_name, parameter_value in tower_weights.items():
            if isinstance(parameter_value, QuantizedMatrix):
                self.frozen_matrices[parameter_name] = torch.tensor(
                    parameter_value.int8_values * parameter_value.column_scales
                )
                self._add_trained(
                    f"{parameter_name}.scale", torch.ones(len(parameter_value.column_scales))
                )
            elif parameter_name != "embeddings.patch_embedding.weight":
                self._add_trained(
                    parameter_name, torch.tensor(np.array(parameter_value, np.float32))
                )
        self.patch_kernel = torch.tensor(
            np.array(tower_weights["embeddings.patch_embedding.weight"])
        )
        self._add_trained(
            POSITION_WEIGHT_NAME,
            resize_positions(self.trained_tensors[POSITION_WEIGHT_NAME].detach(), image_size // 16),
        )

    def __call__(self, small_images: Images) -> torch.Tensor:
        """Encode uint8 (N, S, S, 3) as float32 (N, 512), not normalized."""
        channel_means, channel_stds = (
            torch.tensor(channel_values).view(1, 3, 1, 1)
            for channel_values in (CLIP_MEAN, CLIP_STD)
        )
        pixel_tensor = (
            torch.from_numpy(small_images).permute(0, 3, 1, 2).float() / 255 - channel_means
        ) / channel_stds
        patch_features = functional.conv2d(pixel_tensor, self.patch_kernel, stride=16)
        class_token = self.trained_tensors["embeddings.class_embedding"].expand(
            len(pixel_tensor), 1, -1
        )
        x = (
            torch.cat([class_token, patch_features.flatten(2).transpose(1, 2)], dim=1)
            + self.trained_tensors[POSITION_WEIGHT_NAME]
        )
        x = self._apply_norm(x, "pre_layrnorm")  # (N, 1 + patches, 768)
        for layer_index in range(12):
            x = self._run_block(x, f"encoder.layers.{layer_index}")
        return self._apply_linear(
            self._apply_norm(x[:, 0], "post_layernorm"), "visual_projection"
        ).float()

    def merge_weights(self, tower_weights: Mapping[str, Any]) -> dict[str, Any]:
        """Return the weights with trained parameters merged in.

        Args:
            tower_weights: Weights the student was made from.

        Returns:
            Weights for `onnx_graphs.build_image_tower`.
        """
        merged_weights = dict(tower_weights)
        for parameter_name, parameter_value in self.trained_tensors.items():
            parameter_array = parameter_value.detach().numpy()
            matrix_name = parameter_name.removesuffix(".scale")
            if matrix_name in self.frozen_matrices:
                frozen_matrix: QuantizedMatrix = tower_weights[matrix_name]
                column_scales = frozen_matrix.column_scales * parameter_array
                merged_weights[matrix_name] = QuantizedMatrix(
                    frozen_matrix.int8_values, column_scales.astype(np.float32)
                )
            else:
                merged_weights[parameter_name] = parameter_array
        return merged_weights

    def _run_block(self, x: torch.Tensor, block_name: str) -> torch.Tensor:
        batch_size, token_count, feature_width = x.shape
        y = self._apply_norm(x, f"{block_name}.layer_norm1")
        q, k, v = (
            self._apply_linear(y, f"{block_name}.self_attn.{projection_name}_proj")
            .view(batch_size, token_count, 12, 64)
            .transpose(1, 2)
            for projection_name in "qkv"
        )
        y = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        x = x + self._apply_linear(
            y.reshape(batch_size, token_count, feature_width), f"{block_name}.self_attn.out_proj"
        )
        y = self._apply_linear(
            self._apply_norm(x, f"{block_name}.layer_norm2"), f"{block_name}.mlp.fc1"
        )
        return x + self._apply_linear(y * torch.sigmoid(1.702 * y), f"{block_name}.mlp.fc2")

    def _apply_linear(self, x: torch.Tensor, layer_name: str) -> torch.Tensor:
        y = x @ self.frozen_matrices[layer_name] * self.trained_tensors[f"{layer_name}.scale"]
        return (
            y + self.trained_tensors[f"{layer_name}.bias"]
            if f"{layer_name}.bias" in self.trained_tensors
            else y
        )

    def _apply_norm(self, x: torch.Tensor, layer_name: str) -> torch.Tensor:
        norm_weight, norm_bias = (
            self.trained_tensors[f"{layer_name}.weight"],
            self.trained_tensors[f"{layer_name}.bias"],
        )
        return functional.layer_norm(x, norm_weight.shape, norm_weight, norm_bias, 1e-5)

    def _add_trained(self, parameter_name: str, parameter_value: torch.Tensor) -> None:
        self.trained_tensors[parameter_name] = parameter_value.clone().requires_grad_()


def distill_tower(
    tower_weights: Mapping[str, Any], distillation_data: DistillationDataset, random_seed: int = 0
) -> Iterator[tuple[StudentTower, float]]:
    """Train the student.

    Args:
        tower_weights: Weights of the large tower.
        distillation_data: Images and targets.
        random_seed: Seed of the order of images.

    Yields:
        The student and its mean loss over the last fifty steps, every fifty steps and at the end.
    """
    student = StudentTower(tower_weights, IMAGE_SIZE)
    total_steps = EPOCH_COUNT * (len(distillation_data.small_images) // BATCH_IMAGES)
    trained_leaves = list(student.trained_tensors.values())
    optimizer = torch.optim.AdamW(trained_leaves, LEARNING_RATE, weight_decay=0.0)

    def scale_rate(step_index: int) -> float:
        return float(
            min(
                (step_index + 1) / WARMUP_STEPS,
                0.5 * (1 + np.cos(np.pi * step_index / total_steps)),
            )
        )

    step_losses: list[float] = []
    lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, scale_rate)
    for step_index, image_rows in enumerate(
        _iter_batches(len(distillation_data.small_images), random_seed), start=1
    ):
        target_features = center_features(
            torch.tensor(distillation_data.target_vectors[image_rows]), distillation_data.mean_image
        )
        student_features = center_features(
            student(np.asarray(distillation_data.small_images[image_rows])),
            distillation_data.mean_image,
        )
        cosine_loss = (1 - (student_features * target_features).sum(dim=1)).mean()
        optimizer.zero_grad()
        cosine_loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained_leaves, 1.0)
        optimizer.step()
        lr_scheduler.step()
        step_losses.append(cosine_loss.item())
        if step_index % 50 == 0 or step_index == total_steps:
            yield student, float(np.mean(step_losses[-50:]))


def center_features(image_features: torch.Tensor, mean_image: Vector) -> torch.Tensor:
    """Normalize (N, D), subtract the mean image and normalize again, as stored in an index."""
    unit_features = functional.normalize(image_features, dim=1)
    return functional.normalize(unit_features - torch.from_numpy(mean_image), dim=1)


def resize_positions(position_weights: torch.Tensor, grid_rows: int) -> torch.Tensor:
    """Resize the grid of patch positions: (1 + R², W) -> (1 + `grid_rows`², W)."""
    feature_width, old_rows = position_weights.shape[1], round((len(position_weights) - 1) ** 0.5)
    position_grid = position_weights[1:].T.reshape(1, feature_width, old_rows, old_rows)
    position_grid = functional.interpolate(
        position_grid,
        size=(grid_rows, grid_rows),
        mode="bicubic",
        antialias=True,
        align_corners=False,
    )
    return torch.cat([position_weights[:1], position_grid.flatten(2)[0].T])


def _iter_batches(image_count: int, random_seed: int) -> Iterator[Any]:
    """Yield batches of row numbers, every epoch in another order."""
    rng = np.random.default_rng(random_seed)
    for _ in range(EPOCH_COUNT):
        image_order = rng.permutation(image_count)
        for batch_start in range(0, image_count - BATCH_IMAGES + 1, BATCH_IMAGES):
            # Sorted, because the images may be on disk.
            yield np.sort(image_order[batch_start : batch_start + BATCH_IMAGES])
