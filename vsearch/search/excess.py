"""What is taken off the scores of segments, kept: to measure it takes longer than to find them.

That is a cache, `<library>/excess`: it may be deleted at any time. Where it is damaged, or of other
vectors or another querybank, it is as if nothing were kept.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from vsearch.arrays import load_stack, save_stack
from vsearch.errors import DamagedLibraryError
from vsearch.files import file_name, sweep, usable

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Ids, Space, Vector

log = logging.getLogger(__name__)

AGREED = 1e-4  # of a score: what is measured now differs by no more from what was kept


class Excess:
    """What was measured of the segments of one library."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made when there is something to keep."""
        self._folder = folder

    def of(self, space: Space, ids: Ids, some: Ids, measured: Vector) -> Vector:
        """What is known of segments, ids ascending, float32 (N,); NaN of others.

        `measured` is what `some` of them have now, float32 (n,).
        """
        found = np.full(len(ids), np.nan, np.float32)
        path = self._path(space)
        with suppress(DamagedLibraryError), usable(path, "it is measured anew"):
            own, excess = load_stack(path, np.int64, np.float32)
            sound = own.shape == excess.shape and bool((np.diff(own) > 0).all())
            if not sound or not np.isfinite(excess).all():
                raise ValueError("its parts do not fit each other")
            known = ids if np.array_equal(own, ids) else np.intersect1d(own, ids)
            found[np.searchsorted(ids, known)] = excess[np.searchsorted(own, known)]
        apart = np.abs(found[np.searchsorted(ids, some)] - measured)
        if (apart > AGREED).any():
            found[:] = np.nan
        return found

    def keep(self, space: Space, ids: Ids, excess: Vector) -> None:
        """Keep it, float32 (N,), ids ascending. Only the holder of the lock may."""
        try:
            sweep(self._folder)
            save_stack(self._path(space), ids, excess)
        except OSError as error:
            log.info("%s is not kept: %s", self._path(space), error)

    def _path(self, space: Space) -> Path:
        return self._folder / f"{file_name(space.name)}.npy"
