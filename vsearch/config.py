"""Settings, merged from four sources.

In order of precedence: a flag, an environment variable VSEARCH_*, <library>/vsearch.toml, the
default.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch.errors import SettingsError
from vsearch.storage.atomic_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tomlkit import TOMLDocument

SETTINGS_FILE = "vsearch.toml"
BOOLEAN_SETTINGS = ("keep_frames", "transcribe", "ocr", "keyframes_only")
# names in vsearch.toml files of older versions
RENAMED_SETTINGS = {"fast": "keyframes_only", "read_text": "ocr", "shots": "shot_detector"}
MAX_WORKERS = 64
_TRUE_WORDS, _FALSE_WORDS = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
DEFAULT_LIBRARY = Path("indexes") / "default"


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a library.

    Raises:
        SettingsError: If a value is invalid.
    """

    model: str = "builtin"  # name or name:argument
    text_model: str = ""  # encodes query text instead of `model`; empty: `model` itself
    device: str = "auto"  # auto, cpu, cuda or mps
    fps: float = 1.0  # frames sampled per second
    pooler: str = "auto"  # auto, mean, transformer:FILE or a plugin
    index: str = "auto"  # auto, exact, faiss, sq8, ivf or a plugin
    shot_detector: str = "content"  # content or a plugin
    keep_frames: bool = False  # cache frames, so that another model need not decode again
    transcribe: bool = False  # transcribe speech after indexing
    ocr: bool = False  # recognize on-screen text after indexing
    speech_model: str = ""  # size, folder or package:NAME; empty: the best that is installed
    keyframes_only: bool = False  # sample key frames only
    workers: int = 0  # videos indexed in parallel; 0 depends on the machine
    hwaccel: str = ""  # FFmpeg name of a hardware decoder; auto: any; empty: software

    def __post_init__(self) -> None:
        for setting_name in ("model", "device", "pooler", "index", "shot_detector"):
            setting_value: object = getattr(self, setting_name)
            if not isinstance(setting_value, str) or not setting_value.strip():
                raise SettingsError(f"{setting_name} must be a name, not {setting_value!r}")
        for setting_name in ("text_model", "speech_model", "hwaccel"):
            if not isinstance(getattr(self, setting_name), str):
                raise SettingsError(
                    f"{setting_name} must be a name, not {getattr(self, setting_name)!r}"
                )
        for setting_name in BOOLEAN_SETTINGS:
            if not isinstance(getattr(self, setting_name), bool):
                raise SettingsError(
                    f"{setting_name} must be true or false, not {getattr(self, setting_name)!r}"
                )
        frame_rate: object = self.fps
        if not isinstance(frame_rate, int | float) or not 0.01 <= self.fps <= 60:
            raise SettingsError(f"fps must be a number from 0.01 to 60, not {self.fps!r}")
        if type(self.workers) is not int or not 0 <= self.workers <= MAX_WORKERS:
            raise SettingsError(
                f"workers must be a whole number from 0 to {MAX_WORKERS}, not {self.workers!r}"
            )
        if self.device not in ("auto", "cpu", "cuda", "mps"):
            raise SettingsError(f"device must be auto, cpu, cuda or mps, not {self.device!r}")


def resolve_library_path(flag_value: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of the library to use.

    Args:
        flag_value: Explicit folder; takes precedence over VSEARCH_LIBRARY.

    Returns:
        The folder; by default `indexes/default` in the working directory.
    """
    return Path(flag_value or os.environ.get("VSEARCH_LIBRARY") or DEFAULT_LIBRARY).expanduser()


def cache_folder() -> Path:
    """Return the user's cache folder: $VSEARCH_CACHE, or `vsearch` in the platform's cache."""
    if env_folder := os.environ.get("VSEARCH_CACHE"):
        return Path(env_folder).expanduser()
    cache_home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return Path(cache_home or "~/.cache").expanduser() / "vsearch"


def load(library_path: Path, overrides: Mapping[str, Any]) -> Settings:
    """Merge all sources of settings.

    Args:
        library_path: Folder of the library.
        overrides: Settings given as flags or arguments; None means not given.

    Returns:
        The effective settings.

    Raises:
        SettingsError: If a value is invalid.
    """
    merged_settings = _read_environment()
    merged_settings |= {
        setting_name: setting_value
        for setting_name, setting_value in overrides.items()
        if setting_value is not None
    }
    return replace(load_file(library_path), **merged_settings)


def load_file(library_path: Path) -> Settings:
    """Return the settings of vsearch.toml, with defaults for the rest.

    Args:
        library_path: Folder of the library.

    Returns:
        The settings, without environment variables.

    Raises:
        SettingsError: If the file is not valid.
    """
    return replace(Settings(), **read_file(library_path))


def read_file(library_path: Path) -> dict[str, Any]:
    """Return the settings that vsearch.toml contains.

    Args:
        library_path: Folder of the library.

    Returns:
        Values by setting name; empty if there is no file.

    Raises:
        SettingsError: If the file is not valid TOML or has an unknown setting.
    """
    settings_path = library_path / SETTINGS_FILE
    known_names = {field.name for field in fields(Settings)}
    try:
        file_settings = _parse_toml(settings_path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as exc:
        raise SettingsError(f"{settings_path}: not valid TOML: {exc}") from exc
    if unknown_names := sorted(set(file_settings) - known_names):
        raise SettingsError(
            f"{settings_path}: unknown setting {unknown_names[0]!r}; "
            f"known settings: {', '.join(sorted(known_names))}"
        )
    return file_settings


def _parse_toml(toml_text: str) -> dict[str, Any]:
    """Parse TOML text; a setting's current name takes precedence over its old name."""
    file_settings = tomllib.loads(toml_text)
    for old_name, new_name in RENAMED_SETTINGS.items():
        if old_name in file_settings:
            file_settings.setdefault(new_name, file_settings.pop(old_name))
    return file_settings


def is_overridden(setting_name: str, flag_value: object) -> bool:
    """Return True if a flag or an environment variable overrides vsearch.toml.

    Args:
        setting_name: Name of the setting.
        flag_value: Value of the flag; None if it is not given.

    Returns:
        True if vsearch.toml is not consulted for this setting.
    """
    return flag_value is not None or bool(os.environ.get(f"VSEARCH_{setting_name.upper()}"))


def save(library_path: Path, settings: Settings) -> None:
    """Write vsearch.toml, unless it already means the same.

    Model files are written with their absolute path. `device`, which depends on the machine, and
    `keyframes_only`, `workers` and `hwaccel`, which apply to a single run, are not changed.

    Args:
        library_path: Folder of the library.
        settings: Settings with which the library is created.

    Raises:
        SettingsError: If the file cannot be written, or a name cannot be encoded as UTF-8.
    """
    file_settings = load_file(library_path)
    settings = replace(
        settings,
        model=absolute_model_name(settings.model),
        text_model=absolute_model_name(settings.text_model),
        pooler=absolute_model_name(settings.pooler),
        device=file_settings.device,
        keyframes_only=file_settings.keyframes_only,
        workers=file_settings.workers,
        hwaccel=file_settings.hwaccel,
    )
    if not (library_path / SETTINGS_FILE).exists() or file_settings != settings:
        changes = _find_changes(file_settings, asdict(settings))
        _write_file(library_path, {"model": settings.model, "fps": settings.fps} | changes)


def update_file(library_path: Path, changes: Mapping[str, str]) -> None:
    """Change settings in vsearch.toml, preserving everything else, comments included.

    Args:
        library_path: Folder of the library.
        changes: New values by setting name.

    Raises:
        SettingsError: If the file is invalid or cannot be written.
    """
    old_settings = load_file(library_path)
    new_settings = replace(old_settings, **changes)  # type: ignore[arg-type] # only str settings
    if not (library_path / SETTINGS_FILE).exists():
        save(library_path, new_settings)
    elif old_settings != new_settings:
        _write_file(library_path, _find_changes(old_settings, changes))


def _find_changes(old_settings: Settings, new_values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        setting_name: new_value
        for setting_name, new_value in new_values.items()
        if getattr(old_settings, setting_name) != new_value
    }


def _write_file(library_path: Path, changes: Mapping[str, Any]) -> None:
    """Set values in vsearch.toml, atomically; create the file if it is missing."""
    settings_path = library_path / SETTINGS_FILE
    try:
        document = _load_document(settings_path)
        for setting_name, new_value in changes.items():
            if document.get(setting_name) != new_value:
                document[setting_name] = new_value
        replace_file(settings_path, document.as_string().encode())
    except UnicodeEncodeError as exc:
        raise SettingsError(
            f"{exc.object!r} cannot be written to {SETTINGS_FILE} as UTF-8; rename the file"
        ) from exc
    except ValueError as exc:  # tomlkit is stricter than tomllib about line ends
        raise SettingsError(f"{settings_path}: cannot be edited: {exc}") from exc
    except OSError as exc:
        raise SettingsError(
            f"{settings_path}: cannot be written ({exc.strerror}); "
            "check free disk space and permissions"
        ) from exc


def _load_document(settings_path: Path) -> TOMLDocument:
    """Return vsearch.toml for editing, with old setting names replaced by current ones."""
    import tomlkit  # deferred: reading does not need it

    try:
        file_document = tomlkit.parse(settings_path.read_bytes())
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


def _read_environment() -> dict[str, Any]:
    for old_name, new_name in RENAMED_SETTINGS.items():
        old_variable, new_variable = f"VSEARCH_{old_name.upper()}", f"VSEARCH_{new_name.upper()}"
        if os.environ.get(old_variable) and not os.environ.get(new_variable):
            raise SettingsError(f"{old_variable} is now named {new_variable}; rename the variable")
    env_settings: dict[str, Any] = {}
    for setting_name in (field.name for field in fields(Settings)):
        env_value = os.environ.get(f"VSEARCH_{setting_name.upper()}")
        if env_value:
            env_settings[setting_name] = _parse_value(setting_name, env_value)
    return env_settings


def _parse_value(setting_name: str, value_text: str) -> str | float | bool:
    if setting_name in ("fps", "workers"):
        return _parse_number(setting_name, value_text)
    if setting_name not in BOOLEAN_SETTINGS:
        return value_text
    if value_text.lower() not in (*_TRUE_WORDS, *_FALSE_WORDS):
        raise SettingsError(f"VSEARCH_{setting_name.upper()} must be yes or no, not {value_text!r}")
    return value_text.lower() in _TRUE_WORDS


def _parse_number(setting_name: str, value_text: str) -> float:
    number_type, expected_kind = (
        (int, "a whole number") if setting_name == "workers" else (float, "a number")
    )
    try:
        return number_type(value_text)
    except ValueError as exc:
        raise SettingsError(
            f"VSEARCH_{setting_name.upper()} must be {expected_kind}, not {value_text!r}"
        ) from exc


def absolute_model_name(model_name: str) -> str:
    """Make the file in a model name absolute: `name:argument@FILE`, or `name:FILE` with a suffix.

    Args:
        model_name: Model as `name` or `name:argument`.

    Returns:
        The name with an absolute path if it refers to an existing file. An argument without a
        suffix, such as the tier in `builtin:fast`, is never taken for a file.
    """
    plugin_name, _, model_argument = model_name.partition(":")
    argument_prefix, separator, file_text = model_argument.rpartition("@")
    file_path = Path(file_text).expanduser()
    is_file = file_path.exists() if separator else bool(file_path.suffix) and file_path.is_file()
    return (
        f"{plugin_name}:{argument_prefix}{separator}{file_path.absolute()}"
        if file_text and is_file
        else model_name
    )
