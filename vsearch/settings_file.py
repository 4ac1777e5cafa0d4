"""Storage of the settings of a library: `vsearch.toml` in its folder, by default."""

from __future__ import annotations

import codecs
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vsearch.errors import SettingsError
from vsearch.storage.atomic_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tomlkit import TOMLDocument

SETTINGS_FILE = "vsearch.toml"
# names in vsearch.toml files of older versions
RENAMED_SETTINGS = {"fast": "keyframes_only", "read_text": "ocr", "shots": "shot_detector"}


@dataclass(frozen=True, slots=True)
class StoredSettings:
    """Settings as they are stored, not checked yet."""

    values: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None  # why they cannot be read
    find_place: Callable[[str], str] = str  # returns where a setting is, for messages


class SettingsSource(Protocol):
    """Stores the settings of one library.

    Attributes:
        name: Name of the source, as `vsearch config` prints it.
    """

    name: str

    def exists(self) -> bool:
        """Return True if settings were stored, even if none differs from its default."""
        ...

    def read(self) -> StoredSettings:
        """Return the stored settings; problems are returned as well."""
        ...

    def write(self, changes: Mapping[str, Any]) -> None:
        """Change settings, and keep the others.

        Args:
            changes: New values by setting name.

        Raises:
            SettingsError: If they cannot be stored.
        """
        ...


class SettingsFile:
    """The file `vsearch.toml` in the folder of a library."""

    name = SETTINGS_FILE

    def __init__(self, library_path: Path) -> None:
        self._path = library_path / SETTINGS_FILE

    def exists(self) -> bool:
        """Return True if the file exists."""
        return self._path.exists()

    def read(self) -> StoredSettings:
        """Return the settings in the file; empty if there is none."""
        try:
            toml_text = _read_toml_text(self._path)
            file_settings = _parse_toml(toml_text)
        except FileNotFoundError:
            return StoredSettings()
        except OSError as exc:
            problem = f"cannot be read ({exc.strerror}); check the file"
        except UnicodeDecodeError:
            problem = "is not UTF-8 text; save it as UTF-8"
        except (tomllib.TOMLDecodeError, RecursionError) as exc:
            problem = f"not valid TOML: {exc}; correct it or delete the file"
        else:
            return StoredSettings(
                file_settings, None, lambda name: f"{self._path}{_locate_setting(toml_text, name)}"
            )
        return StoredSettings(problem=f"{self._path}: {problem}")

    def write(self, changes: Mapping[str, Any]) -> None:
        """Set values in the file, atomically; create it if it is missing."""
        try:
            document = _load_document(self._path)
            for setting_name, new_value in changes.items():
                if document.get(setting_name) != new_value:
                    document[setting_name] = new_value
            # a link is kept: the file to which it points is replaced
            target_path = Path(os.path.realpath(self._path))
            replace_file(target_path, document.as_string().encode())
        except UnicodeEncodeError as exc:
            raise SettingsError(
                f"{exc.object!r} cannot be written to {SETTINGS_FILE} as UTF-8; rename the file"
            ) from exc
        except ValueError as exc:  # tomlkit is stricter than tomllib about line ends
            raise SettingsError(f"{self._path}: cannot be edited: {exc}") from exc
        except OSError as exc:
            raise SettingsError(
                f"{self._path}: cannot be written ({exc.strerror}); "
                "check free disk space and permissions"
            ) from exc


def find_source(library: Path | SettingsSource) -> SettingsSource:
    """Return where the settings of a library are stored.

    Args:
        library: Folder of the library, or the source itself.
    """
    return SettingsFile(library) if isinstance(library, Path) else library


def _read_toml_text(settings_path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark."""
    return settings_path.read_text(encoding="utf-8-sig")


def _locate_setting(toml_text: str, setting_name: str) -> str:
    """Return `, line N` of a setting; empty if it is not found, e.g. in a table."""
    old_names = [old for old, new in RENAMED_SETTINGS.items() if new == setting_name]
    names_pattern = "|".join(map(re.escape, (setting_name, *old_names)))
    line_re = re.compile(rf"""\s*\[*\s*["']?(?:{names_pattern})["']?\s*[=.\]]""")
    for line_number, line in enumerate(toml_text.splitlines(), 1):
        if line_re.match(line):
            return f", line {line_number}"
    return ""


def _parse_toml(toml_text: str) -> dict[str, Any]:
    """Parse TOML text; a setting's current name takes precedence over its old name."""
    file_settings = tomllib.loads(toml_text)
    for old_name, new_name in RENAMED_SETTINGS.items():
        if old_name in file_settings:
            file_settings.setdefault(new_name, file_settings.pop(old_name))
    return file_settings


def _load_document(settings_path: Path) -> TOMLDocument:
    """Return vsearch.toml for editing, with old setting names replaced by current ones."""
    import tomlkit  # deferred: reading does not need it

    try:
        file_document = tomlkit.parse(settings_path.read_bytes().removeprefix(codecs.BOM_UTF8))
    except FileNotFoundError:
        document = tomlkit.document()
        document.add(
            tomlkit.comment(
                "Settings of this library; flags and VSEARCH_* variables take precedence."
            )
        )
        return document
    document = tomlkit.TOMLDocument(parsed=True)  # otherwise, append() moves blank lines
    for key, item in file_document.body:
        new_name = RENAMED_SETTINGS.get(key.key) if key else None
        if new_name is None:
            document.append(key, item)
        elif new_name not in file_document:
            document.append(new_name, item)
    document.parsing(False)
    return document
