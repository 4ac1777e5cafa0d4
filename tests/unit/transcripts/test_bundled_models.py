from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from vsearch.errors import UnknownPluginError, WeightsError
from vsearch.transcripts.bundled_models import best_bundled, find_bundled

if TYPE_CHECKING:
    from pathlib import Path

ALL, ENGLISH = list(range(99)), list(range(98))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all installed packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder)])
    return folder


def install(site: Path, name: str, files: dict[str, bytes | str]) -> Path:
    """Install a package with these files and return its folder."""
    module = name.replace("-", "_")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    for file, content in files.items():
        path = site / module / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    rows = [f"{path.relative_to(site)},," for path in (site / module).rglob("*") if path.is_file()]
    (info / "RECORD").write_text("\n".join(rows) + "\n")
    return site / module


def model(weights: bytes = b"weights", languages: list[int] = ALL) -> dict[str, bytes | str]:
    return {
        "data/model.bin": weights,
        "data/config.json": json.dumps({"lang_ids": languages}),
        "data/tokenizer.json": "{}",
        "data/vocabulary.txt": "a",
    }


def test_a_model_is_used_inside_its_package(site: Path) -> None:
    folder = install(site, "tiny-model", model())
    found = find_bundled("tiny-model")
    assert (found.model_name, found.model_folder) == ("package:tiny-model", folder / "data")
    assert found.read_files() is None


def test_parts_in_several_packages_are_joined(site: Path) -> None:
    files = model()
    files["data/model.bin.part1"] = files.pop("data/model.bin")
    install(site, "big-part1", files)
    install(site, "big-part2", {"data/model.bin.part2": b" and"})
    install(site, "big-part3", {"data/model.bin.part3": b" more"})
    contents = find_bundled("big-part1").read_files()
    assert contents is not None
    assert contents["model.bin"] == b"weights and more"
    assert set(contents) == {"model.bin", "config.json", "tokenizer.json", "vocabulary.txt"}


def test_the_best_model_is_multilingual_then_the_largest(site: Path) -> None:
    install(site, "english", model(b"x" * 900, ENGLISH))
    install(site, "small", model(b"x" * 10))
    install(site, "large", model(b"x" * 100))
    found = best_bundled()
    assert found is not None
    assert found.model_name == "package:large"


def test_a_translation_model_is_not_a_speech_model(site: Path) -> None:
    files = model()
    files["data/config.json"] = json.dumps({"bos_token": "<s>"})
    install(site, "translator", files)
    assert best_bundled() is None
    with pytest.raises(WeightsError, match="contains no speech model"):
        find_bundled("translator")


@pytest.mark.parametrize("content", ["", "[]", "{" * 5_000, "\udcff"])
def test_a_damaged_configuration_is_not_a_model(site: Path, content: str) -> None:
    files = model()
    files["data/config.json"] = content.encode("utf-8", "surrogateescape")
    install(site, "damaged", files)
    assert best_bundled() is None


def test_a_missing_package_is_reported(site: Path) -> None:
    assert best_bundled() is None
    for name in ("nothing", "", "../up"):
        with pytest.raises(UnknownPluginError, match="is not installed"):
            find_bundled(name)


def test_missing_files_are_not_a_model(site: Path) -> None:
    folder = install(site, "tiny-model", model())
    (folder / "data" / "model.bin").unlink()
    assert best_bundled() is None
