"""Ways to align a sentence encoder with CLIP's pictures, compared on the validation pairs:

    python -m tests.benchmarks.bench_alignment PAIRS VECTORS.npy

PAIRS and VECTORS.npy (the cache of picture vectors) as for `vsearch.encoders.build_builtin align`.
Text → picture among all validation pictures, by the first text of each; three seeds where there is
chance. The last columns take off what a querybank says, as a search does.
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

from vsearch.encoders.alignment import LinearMap, Pairs, info_nce, querybank, ridge
from vsearch.encoders.build_builtin import read_rows
from vsearch.encoders.shipped import FOLDER
from vsearch.search.querybank import Querybank
from vsearch.types import Matrix

SEEDS = (0, 1, 2)
EPOCHS, BATCH, RATE, DECAY = 30, 1024, 1e-3, 0.05

Judge = Callable[[str, Matrix, Matrix, Matrix | None], None]


class Net(nn.Module):
    """A linear map, with a multi-layer perceptron beside it or not."""

    def __init__(self, start: LinearMap, *, perceptron: bool) -> None:
        super().__init__()
        self.line = nn.Linear(*start.matrix.shape)
        self.line.weight.data = torch.tensor(start.matrix.T)
        self.line.bias.data = torch.tensor(start.bias)
        wide, out = nn.Linear(start.matrix.shape[0], 1024), nn.Linear(1024, start.matrix.shape[1])
        nn.init.zeros_(out.weight)
        nn.init.zeros_(out.bias)
        layers = nn.Sequential(wide, nn.GELU(), nn.Dropout(0.2), out)
        self.beside = layers if perceptron else None

    def forward(self, texts: torch.Tensor) -> torch.Tensor:
        mapped: torch.Tensor = self.line(texts)
        return functional.normalize(
            mapped if self.beside is None else mapped + self.beside(texts), dim=1
        )


def sigmoid_loss(
    texts: torch.Tensor, images: torch.Tensor, sharpness: torch.Tensor, groups: torch.Tensor
) -> torch.Tensor:
    """SigLIP's (Zhai et al. 2023), with its bias at 8."""
    signs = torch.where(groups[:, None] == groups[None, :], 1.0, -1.0)
    return -functional.logsigmoid(signs * (texts @ images.T * sharpness.exp() - 8)).sum() / len(
        texts
    )


def train(pairs: Pairs, net: Net, loss_of: Callable[..., torch.Tensor], seed: int) -> Net:
    """As `alignment.fit` does it, with any loss."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    sharpness = nn.Parameter(torch.tensor(np.log(20.0), dtype=torch.float32))
    parameters: list[dict[str, Any]] = [
        {"params": list(net.parameters())},
        {"params": [sharpness], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(parameters, RATE, weight_decay=DECAY)
    steps = EPOCHS * (len(pairs.images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE, total_steps=steps, pct_start=0.1
    )
    for _ in range(EPOCHS):
        order = random.permutation(len(pairs.images))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[first : first + BATCH]
            texts = net(torch.tensor(pairs.texts[[random.choice(pairs.of[i]) for i in batch]]))
            images, groups = torch.tensor(pairs.images[batch]), torch.tensor(pairs.groups[batch])
            loss = loss_of(texts, images, sharpness, groups)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return net.eval()


def ridges(pairs: Pairs, judged: Pairs, judge: Judge) -> None:
    """Least squares, closed form, in either direction."""
    rows = np.concatenate(list(pairs.of))
    count = [len(of) for of in pairs.of]
    images = np.repeat(pairs.images, count, axis=0)
    weight = np.repeat([1 / n for n in count], count)[:, None]
    mean = pairs.texts[np.unique(rows)].mean(axis=0)
    texts = pairs.texts[rows] - mean
    asked = judged.texts[[of[0] for of in judged.of]] - mean
    for strength in (0.3, 1.0, 3.0, 10.0):
        there = _solve(images, texts, weight, strength)
        judge(f"ridge, pictures → texts, λ {strength:g}", asked, judged.images @ there, None)
        back = _solve(texts, images, weight, strength)
        judge(f"ridge, texts → pictures, λ {strength:g}", asked @ back, judged.images, None)


def _solve(x: Matrix, y: Matrix, weight: npt.NDArray[np.float64], strength: float) -> Matrix:
    inner = (x * weight).T @ x + strength * np.eye(x.shape[1])
    solved: Matrix = np.linalg.solve(inner, (x * weight).T @ y).astype(np.float32)
    return solved


def contrastive(pairs: Pairs, judged: Pairs, judge: Judge) -> None:
    """A linear map or more, with either loss."""
    start, asked = ridge(pairs), judged.texts[[of[0] for of in judged.of]]
    everything = pairs.texts[np.unique(np.concatenate(list(pairs.of)))]
    for perceptron in (False, True):
        for name, loss in (("InfoNCE", info_nce), ("sigmoid", sigmoid_loss)):
            for seed in SEEDS:
                net = train(pairs, Net(start, perceptron=perceptron), loss, seed)
                with torch.no_grad():
                    bank = querybank(net(torch.tensor(everything)).numpy())
                    what = f"{'perceptron' if perceptron else 'linear'}, {name}, seed {seed}"
                    judge(what, net(torch.tensor(asked)).numpy(), judged.images, bank)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pairs", type=Path)
    parser.add_argument("vectors", type=Path)
    given = parser.parse_args()
    rows = read_rows(given.pairs, FOLDER, given.vectors, open_licences=False)
    centre = np.load(FOLDER / "centre.npy")
    pairs, judged = rows.split("train", centre), rows.split("val", centre)
    right = judged.groups[:, None] == judged.groups[None, :]

    def ranked(scores: Matrix) -> str:
        best = np.where(right, scores, -np.inf).max(axis=1)
        rank = (np.where(right, -np.inf, scores) > best[:, None]).sum(axis=1)
        shares = " ".join(f"{100 * (rank < k).mean():5.1f}" for k in (1, 5, 10))
        return f"{shares}  {100 * (1 / (rank + 1)).mean():5.1f}"

    def judge(name: str, asked: Matrix, answers: Matrix, bank: Matrix | None) -> None:
        scores = _unit(asked) @ _unit(answers).T
        line = f"{name:40} {ranked(scores)}"
        if bank is not None:
            line += f"   {ranked(scores - Querybank(bank).excess(answers))}"
        print(line, flush=True)

    print(f"{'':40}   R@1   R@5  R@10    MRR     R@1   R@5  R@10    MRR with a querybank")
    ridges(pairs, judged, judge)
    contrastive(pairs, judged, judge)


def _unit(rows: Matrix) -> Matrix:
    scaled: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


if __name__ == "__main__":
    main()
