"""Frame features on disk, one file per video and space, so that no video is decoded twice."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.storage.atomic_files import damage_as_error, remove_partial_files, safe_file_name
from vsearch.storage.feature_files import (
    OLD_SUFFIX,
    SUFFIX,
    check_content,
    read_checksum,
    read_features,
    read_features_around,
    read_space_name,
    write_features,
)
from vsearch.storage.reindexing import reindex_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from vsearch.storage.feature_files import FeaturePath
    from vsearch.types import Features, Space, Span

_FIX_HINT = "the frame features of this video are lost: index it again with "


class FeatureRecords(Protocol):
    """Records of a catalog about frame features."""

    def features_crc32(self, video_id: int, space: Space) -> int | None:
        """Return the checksum of a video's features in a space; None if there are none."""
        ...

    def content_fingerprint(self, video_id: int) -> str | None:
        """Return the fingerprint of a video; None if there is no video with this id."""
        ...

    def video_path(self, video_id: int) -> Path | None:
        """Return the path of a video; None if there is no video with this id."""
        ...

    def videos_with_features(self, space: Space) -> set[int]:
        """Return the ids of the videos that have frame features in a space."""
        ...


class FeatureStore:
    """A folder of frame features. Safe to use from several threads.

    Files are named `<folder>/<space>/<video id>.safetensors`. Files of older versions are read
    where they are, and replaced when features are saved: `<video id>.npz`, directly in `<folder>`
    if the version had only one space.
    """

    def __init__(
        self,
        folder: Path,
        recorded_checksum: Callable[[int, Space], int | None] = lambda _video_id, _space: None,
        find_path: Callable[[int], Path | None] = lambda _video_id: None,
    ) -> None:
        """Use a folder, which is created when features are saved.

        Args:
            folder: The folder.
            recorded_checksum: Returns the checksum that the catalog recorded for a video and a
                space, so that a file of another library is noticed; None if it recorded none.
            find_path: Returns the path of a video, for messages; None if it is not known.
        """
        self.folder, self._recorded_checksum = folder, recorded_checksum
        self._find_path = find_path
        self._verified_checksums: set[tuple[int, str, int]] = set()

    def with_records(self, records: FeatureRecords) -> FeatureStore:
        """Return the same store for another catalog, such as a copy."""
        return FeatureStore(self.folder, records.features_crc32, records.video_path)

    def save_content(self, fingerprint: str, features: Features) -> int | None:  # noqa: ARG002
        """Store the features of a content before its video has an id, where files need none.

        Uploads may take long, and need not delay the transaction that stores the video.

        Args:
            fingerprint: Of the content.
            features: Frame vectors float32 (T, D), stored as float16, and times.

        Returns:
            The checksum of the file, for the catalog; None if `save` must be called.
        """
        return None

    def save(self, video_id: int, features: Features) -> int:
        """Write or replace the features of a video in their space, flushed to disk.

        Args:
            video_id: The video.
            features: Frame vectors float32 (T, D), stored as float16, and times.

        Returns:
            The checksum of the file, for the catalog.

        Raises:
            LibraryError: The file cannot be written.
        """
        feature_path = self._space_folder(features.space) / f"{video_id}{SUFFIX}"
        try:
            checksum = write_features(feature_path, features)
            for old_path in self._old_paths(video_id, features.space):
                old_path.unlink(missing_ok=True)
        except OSError as error:
            raise LibraryError(
                f"{self.folder}: frame features cannot be written ({error.strerror or error}). "
                "Free some space, or make the folder writable, and run the command again; videos "
                "already indexed are safe."
            ) from error
        return checksum

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
        with self._damage_as_error(video_id, feature_path):
            features = read_features(feature_path)
            self._check_checksum(video_id, space, read_checksum(feature_path))
            _check_space(feature_path, features.space, space)
        return features

    def read_file(self, video_id: int, space: Space) -> tuple[Path, bytes]:
        """Read the file of a video and check it, as `load` does.

        Args:
            video_id: The video.
            space: The expected space.

        Returns:
            The path of the file and its content.

        Raises:
            DamagedLibraryError: The file is missing, damaged, or of another space.
        """
        feature_path = self.feature_path(video_id, space)
        with self._damage_as_error(video_id, feature_path):
            if not feature_path.is_file():  # a named pipe would never end
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            content = feature_path.read_bytes()
            features, checksum = check_content(feature_path, content)
            self._check_checksum(video_id, space, checksum)
            _check_space(feature_path, features.space, space)
        return feature_path, content

    @contextmanager
    def _damage_as_error(self, video_id: int, feature_path: FeaturePath) -> Iterator[None]:
        """Translate errors of a block that reads a file, and name the video and the remedy."""
        try:
            with damage_as_error(feature_path, _FIX_HINT):
                yield
        except DamagedLibraryError as error:
            video_path = None
            with suppress(LibraryError):  # the catalog is damaged as well
                video_path = self._find_path(video_id)
            if video_path is None:
                message = f"{error}`vsearch index --force`"
            else:
                message = f"{video_path}: {error}{reindex_command(video_path)}"
            raise DamagedLibraryError(message) from error

    def _check_checksum(self, video_id: int, space: Space, checksum: int | None) -> None:
        """Raise ValueError if the catalog recorded another checksum; it is read once per file."""
        if checksum is None or (video_id, space.name, checksum) in self._verified_checksums:
            return
        if self._recorded_checksum(video_id, space) not in (None, checksum):
            raise ValueError(f"these are not the features of video {video_id}")
        self._verified_checksums.add((video_id, space.name, checksum))

    def load_range(self, video_id: int, space: Space, span: Span) -> Features:
        """Read the features of the frames in a span, and of one frame before and after it.

        Only these rows are read from disk, except from files of older versions.

        Args:
            video_id: The video.
            space: The expected space.
            span: The span, in seconds.

        Raises:
            DamagedLibraryError: The file is missing, damaged, or of another space.
        """
        feature_path = self.feature_path(video_id, space)
        with self._damage_as_error(video_id, feature_path):
            features, checksum = read_features_around(feature_path, span)
            self._check_checksum(video_id, space, checksum)
            _check_space(feature_path, features.space, space)
        return features

    def has_features(self, video_id: int, space: Space) -> bool:
        """Return whether a video has a feature file in `space`, even a damaged one."""
        return self.feature_path(video_id, space).exists()

    def remove_video(self, video_id: int) -> None:
        """Delete the features of a video in every space."""
        for space_folder in self._all_folders():
            for suffix in (SUFFIX, OLD_SUFFIX):
                (space_folder / f"{video_id}{suffix}").unlink(missing_ok=True)

    def delete_space(self, space: Space) -> None:
        """Delete all features of a space."""
        for feature_path in self._feature_paths(space):
            feature_path.unlink(missing_ok=True)
            for old_path in self._old_paths(int(feature_path.stem), space):
                old_path.unlink(missing_ok=True)
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
        spaces = list(spaces)
        kept_folders, removed_count = {self.folder, *map(self._space_folder, spaces)}, 0
        for space_folder in self._all_folders():
            for feature_path in _list_files(space_folder):
                is_known = space_folder in kept_folders and int(feature_path.stem) in known_ids
                if not is_known or self._is_replaced(feature_path, spaces):
                    feature_path.unlink(missing_ok=True)
                    removed_count += 1
            removed_count += remove_partial_files(space_folder)
        return removed_count

    def _is_replaced(self, feature_path: Path, spaces: Iterable[Space]) -> bool:
        """Return whether a newer file has the same features: a crash came before the deletion."""
        return feature_path.suffix == OLD_SUFFIX and any(
            (self._space_folder(space) / f"{feature_path.stem}{SUFFIX}").exists()
            and feature_path in self._old_paths(int(feature_path.stem), space)
            for space in spaces
        )

    def feature_path(self, video_id: int, space: Space) -> Path:
        """Return the path of the features of a video in `space`, whether or not it exists."""
        current_path = self._space_folder(space) / f"{video_id}{SUFFIX}"
        if current_path.exists():
            return current_path
        old_paths = self._old_paths(video_id, space)
        return next((old_path for old_path in old_paths if old_path.exists()), current_path)

    def _old_paths(self, video_id: int, space: Space) -> list[Path]:
        """Return the paths of a video's features in `space` that older versions may have used."""
        old_name = f"{video_id}{OLD_SUFFIX}"
        oldest_path = self.folder / old_name
        is_of_space = oldest_path.exists() and _may_belong_to(oldest_path, space)
        return [self._space_folder(space) / old_name, *[oldest_path] * is_of_space]

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


def _check_space(feature_path: Path, stored_space: Space, expected_space: Space) -> None:
    if (stored_space.name, stored_space.dim) != (expected_space.name, expected_space.dim):
        raise DamagedLibraryError(
            f"{feature_path} contains features of {stored_space.name} instead of "
            f"{expected_space.name}; {_FIX_HINT}"
        )


def _list_files(folder: Path) -> set[Path]:
    """Return the feature files in a folder."""
    return {
        feature_path
        for feature_path in folder.glob("*.*")
        if feature_path.suffix in (SUFFIX, OLD_SUFFIX)
        and feature_path.stem.isascii()
        and feature_path.stem.isdigit()
    }


def _list_video_ids(folder: Path) -> set[int]:
    return {int(feature_path.stem) for feature_path in _list_files(folder)}


def _may_belong_to(feature_path: Path, space: Space) -> bool:
    """Return whether a file of an older version is of `space`, or is damaged."""
    try:
        return read_space_name(feature_path) == space.name
    except Exception:  # damaged files raise almost anything
        return True
