"""Creation of libraries with their settings, in a folder or in a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from vsearch import config
from vsearch.catalog.database_url import DatabaseUrl
from vsearch.catalog.record import COPY_KEY, change_record, read_record
from vsearch.errors import LibraryError, SettingsError
from vsearch.library_location import CATALOG_FILE, claim_store
from vsearch.settings_file import SettingsFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog


def create_library(
    place: Path | DatabaseUrl, settings: Mapping[str, Any], *, copy_of: str | None = None
) -> None:
    """Create an empty library.

    Args:
        place: Its folder or database.
        settings: Its settings, with `store` if it is in a database.
        copy_of: Name of the library of which it becomes a copy; it cannot be opened until then.

    Raises:
        LibraryError: If there is a library already, or it cannot be created.
        SettingsError: If a setting is invalid, or `store` is missing or not allowed.
    """
    config.check_settings(settings)
    if isinstance(place, DatabaseUrl):
        _create_in_database(place, settings, copy_of)
        return
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise LibraryError(f"{place} is not empty; name a new folder for the library")
    with _open_catalog(place / CATALOG_FILE) as catalog:
        if copy_of is not None:
            change_record(catalog, lambda record: record.update({COPY_KEY: copy_of}))
    if settings:
        SettingsFile(place).write(settings)


def _create_in_database(
    database_url: DatabaseUrl, settings: Mapping[str, Any], copy_of: str | None
) -> None:
    store_text = str(settings.get("store") or "")
    if not store_text:
        raise SettingsError(
            "a library in a database needs a store for frame features and kept frames: name a "
            "bucket, or a folder that all machines reach, with --store"
        )
    with _open_catalog(database_url) as catalog:
        record = read_record(catalog)
        if record.get("id") or not catalog.is_empty():
            raise LibraryError(f"{database_url}: there is a library in this database already")
        library_id = uuid4().hex
        claim_store(store_text, library_id)
        new_record = {
            "id": library_id,
            "settings": dict(settings),
            **({} if copy_of is None else {COPY_KEY: copy_of}),
        }
        change_record(catalog, lambda record: record.update(new_record))


def _open_catalog(place: Path | DatabaseUrl) -> Catalog:
    from vsearch.catalog.catalog import Catalog  # deferred: keeps `import vsearch` fast

    return Catalog.open(place, create=True)
