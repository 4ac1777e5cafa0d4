"""Group images into batches of one shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vsearch.types import FrameBatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vsearch.types import Images


def batch_frames(
    timed_images: Iterable[tuple[Images, float]], batch_size: int
) -> Iterator[FrameBatch]:
    """Group images and times into batches; a batch ends early where the shape changes.

    Args:
        timed_images: Images, uint8 (H, W, 3), and their times in seconds.
        batch_size: Images per batch at most.
    """
    images: list[Images] = []
    frame_times: list[float] = []
    for image, frame_time in timed_images:
        if images and (len(images) == batch_size or image.shape != images[0].shape):
            yield FrameBatch(np.stack(images), np.array(frame_times))
            images, frame_times = [], []
        images.append(image)
        frame_times.append(frame_time)
    if images:
        yield FrameBatch(np.stack(images), np.array(frame_times))
