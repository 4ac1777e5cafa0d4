"""`vsearch train pooler`: acceptance test, installation and removal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.moving_scenes import make_library
from vsearch.pooling.selection import trained_pooler_files
from vsearch.pooling.weights import CONFIG_PRESETS, TransformerConfig

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = TransformerConfig(hidden=16, layers=1, heads=2, mlp=32, dropout=0.1)
    monkeypatch.setitem(CONFIG_PRESETS, "small", tiny)
    monkeypatch.setattr("vsearch.training.denoising_task.BATCH_CLIPS", 4)
    monkeypatch.setattr("vsearch.training.pooler.DISTRACTOR_COUNT", 14)
    monkeypatch.setattr("vsearch.evaluation.pooler_gate.DISTRACTOR_COUNT", 14)


@pytest.fixture
def library_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with make_library(tmp_path, video_count=48) as library:
        library.rebuild()
        folder = library.path
    monkeypatch.setenv("VSEARCH_LIBRARY", str(folder))
    return folder


@pytest.fixture
def strict_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the gate impossible to pass, without the check for headroom."""
    monkeypatch.setattr("vsearch.evaluation.pooler_gate.MIN_RECALL_GAIN", 2.0)
    monkeypatch.setattr("vsearch.training.pooler.get_saturated_recall", lambda case: None)


@pytest.fixture
def lenient_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every pooler pass the gate."""
    monkeypatch.setattr("vsearch.evaluation.pooler_gate.MIN_RECALL_GAIN", -2.0)
    monkeypatch.setattr("vsearch.evaluation.pooler_gate.MAX_RECALL_LOSS", 2.0)


@pytest.mark.usefixtures("strict_gate")
def test_failed_pooler_is_not_installed(run_vsearch: CommandRunner, library_path: Path) -> None:
    result = run_vsearch("train", "pooler", "--steps", "1", exit_code=1)
    assert "trained on  37 videos" in result.stdout
    assert "tested on   11 queries among 11 clips" in result.stdout
    assert "with distractors" in result.stdout
    assert "not passed" in result.stdout
    assert "Not installed" in result.stderr
    assert not trained_pooler_files(library_path)
    assert "pooled by mean" in run_vsearch("info").stdout


@pytest.mark.usefixtures("strict_gate")
def test_force_installs_with_a_warning_and_remove_removes(
    run_vsearch: CommandRunner, library_path: Path
) -> None:
    result = run_vsearch("train", "pooler", "--steps", "1", "--force")
    assert "WARNING" in result.stderr
    assert "NOT pass" in result.stderr
    assert "pooled by transformer-" in run_vsearch("info").stdout
    run_vsearch("doctor")
    assert "by mean again" in run_vsearch("train", "pooler", "--remove").stderr
    assert "pooled by mean" in run_vsearch("info").stdout
    assert "no pooler to remove" in run_vsearch("train", "pooler", "--remove", exit_code=1).stderr


@pytest.mark.usefixtures("lenient_gate")
def test_passed_pooler_is_installed(run_vsearch: CommandRunner, library_path: Path) -> None:
    output = json.loads(run_vsearch("train", "pooler", "--steps", "1", "--json").stdout)
    assert output["installed"] is True
    assert output["gate"]["passed"] is True
    assert output["pooler"] in run_vsearch("info").stdout
    assert (library_path / "training" / "pooler" / "log.csv").exists()


@pytest.mark.usefixtures("lenient_gate")
def test_a_dry_run_installs_nothing(run_vsearch: CommandRunner, library_path: Path) -> None:
    assert "--dry-run" in run_vsearch("train", "pooler", "--steps", "1", "--dry-run").stderr
    assert not trained_pooler_files(library_path)


def test_damaged_pooler_is_reported_by_doctor_and_search_works(
    run_vsearch: CommandRunner, library_path: Path
) -> None:
    run_vsearch("train", "pooler", "--steps", "1", "--force")
    path = trained_pooler_files(library_path)[0]
    path.write_bytes(path.read_bytes()[:100])
    assert path.name in run_vsearch("doctor", exit_code=1).stdout
    assert "peak" in run_vsearch("search", "red").stdout  # text queries need no pooler
    run_vsearch("train", "pooler", "--remove")
    run_vsearch("doctor")


@pytest.mark.parametrize(
    "options", [("--remove", "--force"), ("--dry-run", "--force"), ("--steps", "0")]
)
def test_invalid_options_are_a_usage_error(
    run_vsearch: CommandRunner, library_path: Path, options: tuple[str, ...]
) -> None:
    assert run_vsearch("train", "pooler", *options, exit_code=2).stderr


def test_invalid_pretrained_file_is_reported(
    run_vsearch: CommandRunner, library_path: Path
) -> None:
    np.save(library_path / "array.npy", np.zeros(3))
    result = run_vsearch("train", "pooler", "--init-from", library_path / "array.npy", exit_code=1)
    assert "train pretrain" in result.stderr
