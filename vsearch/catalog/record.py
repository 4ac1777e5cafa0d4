"""Record of a library as a whole in its catalog: its id and, in a database, its settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vsearch.errors import LibraryError, SettingsError
from vsearch.settings_file import StoredSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vsearch.catalog.catalog import Catalog


COPY_KEY = "copy"  # of a library that is being copied: the name of its source


def read_record(catalog: Catalog) -> dict[str, Any]:
    """Return the record of a library: an object of JSON; empty if it has none.

    Args:
        catalog: The catalog.

    Raises:
        ValueError: If it is not valid.
    """
    record_text = catalog.stored_settings()
    record = json.loads(record_text) if record_text else {}
    if not isinstance(record, dict):
        raise ValueError("not an object")
    return record


def change_record(catalog: Catalog, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the record of a library in one transaction.

    Args:
        catalog: The catalog.
        change: Changes the record that it gets.
    """
    with catalog.begin() as transaction:
        record_text = transaction.stored_settings()
        record = json.loads(record_text) if record_text else {}
        change(record)
        transaction.set_stored_settings(json.dumps(record, sort_keys=True))


class CatalogSettings:
    """The settings of a library in its catalog."""

    name = "catalog"

    def __init__(self, catalog: Catalog, library_name: str) -> None:
        """Use an open catalog.

        Args:
            catalog: The catalog.
            library_name: Name of the library, for messages.
        """
        self._catalog, self._library_name = catalog, library_name

    def record(self) -> dict[str, Any]:
        """Return the record with the settings; empty if it is missing or not valid."""
        try:
            return read_record(self._catalog)
        except ValueError:
            return {}

    def exists(self) -> bool:
        """Return True if settings were stored."""
        return "settings" in self.record()

    def read(self) -> StoredSettings:
        """Return the stored settings."""
        try:
            values = read_record(self._catalog).get("settings", {})
            if not isinstance(values, dict):
                raise ValueError("not an object")
        except ValueError as exc:
            return StoredSettings(
                problem=f"{self._library_name}: its stored settings are not valid ({exc}); restore "
                "the database from a backup"
            )
        return StoredSettings(values, None, lambda _setting_name: f"{self._library_name}: settings")

    def write(self, changes: Mapping[str, Any]) -> None:
        """Change settings in one transaction."""
        try:
            change_record(
                self._catalog, lambda record: record.setdefault("settings", {}).update(changes)
            )
        except (LibraryError, ValueError) as exc:
            raise SettingsError(f"the settings of the library cannot be stored: {exc}") from exc
