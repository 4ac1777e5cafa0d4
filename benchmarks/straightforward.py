"""A simple baseline indexer with OpenCV, open_clip in float32 and NumPy.

    python -m benchmarks.straightforward VIDEO OUTPUT.npz

Every frame is decoded; one per second is preprocessed by open_clip's transform, encoded in batches
of 8, averaged over windows of 5 s and saved. The weights are random if the real ones are not
available; the cost is the same.
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

CLIP_MODEL = "ViT-B-16"
BATCH_SIZE = 8
SEGMENT_FRAMES = 5


def index_video(video_path: str, output_path: str) -> int:
    """Index one video; return the number of encoded frames."""
    model, _, prepare = open_clip.create_model_and_transforms(CLIP_MODEL)
    model.eval()
    vectors = np.concatenate(
        [encode_pictures(batch, model, prepare) for batch in iter_batches(video_path)]
    )
    segment_vectors = [
        vectors[i : i + SEGMENT_FRAMES].mean(axis=0) for i in range(0, len(vectors), SEGMENT_FRAMES)
    ]
    np.savez(output_path, frames=vectors, segments=np.stack(segment_vectors))
    return len(vectors)


def iter_batches(video_path: str) -> Iterator[list[Image.Image]]:
    """Yield the first frame of each second in batches."""
    batch: list[Image.Image] = []
    for picture in iter_frames(video_path):
        batch.append(picture)
        if len(batch) == BATCH_SIZE:
            yield batch
            batch = []
    if batch:
        yield batch


def iter_frames(video_path: str) -> Iterator[Image.Image]:
    """Yield the first frame of each second."""
    reader = cv2.VideoCapture(video_path)
    rate = reader.get(cv2.CAP_PROP_FPS)
    number = yielded_count = 0
    while True:
        has_frame, frame = reader.read()
        if not has_frame:
            return
        if number >= yielded_count * rate:
            yielded_count += 1
            yield Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        number += 1


def encode_pictures(
    pictures: list[Image.Image], model: Any, preprocess: Any
) -> np.ndarray[Any, Any]:
    """Encode images to float32 (N, D) of unit length."""
    with torch.no_grad():
        vectors = model.encode_image(
            torch.stack([preprocess(picture) for picture in pictures])
        ).numpy()
    unit: np.ndarray[Any, Any] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


if __name__ == "__main__":
    print(index_video(*sys.argv[1:3]))
