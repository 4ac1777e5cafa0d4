"""A saved index and the stamp that says what it holds; losing either costs only time."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.vectors.files import UNFINISHED, read_arrays, replaced

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.protocols import VectorIndex
    from vsearch.types import Ids, Space

log = logging.getLogger(__name__)


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
        self._folder, self._kind, self._cls = folder, kind, cls

    def load(self, space: Space) -> Cached | None:
        """The saved index of a space, or None where there is none that can be used."""
        path, stamp = self._paths(space)
        try:
            arrays = read_arrays(stamp)
            revision, ids, name = int(arrays["revision"]), arrays["ids"], str(arrays["space"])
            index: VectorIndex = self._cls.load(path)  # type: ignore[attr-defined]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError) as error:
            log.warning("%s is not usable and will be rebuilt: %s", path, error)
            return None
        if name != space.name or len(index) != len(ids):
            log.warning("%s does not fit its stamp and will be rebuilt", path)
            return None
        return Cached(index, revision, ids)

    def store(self, space: Space, cached: Cached) -> None:
        """Save an index. A failure (disk full, read-only folder) is logged, not raised."""
        path, stamp = self._paths(space)
        try:
            stamp.unlink(missing_ok=True)
            cached.index.save(path)
            with replaced(stamp) as file:
                np.savez(file, revision=cached.revision, ids=cached.ids, space=space.name)
        except OSError as error:
            log.info("%s was not saved: %s", path, error)

    def sweep(self) -> None:
        """Delete unfinished files of an interrupted run."""
        for path in self._folder.glob(f"*{UNFINISHED}"):
            path.unlink(missing_ok=True)

    def _paths(self, space: Space) -> tuple[Path, Path]:
        name = re.sub(r"[^\w.-]", "_", space.name)
        return self._folder / f"{name}.{self._kind}", self._folder / f"{name}.{self._kind}.npz"
