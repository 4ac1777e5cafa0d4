"""Frame features on disk, one file a video and space, so that nothing is decoded twice."""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.arrays import Place, load_arrays, place, save_arrays
from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.files import file_name, sweep, usable
from vsearch.types import Features, Space

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Self

    import numpy.typing as npt

    from vsearch.types import Span, Times

KNOWN = 256  # files of which it is known where what is in them
_REMEDY = "the frame features of this video are lost: index it again with --again"


class FeatureStore:
    """`<folder>/<space>/<video id>.npz`: matrix float16 (T, D), times float64 (T,), space as JSON.

    The files of an older vsearch, which knew one space only, lie in `<folder>` itself; they are
    read where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: OrderedDict[Path, _Known] = OrderedDict()  # those read last
        self._lock = threading.Lock()

    def save(self, video_id: int, features: Features) -> None:
        """Write or replace the features of a video in their space; durable when this returns.

        Raises LibraryError when they cannot be written: the next video's could not be either.
        """
        space = features.space
        arrays = {
            "matrix": features.matrix.astype(np.float16),
            "times": features.times.astype(np.float64),
            "space": json.dumps([space.name, space.dim, space.speaks_text]),
        }
        try:
            save_arrays(self._within(space) / f"{video_id}.npz", arrays)
        except OSError as error:
            raise LibraryError(
                f"{self.folder}: frame features cannot be written ({error.strerror or error}). "
                "Free some space, or make the folder writable for you, and run the command again; "
                "what is indexed already is safe."
            ) from error

    def load(self, video_id: int, space: Space) -> Features:
        """The features of a video in a space.

        Raises DamagedLibraryError when they are missing, not readable or of another space.
        """
        path = self.path(video_id, space)
        with usable(path, _REMEDY):
            features = _features(load_arrays(path))
        self._check(path, features.space, space)
        return features

    def _check(self, path: Path, found: Space, space: Space) -> None:
        if (found.name, found.dim) != (space.name, space.dim):
            raise DamagedLibraryError(
                f"{path} holds features of {found.name} in place of {space.name}; {_REMEDY}"
            )

    def part(self, video_id: int, space: Space, span: Span) -> Features:
        """The frames of a video inside a span and the next ones before and behind it; see `load`.

        No more of the file is read than that, however long the video is.
        """
        path = self.path(video_id, space)
        with usable(path, _REMEDY), path.open("rb", buffering=0) as file:
            known = self._known_of(path, os.fstat(file.fileno()))
            first, last = np.searchsorted(known.times, [span.start, span.end]).tolist()
            rows = slice(max(first - 1, 0), min(last + 1, len(known.times)))
            matrix = known.place.read(file, rows).astype(np.float32)
            if not np.isfinite(matrix).all():
                raise ValueError("a number is not finite")
            found = Features(known.space, matrix, known.times[rows])
        self._check(path, found.space, space)
        return found

    def _known_of(self, path: Path, stat: os.stat_result) -> _Known:
        stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        with self._lock:
            known = self._known.get(path)
        if known is None or known.stamp != stamp:
            known = _Known.of(path, stamp)
        with self._lock:
            self._known[path] = known
            self._known.move_to_end(path)
            while len(self._known) > KNOWN:
                self._known.popitem(last=False)
        return known

    def has(self, video_id: int, space: Space) -> bool:
        """Whether there are features of a video in a space, whatever they are worth."""
        return self.path(video_id, space).exists()

    def remove(self, video_id: int) -> None:
        """Delete the features of a video in every space."""
        for folder in self._folders():
            (folder / f"{video_id}.npz").unlink(missing_ok=True)

    def drop(self, space: Space) -> None:
        """Delete all features of a space."""
        for path in self._paths(space):
            path.unlink(missing_ok=True)
        sweep(self._within(space))
        with suppress(OSError):  # not there, or something of somebody else's is in it
            self._within(space).rmdir()

    def ids(self, space: Space | None = None) -> set[int]:
        """The videos that have features, in a space or at all."""
        if space is not None:
            return {int(path.stem) for path in self._paths(space)}
        return set().union(*map(_ids, self._folders()))

    def size(self, space: Space) -> int:
        """The bytes that the features of a space take."""
        return sum(path.stat().st_size for path in self._paths(space))

    def damaged(self, space: Space) -> list[int]:
        """The videos whose features are there but do not load, see `load`; ascending."""
        return [
            video_id for video_id in sorted(self.ids(space)) if not self._loads(video_id, space)
        ]

    def sweep(self, known: set[int], spaces: Iterable[Space]) -> int:
        """Delete what an interrupted run left: unfinished files, features of no video or space."""
        kept, count = {self.folder, *map(self._within, spaces)}, 0
        for folder in self._folders():
            stale = _ids(folder) - known if folder in kept else _ids(folder)
            for video_id in stale:
                (folder / f"{video_id}.npz").unlink(missing_ok=True)
            count += len(stale) + sweep(folder)
        return count

    def path(self, video_id: int, space: Space) -> Path:
        """Where the features of a video in a space are, or would be."""
        path = self._within(space) / f"{video_id}.npz"
        if path.exists():
            return path
        old = self.folder / path.name
        return old if old.exists() and _may_be_of(old, space) else path

    def _paths(self, space: Space) -> list[Path]:
        """The files of a space."""
        ids = _ids(self._within(space)) | _ids(self.folder)
        return [path for path in (self.path(id_, space) for id_ in ids) if path.exists()]

    def _within(self, space: Space) -> Path:
        return self.folder / file_name(space.name)

    def _folders(self) -> list[Path]:
        """All that may hold files, that of an older vsearch first."""
        inside = self.folder.iterdir() if self.folder.is_dir() else ()
        return [self.folder, *sorted(path for path in inside if path.is_dir())]

    def _loads(self, video_id: int, space: Space) -> bool:
        try:
            self.load(video_id, space)
        except DamagedLibraryError:
            return False
        return True


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What is kept of a file, so that parts of it can be read."""

    stamp: tuple[int, int, int]  # of the file: it may be replaced
    space: Space
    times: Times
    place: Place

    @classmethod
    def of(cls, path: Path, stamp: tuple[int, int, int]) -> Self:
        """Any exception means that `save` did not write the file."""
        arrays, matrix = load_arrays(path, "times", "space"), place(path, "matrix")
        space, times = _described(arrays, matrix.dtype)
        if (np.diff(times) < 0).any():
            raise ValueError("the times of the frames make no sense")
        if matrix.shape != (len(times), space.dim):
            raise ValueError(f"features of shape {matrix.shape} for {len(times)} times in {space}")
        return cls(stamp, space, times, matrix)


def _ids(folder: Path) -> set[int]:
    names = (path.stem for path in folder.glob("*.npz"))
    return {int(name) for name in names if name.isascii() and name.isdigit()}


def _may_be_of(path: Path, space: Space) -> bool:
    """Whether a file of an older vsearch is of a space: what cannot be read may be of any."""
    try:
        name, *_ = json.loads(str(load_arrays(path, "space")["space"]))
    except Exception:  # anything may be in it
        return True
    return bool(name == space.name)


def _features(arrays: dict[str, npt.NDArray[Any]]) -> Features:
    """What `save` wrote, checked; any exception means that it did not."""
    space, times = _described(arrays, arrays["matrix"].dtype)
    matrix = arrays["matrix"].astype(np.float32)
    if not np.isfinite(matrix).all():
        raise ValueError("a number is not finite")
    return Features(space, matrix, times)


def _described(arrays: dict[str, npt.NDArray[Any]], dtype: np.dtype[Any]) -> tuple[Space, Times]:
    """What belongs to a matrix of that type, checked like it."""
    times = arrays["times"]
    if (dtype.kind, times.dtype.kind, times.ndim) != ("f", "f", 1) or not len(times):
        raise ValueError(f"matrix of {dtype}, times {times.dtype} {times.shape}")
    times = times.astype(np.float64)
    if not np.isfinite(times).all():
        raise ValueError("a time is not finite")
    return Space(*json.loads(str(arrays["space"]))), times
