"""Settings: a flag beats VSEARCH_*, that beats <library>/vsearch.toml, that beats the default."""

from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch.errors import SettingsError
from vsearch.files import write

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "vsearch.toml"
SWITCHES = ("keep_frames", "transcribe", "read_text", "fast")
MOST_WORKERS = 64
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
DEFAULT_LIBRARY = Path("indexes") / "default"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a library is made and searched."""

    model: str = "builtin"  # name or name:argument
    text_model: str = ""  # whose words to search with; none: the model's own
    device: str = "auto"  # auto, cpu, cuda or mps
    fps: float = 1.0  # frames sampled a second
    pooler: str = "auto"  # auto, mean, transformer:FILE or a plugin's
    index: str = "auto"  # auto, exact, faiss or a plugin's
    shots: str = "content"
    keep_frames: bool = False  # so that another model need not decode the videos again
    transcribe: bool = False  # what is indexed
    read_text: bool = False  # on the screen, in what is indexed
    speech_model: str = ""  # size, folder or package:NAME; none: the best that is installed
    fast: bool = False  # key frames only
    workers: int = 0  # videos that are looked at side by side; 0: as suits the machine
    hwaccel: str = ""  # a device that decodes, as FFmpeg names it; auto: any

    def __post_init__(self) -> None:
        for name in ("model", "device", "pooler", "index", "shots"):
            value: object = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise SettingsError(f"{name} must be a name, not {value!r}")
        for name in ("text_model", "speech_model", "hwaccel"):
            if not isinstance(getattr(self, name), str):
                raise SettingsError(f"{name} must be a name, not {getattr(self, name)!r}")
        for name in SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise SettingsError(f"{name} must be true or false, not {getattr(self, name)!r}")
        rate: object = self.fps
        if not isinstance(rate, int | float) or not 0.01 <= self.fps <= 60:
            raise SettingsError(f"fps must be a number from 0.01 to 60, not {self.fps!r}")
        if type(self.workers) is not int or not 0 <= self.workers <= MOST_WORKERS:
            raise SettingsError(
                f"workers must be a whole number from 0 to {MOST_WORKERS}, not {self.workers!r}"
            )
        if self.device not in ("auto", "cpu", "cuda", "mps"):
            raise SettingsError(f"device must be auto, cpu, cuda or mps, not {self.device!r}")


def library_path(flag: str | os.PathLike[str] | None = None) -> Path:
    """The library's folder: the flag, else VSEARCH_LIBRARY, else indexes/default here."""
    return Path(flag or os.environ.get("VSEARCH_LIBRARY") or DEFAULT_LIBRARY).expanduser()


def cache_folder() -> Path:
    """Where this user's programs keep what can be made anew; $VSEARCH_CACHE beats the custom."""
    if named := os.environ.get("VSEARCH_CACHE"):
        return Path(named).expanduser()
    custom = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return Path(custom or "~/.cache").expanduser() / "vsearch"


def load(library: Path, flags: Mapping[str, Any]) -> Settings:
    """The settings of a library; flags that are None are passed over. Raises SettingsError."""
    merged = _from_environment()
    merged |= {name: value for name, value in flags.items() if value is not None}
    return replace(load_file(library), **merged)


def load_file(library: Path) -> Settings:
    """The settings of vsearch.toml over the defaults. Raises SettingsError."""
    return replace(Settings(), **read(library))


def read(library: Path) -> dict[str, Any]:
    """What vsearch.toml itself says. Raises SettingsError where that is no setting."""
    path, known = library / FILE, {field.name for field in fields(Settings)}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f"{path}: cannot be read as TOML: {error}") from error
    if unknown := sorted(set(found) - known):
        raise SettingsError(f"{path}: unknown setting {unknown[0]!r}. Known: {sorted(known)}")
    return found


def is_named(name: str, flag: object) -> bool:
    """Whether a flag or a variable beats vsearch.toml in this setting."""
    return flag is not None or bool(os.environ.get(f"VSEARCH_{name.upper()}"))


def save(library: Path, settings: Settings) -> None:
    """Keep the settings that a library is made with, for a person to read and change.

    Not the device, which is this machine's, and files of a model by their whole path. What says
    how this once is indexed stays as the file has it. Raises SettingsError for a name that no
    text file can hold.
    """
    known = load_file(library)
    settings = replace(
        settings,
        model=absolute(settings.model),
        text_model=absolute(settings.text_model),
        pooler=absolute(settings.pooler),
        device=Settings().device,
        fast=known.fast,
        workers=known.workers,
        hwaccel=known.hwaccel,
    )
    if (library / FILE).exists() and replace(known, device="auto") == settings:
        return  # whoever wrote it may have left comments
    lines = ["# The settings of this library; a flag or a VSEARCH_* variable beats them.\n"]
    for name, value in asdict(settings).items():
        if value != getattr(Settings(), name) or name in ("model", "fps"):
            lines.append(f"{name} = {_toml(value)}\n")
    _write(library, "".join(lines), settings.model)


def change(library: Path, named: Mapping[str, str]) -> None:
    """Set names in vsearch.toml and leave the rest as it is, comments too. Raises SettingsError."""
    before = load_file(library)
    wanted = replace(before, **named)  # type: ignore[arg-type] # are names
    if not (library / FILE).exists():
        save(library, wanted)
    elif before != wanted:
        text = (library / FILE).read_text(encoding="utf-8")
        for name, value in named.items():
            if getattr(before, name) != value:
                text = _changed(text, name, value)
        if _says(text, wanted):
            _write(library, text, wanted.model)
        else:  # spelled in an odd way
            save(library, wanted)


def _changed(text: str, name: str, value: str) -> str:
    """The same file with another value; a line more where it does not say."""
    line = re.compile(rf"""^({name}\s*=\s*)("[^"\n]*"|'[^'\n]*')""", re.MULTILINE)
    if line.search(text):
        return line.sub(lambda found: found[1] + _toml(value), text, count=1)
    return f"{name} = {_toml(value)}\n{text}"


def _says(text: str, settings: Settings) -> bool:
    try:
        return replace(Settings(), **tomllib.loads(text)) == settings
    except tomllib.TOMLDecodeError:
        return False


def _write(library: Path, text: str, model: str) -> None:
    """Replace vsearch.toml, whoever else does the same."""
    try:
        write(library / FILE, text.encode())
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"{model!r}: such a name cannot be kept in {FILE}; rename the file"
        ) from error
    except OSError as error:
        raise SettingsError(
            f"{library / FILE}: cannot be written ({error.strerror}); check the disk and the "
            "permissions"
        ) from error


def _from_environment() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in (field.name for field in fields(Settings)):
        value = os.environ.get(f"VSEARCH_{name.upper()}")
        if value:
            found[name] = _read_value(name, value)
    return found


def _read_value(name: str, text: str) -> str | float | bool:
    if name in ("fps", "workers"):
        return _number(name, text)
    if name not in SWITCHES:
        return text
    if text.lower() not in (*_YES, *_NO):
        raise SettingsError(f"VSEARCH_{name.upper()} must be yes or no, not {text!r}")
    return text.lower() in _YES


def _number(name: str, text: str) -> float:
    read, what = (int, "a whole number") if name == "workers" else (float, "a number")
    try:
        return read(text)
    except ValueError as error:
        raise SettingsError(f"VSEARCH_{name.upper()} must be {what}, not {text!r}") from error


def absolute(model: str) -> str:
    """`name:argument@FILE`, or `name:FILE` with a suffix, so that it means the same everywhere.

    A tier is no file, whatever lies in this folder: `builtin:fast` stays what it is.
    """
    name, _, argument = model.partition(":")
    before, at, file = argument.rpartition("@")
    path = Path(file).expanduser()
    is_file = path.exists() if at else bool(path.suffix) and path.is_file()
    return f"{name}:{before}{at}{path.absolute()}" if file and is_file else model


def _toml(value: str | float) -> str:
    """A JSON string or number is a TOML one, but for what JSON need not escape."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
