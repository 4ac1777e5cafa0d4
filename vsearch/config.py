"""Settings, merged from four sources.

In order of precedence: a flag, an environment variable VSEARCH_*, <library>/vsearch.toml, the
default.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch.errors import SettingsError
from vsearch.storage.atomic_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """Parse TOML text, with setting names of older versions replaced by their current names."""
    return {
        RENAMED_SETTINGS.get(setting_name, setting_name): setting_value
        for setting_name, setting_value in tomllib.loads(toml_text).items()
    }


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

    The device is left out, since it depends on the machine; model files are written with their
    absolute path. `keyframes_only`, `workers` and `hwaccel` apply to a single run and are not
    changed.

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
        device=Settings().device,
        keyframes_only=file_settings.keyframes_only,
        workers=file_settings.workers,
        hwaccel=file_settings.hwaccel,
    )
    if (library_path / SETTINGS_FILE).exists() and replace(
        file_settings, device="auto"
    ) == settings:
        return  # keep the comments in the file
    toml_lines = ["# Settings of this library; flags and VSEARCH_* variables take precedence.\n"]
    for setting_name, setting_value in asdict(settings).items():
        if setting_value != getattr(Settings(), setting_name) or setting_name in ("model", "fps"):
            toml_lines.append(f"{setting_name} = {_format_toml(setting_value)}\n")
    _write_file(library_path, "".join(toml_lines), settings.model)


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
        toml_text = (library_path / SETTINGS_FILE).read_text(encoding="utf-8")
        for setting_name, new_value in changes.items():
            if getattr(old_settings, setting_name) != new_value:
                toml_text = _replace_value(toml_text, setting_name, new_value)
        if _is_equivalent(toml_text, new_settings):
            _write_file(library_path, toml_text, new_settings.model)
        else:  # the setting is spelled in a way that the regex misses
            save(library_path, new_settings)


def _replace_value(toml_text: str, setting_name: str, new_value: str) -> str:
    """Replace the value of a setting in TOML text, or add a line."""
    setting_line = re.compile(rf"""^({setting_name}\s*=\s*)("[^"\n]*"|'[^'\n]*')""", re.MULTILINE)
    if setting_line.search(toml_text):
        return setting_line.sub(
            lambda line_match: line_match[1] + _format_toml(new_value), toml_text, count=1
        )
    return f"{setting_name} = {_format_toml(new_value)}\n{toml_text}"


def _is_equivalent(toml_text: str, settings: Settings) -> bool:
    try:
        return replace(Settings(), **_parse_toml(toml_text)) == settings
    except tomllib.TOMLDecodeError:
        return False


def _write_file(library_path: Path, toml_text: str, model_name: str) -> None:
    """Replace vsearch.toml atomically."""
    try:
        replace_file(library_path / SETTINGS_FILE, toml_text.encode())
    except UnicodeEncodeError as exc:
        raise SettingsError(
            f"{model_name!r} cannot be written to {SETTINGS_FILE} as UTF-8; rename the file"
        ) from exc
    except OSError as exc:
        raise SettingsError(
            f"{library_path / SETTINGS_FILE}: cannot be written ({exc.strerror}); "
            "check free disk space and permissions"
        ) from exc


def _read_environment() -> dict[str, Any]:
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


def _format_toml(setting_value: str | float) -> str:
    """Format a value as TOML: JSON syntax, except for DEL, which TOML requires to be escaped."""
    return json.dumps(setting_value, ensure_ascii=False).replace("\x7f", "\\u007f")
