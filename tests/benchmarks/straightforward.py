"""The indexer that one would write first: OpenCV, open_clip in float32, NumPy. The baseline.

Every frame is decoded, one a second is kept, prepared by open_clip's own transform, encoded in
batches of 8, averaged over windows of 5 s and saved. The weights are random where the real ones
cannot be had: the arithmetic is the same.

    python -m tests.benchmarks.straightforward VIDEO OUTPUT.npz
"""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
import open_clip
import torch
from PIL import Image

MODEL = "ViT-B-16"
BATCH = 8
WINDOW = 5  # frames of a segment


def index(video: str, output: str) -> int:
    """Index one video; how many frames were encoded."""
    model, _, prepare = open_clip.create_model_and_transforms(MODEL)
    model.eval()
    vectors = encoded(frames(video), model, prepare)
    parts = [vectors[i : i + WINDOW].mean(axis=0) for i in range(0, len(vectors), WINDOW)]
    np.savez(output, frames=vectors, segments=np.stack(parts))
    return len(vectors)


def frames(video: str) -> list[Image.Image]:
    """The first frame of each second."""
    reader = cv2.VideoCapture(video)
    rate = reader.get(cv2.CAP_PROP_FPS)
    found: list[Image.Image] = []
    number = 0
    while True:
        more, frame = reader.read()
        if not more:
            return found
        if number >= len(found) * rate:
            found.append(Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))
        number += 1


def encoded(pictures: list[Image.Image], model: Any, prepare: Any) -> np.ndarray[Any, Any]:
    """float32 (T, D) of unit length."""
    rows = []
    with torch.no_grad():
        for start in range(0, len(pictures), BATCH):
            batch = torch.stack([prepare(picture) for picture in pictures[start : start + BATCH]])
            found = model.encode_image(batch).numpy()
            rows.append(found / np.linalg.norm(found, axis=1, keepdims=True))
    return np.concatenate(rows)


if __name__ == "__main__":
    print(index(*sys.argv[1:3]))
