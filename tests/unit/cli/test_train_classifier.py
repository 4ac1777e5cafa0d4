"""`vsearch train classifier`: training, output files and use of the classifier."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.support.moving_scenes import CIRCLE_NAMES, VIDEO_COUNT, make_library
from vsearch.cli.confusion_matrix import draw_confusion_matrix
from vsearch.pooling import weights
from vsearch.pooling.weights import TransformerConfig

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def library_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a library, and labels.csv next to its videos."""
    tiny = TransformerConfig(features=1, hidden=32, layers=2, heads=2, mlp=64)
    monkeypatch.setitem(weights.CONFIG_PRESETS, "small", tiny)
    with make_library(tmp_path) as library:
        folder = library.path
    monkeypatch.setenv("VSEARCH_LIBRARY", str(folder))
    rows = [
        f"{number}.mp4,,,{CIRCLE_NAMES[number % len(CIRCLE_NAMES)]}"
        for number in range(VIDEO_COUNT)
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["path,start,end,label", *rows, "x.mp4,,,red"]))
    return folder


@pytest.mark.slow
def test_classifier_is_trained_tested_and_used(
    run_vsearch: CommandRunner, library_path: Path
) -> None:
    arguments = ("train", "classifier", "labels.csv", "--epochs", "40", "--learning-rate", "0.003")
    result = run_vsearch(*arguments, "--patience", "0", "--device", "cpu")
    assert "4 labels (small)" in result.stdout
    assert "x.mp4: not in the library" in result.stdout
    assert "top-1 100.0 %" in result.stdout
    folder = library_path / "training" / "classifiers" / "labels"
    assert {file.name for file in folder.iterdir()} == {
        "classifier.npz", "checkpoint.pt", "log.csv", "figures.json", "confusion.png",
    }  # fmt: skip
    output = json.loads((folder / "figures.json").read_text())
    assert output["labels"] == sorted(CIRCLE_NAMES)
    assert output["test"]["top1_accuracy"]["value"] == 1
    assert sum(map(sum, output["test"]["confusion_matrix"])) == output["rows"]["test"]
    for name in ("figures.json", "confusion.png"):
        (library_path / name).hardlink_to(folder / name)
    repeated = json.loads(
        run_vsearch(*arguments, "--patience", "0", "--device", "cpu", "--json").stdout
    )
    assert repeated["digest"] == output["digest"], "a finished run is not repeated"
    for name in ("figures.json", "confusion.png"):
        assert not (library_path / name).samefile(folder / name), "the file was replaced atomically"
        (library_path / name).unlink()
    classification = run_vsearch("classify", "--all", "--checkpoint", folder / "classifier.npz")
    assert "stored with source “classifier labels”" in classification.stderr
    assert "red" in run_vsearch("tags").stdout
    run_vsearch("doctor")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["train", "classifier"], 2, "FILE"),
        (["train", "classifier", "nowhere.csv"], 1, "nowhere.csv"),
        (["train", "classifier", "labels.csv", "--epochs", "0"], 2, "epochs"),
        (["train", "classifier", "labels.csv", "--learning-rate", "nan"], 2, "nan"),
        (["train", "classifier", "labels.csv", "--label-smoothing", "nan"], 2, "nan"),
        (["train", "classifier", "labels.csv", "--init-from", "0.mp4"], 1, "0.mp4"),
        (["classify", "--all", "--checkpoint", "labels.csv"], 1, "labels.csv is damaged"),
        (["classify", "--all", "--checkpoint", "x", "--labels", "y"], 2, "--checkpoint"),
    ],
)
def test_mistakes_are_reported_in_one_line(
    run_vsearch: CommandRunner,
    library_path: Path,
    arguments: list[str],
    exit_code: int,
    message: str,
) -> None:
    assert message in run_vsearch(*arguments, exit_code=exit_code).stderr


def test_a_confusion_matrix_is_shaded_by_share_and_stays_small() -> None:
    image = draw_confusion_matrix(("dog", "größer"), ((9, 1), (0, 0)))
    assert image.mode == "RGB"
    pixels = np.asarray(image).astype(int).sum(axis=2)
    assert (pixels < 300).any(), "labels and a dark cell"
    label_names = [f"label {number}" for number in range(700)]
    large = draw_confusion_matrix(label_names, np.eye(700, dtype=int).tolist())
    assert max(large.size) < 4_000
    assert draw_confusion_matrix(["x" * 300, "\x1b"], ((1, 0), (0, 1))).size[0] < 600
    assert isinstance(image, Image.Image)
