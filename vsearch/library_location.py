"""Locations of the parts of a library: its catalog, files, caches and settings."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from vsearch import config
from vsearch.catalog.database_url import DatabaseUrl, is_database_url
from vsearch.catalog.lock import WriteLock, read_lock_holder
from vsearch.catalog.record import COPY_KEY, CatalogSettings
from vsearch.errors import LibraryError, StoreError
from vsearch.settings_file import SettingsFile
from vsearch.storage.object_store import open_object_store
from vsearch.storage.store_urls import find_store_folder

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.settings_file import SettingsSource
    from vsearch.storage.object_store import ObjectStore

CATALOG_FILE = "catalog.sqlite3"
STORE_FILE = "vsearch-store.json"  # in the store of a library in a database
CACHES_FOLDER = "libraries"  # in the user's cache folder


@dataclass(frozen=True, slots=True)
class LibraryLocation:
    """Locations of the parts of an open library; `str` names it, without a password.

    A library in a folder has all of them there. The catalog of another one is in a database, and
    its files in a store, which all machines reach; what can be rebuilt is on this machine.
    """

    name: str  # the folder, or the URL of the database
    folder: Path  # frame features and kept frames unless they are in a bucket, trained models
    cache_folder: Path  # indexes and whatever else can be rebuilt without decoding
    settings_source: SettingsSource
    database_url: DatabaseUrl | None = None
    library_id: str | None = None  # of a library in a database

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Return the location of a library in a folder."""
        return cls(str(folder), folder, folder, SettingsFile(folder))

    @classmethod
    def from_database(
        cls, database_url: DatabaseUrl, catalog: Catalog, *, is_copying: bool = False
    ) -> Self:
        """Return the location of a library in a database, as `vsearch library create` stored it.

        Args:
            database_url: The database.
            catalog: The catalog in it.
            is_copying: Accept a library that is being copied and not complete.

        Raises:
            LibraryError: If its store was not set, or cannot be used by this version; or the
                library is not complete.
        """
        settings_source = CatalogSettings(catalog, str(database_url))
        record = settings_source.record()
        if COPY_KEY in record and not is_copying:
            raise LibraryError(
                f"{database_url}: is a copy that is not complete; run the same `vsearch library "
                "copy` again, which continues it"
            )
        library_id = record.get("id")
        store_text = config.load(settings_source, {}, ignore_invalid=True).store
        if not library_id or not store_text:
            raise LibraryError(
                f"{database_url}: the library has no store for its files yet; set it with "
                f"`vsearch library create {database_url} --store FOLDER`"
            )
        cache_folder = config.cache_folder() / CACHES_FOLDER / str(library_id)
        return cls(
            str(database_url),
            find_store_folder(store_text) or cache_folder,
            cache_folder,
            settings_source,
            database_url,
            str(library_id),
        )

    def object_store_address(self, store: str) -> str:
        """Return the store of files that are named by their content; empty if they are in `folder`.

        Args:
            store: The setting `store`.
        """
        if self.database_url is not None and find_store_folder(store) is not None:
            return ""
        return store

    def has_catalog(self) -> bool:
        """Return False if the catalog file does not exist yet."""
        return self.database_url is not None or (self.folder / CATALOG_FILE).exists()

    @property
    def has_many_writers(self) -> bool:
        """True if the catalog, and not a lock file, keeps writers apart."""
        return self.database_url is not None

    @property
    def short_name(self) -> str:
        """Name of the folder or of the database."""
        return self.folder.absolute().name if self.database_url is None else self.database_url.name

    @property
    def absolute_name(self) -> str:
        """The folder as an absolute path, or the URL: opens the library in any process."""
        return str(self.folder.absolute()) if self.database_url is None else self.name

    def child_environment(self) -> dict[str, str]:
        """Return the variables that a child process needs to open `absolute_name`."""
        return {} if self.database_url is None else self.database_url.child_environment()

    def lock(self) -> AbstractContextManager[object]:
        """Return the write lock of the library: none where many may write.

        Raises:
            LockedError: When it is entered and another process is writing.
        """
        return nullcontext() if self.has_many_writers else WriteLock(self.folder)

    def lock_caches(self) -> AbstractContextManager[object]:
        """Return the lock of the caches on this machine, included in `lock` if there is one."""
        if not self.has_many_writers:
            return nullcontext()
        self.cache_folder.mkdir(parents=True, exist_ok=True)
        return WriteLock(self.cache_folder)

    def describe_lock_holder(self) -> str | None:
        """Return a description of the process that holds the write lock, or None."""
        if self.has_many_writers:
            return None
        lock_holder = read_lock_holder(self.folder)
        is_held = lock_holder is not None and WriteLock(self.folder).is_held()
        return str(lock_holder) if is_held else None

    def find_store_problem(self) -> str | None:
        """Return why the files of the library cannot be used, or None.

        A store on a drive or share that is not mounted would be created on the disk below it.
        """
        if self.library_id is None:
            return None
        store = config.load(self.settings_source, {}, ignore_invalid=True).store
        try:
            folder = find_store_folder(store)
            is_missing = folder is not None and not folder.is_dir()
            store_id = None if is_missing else read_store_id(open_object_store(store))
        except (OSError, StoreError) as exc:
            return str(exc)
        if store_id is None:
            return (
                f"{store}: the store of {self.name} is not there ({STORE_FILE} cannot be read); "
                "mount its drive or share, or name the folder where this machine has it in "
                "VSEARCH_STORE"
            )
        if store_id != self.library_id:
            return (
                f"{store}: is the store of another library, not of {self.name}; name the right "
                "one in VSEARCH_STORE"
            )
        return None

    def check_store(self) -> None:
        """Raise LibraryError if files cannot be written to the store."""
        if problem := self.find_store_problem():
            raise LibraryError(problem)

    def size_bytes(self) -> int:
        """Return the size of all files of the library and of its caches on this machine."""
        folders = {self.folder, self.cache_folder}
        return sum(_file_bytes(path) for folder in folders for path in folder.rglob("*"))

    def __str__(self) -> str:
        return self.name


def locate_library(
    flag_value: str | os.PathLike[str] | None = None,
) -> tuple[Path | DatabaseUrl, str]:
    """Return the folder or database of the library to use, and where it was named.

    Args:
        flag_value: Explicit folder or URL; takes precedence over VSEARCH_LIBRARY.

    Returns:
        The folder or URL; and `--library`, `VSEARCH_LIBRARY`, `indexes/default` or `default`.

    Raises:
        SettingsError: If it is not valid, or the user has no home folder.
    """
    given_value = flag_value or os.environ.get(config.LIBRARY_VARIABLE)
    if is_database_url(given_value):
        source = "--library" if flag_value else config.LIBRARY_VARIABLE
        return DatabaseUrl.parse(os.fsdecode(given_value or "")), source
    return config.locate_library(flag_value)


def claim_store(store: str, library_id: str) -> None:
    """Mark the store of a library in a database, which must be new, empty or already marked.

    Args:
        store: A folder, which is created, or the URL of a bucket.
        library_id: Id of the library.

    Raises:
        LibraryError: If it has other files, belongs to another library or cannot be written.
    """
    objects, folder = open_object_store(store), find_store_folder(store)
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        known_id = read_store_id(objects)
        if known_id == library_id:
            return
        if known_id is not None:
            raise LibraryError(f"{store}: is the store of another library; name a new one")
        if next(objects.list_objects(), None) is not None:
            raise LibraryError(f"{store}: is not empty; name a new folder as the store")
        objects.write(STORE_FILE, json.dumps({"library": library_id}).encode())
    except OSError as exc:
        raise LibraryError(
            f"{store}: cannot be used as a store ({exc.strerror or exc}); check the folder and its "
            "permissions"
        ) from exc


def read_store_id(objects: ObjectStore) -> str | None:
    """Return the id of the library that a store belongs to, or None.

    Raises:
        StoreError: If the store cannot be read.
    """
    try:
        return str(json.loads(objects.read(STORE_FILE))["library"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def _file_bytes(file_path: Path) -> int:
    try:
        return file_path.stat().st_size if file_path.is_file() else 0
    except OSError:  # removed in the meantime, or no permission
        return 0
