"""Pictures in batches of one shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vsearch.types import FrameBatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vsearch.types import Images


def batched(frames: Iterable[tuple[Images, float]], size: int) -> Iterator[FrameBatch]:
    """Images, each uint8 (H, W, 3), and times in seconds, as batches of at most `size`."""
    images: list[Images] = []
    times: list[float] = []
    for image, time in frames:
        if images and (len(images) == size or image.shape != images[0].shape):
            yield FrameBatch(np.stack(images), np.array(times))
            images, times = [], []
        images.append(image)
        times.append(time)
    if images:
        yield FrameBatch(np.stack(images), np.array(times))
