"""Generic texts as a model reads them: its querybank, or what videos usually show.

Reading takes a large model some seconds, so what it made of them is kept in `<library>/null`. That
is a cache: it may be deleted at any time, what is damaged is made anew, and a library that cannot
be written to does without.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from vsearch.arrays import load_arrays, save_arrays
from vsearch.errors import DamagedLibraryError
from vsearch.files import file_name, sweep, usable
from vsearch.search.generic import TEXTS

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.protocols import Encoder
    from vsearch.types import Matrix

log = logging.getLogger(__name__)

AGREED = 0.99  # of the first text, read by the model that read what is kept: else by another one
SLACK = 4_096  # bytes of a file beyond its numbers


class GenericTexts:
    """The generic texts of one library. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made when there is something to keep."""
        self._folder = folder
        self._known: tuple[Encoder, Matrix] | None = None
        self._lock = threading.Lock()

    def of(self, encoder: Encoder) -> Matrix | None:
        """float32 (B, D) of unit length; None for a model that understands pictures only.

        Raises what the encoder does when it reads words.
        """
        if not encoder.space.speaks_text:
            return None
        with self._lock:
            if self._known is None or self._known[0] is not encoder:
                own: Matrix | None = getattr(encoder, "querybank", None)
                if own is None or not len(own):
                    own = self._kept(encoder)
                self._known = encoder, own
            return self._known[1]

    def _kept(self, encoder: Encoder) -> Matrix:
        """Read before, if the same model did so; else read now."""
        path = self._folder / f"{file_name(encoder.space.name)}.npz"
        first = encoder.encode_texts(TEXTS[:1])
        with suppress(DamagedLibraryError), usable(path, "it is made anew"):
            found = _load(path, encoder.space.dim)
            if float(first[0] @ found[0]) >= AGREED:
                return found
        vectors = np.concatenate([first, encoder.encode_texts(TEXTS[1:])])
        try:
            sweep(self._folder)
            save_arrays(path, {"vectors": vectors})
        except OSError as error:
            log.info("%s is not kept: %s", path, error)
        return vectors


def _load(path: Path, dim: int) -> Matrix:
    """What was kept; any exception means that the file is something else."""
    shape = (len(TEXTS), dim)
    if path.stat().st_size > 4 * shape[0] * shape[1] + SLACK:
        raise ValueError(f"{path}: more than it could hold")
    found = load_arrays(path, "vectors")["vectors"]
    if found.shape != shape or found.dtype != np.float32:
        raise ValueError(f"{path}: {found.dtype} {found.shape} in place of {shape}")
    if not np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3):
        raise ValueError(f"{path}: vectors of another length than 1")
    return found
