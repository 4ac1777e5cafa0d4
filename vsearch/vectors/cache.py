"""A saved index and the stamp that says what it holds; losing either costs only time."""

from __future__ import annotations

import glob
import logging
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.arrays import load_arrays, save_arrays
from vsearch.errors import DamagedLibraryError
from vsearch.files import usable

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from vsearch.protocols import VectorIndex
    from vsearch.types import Ids, Space

log = logging.getLogger(__name__)

_STAMP = ".npz"
_FRESH = ".new"
_MOMENT = 0.1  # seconds that replacing an index and its stamp mostly takes
_MOST = 10  # such moments; on a slow disk it takes longer


@dataclass(frozen=True, slots=True)
class Cached:
    """An index as it was saved: the catalogue's revision then, and the ids it holds."""

    index: VectorIndex
    revision: int
    ids: Ids


class IndexCache:
    """`<folder>/<space>.<kind>`, its stamp `….npz`, and `….*`, what the index keeps beside it.

    The stamp is deleted before the index is replaced and written after it, so a stamp that is
    there always tells the truth about the file beside it. An index that keeps files beside its
    own, large ones that seldom change, names them as `parts`.
    """

    def __init__(self, folder: Path, kind: str, cls: type[VectorIndex]) -> None:
        self.kind, self.cls = kind, cls
        self._folder = folder

    def load(self, space: Space) -> Cached | None:
        """The saved index of a space, or None where there is none that can be used.

        One that is replaced at this moment by another process is waited for.
        """
        path, stamp = self._paths(space)
        before, found = _state(stamp), None
        try:
            with usable(path, "the index is made anew from the catalogue"):
                found = self._load(space, path, stamp) if before else None
        except DamagedLibraryError as error:
            if _state(stamp) == before:
                log.warning("%s", error)
                return None
        if found and _state(stamp) == before:  # else it may be of an older or a newer stamp
            return found
        if not path.exists():
            return None
        for _ in range(_MOST if before else 1):  # a stamp long gone may never come
            time.sleep(_MOMENT)
            if _state(stamp) not in (None, before):
                return self.load(space)
        return None

    def store(self, space: Space, cached: Cached) -> None:
        """Save an index in place of what was saved of its space, whatever the kind.

        A failure (disk full, read-only folder) is logged, not raised.
        """
        path, stamp = self._paths(space)
        fresh, before = path.with_name(f"{path.name}{_FRESH}"), saved(self._folder, space)
        try:
            cached.index.save(fresh)  # while others still read what was saved before
            kept = {path.with_name(name) for name in getattr(cached.index, "parts", ())}
            forget(self._folder, space, {path, fresh, *kept})  # path: for who waits
            fresh.replace(path)
            told = {"revision": cached.revision, "ids": cached.ids, "space": space.name}
            save_arrays(stamp, told)
        except OSError as error:
            _delete({*saved(self._folder, space) - before, fresh})
            log.info("%s was not saved: %s", path, error)

    def _load(self, space: Space, path: Path, stamp: Path) -> Cached:
        """Any exception means that the files are of no use."""
        arrays = load_arrays(stamp)
        revision, ids = int(arrays["revision"]), arrays["ids"]
        index: VectorIndex = self.cls.load(path)  # type: ignore[attr-defined]
        if ids.dtype != np.int64 or ids.shape != (len(index),) or arrays["space"] != space.name:
            raise ValueError(f"{path} does not fit its stamp")
        found, _ = index.search(np.zeros(space.dim, np.float32), 1, among=ids[:1])
        if not np.array_equal(found, ids[:1]):  # also fails if its vectors have another length
            raise ValueError(f"{path} does not hold what its stamp says")
        return Cached(index, revision, ids)

    def _paths(self, space: Space) -> tuple[Path, Path]:
        name = f"{_stem(space)}.{self.kind}"
        return self._folder / name, self._folder / f"{name}{_STAMP}"


def forget(folder: Path, space: Space, kept: Collection[Path] = ()) -> None:
    """Delete the saved indexes of a space, of every kind: first the stamps, so that none is used.

    Raises OSError if a stamp stays. An index that Windows keeps, as somebody searches it, may.
    """
    files = saved(folder, space).difference(kept)
    stamps = {path for path in files if path.suffix == _STAMP}
    for stamp in stamps:
        stamp.unlink(missing_ok=True)
    _delete(files - stamps)


def _delete(files: Collection[Path]) -> None:
    """As far as that can be done."""
    for path in files:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def saved(folder: Path, space: Space) -> set[Path]:
    """The files of the saved indexes of a space, of every kind, and their stamps."""
    stem = glob.escape(_stem(space))
    return set(folder.glob(f"{stem}.*"))


def _state(stamp: Path) -> tuple[int, int] | None:
    """Differs for a stamp that was written anew; None where there is none."""
    try:
        found = stamp.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _stem(space: Space) -> str:
    return re.sub(r"[^\w.-]", "_", space.name)
