"""A library with synthetic image vectors, and an encoder with a systematic error in texts.

"scene 7" is encoded as image 7 transformed by a fixed map, which an adapter can learn. Other
texts get random vectors, which it cannot learn.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

import numpy as np

from vsearch import Library
from vsearch.evaluation.datasets import CaptionDataset, CaptionItem
from vsearch.types import Features, Space, Span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vsearch.types import Images, Matrix, Vector

VECTOR_DIM, VIDEO_COUNT = 12, 120
_RANDOM = np.random.default_rng(5)


def _normalize_rows(rows: npt.NDArray[np.float64]) -> Matrix:
    unit_rows: Matrix = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return unit_rows


PICTURE_VECTORS = _normalize_rows(_RANDOM.normal(size=(VIDEO_COUNT, VECTOR_DIM)))
MISREADING_MAP = (
    0.5 * np.eye(VECTOR_DIM) + np.linalg.qr(_RANDOM.normal(size=(VECTOR_DIM, VECTOR_DIM)))[0]
)


class MisreadingEncoder:
    """An `Encoder` with a learnable error, in a space named after its argument."""

    def __init__(self, argument: str = "", *, device: str = "auto") -> None:
        """Use another text encoder for "other"; any other argument names another space."""
        self.argument, self.device = argument, device
        name = "taught" if argument in ("", "other") else f"taught-{argument}"
        self.space = Space(name, VECTOR_DIM, supports_text=True)
        self.image_size = 8

    def encode_images(self, images: Images) -> Matrix:
        return np.repeat(PICTURE_VECTORS[:1], len(images), axis=0)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        return _normalize_rows(np.stack([self._text_vector(text) for text in texts]))

    def _text_vector(self, text: str) -> npt.NDArray[np.float64]:
        scene_match = re.fullmatch(r"scene (\d+)", text)
        random_vector = np.random.default_rng(
            list(hashlib.sha256(f"{self.argument == 'other'} {text}".encode()).digest())
        ).normal(size=VECTOR_DIM)
        if scene_match is None:
            return random_vector
        mapped_vector: npt.NDArray[np.float64] = (
            PICTURE_VECTORS[int(scene_match[1])] @ MISREADING_MAP + 0.05 * random_vector
        )
        return mapped_vector


def make_library(folder: Path, argument: str = "", video_count: int = VIDEO_COUNT) -> Library:
    """Make a library of videos of one image and ten seconds; see `video_path`."""
    new_library = Library.open(folder / "library", create=True, encoder=MisreadingEncoder(argument))
    with new_library._catalog.begin() as change:
        for video_number in range(video_count):
            video_path(folder, video_number).touch()
            added_video = change.add_video(
                video_path=video_path(folder, video_number),
                fingerprint=f"{video_number:04}",
                size_bytes=1,
                mtime_ns=1,
                duration=10.0,
                fps=25.0,
                width=64,
                height=48,
                codec="h264",
                sampled_frames=2,
                sample_fps=0.2,
            )
            picture_vector: Vector = PICTURE_VECTORS[video_number]
            change.add_segments(
                added_video.id, [Span(0, 10)], picture_vector[None], new_library.encoder.space
            )
            change.set_space(new_library.encoder.space, "mean", f"taught:{argument}".rstrip(":"))
            features = Features(
                new_library.encoder.space,
                np.stack([picture_vector, picture_vector]),
                np.array([2.0, 7.0]),
            )
            new_library._feature_store.save(added_video.id, features)
    return new_library


def video_path(folder: Path, video_number: int) -> Path:
    return folder / f"{video_number}.mp4"


def make_captions(
    folder: Path, word: str = "scene", video_count: int = VIDEO_COUNT
) -> CaptionDataset:
    """Make one row per video: "scene 7", or texts without meaning."""
    items = tuple(
        CaptionItem(video_path(folder, video_number), f"{word} {video_number}")
        for video_number in range(video_count)
    )
    return CaptionDataset("rows", items, ())


def write_dataset(folder: Path, dataset: CaptionDataset) -> Path:
    """Write the dataset to a file."""
    rows = ({"path": str(item.video_path), "caption": item.caption} for item in dataset.items)
    dataset_path = folder / f"{dataset.items[0].caption.split()[0]}.jsonl"
    dataset_path.write_text("\n".join(map(json.dumps, rows)))
    return dataset_path
