"""A library whose pictures are vectors of one's choice, and a model that misreads words about them.

"scene 7" means picture 7, turned by a map that is the same for all: that can be learnt. What other
words mean is chance: that cannot.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

import numpy as np

from vsearch import Library
from vsearch.evaluation.datasets import Dataset, Item
from vsearch.types import Features, Space, Span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vsearch.types import Images, Matrix, Vector

DIM, COUNT = 12, 120
_RANDOM = np.random.default_rng(5)


def _unit(rows: npt.NDArray[np.float64]) -> Matrix:
    unit: Matrix = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return unit


PICTURES = _unit(_RANDOM.normal(size=(COUNT, DIM)))  # float32 (COUNT, DIM)
MISREAD = 0.5 * np.eye(DIM) + np.linalg.qr(_RANDOM.normal(size=(DIM, DIM)))[0]


class Taught:
    """Reads words as told above. An `Encoder`, of the space that it is named after."""

    def __init__(self, argument: str = "", *, device: str = "auto") -> None:
        """ "other" reads words in another way, any further name is another space."""
        self.argument, self.device = argument, device
        name = "taught" if argument in ("", "other") else f"taught-{argument}"
        self.space = Space(name, DIM, speaks_text=True)
        self.image_size = 8

    def encode_images(self, images: Images) -> Matrix:
        return np.repeat(PICTURES[:1], len(images), axis=0)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        return _unit(np.stack([self._read(text) for text in texts]))

    def _read(self, text: str) -> npt.NDArray[np.float64]:
        number = re.fullmatch(r"scene (\d+)", text)
        chance = np.random.default_rng(
            list(hashlib.sha256(f"{self.argument == 'other'} {text}".encode()).digest())
        ).normal(size=DIM)
        if number is None:
            return chance
        turned: npt.NDArray[np.float64] = PICTURES[int(number[1])] @ MISREAD + 0.05 * chance
        return turned


def library(folder: Path, argument: str = "", count: int = COUNT) -> Library:
    """A library of videos, each of one picture and ten seconds; `video(folder, n)` is a file."""
    made = Library.open(folder / "library", encoder=Taught(argument))
    with made._catalog.begin() as change:
        for number in range(count):
            video(folder, number).touch()
            found = change.add_video(
                path=video(folder, number),
                fingerprint=f"{number:04}",
                size=1,
                modified=1,
                duration=10.0,
                fps=25.0,
                width=64,
                height=48,
                codec="h264",
                frames=2,
                sampled_at=0.2,
            )
            row: Vector = PICTURES[number]
            change.add_segments(found.id, [Span(0, 10)], row[None], made.encoder.space)
            change.set_space(made.encoder.space, "mean", f"taught:{argument}".rstrip(":"))
            features = Features(made.encoder.space, np.stack([row, row]), np.array([2.0, 7.0]))
            made._features.save(found.id, features)
    return made


def video(folder: Path, number: int) -> Path:
    return folder / f"{number}.mp4"


def captions(folder: Path, word: str = "scene", count: int = COUNT) -> Dataset:
    """A row a video: "scene 7" of the seventh, or words that mean nothing."""
    items = tuple(Item(video(folder, number), f"{word} {number}") for number in range(count))
    return Dataset("rows", items, ())


def written(folder: Path, dataset: Dataset) -> Path:
    """The same as a file."""
    rows = ({"path": str(item.path), "caption": item.caption} for item in dataset.items)
    path = folder / f"{dataset.items[0].caption.split()[0]}.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path
