"""Modules that each command imports: start-up time that every user pays."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from tests.support.video_factory import make_video
from vsearch.encoders import model_zoo
from vsearch.encoders.model_zoo import MeasurementCache, Throughput

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {"torch", "torchvision", "open_clip", "av", "faiss", "sqlalchemy", "onnxruntime", "numpy"}


def loaded(code: str, cwd: Path) -> set[str]:
    """Return the names of the modules that are loaded after running `code`."""
    show = "import sys; print('MODULES', *sys.modules)"
    wrapped = f"try:\n    {code}\nexcept SystemExit: pass\n{show}"
    command = [sys.executable, "-c", wrapped]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("MODULES")[2].split())


def run(*words: str) -> str:
    return f"import sys; sys.argv[1:] = {list(words)!r}; from vsearch.cli.main import main; main()"


def test_importing_vsearch_loads_nothing_heavy(tmp_path: Path) -> None:
    assert not loaded("import vsearch", tmp_path) & HEAVY


@pytest.mark.parametrize("words", [["--help"], ["index", "--help"], ["search", "--help"]])
def test_help_loads_nothing_heavy(tmp_path: Path, words: list[str]) -> None:
    assert not loaded(run(*words), tmp_path) & HEAVY


def test_library_class_loads_no_database(tmp_path: Path) -> None:
    assert not loaded("from vsearch import Library", tmp_path) & (HEAVY - {"numpy"})


def test_listing_models_loads_no_measured_model(tmp_path: Path) -> None:
    for name in ("builtin", "builtin:fast"):
        known = Throughput(name, "auto", 9.0, 512, speaks_text=True)
        MeasurementCache().put(
            model_zoo.CACHE_TOPIC,
            model_zoo._build_cache_key(known.name, known.device),
            asdict(known),
        )
    assert not loaded(run("models"), tmp_path) & (HEAVY - {"numpy"})


def test_text_query_loads_no_torch_decoder_or_orm(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4")
    loaded(run("index", "a.mp4"), tmp_path)
    modules = loaded(run("search", "a red wall"), tmp_path)
    slow = {"torch", "torchvision", "open_clip", "av", "faiss", "alembic", "sqlalchemy", "PIL"}
    assert not modules & slow
    assert "onnxruntime" in modules
