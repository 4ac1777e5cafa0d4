"""Frame features on disk, one file per video and space, so that no video is decoded twice."""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.storage.array_files import MatrixLocation, load_arrays, locate_matrix, save_arrays
from vsearch.storage.atomic_files import damage_as_error, remove_partial_files, safe_file_name
from vsearch.types import Features, Space

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Self

    import numpy.typing as npt

    from vsearch.types import Span, Times

HEADER_CACHE_SIZE = 256  # files whose header is kept in memory
_FIX_HINT = "the frame features of this video are lost: index it again with --force"


class FeatureStore:
    """A folder of frame features. Safe to use from several threads.

    Files are named `<folder>/<space>/<video id>.npz` and contain `matrix` float16 (T, D), `times`
    float64 (T,) in seconds and `space` as JSON. Files of older versions, which had only one space,
    are read directly from `<folder>`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # least recently used first
        self._header_cache: OrderedDict[Path, _FeatureHeader] = OrderedDict()
        self._lock = threading.Lock()

    def save(self, video_id: int, features: Features) -> None:
        """Write or replace the features of a video in their space, flushed to disk.

        Args:
            video_id: The video.
            features: Frame vectors float32 (T, D), stored as float16, and times.

        Raises:
            LibraryError: The file cannot be written.
        """
        space = features.space
        feature_arrays = {
            "matrix": features.frame_vectors.astype(np.float16),
            "times": features.frame_times.astype(np.float64),
            "space": json.dumps([space.name, space.dim, space.supports_text]),
        }
        try:
            save_arrays(self._space_folder(space) / f"{video_id}.npz", feature_arrays)
        except OSError as error:
            raise LibraryError(
                f"{self.folder}: frame features cannot be written ({error.strerror or error}). "
                "Free some space, or make the folder writable, and run the command again; videos "
                "already indexed are safe."
            ) from error

    def load(self, video_id: int, space: Space) -> Features:
        """Read the features of a video.

        Args:
            video_id: The video.
            space: The expected space.

        Returns:
            Frame vectors float32 (T, D) and times float64 (T,).

        Raises:
            DamagedLibraryError: The file is missing, damaged, or of another space.
        """
        feature_path = self.feature_path(video_id, space)
        with damage_as_error(feature_path, _FIX_HINT):
            features = _parse_features(load_arrays(feature_path))
        self._check_space(feature_path, features.space, space)
        return features

    def _check_space(self, feature_path: Path, stored_space: Space, expected_space: Space) -> None:
        if (stored_space.name, stored_space.dim) != (expected_space.name, expected_space.dim):
            raise DamagedLibraryError(
                f"{feature_path} contains features of {stored_space.name} instead of "
                f"{expected_space.name}; {_FIX_HINT}"
            )

    def load_range(self, video_id: int, space: Space, span: Span) -> Features:
        """Read the features of the frames in a span, and of one frame before and after it.

        Only these rows are read from disk, however long the video is.

        Args:
            video_id: The video.
            space: The expected space.
            span: The span, in seconds.

        Raises:
            DamagedLibraryError: The file is missing, damaged, or of another space.
        """
        feature_path = self.feature_path(video_id, space)
        with (
            damage_as_error(feature_path, _FIX_HINT),
            feature_path.open("rb", buffering=0) as feature_file,
        ):
            header = self._read_header(feature_path, os.fstat(feature_file.fileno()))
            first_row, last_row = np.searchsorted(
                header.frame_times, [span.start, span.end]
            ).tolist()
            row_range = slice(max(first_row - 1, 0), min(last_row + 1, len(header.frame_times)))
            frame_vectors = header.matrix_location.read_rows(feature_file, row_range).astype(
                np.float32
            )
            if not np.isfinite(frame_vectors).all():
                raise ValueError("a frame vector is not finite")
            features = Features(header.space, frame_vectors, header.frame_times[row_range])
        self._check_space(feature_path, features.space, space)
        return features

    def _read_header(self, feature_path: Path, file_stat: os.stat_result) -> _FeatureHeader:
        file_stamp = (file_stat.st_ino, file_stat.st_mtime_ns, file_stat.st_size)
        with self._lock:
            header = self._header_cache.get(feature_path)
        if header is None or header.file_stamp != file_stamp:
            header = _FeatureHeader.read_file(feature_path, file_stamp)
        with self._lock:
            self._header_cache[feature_path] = header
            self._header_cache.move_to_end(feature_path)
            while len(self._header_cache) > HEADER_CACHE_SIZE:
                self._header_cache.popitem(last=False)
        return header

    def has_features(self, video_id: int, space: Space) -> bool:
        """Return whether a video has a feature file in `space`, even a damaged one."""
        return self.feature_path(video_id, space).exists()

    def remove_video(self, video_id: int) -> None:
        """Delete the features of a video in every space."""
        for space_folder in self._all_folders():
            (space_folder / f"{video_id}.npz").unlink(missing_ok=True)

    def delete_space(self, space: Space) -> None:
        """Delete all features of a space."""
        for feature_path in self._feature_paths(space):
            feature_path.unlink(missing_ok=True)
        remove_partial_files(self._space_folder(space))
        with suppress(OSError):  # missing, or contains other files
            self._space_folder(space).rmdir()

    def video_ids(self, space: Space | None = None) -> set[int]:
        """Return the ids of the videos that have features in `space`, or in any space (None)."""
        if space is not None:
            return {int(feature_path.stem) for feature_path in self._feature_paths(space)}
        return set().union(*map(_list_video_ids, self._all_folders()))

    def size_bytes(self, space: Space) -> int:
        """Return the total size of the features of `space` in bytes."""
        return sum(feature_path.stat().st_size for feature_path in self._feature_paths(space))

    def find_damaged(self, space: Space) -> list[int]:
        """Return the ids of the videos whose feature file cannot be loaded, ascending."""
        return [
            video_id
            for video_id in sorted(self.video_ids(space))
            if not self._is_loadable(video_id, space)
        ]

    def remove_orphans(self, known_ids: set[int], spaces: Iterable[Space]) -> int:
        """Delete partial files and the features of unknown videos and spaces.

        Args:
            known_ids: The ids of all videos in the library.
            spaces: All spaces of the library.

        Returns:
            The number of deleted files.
        """
        kept_folders, removed_count = {self.folder, *map(self._space_folder, spaces)}, 0
        for space_folder in self._all_folders():
            stale_ids = (
                _list_video_ids(space_folder) - known_ids
                if space_folder in kept_folders
                else _list_video_ids(space_folder)
            )
            for video_id in stale_ids:
                (space_folder / f"{video_id}.npz").unlink(missing_ok=True)
            removed_count += len(stale_ids) + remove_partial_files(space_folder)
        return removed_count

    def feature_path(self, video_id: int, space: Space) -> Path:
        """Return the path of the features of a video in `space`, whether or not it exists."""
        current_path = self._space_folder(space) / f"{video_id}.npz"
        if current_path.exists():
            return current_path
        legacy_path = self.folder / current_path.name
        return (
            legacy_path
            if legacy_path.exists() and _may_belong_to(legacy_path, space)
            else current_path
        )

    def _feature_paths(self, space: Space) -> list[Path]:
        """Return the existing files of a space."""
        video_ids = _list_video_ids(self._space_folder(space)) | _list_video_ids(self.folder)
        return [
            feature_path
            for feature_path in (self.feature_path(video_id, space) for video_id in video_ids)
            if feature_path.exists()
        ]

    def _space_folder(self, space: Space) -> Path:
        return self.folder / safe_file_name(space.name)

    def _all_folders(self) -> list[Path]:
        """Return all folders that may contain feature files."""
        folder_entries = self.folder.iterdir() if self.folder.is_dir() else ()
        return [
            self.folder,
            *sorted(entry_path for entry_path in folder_entries if entry_path.is_dir()),
        ]

    def _is_loadable(self, video_id: int, space: Space) -> bool:
        try:
            self.load(video_id, space)
        except DamagedLibraryError:
            return False
        return True


@dataclass(frozen=True, slots=True, eq=False)
class _FeatureHeader:
    """The parts of a file that are needed to read single rows of it."""

    file_stamp: tuple[int, int, int]  # inode, mtime in ns and size: the file may be replaced
    space: Space
    frame_times: Times
    matrix_location: MatrixLocation

    @classmethod
    def read_file(cls, feature_path: Path, file_stamp: tuple[int, int, int]) -> Self:
        """Read a file; raise almost any exception if it is damaged."""
        header_arrays, matrix_location = (
            load_arrays(feature_path, "times", "space"),
            locate_matrix(feature_path, "matrix"),
        )
        space, frame_times = _parse_header(header_arrays, matrix_location.dtype)
        if (np.diff(frame_times) < 0).any():
            raise ValueError("the frame times are not ascending")
        if matrix_location.shape != (len(frame_times), space.dim):
            raise ValueError(
                f"features of shape {matrix_location.shape} for {len(frame_times)} times in {space}"
            )
        return cls(file_stamp, space, frame_times, matrix_location)


def _list_video_ids(folder: Path) -> set[int]:
    file_stems = (feature_path.stem for feature_path in folder.glob("*.npz"))
    return {
        int(file_stem) for file_stem in file_stems if file_stem.isascii() and file_stem.isdigit()
    }


def _may_belong_to(feature_path: Path, space: Space) -> bool:
    """Return whether a file of an older version is of `space`, or is damaged."""
    try:
        space_name, *_ = json.loads(str(load_arrays(feature_path, "space")["space"]))
    except Exception:  # damaged files raise almost anything
        return True
    return bool(space_name == space.name)


def _parse_features(feature_arrays: dict[str, npt.NDArray[Any]]) -> Features:
    """Convert and check the arrays of a file."""
    space, frame_times = _parse_header(feature_arrays, feature_arrays["matrix"].dtype)
    frame_vectors = feature_arrays["matrix"].astype(np.float32)
    if not np.isfinite(frame_vectors).all():
        raise ValueError("a frame vector is not finite")
    return Features(space, frame_vectors, frame_times)


def _parse_header(
    feature_arrays: dict[str, npt.NDArray[Any]], matrix_dtype: np.dtype[Any]
) -> tuple[Space, Times]:
    """Convert and check space and times; `matrix_dtype` is the type of the matrix."""
    frame_times = feature_arrays["times"]
    if (matrix_dtype.kind, frame_times.dtype.kind, frame_times.ndim) != ("f", "f", 1) or not len(
        frame_times
    ):
        raise ValueError(f"matrix of {matrix_dtype}, times {frame_times.dtype} {frame_times.shape}")
    frame_times = frame_times.astype(np.float64)
    if not np.isfinite(frame_times).all():
        raise ValueError("a frame time is not finite")
    return Space(*json.loads(str(feature_arrays["space"]))), frame_times
