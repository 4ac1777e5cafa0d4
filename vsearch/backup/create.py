"""Backup of a library that other processes may read and change meanwhile."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vsearch.backup.archive import ArchiveWriter, BackupInfo, is_allowed
from vsearch.backup.work_folders import list_abandoned, remove_folder, work_folder
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.open import FEATURES_FOLDER
from vsearch.catalog.rows import encode_text
from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.storage.atomic_files import fsync_directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import Space

log = logging.getLogger(__name__)
MAX_ROUNDS = 20  # copies of the catalog, if videos are replaced before their features are copied
WORK_SUFFIX = "backup"
# Files at the top of a library that cannot be computed again, and a folder of trained models.
SETTINGS_GLOBS = "vsearch.toml", "indexed_folders.json", "*.npz"
TRAINING_FOLDER = "training"


def create_backup(
    library_path: Path,
    catalog: Catalog,
    feature_store: FeatureStore,
    backup_path: Path,
    *,
    force: bool,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> BackupInfo:
    """Write a backup of a library to one file, which appears when it is complete.

    The catalog is copied by SQLite at one instant. All frame features that this copy refers to are
    added; if other processes delete some of them meanwhile, the catalog is copied again.

    Args:
        library_path: Folder of the library.
        catalog: Its catalog.
        feature_store: Its frame features.
        backup_path: File to write, outside of the library.
        force: Replace an existing file.
        on_progress: Called with the number of copied and of all feature files.

    Returns:
        A description of the backup.

    Raises:
        LibraryError: The file exists or cannot be written.
    """
    library_path, backup_path = library_path.resolve(), backup_path.absolute()
    _check_target(library_path, backup_path, force=force)
    catalog.check_file()
    try:
        for abandoned_folder in list_abandoned(backup_path, WORK_SUFFIX):
            remove_folder(abandoned_folder)
        with work_folder(backup_path, WORK_SUFFIX) as folder:
            archive_path = folder / "archive"
            with (
                archive_path.open("xb") as archive_file,
                closing(ArchiveWriter(archive_file)) as archive,
            ):
                library_copier = _LibraryCopier(
                    library_path, catalog, feature_store, folder, archive
                )
                backup_info = library_copier.copy_library(on_progress)
                archive_file.flush()
                os.fsync(archive_file.fileno())
            _check_target(library_path, backup_path, force=force)
            archive_path.chmod(0o600)  # it has transcripts of private videos
            archive_path.replace(backup_path)
            fsync_directory(backup_path.parent)
    except OSError as exc:
        raise LibraryError(
            f"{backup_path} cannot be written ({exc.strerror or exc}). No backup was made; check "
            "the disk, its free space and the permissions."
        ) from exc
    return replace(backup_info, size_bytes=backup_path.stat().st_size)


def _check_target(library_path: Path, backup_path: Path, *, force: bool) -> None:
    if backup_path.is_dir():
        raise LibraryError(f"{backup_path} is a folder; name a file for the backup")
    if backup_path.exists() and not force:
        raise LibraryError(
            f"{backup_path} exists already; name another file, or replace it with --force"
        )
    if backup_path.resolve().is_relative_to(library_path):
        raise LibraryError(
            f"{backup_path} is in the library itself and would be lost with it; name a file in "
            "another folder"
        )


class _LibraryCopier:
    """Copies one library to an archive."""

    def __init__(
        self,
        library_path: Path,
        catalog: Catalog,
        feature_store: FeatureStore,
        folder: Path,
        archive: ArchiveWriter,
    ) -> None:
        self._library_path, self._catalog, self._feature_store = (
            library_path,
            catalog,
            feature_store,
        )
        self._folder, self._archive = folder, archive
        self._copied_crc32: dict[str, int | None] = {}  # of the feature files in the archive

    def copy_library(self, on_progress: Callable[[int, int], None]) -> BackupInfo:
        """Copy everything and finish the archive."""
        catalog_copy = self._folder / "catalog.sqlite3"
        for round_number in range(1, MAX_ROUNDS + 1):
            schema = self._catalog.copy_to(catalog_copy)
            with closing(Catalog.open(catalog_copy)) as copied_catalog:
                video_paths, spaces = copied_catalog.video_paths(), copied_catalog.spaces()
                lost_features = self._copy_features(copied_catalog, on_progress)
            settings_files = self._stage_settings()
            # else a video was replaced before its features were copied, or the trained pooler was
            is_consistent = spaces == self._catalog.spaces() and all(
                self._is_recorded(video_id, space, crc32)
                for (video_id, space), crc32 in lost_features.items()
            )
            if is_consistent or round_number == MAX_ROUNDS:
                break
        for member_name, file_path in [*settings_files, (catalog_copy.name, catalog_copy)]:
            self._archive.add_file(member_name, file_path)
        backup_info = BackupInfo(
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            schema=schema,
            video_count=len(video_paths),
            feature_count=len(self._copied_crc32),
            lost_features=tuple(
                encode_text(str(video_paths[video_id]))
                for video_id in sorted({video_id for video_id, _ in lost_features})
            ),
        )
        self._archive.finish(backup_info)
        return backup_info

    def _copy_features(
        self, copied_catalog: Catalog, on_progress: Callable[[int, int], None]
    ) -> dict[tuple[int, Space], int | None]:
        """Copy the features of all videos that are not in the archive yet.

        Returns:
            The recorded checksums of missing and damaged features, by video id and space.
        """
        lost_features: dict[tuple[int, Space], int | None] = {}
        feature_store = self._feature_store.with_records(copied_catalog)
        active_space = copied_catalog.space()
        wanted_ids: list[tuple[int, Space]] = []
        for space_info in copied_catalog.spaces():
            recorded_ids = copied_catalog.videos_with_features(space_info.space)
            if space_info.space == active_space:
                recorded_ids |= copied_catalog.video_paths().keys()
            wanted_ids += [(video_id, space_info.space) for video_id in sorted(recorded_ids)]
        for done_count, (video_id, space) in enumerate(wanted_ids):
            on_progress(done_count, len(wanted_ids))
            crc32 = copied_catalog.features_crc32(video_id, space)
            member_name = self._member_name(feature_store.feature_path(video_id, space))
            if member_name in self._copied_crc32:
                if self._copied_crc32[member_name] != crc32:
                    raise LibraryError(
                        f"{self._library_path} was replaced by another library while it was "
                        "copied. No backup was made; run the command again."
                    )
                continue
            try:
                feature_path, content = feature_store.read_file(video_id, space)
            except DamagedLibraryError as error:
                log.info("%s", error)
                lost_features[video_id, space] = crc32
                continue
            member_name = self._member_name(feature_path)
            self._archive.add_bytes(member_name, content)
            self._copied_crc32[member_name] = crc32
        on_progress(len(wanted_ids), len(wanted_ids))
        return lost_features

    def _member_name(self, feature_path: Path) -> str:
        relative_path = feature_path.relative_to(self._feature_store.folder)
        return "/".join((FEATURES_FOLDER, *relative_path.parts))

    def _is_recorded(self, video_id: int, space: Space, crc32: int | None) -> bool:
        """Return whether the library still has a video with features of this checksum."""
        return (
            self._catalog.video_path(video_id) is not None
            and self._catalog.features_crc32(video_id, space) == crc32
        )

    def _stage_settings(self) -> list[tuple[str, Path]]:
        """Copy settings and trained models to the work folder; return member names and copies."""
        source_paths = [
            source_path
            for pattern in SETTINGS_GLOBS
            for source_path in sorted(self._library_path.glob(pattern))
        ]
        source_paths += sorted((self._library_path / TRAINING_FOLDER).rglob("*"))
        staged_files = []
        for file_number, source_path in enumerate(source_paths):
            if source_path.is_symlink() or not source_path.is_file():
                continue  # a link could lead to a file that is none of the library
            staged_path = self._folder / f"settings-{file_number}"
            try:
                shutil.copyfile(source_path, staged_path)
            except FileNotFoundError:
                continue
            member_name = "/".join(source_path.relative_to(self._library_path).parts)
            if not is_allowed(member_name):
                log.warning("%s is not in the backup: its name is not portable", source_path)
                continue
            staged_files.append((member_name, staged_path))
        return staged_files
