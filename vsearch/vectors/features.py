"""Frame features on disk, one file a video, so that nothing is decoded twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.types import Features, Space
from vsearch.vectors.arrays import load_arrays, save_arrays
from vsearch.vectors.files import sweep, usable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

_REMEDY = "the frame features of this video are lost: index it again with --again"


class FeatureStore:
    """`<folder>/<video id>.npz`: matrix float16 (T, D), times float64 (T,), the space as JSON."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, video_id: int, features: Features) -> None:
        """Write or replace the features of a video; durable when this returns.

        Raises LibraryError when they cannot be written: the next video's could not be either.
        """
        space = features.space
        arrays = {
            "matrix": features.matrix.astype(np.float16),
            "times": features.times.astype(np.float64),
            "space": json.dumps([space.name, space.dim, space.speaks_text]),
        }
        try:
            save_arrays(self._path(video_id), arrays)
        except OSError as error:
            raise LibraryError(
                f"{self.folder}: frame features cannot be written ({error.strerror or error}). "
                "Free some space, or make the folder writable for you, and run the command again; "
                "what is indexed already is safe."
            ) from error

    def load(self, video_id: int, space: Space | None = None) -> Features:
        """The features of a video.

        Raises DamagedLibraryError when they are missing, not readable or, where `space` is given,
        of another space.
        """
        path = self._path(video_id)
        with usable(path, _REMEDY):
            features = _features(load_arrays(path))
        found = features.space
        if space is not None and (found.name, found.dim) != (space.name, space.dim):
            raise DamagedLibraryError(
                f"{path} holds features of {found.name}, the library is of {space.name}; {_REMEDY}"
            )
        return features

    def has(self, video_id: int) -> bool:
        """Whether there are features of a video, whatever they are worth."""
        return self._path(video_id).exists()

    def remove(self, video_id: int) -> None:
        """Delete the features of a video, if there are any."""
        self._path(video_id).unlink(missing_ok=True)

    def ids(self) -> set[int]:
        """The videos that have features."""
        names = (path.stem for path in self.folder.glob("*.npz"))
        return {int(name) for name in names if name.isascii() and name.isdigit()}

    def damaged(self, space: Space | None = None) -> list[int]:
        """The videos whose features are there but do not load, see `load`; ascending."""
        return [video_id for video_id in sorted(self.ids()) if not self._loads(video_id, space)]

    def sweep(self, known: set[int]) -> int:
        """Delete what an interrupted run left: unfinished files and features of no video."""
        stale = self.ids() - known
        for video_id in stale:
            self.remove(video_id)
        return len(stale) + sweep(self.folder)

    def _loads(self, video_id: int, space: Space | None) -> bool:
        try:
            self.load(video_id, space)
        except DamagedLibraryError:
            return False
        return True

    def _path(self, video_id: int) -> Path:
        return self.folder / f"{video_id}.npz"


def _features(arrays: dict[str, npt.NDArray[Any]]) -> Features:
    """What `save` wrote, checked; any exception means that it did not."""
    matrix, times = arrays["matrix"], arrays["times"]
    if (matrix.dtype.kind, times.dtype.kind, times.ndim) != ("f", "f", 1) or not len(times):
        raise ValueError(f"matrix {matrix.dtype} {matrix.shape}, times {times.dtype} {times.shape}")
    matrix, times = matrix.astype(np.float32), times.astype(np.float64)
    if not (np.isfinite(matrix).all() and np.isfinite(times).all()):
        raise ValueError("a number is not finite")
    return Features(Space(*json.loads(str(arrays["space"]))), matrix, times)
