"""Make altered copies of videos, and an encoder that does not notice how they were altered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.support.copies import displayed_frames, write_video
from tests.support.fakes import FakeEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.copies.alterations import Alteration
    from vsearch.types import Images, Matrix, Span


class TurnBlindEncoder(FakeEncoder):
    """Encoder that sees only how bright the parts of a picture are, not where they are."""

    def encode_images(self, images: Images) -> Matrix:
        """Encode uint8 (N, H, W, 3) as float32 (N, 16): a histogram of the brightness."""
        self.encoded_count += len(images)
        histograms = np.array(
            [np.histogram(image.mean(axis=2), 16, (0, 256))[0] for image in images], np.float32
        ).reshape(-1, 16)
        lengths = np.linalg.norm(histograms, axis=1, keepdims=True).clip(1e-6)
        return np.asarray(histograms / lengths, np.float32)


def write_altered(
    source_path: Path, span: Span, target_path: Path, alteration: Alteration, fps: float = 10
) -> Path:
    """Write an altered copy of a part of a video and return its path."""
    source_fps = fps / alteration.speed

    def altered_frames() -> list[Images]:
        return [
            _alter(image, alteration)
            for image in displayed_frames(source_path, span, source_fps, 72)
        ]

    return write_video(target_path, altered_frames(), fps, 20)


def _alter(image: Images, alteration: Alteration) -> Images:
    if alteration.is_mirrored:
        image = image[:, ::-1]
    image = np.rot90(image, -alteration.rotation_degrees // 90)
    if alteration.is_grayscale:
        image = image.mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8)
    return np.ascontiguousarray(image)
