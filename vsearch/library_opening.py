"""Opening of the catalog and the settings of a library, in a folder or in a database."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from vsearch import config
from vsearch.catalog.database_url import DatabaseUrl
from vsearch.catalog.open import refuse_lost_catalog
from vsearch.catalog.record import CatalogSettings
from vsearch.errors import LibraryError, NoLibraryError
from vsearch.library_location import CATALOG_FILE, LibraryLocation, locate_library
from vsearch.settings_file import SettingsFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.settings_file import SettingsSource
    from vsearch.types import PathInput


def find_place(path: PathInput | None, *, create: bool | None) -> Path | DatabaseUrl:
    """Return the folder or database of a library.

    Args:
        path: As of `Library.open`.
        create: As of `Library.open`.

    Raises:
        NoLibraryError: If there is no library in the folder and `create` is False.
        DamagedLibraryError: If its catalog was lost.
        LibraryError: If the path is a file.
        SettingsError: If the path or URL is not valid.
    """
    place = locate_library(path)[0]
    if isinstance(place, DatabaseUrl):
        return place
    if not place.exists() and place.parent.is_dir():
        from vsearch.backup.restore import recover_interrupted_restore  # deferred: rarely used

        recover_interrupted_restore(place)
    if place.exists() and not place.is_dir():
        raise LibraryError(f"{place} is a file; a library must be a folder")
    catalog_path = place / CATALOG_FILE
    if create is False and not catalog_path.exists():
        refuse_lost_catalog(catalog_path)
        option_text = "" if path is None else f"--library {place} "
        raise NoLibraryError(
            f"{place}: there is no library in this folder; create one with "
            f"`vsearch {option_text}index FOLDER`"
        )
    return place


def open_place(
    place: Path | DatabaseUrl,
    overrides: Mapping[str, Any],
    *,
    create: bool | None,
    ignore_invalid_settings: bool,
) -> tuple[LibraryLocation, Catalog, config.Settings]:
    """Open the catalog of a library and load its settings.

    Args:
        place: As `find_place` returned it.
        overrides: Settings given as arguments; None means not given.
        create: As of `Library.open`. In a database, `create_library` creates a library.
        ignore_invalid_settings: As of `Library.open`.

    Returns:
        Where the library is, its catalog and its effective settings.

    Raises:
        NoLibraryError: If there is no library in the database.
        LibraryError: If it cannot be opened.
        SettingsError: If a setting is invalid.
    """
    from vsearch.catalog.catalog import Catalog  # deferred: keeps `import vsearch` fast

    if isinstance(place, DatabaseUrl):
        catalog = open_database(place)
        try:
            location = LibraryLocation.from_database(place, catalog)
            source = location.settings_source
            settings = config.load(source, overrides, ignore_invalid=ignore_invalid_settings)
        except BaseException:
            catalog.close()
            raise
        return location, catalog, settings
    location = LibraryLocation.from_folder(place)
    settings = config.load(
        location.settings_source, overrides, ignore_invalid=ignore_invalid_settings
    )
    return location, Catalog.open(place / CATALOG_FILE, create=create), settings


def open_database(database_url: DatabaseUrl) -> Catalog:
    """Open the catalog in a database.

    Args:
        database_url: The database.

    Raises:
        NoLibraryError: If there is no library in it.
        LibraryError: If it cannot be opened.
    """
    from vsearch.catalog.catalog import Catalog  # deferred: keeps `import vsearch` fast

    try:
        return Catalog.open(database_url)
    except NoLibraryError as exc:
        raise NoLibraryError(
            f"{database_url}: there is no library in this database; create one with "
            f"`vsearch library create {database_url} --store FOLDER`"
        ) from exc


@contextmanager
def open_settings(path: PathInput | None) -> Iterator[tuple[str, str, SettingsSource]]:
    """Provide the settings of a library, which need not be in its folder yet.

    Args:
        path: As of `Library.open`.

    Yields:
        The folder or URL, where it was named as of `locate_library`, and the settings.

    Raises:
        LibraryError: If the database cannot be read.
        SettingsError: If the path or URL is not valid.
    """
    place, place_source = locate_library(path)
    if isinstance(place, DatabaseUrl):
        with closing(open_database(place)) as catalog:
            yield str(place), place_source, CatalogSettings(catalog, str(place))
    else:
        yield str(place.absolute()), place_source, SettingsFile(place)


def require_folder(path: PathInput | None, purpose: str) -> Path:
    """Return the folder of a library that cannot be in a database.

    Args:
        path: As of `Library.open`.
        purpose: What cannot be done, for the message.

    Raises:
        LibraryError: If it is the URL of a database.
    """
    place = locate_library(path)[0]
    if isinstance(place, DatabaseUrl):
        raise LibraryError(f"{place}: a library in a database cannot be {purpose}")
    return place
