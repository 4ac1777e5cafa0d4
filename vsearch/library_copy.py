"""Copying of a library to another folder or database, without decoding videos."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch import config
from vsearch.catalog.database_url import DatabaseUrl
from vsearch.catalog.record import COPY_KEY, change_record, read_record
from vsearch.errors import LibraryError, LockedError, NoLibraryError
from vsearch.library_creation import create_library
from vsearch.library_location import CATALOG_FILE, LibraryLocation
from vsearch.library_opening import find_place, open_database, open_place
from vsearch.storage.atomic_files import atomic_write, fsync_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from vsearch.catalog.catalog import Catalog
    from vsearch.catalog.table_copy import TableDigest
    from vsearch.types import PathInput

WORK_SUFFIX = ".copying"  # of the folder of a copy that is not complete
# files of a library that cannot be computed again; videos that it downloaded stay where they are
COPIED_FOLDERS = "features", "frame_cache", "training"
COPIED_GLOBS = "indexed_folders.json", "*.npz"
# settings of the place, and not of the library
PLACE_SETTINGS = "store", "index", "ray"


@dataclass(frozen=True, slots=True)
class LibraryCopy:
    """A copy that is complete and equal to its source."""

    target: str  # folder, or URL without its password
    table_digests: tuple[TableDigest, ...]
    file_count: int  # frame features, kept frames and trained models
    size_bytes: int  # of these files

    @property
    def row_count(self) -> int:
        """Number of rows of all tables."""
        return sum(table_digest.row_count for table_digest in self.table_digests)


def copy_library(
    source_path: PathInput | None,
    target_path: PathInput,
    settings: Mapping[str, Any],
    *,
    on_progress: Callable[[str, int, int], None] = lambda _name, _done, _total: None,
) -> LibraryCopy:
    """Copy a library with the same ids; a copy that was interrupted is continued.

    Args:
        source_path: Folder or URL of the library; other processes may search it meanwhile.
        target_path: New folder, or URL of a database without a library.
        settings: Settings of the target that differ; `store` if it is in a database.
        on_progress: Called with the name of a table or folder, and its numbers of copied and of
            all rows or files.

    Returns:
        What was copied; all rows were compared.

    Raises:
        LibraryError: If the target has another library, the source cannot be read, or it was
            changed by a writer meanwhile.
        LockedError: If another process is writing to the source.
    """
    from vsearch.catalog.table_copy import compare_tables, copy_tables  # deferred: SQLAlchemy

    source_place = find_place(source_path, create=False)
    with ExitStack() as exit_stack:
        source_location, source, _ = open_place(
            source_place, {}, create=False, ignore_invalid_settings=True
        )
        exit_stack.enter_context(closing(source))
        source_location.check_store()
        _require_files_in_folder(source_location)
        _hold_still(source_location, exit_stack)
        target_place = find_place(target_path, create=None)
        target_location, target = _open_target(target_place, source_location, settings)
        exit_stack.enter_context(closing(target))
        _require_files_in_folder(target_location)
        exit_stack.enter_context(source.snapshot())
        copy_tables(source, target, on_progress)
        file_count, size_bytes = _copy_files(
            source_location.folder, target_location.folder, on_progress
        )
        try:
            table_digests = compare_tables(source, target, on_progress)
        except LibraryError as exc:
            change_record(target, lambda record: record.update({COPY_KEY: None}))
            raise LibraryError(
                f"{source_location} was changed while it was copied, before or after an "
                f"interruption ({exc}). Run the command again: it starts over."
            ) from exc
        change_record(target, _finish_record)
    if isinstance(target_place, Path):
        _work_folder(target_place).rename(target_place)
        fsync_directory(target_place.parent)
    name = str(target_place if isinstance(target_place, Path) else target_location)
    return LibraryCopy(name, tuple(table_digests), file_count, size_bytes)


def _require_files_in_folder(location: LibraryLocation) -> None:
    """Raise LibraryError if the files of a library are in a bucket."""
    store = config.load(location.settings_source, {}, ignore_invalid=True).store
    if location.object_store_address(store):
        raise LibraryError(
            f"{location}: its files are in the store {store}, which `library copy` cannot read or "
            "write yet; index the videos into the new library instead"
        )


def _hold_still(location: LibraryLocation, exit_stack: ExitStack) -> None:
    """Keep writers away from a library in a folder; one that is read-only has none."""
    try:
        exit_stack.enter_context(location.lock())
    except LockedError:
        raise
    except LibraryError:
        return


def _open_target(
    place: Path | DatabaseUrl,
    source: LibraryLocation,
    settings: Mapping[str, Any],
) -> tuple[LibraryLocation, Catalog]:
    """Open a copy that is not complete, or create it."""
    source_name = source.library_id or source.absolute_name
    if isinstance(place, Path):
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise LibraryError(f"{place} is not empty; name a new folder for the copy")
        with suppress(FileNotFoundError):
            place.rmdir()
        place = _work_folder(place)
    known_settings = config.read_file(source.settings_source)
    new_settings = {
        **{name: value for name, value in known_settings.items() if name not in PLACE_SETTINGS},
        **settings,
    }
    if not _is_started(place):
        create_library(place, new_settings, copy_of=source_name)
    if isinstance(place, DatabaseUrl):
        catalog = open_database(place)
    else:
        from vsearch.catalog.catalog import Catalog  # deferred: keeps `import vsearch` fast

        catalog = Catalog.open(place / CATALOG_FILE)
    try:
        _check_source(catalog, place, source_name)
        location = (
            LibraryLocation.from_database(place, catalog, is_copying=True)
            if isinstance(place, DatabaseUrl)
            else LibraryLocation.from_folder(place)
        )
        location.check_store()
    except BaseException:
        catalog.close()
        raise
    return location, catalog


def _is_started(place: Path | DatabaseUrl) -> bool:
    """Return whether a copy was started in a folder or database; or there is a library."""
    if isinstance(place, Path):
        return (place / CATALOG_FILE).exists()
    try:
        catalog = open_database(place)
    except NoLibraryError:
        return False
    with closing(catalog):
        return bool(read_record(catalog).get("id")) or not catalog.is_empty()


def _check_source(catalog: Catalog, place: Path | DatabaseUrl, source_name: str) -> None:
    """Raise LibraryError unless the target is a copy of the source that is not complete."""
    from vsearch.catalog.table_copy import clear_tables  # deferred: brings SQLAlchemy

    record = read_record(catalog)
    if COPY_KEY in record and record[COPY_KEY] is None:  # the source was changed
        clear_tables(catalog)
        change_record(catalog, lambda record: record.update({COPY_KEY: source_name}))
    elif record.get(COPY_KEY) != source_name:
        what = "is a copy of another library" if COPY_KEY in record else "has a library already"
        raise LibraryError(f"{place}: {what}; name a new folder or an empty database for the copy")


def _finish_record(record: dict[str, Any]) -> None:
    del record[COPY_KEY]


def _work_folder(folder: Path) -> Path:
    return folder.absolute().with_name(f"{folder.absolute().name}{WORK_SUFFIX}")


def _copy_files(
    source_folder: Path, target_folder: Path, on_progress: Callable[[str, int, int], None]
) -> tuple[int, int]:
    """Copy the files that the target does not have; return the number and size of all files."""
    file_count = size_bytes = 0
    source_paths = list(_iter_files(source_folder))
    for source_path in source_paths:
        target_path = target_folder.joinpath(*source_path.relative_to(source_folder).parts)
        with suppress(FileNotFoundError):  # removed meanwhile, with its video
            source_bytes = source_path.stat().st_size
            if not target_path.exists() or target_path.stat().st_size != source_bytes:
                with (
                    source_path.open("rb") as input_file,
                    atomic_write(target_path, sweep=False) as output_file,
                ):
                    shutil.copyfileobj(input_file, output_file, 1 << 20)
            file_count, size_bytes = file_count + 1, size_bytes + source_bytes
        on_progress("files", file_count, len(source_paths))
    return file_count, size_bytes


def _iter_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a library that a copy needs; links are left out."""
    candidates = [path for name in COPIED_FOLDERS for path in sorted((folder / name).rglob("*"))]
    candidates += [path for pattern in COPIED_GLOBS for path in sorted(folder.glob(pattern))]
    for path in candidates:
        if path.is_file() and not path.is_symlink() and not path.name.startswith(".vsearch-"):
            yield path
