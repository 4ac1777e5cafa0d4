"""A saved index and the stamp that says what it holds; losing either costs only time."""

from __future__ import annotations

import glob
import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.arrays import load_arrays, save_arrays
from vsearch.errors import DamagedLibraryError
from vsearch.files import usable

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.protocols import VectorIndex
    from vsearch.types import Ids, Space

log = logging.getLogger(__name__)

_STAMP = ".npz"


@dataclass(frozen=True, slots=True)
class Cached:
    """An index as it was saved: the catalogue's revision then, and the ids it holds."""

    index: VectorIndex
    revision: int
    ids: Ids


class IndexCache:
    """`<folder>/<space>.<kind>` and its stamp `….npz`.

    The stamp is deleted before the index is replaced and written after it, so a stamp that is
    there always tells the truth about the file beside it.
    """

    def __init__(self, folder: Path, kind: str, cls: type[VectorIndex]) -> None:
        self.kind = kind
        self._folder, self._cls = folder, cls

    def load(self, space: Space) -> Cached | None:
        """The saved index of a space, or None where there is none that can be used."""
        path, stamp = self._paths(space)
        try:
            with usable(path, "the index is made anew from the catalogue"):
                return self._load(space, path, stamp) if stamp.exists() else None
        except DamagedLibraryError as error:
            log.warning("%s", error)
            return None

    def store(self, space: Space, cached: Cached) -> None:
        """Save an index in place of what was saved of its space, whatever the kind.

        A failure (disk full, read-only folder) is logged, not raised.
        """
        path, stamp = self._paths(space)
        try:
            forget(self._folder, space)
            cached.index.save(path)
            told = {"revision": cached.revision, "ids": cached.ids, "space": space.name}
            save_arrays(stamp, told)
        except OSError as error:
            log.info("%s was not saved: %s", path, error)

    def _load(self, space: Space, path: Path, stamp: Path) -> Cached:
        """Any exception means that the files are of no use."""
        arrays = load_arrays(stamp)
        revision, ids = int(arrays["revision"]), arrays["ids"]
        index: VectorIndex = self._cls.load(path)  # type: ignore[attr-defined]
        if ids.dtype != np.int64 or ids.shape != (len(index),) or arrays["space"] != space.name:
            raise ValueError(f"{path} does not fit its stamp")
        found, _ = index.search(np.zeros(space.dim, np.float32), 1, among=ids[:1])
        if not np.array_equal(found, ids[:1]):  # also fails if its vectors have another length
            raise ValueError(f"{path} does not hold what its stamp says")
        return Cached(index, revision, ids)

    def _paths(self, space: Space) -> tuple[Path, Path]:
        name = f"{_stem(space)}.{self.kind}"
        return self._folder / name, self._folder / f"{name}{_STAMP}"


def forget(folder: Path, space: Space) -> None:
    """Delete the saved indexes of a space, of every kind: first the stamps, so that none is used.

    Raises OSError if a stamp stays. An index that Windows keeps, as somebody searches it, may.
    """
    files = saved(folder, space)
    stamps = {path for path in files if path.suffix == _STAMP}
    for stamp in stamps:
        stamp.unlink(missing_ok=True)
    for path in files - stamps:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def saved(folder: Path, space: Space) -> set[Path]:
    """The files of the saved indexes of a space, of every kind, and their stamps."""
    stem = glob.escape(_stem(space))
    return set(folder.glob(f"{stem}.*"))


def _stem(space: Space) -> str:
    return re.sub(r"[^\w.-]", "_", space.name)
