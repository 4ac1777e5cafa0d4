"""The fast tier: CLIP's image tower taught to see at 128 pixels what it sees at 224.

A third of the patches is a third of the work. The matrices stay as they are, so both tiers
share them; positions, norms, biases and one scale for each column of a matrix are trained until the
embeddings of small pictures are those of large ones (distillation, Hinton et al. 2015; biases and
scales as in BitFit, Ben Zaken et al. 2022, and (IA)³, Liu et al. 2022).

Part of rebuilding the embedded model; see `build_builtin.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from vsearch.encoders.graphs import CLIP_MEAN, CLIP_STD, Quantised

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vsearch.types import Images, Matrix, Vector

SIZE = 128  # pixels
EPOCHS = 1
BATCH = 32
RATE = 1e-3
WARM_UP = 20  # steps
POSITIONS = "embeddings.position_embedding.weight"


@dataclass(frozen=True, slots=True)
class Lesson:
    """Pictures and what the large tower makes of them."""

    pictures: Images  # uint8 (N, SIZE, SIZE, 3)
    targets: Matrix  # float32 (N, 512), unit length, not centred
    centre: Vector  # the mean picture, float32 (512,)


class Student:
    """The tower's forward pass in torch, with what is trained apart from what is not."""

    def __init__(self, weights: Mapping[str, Any], size: int) -> None:
        """`weights` as `graphs.clip_weights` reads them."""
        self.matrices: dict[str, torch.Tensor] = {}  # float32 (K, N)
        self.trained: dict[str, torch.Tensor] = {}  # float32, each a leaf
        for name, value in weights.items():
            if isinstance(value, Quantised):
                self.matrices[name] = torch.tensor(value.values * value.scale)
                self._train(f"{name}.scale", torch.ones(len(value.scale)))
            elif name != "embeddings.patch_embedding.weight":
                self._train(name, torch.tensor(np.array(value, np.float32)))
        self.kernel = torch.tensor(np.array(weights["embeddings.patch_embedding.weight"]))
        self._train(POSITIONS, resized(self.trained[POSITIONS].detach(), size // 16))

    def __call__(self, pictures: Images) -> torch.Tensor:
        """uint8 (N, S, S, 3) -> float32 (N, 512), of any length."""
        mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (CLIP_MEAN, CLIP_STD))
        pixels = (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 - mean) / std
        patches = functional.conv2d(pixels, self.kernel, stride=16)
        token = self.trained["embeddings.class_embedding"].expand(len(pixels), 1, -1)
        x = torch.cat([token, patches.flatten(2).transpose(1, 2)], dim=1) + self.trained[POSITIONS]
        x = self._norm(x, "pre_layrnorm")  # (N, 1 + patches, 768)
        for number in range(12):
            x = self._block(x, f"encoder.layers.{number}")
        return self._linear(self._norm(x[:, 0], "post_layernorm"), "visual_projection").float()

    def changes(self, weights: Mapping[str, Any]) -> dict[str, Any]:
        """`weights` with what was trained in its place, for `graphs.image_tower`."""
        changed = dict(weights)
        for name, value in self.trained.items():
            array = value.detach().numpy()
            of = name.removesuffix(".scale")
            if of in self.matrices:
                old = weights[of]
                changed[of] = Quantised(old.values, (old.scale * array).astype(np.float32))
            else:
                changed[name] = array
        return changed

    def _block(self, x: torch.Tensor, at: str) -> torch.Tensor:
        count, length, width = x.shape
        y = self._norm(x, f"{at}.layer_norm1")
        q, k, v = (
            self._linear(y, f"{at}.self_attn.{p}_proj").view(count, length, 12, 64).transpose(1, 2)
            for p in "qkv"
        )
        y = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        x = x + self._linear(y.reshape(count, length, width), f"{at}.self_attn.out_proj")
        y = self._linear(self._norm(x, f"{at}.layer_norm2"), f"{at}.mlp.fc1")
        return x + self._linear(y * torch.sigmoid(1.702 * y), f"{at}.mlp.fc2")

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        y = x @ self.matrices[name] * self.trained[f"{name}.scale"]
        return y + self.trained[f"{name}.bias"] if f"{name}.bias" in self.trained else y

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = self.trained[f"{name}.weight"], self.trained[f"{name}.bias"]
        return functional.layer_norm(x, weight.shape, weight, bias, 1e-5)

    def _train(self, name: str, value: torch.Tensor) -> None:
        self.trained[name] = value.clone().requires_grad_()


def distil(
    weights: Mapping[str, Any], lesson: Lesson, seed: int = 0
) -> Iterator[tuple[Student, float]]:
    """Train, and give the student and its last mean loss every fifty steps and at the end."""
    student = Student(weights, SIZE)
    steps = EPOCHS * (len(lesson.pictures) // BATCH)
    leaves = list(student.trained.values())
    optimiser = torch.optim.AdamW(leaves, RATE, weight_decay=0.0)

    def pace(step: int) -> float:
        return float(min((step + 1) / WARM_UP, 0.5 * (1 + np.cos(np.pi * step / steps))))

    losses: list[float] = []
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, pace)
    for step, chosen in enumerate(_batches(len(lesson.pictures), seed), start=1):
        targets = centred(torch.tensor(lesson.targets[chosen]), lesson.centre)
        seen = centred(student(np.asarray(lesson.pictures[chosen])), lesson.centre)
        loss = (1 - (seen * targets).sum(dim=1)).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(leaves, 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if step % 50 == 0 or step == steps:
            yield student, float(np.mean(losses[-50:]))


def centred(features: torch.Tensor, centre: Vector) -> torch.Tensor:
    """What an index holds: (N, D) to unit length, minus the mean, to unit length again."""
    unit = functional.normalize(features, dim=1)
    return functional.normalize(unit - torch.from_numpy(centre), dim=1)


def resized(positions: torch.Tensor, rows: int) -> torch.Tensor:
    """(1 + R², W) -> (1 + rows², W): the grid of patches shrunk like a picture."""
    width, old = positions.shape[1], round((len(positions) - 1) ** 0.5)
    grid = positions[1:].T.reshape(1, width, old, old)
    grid = functional.interpolate(
        grid, size=(rows, rows), mode="bicubic", antialias=True, align_corners=False
    )
    return torch.cat([positions[:1], grid.flatten(2)[0].T])


def _batches(count: int, seed: int) -> Iterator[Any]:
    """Rows in batches, every epoch in another order."""
    random = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        order = random.permutation(count)
        for start in range(0, count - BATCH + 1, BATCH):
            yield np.sort(order[start : start + BATCH])  # sorted: the pictures may be on disk
