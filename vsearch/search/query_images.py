"""Images that callers pass as files or arrays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.errors import QueryError
from vsearch.media.images import read_image
from vsearch.query.arguments import check_list, check_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.types import Images, PathInput


def load_images(images: PathInput | Images | Sequence[PathInput | Images]) -> Iterator[Images]:
    """Read image files, and check arrays.

    Args:
        images: An image file, an array uint8 (H, W, 3) RGB, or several of either.

    Yields:
        uint8 (H, W, 3) RGB.

    Raises:
        MediaError: A file is missing, damaged or not an image.
        QueryError: An array has another shape or type, or an element is neither.
    """
    is_single = isinstance(images, str | os.PathLike) or getattr(images, "ndim", 0) == 3
    image_list: Any = [images] if is_single else check_list(images, "images")
    for image in image_list:
        if not isinstance(image, np.ndarray):
            yield read_image(Path(check_path(image, "an image")))
        elif image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size:
            yield image
        else:
            raise QueryError(
                f"an image must be uint8 (height, width, 3) RGB, not {image.dtype} {image.shape}"
            )
