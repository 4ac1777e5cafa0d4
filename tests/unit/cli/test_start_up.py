"""Modules that each command imports: start-up time that every user pays."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import format_main_call, list_loaded_modules
from tests.support.video_factory import make_video
from vsearch.config import resolve_library_path
from vsearch.encoders import model_zoo
from vsearch.encoders.model_zoo import MeasurementCache, Throughput

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {"torch", "torchvision", "open_clip", "av", "faiss", "sqlalchemy", "onnxruntime", "numpy"}


def test_importing_vsearch_loads_nothing_heavy(tmp_path: Path) -> None:
    assert not list_loaded_modules("import vsearch", tmp_path) & HEAVY


@pytest.mark.parametrize("words", [["--help"], ["index", "--help"], ["search", "--help"]])
def test_help_loads_nothing_heavy(tmp_path: Path, words: list[str]) -> None:
    assert not list_loaded_modules(format_main_call(*words), tmp_path) & HEAVY


def test_library_class_loads_no_database(tmp_path: Path) -> None:
    assert not list_loaded_modules("from vsearch import Library", tmp_path) & (HEAVY - {"numpy"})


def test_indexing_without_a_cluster_loads_no_ray(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4")
    assert "ray" not in list_loaded_modules(format_main_call("index", "a.mp4"), tmp_path)


@pytest.mark.parametrize("name", ["pooler", "pretraining", "classifier", "query_adapter"])
def test_training_modules_load_no_torch(tmp_path: Path, name: str) -> None:
    assert "torch" not in list_loaded_modules(f"import vsearch.training.{name}", tmp_path)


def test_listing_models_loads_no_measured_model(tmp_path: Path) -> None:
    for name in ("builtin", "builtin:fast"):
        known = Throughput(name, "auto", 9.0, 512, speaks_text=True)
        MeasurementCache().put(
            model_zoo.CACHE_TOPIC,
            model_zoo._build_cache_key(known.name, known.device),
            asdict(known),
        )
    assert not list_loaded_modules(format_main_call("models"), tmp_path) & (HEAVY - {"numpy"})


def test_removing_videos_loads_no_decoder_or_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "a.mp4")
    list_loaded_modules(format_main_call("index", "a.mp4", "--keep-frames"), tmp_path)
    modules = list_loaded_modules(format_main_call("remove", "a.mp4"), tmp_path)
    assert not modules & {"torch", "av", "onnxruntime", "faiss"}
    assert not list((resolve_library_path() / "frame_cache").iterdir())


def test_text_query_loads_no_torch_decoder_or_orm(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4")
    list_loaded_modules(format_main_call("index", "a.mp4"), tmp_path)
    modules = list_loaded_modules(format_main_call("search", "a red wall"), tmp_path)
    slow = {"torch", "torchvision", "open_clip", "av", "faiss", "alembic", "sqlalchemy", "PIL"}
    assert not modules & (slow | {"onnxruntime"})  # texts are encoded with NumPy
    assert "vsearch.encoders.sentence_tower" in modules
