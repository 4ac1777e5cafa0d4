"""The indexer that one would write first: OpenCV, open_clip in float32, NumPy. The baseline.

Every frame is decoded, one a second is kept, prepared by open_clip's own transform, encoded in
batches of 8, averaged over windows of 5 s and saved. The weights are random where the real ones
cannot be had: the arithmetic is the same.

    python -m tests.benchmarks.straightforward VIDEO OUTPUT.npz
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import open_clip
import torch
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "ViT-B-16"
BATCH = 8
WINDOW = 5  # frames of a segment


def index(video: str, output: str) -> int:
    """Index one video; how many frames were encoded."""
    model, _, prepare = open_clip.create_model_and_transforms(MODEL)
    model.eval()
    vectors = np.concatenate([encoded(batch, model, prepare) for batch in batches(video)])
    parts = [vectors[i : i + WINDOW].mean(axis=0) for i in range(0, len(vectors), WINDOW)]
    np.savez(output, frames=vectors, segments=np.stack(parts))
    return len(vectors)


def batches(video: str) -> Iterator[list[Image.Image]]:
    """The first frame of each second, a few at a time."""
    batch: list[Image.Image] = []
    for picture in frames(video):
        batch.append(picture)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def frames(video: str) -> Iterator[Image.Image]:
    """The first frame of each second."""
    reader = cv2.VideoCapture(video)
    rate = reader.get(cv2.CAP_PROP_FPS)
    number = found = 0
    while True:
        more, frame = reader.read()
        if not more:
            return
        if number >= found * rate:
            found += 1
            yield Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        number += 1


def encoded(pictures: list[Image.Image], model: Any, prepare: Any) -> np.ndarray[Any, Any]:
    """float32 (N, D) of unit length."""
    with torch.no_grad():
        found = model.encode_image(torch.stack([prepare(each) for each in pictures])).numpy()
    unit: np.ndarray[Any, Any] = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


if __name__ == "__main__":
    print(index(*sys.argv[1:3]))
