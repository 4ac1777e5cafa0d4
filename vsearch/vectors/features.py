"""Frame features on disk, one file a video, so that nothing is decoded twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DamagedLibraryError
from vsearch.types import Features, Space
from vsearch.vectors.files import UNFINISHED, read_arrays, replaced

if TYPE_CHECKING:
    from pathlib import Path


class FeatureStore:
    """`<folder>/<video id>.npz`: matrix float16 (T, D), times float64 (T,), the space as JSON."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, video_id: int, features: Features) -> None:
        """Write or replace the features of a video; durable when this returns."""
        space = features.space
        label = json.dumps([space.name, space.dim, space.speaks_text])
        with replaced(self._path(video_id)) as file:
            np.savez(
                file,
                matrix=features.matrix.astype(np.float16),
                times=features.times.astype(np.float64),
                space=np.array(label),
            )

    def load(self, video_id: int) -> Features:
        """Raises DamagedLibraryError when the file is missing or not readable."""
        path = self._path(video_id)
        try:
            arrays = read_arrays(path)
            space = Space(*json.loads(str(arrays["space"])))
            return Features(space, arrays["matrix"].astype(np.float32), arrays["times"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedLibraryError(
                f"{path}: the stored frame features cannot be read ({error}); "
                "index the video again with --again"
            ) from error

    def remove(self, video_id: int) -> None:
        """Delete the features of a video, if there are any."""
        self._path(video_id).unlink(missing_ok=True)

    def ids(self) -> set[int]:
        """The videos that have features."""
        return {int(path.stem) for path in self.folder.glob("*.npz") if path.stem.isdigit()}

    def sweep(self, known: set[int]) -> int:
        """Delete what an interrupted run left: unfinished files and features of no video."""
        stale = [self._path(video_id) for video_id in self.ids() - known]
        stale += self.folder.glob(f"*{UNFINISHED}")
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    def _path(self, video_id: int) -> Path:
        return self.folder / f"{video_id}.npz"
