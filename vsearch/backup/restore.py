"""Restoring of a library from a backup: it replaces the current library as a whole or not at all.

The backup is extracted to a folder next to the library, checked there, and exchanged with it in one
step where the file system can do that. A process that is killed leaves the old or the new library.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from vsearch.backup.archive import open_archive
from vsearch.backup.work_folders import list_abandoned, remove_folder, work_folder
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.lock import WriteLock
from vsearch.catalog.open import BUNDLED_SCHEMA, FEATURES_FOLDER
from vsearch.errors import DamagedLibraryError, LibraryError, LockedError
from vsearch.storage.atomic_files import fsync_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.backup.archive import ArchiveReader, BackupInfo

WORK_SUFFIX, OLD_SUFFIX = "restore", "old"
_CATALOG_FILE = "catalog.sqlite3"
# What the old library had and the new one has or can compute again; everything else is kept.
_REPLACED_NAMES = {
    "cached": ("index", "hubness", "generic_queries", "thumbnails", "frame_cache", "frames"),
    "restored": (FEATURES_FOLDER, "training", "vsearch.toml", "indexed_folders.json"),
    "temporary": ("writer.lock", "writer.json", "last-search.json", "vectors", "excess", "null"),
}
_RENAME_EXCHANGE, _AT_FDCWD, _RENAME_SWAP = 2, -100, 2  # of Linux and macOS
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)


def restore_backup(backup_path: Path, library_path: Path, *, force: bool) -> BackupInfo:
    """Restore a library from a backup.

    Args:
        backup_path: A file that `create_backup` wrote.
        library_path: Folder of the library: new or empty, unless `force` is set.
        force: Replace the library in the folder. Its other files are kept.

    Returns:
        A description of the backup.

    Raises:
        DamagedLibraryError: The backup is damaged.
        NewerLibraryError: A newer version of vsearch wrote it.
        LockedError: Another process is writing to the library.
        LibraryError: The folder is not empty, or cannot be written.
    """
    backup_path = backup_path.absolute()
    library_path = library_path.resolve()  # a link to the library stays
    recover_interrupted_restore(library_path)
    _check_target(library_path, force=force)
    _check_source(backup_path)
    try:
        with open_archive(backup_path) as archive, ExitStack() as exit_stack:
            if backup_path.is_relative_to(library_path):
                raise LibraryError(f"{backup_path} is in the library itself; move it away first")
            for abandoned_folder in list_abandoned(library_path, WORK_SUFFIX):
                remove_folder(abandoned_folder)
            folder = exit_stack.enter_context(work_folder(library_path, WORK_SUFFIX))
            _extract(archive, folder)
            if library_path.exists():
                exit_stack.enter_context(_hold_library(library_path))
                _check_target(library_path, force=force)
            _replace_library(folder, library_path)
            return archive.info
    except OSError as exc:
        raise LibraryError(
            f"{backup_path} cannot be restored to {library_path} ({exc.strerror or exc}). The "
            "library is unchanged; check the disk, its free space and the permissions."
        ) from exc


def recover_interrupted_restore(library_path: Path) -> None:
    """Put the old library back if a restore was killed between taking it away and replacing it.

    Args:
        library_path: Folder of the library.
    """
    with suppress(OSError):
        for old_folder in list_abandoned(library_path, OLD_SUFFIX):
            if not library_path.exists():
                old_folder.rename(library_path)
            else:
                _dispose_old_library(old_folder, library_path)


def _check_target(library_path: Path, *, force: bool) -> None:
    if library_path.exists() and not library_path.is_dir():
        raise LibraryError(f"{library_path} is a file; a library must be a folder")
    if not force and library_path.exists() and any(library_path.iterdir()):
        raise LibraryError(
            f"{library_path} is not empty; choose a new folder with --library, or replace the "
            "library in it with --force"
        )


def _check_source(backup_path: Path) -> None:
    if backup_path.is_dir():
        raise LibraryError(f"{backup_path} is a folder; name the file that `vsearch backup` wrote")
    with suppress(PermissionError):  # is reported when it is opened
        if not backup_path.is_file():
            reason = "is not a file" if backup_path.exists() else "does not exist"
            raise LibraryError(f"{backup_path} {reason}; name the file that `vsearch backup` wrote")


def _extract(archive: ArchiveReader, folder: Path) -> None:
    """Extract a backup and check its catalog."""
    from vsearch.catalog.upgrade import check_closed_catalog  # deferred: brings Alembic

    free_bytes = shutil.disk_usage(folder).free
    if archive.info.size_bytes > free_bytes:
        raise LibraryError(
            f"{archive.backup_path} needs {archive.info.size_bytes >> 20} MB next to the library, "
            f"where {free_bytes >> 20} MB are free. Free some space; nothing was changed."
        )
    archive.extract_all(folder)
    try:
        check_closed_catalog(folder / _CATALOG_FILE, BUNDLED_SCHEMA)
    except DamagedLibraryError as exc:
        raise DamagedLibraryError(
            f"the catalog in {archive.backup_path} is damaged: {exc} Nothing was changed; use "
            "another copy of the backup."
        ) from exc
    for extracted_path in [folder, *folder.rglob("*")]:
        if extracted_path.is_dir():
            fsync_directory(extracted_path)
        else:
            with extracted_path.open("rb+") as extracted_file:
                os.fsync(extracted_file.fileno())


@contextmanager
def _hold_library(library_path: Path) -> Iterator[None]:
    """Keep other processes from writing to the present library, if it can be opened."""
    with ExitStack() as exit_stack:
        write_lock = WriteLock(library_path)
        write_lock.acquire(timeout=1.0)
        exit_stack.callback(write_lock.release)
        try:
            catalog = exit_stack.enter_context(Catalog.open(library_path / _CATALOG_FILE))
            exit_stack.enter_context(catalog.hold())  # also marks and saved searches
        except LockedError:
            raise
        except LibraryError:  # damaged or missing: the reason to restore it
            pass
        yield


def _replace_library(folder: Path, library_path: Path) -> None:
    """Move a complete library to its place, and the present one out of it."""
    library_path.parent.mkdir(parents=True, exist_ok=True)
    if not library_path.exists():
        folder.rename(library_path)
    else:
        folder.chmod(library_path.stat().st_mode & 0o777)
        old_folder = library_path.with_name(f".{library_path.name}.{os.getpid()}.{OLD_SUFFIX}")
        if not _exchange(folder, library_path):
            library_path.rename(old_folder)
            try:
                folder.rename(library_path)
            except BaseException:
                old_folder.rename(library_path)
                raise
        else:
            folder.rename(old_folder)
        _dispose_old_library(old_folder, library_path)
    fsync_directory(library_path.parent)


def _exchange(first_folder: Path, second_folder: Path) -> bool:
    """Exchange two folders in one step; return False if that is not possible here."""
    if os.name != "posix":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(first_folder), os.fsencode(second_folder)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        result = library.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE)
    elif sys.platform == "darwin" and hasattr(library, "renamex_np"):
        result = library.renamex_np(first, second, _RENAME_SWAP)
    else:
        return False
    if result == 0:
        return True
    error_number = ctypes.get_errno()
    if error_number in _UNSUPPORTED:
        return False
    raise OSError(error_number, os.strerror(error_number))


def _dispose_old_library(old_folder: Path, library_path: Path) -> None:
    """Delete an old library, but move files that are none of its own to the new one."""
    own_names = {name for names in _REPLACED_NAMES.values() for name in names}
    with suppress(OSError):
        for entry in old_folder.iterdir():
            is_own = (
                entry.name in own_names
                or entry.name.startswith(_CATALOG_FILE)
                or entry.suffix in (".npz", ".part")
            )
            kept_path = library_path / entry.name
            if not is_own and not kept_path.exists():
                entry.rename(kept_path)
        remove_folder(old_folder)
