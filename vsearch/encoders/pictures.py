"""Pictures brought to the square that an image tower looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vsearch.types import Images


def crop_to_square(images: Images, size: int) -> Images:
    """The centre square of each picture: uint8 (N, H, W, 3) -> (N, size, size, 3)."""
    height, width = images.shape[1:3]
    if min(height, width) != size:
        return np.stack([_resize(image, size) for image in images])
    top, left = (height - size) // 2, (width - size) // 2
    return np.ascontiguousarray(images[:, top : top + size, left : left + size])


def _resize(image: Images, size: int) -> Images:
    """One picture (H, W, 3), bicubic with antialiasing, as CLIP was trained."""
    from PIL import Image  # deferred: frames mostly come in the right size

    height, width = image.shape[:2]
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    square = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.asarray(square)
