"""Loading of models and the index before the first search that needs them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vsearch.library import Library

log = logging.getLogger(__name__)
_IMAGE_SIZE = 64  # pixels; the model scales it


def warm_library(library: Library) -> None:
    """Load the text model and the index."""
    try:
        if library.space is not None and library.space.supports_text:
            library.search("a video", k=1)
    except Exception as error:  # the first search reports the error if it persists
        log.warning("%s", error)


def warm_image_model(library: Library) -> None:
    """Load the model for pictures, unless the library is empty."""
    try:
        if library.space is not None:
            library.encode_image(np.zeros((_IMAGE_SIZE, _IMAGE_SIZE, 3), np.uint8))
    except Exception as error:  # the search that follows reports the error if it persists
        log.warning("%s", error)
