"""Settings, merged from four sources.

In order of precedence: a flag, an environment variable VSEARCH_*, <library>/vsearch.toml, the
default.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch.errors import SettingsError
from vsearch.settings_file import RENAMED_SETTINGS, find_source
from vsearch.storage.store_urls import check_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vsearch.settings_file import SettingsSource

BOOLEAN_SETTINGS = ("keep_frames", "transcribe", "ocr", "keyframes_only", "photos")
MAX_WORKERS = 64
MAX_CACHE_MB = 1_048_576
MAX_TASK_CPUS, MAX_TASK_GPUS = 1024, 16
_TRUE_WORDS, _FALSE_WORDS = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_AUDIO_TRACK_RE = re.compile(r"auto|[1-9][0-9]{0,3}|[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
_RAY_ADDRESS_RE = re.compile(
    r"|auto|local|(?:ray://)?(?:[\w.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
)
LIBRARY_VARIABLE = "VSEARCH_LIBRARY"
FOLDER_LIBRARY = Path("indexes") / "default"  # the default of earlier versions


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
    index: str = "auto"  # auto, exact, faiss, sq8, ivf, a plugin or name:address
    shot_detector: str = "content"  # content or a plugin
    keep_frames: bool = False  # cache frames, so that another model need not decode again
    transcribe: bool = False  # transcribe speech after indexing
    ocr: bool = False  # recognize on-screen text after indexing
    speech_model: str = ""  # size, folder or package:NAME; empty: the best that is installed
    audio_track: str = "auto"  # to transcribe: number, language, or auto: the first with speech
    keyframes_only: bool = False  # sample key frames only
    workers: int = 0  # videos indexed in parallel; 0 depends on the machine
    hwaccel: str = ""  # FFmpeg name of a hardware decoder; auto: any; empty: software
    photos: bool = True  # index the photos in folders, too
    store: str = ""  # folder or URL of features, kept frames and thumbnails; empty: the library
    store_cache_mb: int = 1024  # megabytes of a bucket's files that are kept on this machine
    ray: str = ""  # Ray cluster that does the work: auto, local, HOST:PORT or ray://HOST:PORT
    ray_cpus: float = 2.0  # processors that a task on the cluster reserves
    ray_gpus: float = 0.125  # GPUs that a task reserves if `device` is cuda

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
        track: object = self.audio_track
        if type(track) is int:  # as in `audio_track = 2`
            object.__setattr__(self, "audio_track", str(track))
        check_audio_track(self.audio_track)
        for setting_name in BOOLEAN_SETTINGS:
            if not isinstance(getattr(self, setting_name), bool):
                raise SettingsError(
                    f"{setting_name} must be true or false, not {getattr(self, setting_name)!r}"
                )
        frame_rate: object = self.fps
        is_number = isinstance(frame_rate, int | float) and not isinstance(frame_rate, bool)
        if not is_number or not 0.01 <= self.fps <= 60:
            raise SettingsError(f"fps must be a number from 0.01 to 60, not {self.fps!r}")
        if type(self.workers) is not int or not 0 <= self.workers <= MAX_WORKERS:
            raise SettingsError(
                f"workers must be a whole number from 0 to {MAX_WORKERS}, not {self.workers!r}"
            )
        if type(self.store_cache_mb) is not int or not 0 <= self.store_cache_mb <= MAX_CACHE_MB:
            raise SettingsError(
                f"store_cache_mb must be a whole number from 0 to {MAX_CACHE_MB}, not "
                f"{self.store_cache_mb!r}"
            )
        check_store(self.store)
        check_ray_address(self.ray)
        for setting_name, maximum in (("ray_cpus", MAX_TASK_CPUS), ("ray_gpus", MAX_TASK_GPUS)):
            number: object = getattr(self, setting_name)
            is_number = isinstance(number, int | float) and not isinstance(number, bool)
            if not is_number or not 0.01 <= getattr(self, setting_name) <= maximum:
                raise SettingsError(
                    f"{setting_name} must be a number from 0.01 to {maximum}, not {number!r}"
                )
        if self.device not in ("auto", "cpu", "cuda", "mps"):
            raise SettingsError(f"device must be auto, cpu, cuda or mps, not {self.device!r}")


def check_audio_track(audio_track: object) -> None:
    """Raise SettingsError unless a value selects an audio track."""
    if not isinstance(audio_track, str) or not _AUDIO_TRACK_RE.fullmatch(audio_track):
        raise SettingsError(
            f"audio_track must be auto, a number from 1 or a language code, not {audio_track!r}"
        )


def check_ray_address(address: object) -> None:
    """Raise SettingsError unless a value is empty or names a Ray cluster."""
    if not isinstance(address, str) or not _RAY_ADDRESS_RE.fullmatch(address):
        raise SettingsError(
            f"ray must be auto, local, HOST:PORT or ray://HOST:PORT, not {address!r:.80}"
        )


def resolve_library_path(flag_value: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of the library to use.

    Args:
        flag_value: Explicit folder; takes precedence over VSEARCH_LIBRARY.

    Returns:
        The folder; by default `indexes/default` in the working directory if it exists, otherwise
        `vsearch/library` in the platform's folder for data of the user.

    Raises:
        SettingsError: If it is not a path, or the user has no home folder.
    """
    return locate_library(flag_value)[0]


def locate_library(flag_value: str | os.PathLike[str] | None = None) -> tuple[Path, str]:
    """Return the folder of the library to use, and where its path comes from.

    Args:
        flag_value: As of `resolve_library_path`.

    Returns:
        The folder; and `--library`, `VSEARCH_LIBRARY`, `indexes/default` or `default`.

    Raises:
        SettingsError: As of `resolve_library_path`.
    """
    if flag_value is not None and not isinstance(flag_value, str | os.PathLike):
        raise SettingsError(f"the folder of a library must be a path, not {flag_value!r:.60}")
    if given_path := flag_value or os.environ.get(LIBRARY_VARIABLE):
        return _expand_home(given_path), "--library" if flag_value else LIBRARY_VARIABLE
    # a link to a drive that is not connected counts; so does a library whose restore was killed
    if os.path.lexists(FOLDER_LIBRARY) or any(
        FOLDER_LIBRARY.parent.glob(f".{FOLDER_LIBRARY.name}.*.old")
    ):
        return FOLDER_LIBRARY, FOLDER_LIBRARY.as_posix()
    return _find_data_folder() / "library", "default"


def _expand_home(given_path: str | os.PathLike[str]) -> Path:
    try:
        return Path(given_path).expanduser()
    except (RuntimeError, TypeError) as exc:  # no such user; bytes of a PathLike
        raise SettingsError(
            f"the folder of a library cannot be {given_path!r:.200} ({exc}); name another one"
        ) from exc


def _find_data_folder() -> Path:
    """Return the folder of vsearch in the platform's folder for data of the user."""
    from platformdirs import user_data_path  # deferred: an explicit folder needs none

    try:
        data_folder = user_data_path("vsearch", appauthor=False)
    except RuntimeError:  # no home folder
        data_folder = Path()
    if not data_folder.is_absolute():
        raise SettingsError(
            "this user has no home folder for a library; name a folder with --library or "
            f"{LIBRARY_VARIABLE}"
        )
    return data_folder


def cache_folder() -> Path:
    """Return the user's cache folder: $VSEARCH_CACHE, or `vsearch` in the platform's cache."""
    if env_folder := os.environ.get("VSEARCH_CACHE"):
        return Path(env_folder).expanduser()
    cache_home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return Path(cache_home or "~/.cache").expanduser() / "vsearch"


def load(
    library: Path | SettingsSource, overrides: Mapping[str, Any], *, ignore_invalid: bool = False
) -> Settings:
    """Merge all sources of settings.

    Args:
        library: Folder of the library, or the source of its settings.
        overrides: Settings given as flags or arguments; None means not given.
        ignore_invalid: Use defaults instead of invalid values in vsearch.toml and the environment.

    Returns:
        The effective settings.

    Raises:
        SettingsError: If a value is invalid; the message names its file and line, or variable.
    """
    file_settings, file_problems = _read_valid(library)
    env_settings, env_problems = _read_environment()
    given_settings = {
        setting_name: setting_value
        for setting_name, setting_value in overrides.items()
        if setting_value is not None
    }
    if not ignore_invalid:
        _raise_first([*file_problems, *env_problems])
    return replace(Settings(), **(file_settings | env_settings | given_settings))


def load_file(library: Path | SettingsSource) -> Settings:
    """Return the settings of vsearch.toml, with defaults for the rest.

    Args:
        library: Folder of the library, or the source of its settings.

    Returns:
        The settings, without environment variables.

    Raises:
        SettingsError: If the file is not valid.
    """
    return replace(Settings(), **read_file(library))


def read_file(library: Path | SettingsSource) -> dict[str, Any]:
    """Return the settings that vsearch.toml contains.

    Args:
        library: Folder of the library, or the source of its settings.

    Returns:
        Values by setting name; empty if there is no file.

    Raises:
        SettingsError: If the file is not valid TOML, or has an unknown setting or invalid value.
    """
    file_settings, file_problems = _read_valid(library)
    _raise_first(file_problems)
    return file_settings


def read_model(library: Path | SettingsSource) -> str | None:
    """Return the model that vsearch.toml names; None if it names none, or is not valid.

    Args:
        library: Folder of the library, or the source of its settings.
    """
    model_name: str | None = _read_valid(library)[0].get("model")
    return model_name


@dataclass(frozen=True, slots=True)
class SourcedSetting:
    """An effective setting, and where it comes from."""

    name: str
    value: str | float | bool
    source: str  # name of the environment variable, `vsearch.toml`, `catalog` or `default`


def list_sources(library: Path | SettingsSource) -> list[SourcedSetting]:
    """Return all settings without those of flags; invalid values count as absent.

    Args:
        library: Folder of the library, or the source of its settings.
    """
    effective_settings = asdict(load(library, {}, ignore_invalid=True))
    file_settings, env_settings = _read_valid(library)[0], _read_environment()[0]

    def name_source(setting_name: str) -> str:
        if setting_name in env_settings:
            return f"VSEARCH_{setting_name.upper()}"
        return find_source(library).name if setting_name in file_settings else "default"

    return [
        SourcedSetting(setting_name, setting_value, name_source(setting_name))
        for setting_name, setting_value in effective_settings.items()
    ]


def find_problems(library: Path | SettingsSource) -> list[str]:
    """Return what is wrong in vsearch.toml and the environment, each with its line or variable.

    Args:
        library: Folder of the library, or the source of its settings.
    """
    return [*_read_valid(library)[1], *_read_environment()[1]]


def _raise_first(problem_texts: list[str]) -> None:
    if problem_texts:
        raise SettingsError(problem_texts[0])


def _read_valid(library: Path | SettingsSource) -> tuple[dict[str, Any], list[str]]:
    """Return the valid stored settings, and what is wrong with the others."""
    stored_settings = find_source(library).read()
    if stored_settings.problem is not None:
        return {}, [stored_settings.problem]
    valid_settings: dict[str, Any] = {}
    problem_texts: list[str] = []
    for setting_name, setting_value in stored_settings.values.items():
        if reason := _check_setting(setting_name, setting_value):
            problem_texts.append(f"{stored_settings.find_place(setting_name)}: {reason}")
        else:
            valid_settings[setting_name] = setting_value
    return valid_settings, problem_texts


def _check_setting(setting_name: str, setting_value: object) -> str | None:
    """Return what is wrong with a setting, or None."""
    known_names = [field.name for field in fields(Settings)]
    if setting_name not in known_names:
        close_names = get_close_matches(setting_name, known_names, 1)
        hint = f"did you mean {close_names[0]!r}? Known" if close_names else "known"
        names_text = ", ".join(sorted(known_names))
        return f"unknown setting {setting_name!r}; {hint} settings: {names_text}"
    try:
        replace(Settings(), **{setting_name: setting_value})  # type: ignore[arg-type] # checked
    except SettingsError as exc:
        return str(exc)
    return None


def check_settings(values: Mapping[str, Any]) -> None:
    """Raise SettingsError if there is no such setting, or a value is invalid.

    Args:
        values: Values by setting name.
    """
    _raise_first(
        [reason for name, value in values.items() if (reason := _check_setting(name, value))]
    )


def is_overridden(setting_name: str, flag_value: object) -> bool:
    """Return True if a flag or an environment variable overrides vsearch.toml.

    Args:
        setting_name: Name of the setting.
        flag_value: Value of the flag; None if it is not given.

    Returns:
        True if vsearch.toml is not consulted for this setting.
    """
    return flag_value is not None or bool(os.environ.get(f"VSEARCH_{setting_name.upper()}"))


def list_named_models(model: str | None, text_model: str | None) -> list[str]:
    """Return the models that a flag, argument or environment variable names.

    Args:
        model: Value of the flag or argument; None if it is not given.
        text_model: The same of the text model.

    Returns:
        Names of models, without those that only vsearch.toml or the catalog names.
    """
    named_models = (
        model or os.environ.get("VSEARCH_MODEL"),
        text_model or os.environ.get("VSEARCH_TEXT_MODEL"),
    )
    return [model_name for model_name in named_models if model_name]


def save(library: Path | SettingsSource, settings: Settings) -> None:
    """Write vsearch.toml, unless it already means the same.

    Model files are written with their absolute path. `device`, `store_cache_mb` and `ray`, which
    depend on the machine, `keyframes_only`, `workers` and `hwaccel`, which apply to a single run,
    and a store that is named already are not changed.

    Args:
        library: Folder of the library, or the source of its settings.
        settings: Settings with which the library is created.

    Raises:
        SettingsError: If the file cannot be written, or a name cannot be encoded as UTF-8.
    """
    file_settings = load_file(library)
    settings = replace(
        settings,
        model=absolute_model_name(settings.model),
        text_model=absolute_model_name(settings.text_model),
        pooler=absolute_model_name(settings.pooler),
        device=file_settings.device,
        keyframes_only=file_settings.keyframes_only,
        workers=file_settings.workers,
        store_cache_mb=file_settings.store_cache_mb,
        hwaccel=file_settings.hwaccel,
        store=file_settings.store or settings.store,
        ray=file_settings.ray,
        ray_cpus=file_settings.ray_cpus,
        ray_gpus=file_settings.ray_gpus,
    )
    if not find_source(library).exists() or file_settings != settings:
        changes = _find_changes(file_settings, asdict(settings))
        find_source(library).write({"model": settings.model, "fps": settings.fps} | changes)


def update_file(library: Path | SettingsSource, changes: Mapping[str, str]) -> None:
    """Change settings in vsearch.toml, preserving everything else, comments included.

    Args:
        library: Folder of the library, or the source of its settings.
        changes: New values by setting name.

    Raises:
        SettingsError: If the file is invalid or cannot be written.
    """
    old_settings = load_file(library)
    new_settings = replace(old_settings, **changes)  # type: ignore[arg-type] # only str settings
    if not find_source(library).exists():
        save(library, new_settings)
    elif old_settings != new_settings:
        find_source(library).write(_find_changes(old_settings, changes))


def _find_changes(old_settings: Settings, new_values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        setting_name: new_value
        for setting_name, new_value in new_values.items()
        if getattr(old_settings, setting_name) != new_value
    }


def _read_environment() -> tuple[dict[str, Any], list[str]]:
    """Return the valid settings in environment variables, and what is wrong with the others."""
    valid_settings: dict[str, Any] = {}
    problem_texts: list[str] = []
    for old_name, new_name in RENAMED_SETTINGS.items():
        old_variable, new_variable = f"VSEARCH_{old_name.upper()}", f"VSEARCH_{new_name.upper()}"
        if os.environ.get(old_variable) and not os.environ.get(new_variable):
            problem_texts.append(f"{old_variable} is now named {new_variable}; rename the variable")
    for setting_name in (field.name for field in fields(Settings)):
        variable_name = f"VSEARCH_{setting_name.upper()}"
        if env_text := os.environ.get(variable_name):
            try:
                setting_value = _parse_value(setting_name, env_text)
                replace(Settings(), **{setting_name: setting_value})  # type: ignore[arg-type]
            except SettingsError as exc:
                reason = str(exc).removeprefix(setting_name)
                problem_texts.append(f"{variable_name}{reason}")
            else:
                valid_settings[setting_name] = setting_value
    return valid_settings, problem_texts


def _parse_value(setting_name: str, value_text: str) -> str | float | bool:
    """Convert the text of an environment variable; raise SettingsError if that is not possible."""
    if setting_name in ("fps", "workers", "store_cache_mb", "ray_cpus", "ray_gpus"):
        number_type, expected_kind = (
            (int, "a whole number")
            if setting_name in ("workers", "store_cache_mb")
            else (float, "a number")
        )
        try:
            return number_type(value_text)
        except ValueError as exc:
            raise SettingsError(
                f"{setting_name} must be {expected_kind}, not {value_text!r}"
            ) from exc
    if setting_name not in BOOLEAN_SETTINGS:
        return value_text
    if value_text.lower() not in (*_TRUE_WORDS, *_FALSE_WORDS):
        raise SettingsError(f"{setting_name} must be yes or no, not {value_text!r}")
    return value_text.lower() in _TRUE_WORDS


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
