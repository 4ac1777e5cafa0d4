"""`vsearch train classifier`, and what it makes of a library."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from moving import CIRCLES, COUNT, library
from vsearch.cli.confusion import picture
from vsearch.temporal import weights
from vsearch.temporal.weights import TransformerConfig

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library, and labels.csv beside its videos."""
    tiny = TransformerConfig(features=1, hidden=32, layers=2, heads=2, mlp=64)
    monkeypatch.setitem(weights.PRESETS, "small", tiny)
    with library(tmp_path) as made:
        folder = made.path
    monkeypatch.setenv("VSEARCH_LIBRARY", str(folder))
    rows = [f"{number}.mp4,,,{CIRCLES[number % len(CIRCLES)]}" for number in range(COUNT)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,start,end,label", *rows, "x.mp4,,,red"]))
    return folder


def test_it_is_trained_judged_drawn_and_of_use(vsearch: Vsearch, place: Path) -> None:
    words = ("train", "classifier", "labels.csv", "--epochs", "40", "--rate", "0.003")
    done = vsearch(*words, "--patience", "0", "--device", "cpu")
    assert "4 labels (small)" in done.stdout
    assert "x.mp4: is not in the library" in done.stdout
    assert "top-1 100.0 %" in done.stdout
    folder = place / "training" / "classifiers" / "labels"
    assert {file.name for file in folder.iterdir()} == {
        "classifier.npz", "checkpoint.pt", "log.csv", "figures.json", "confusion.png",
    }  # fmt: skip
    told = json.loads((folder / "figures.json").read_text())
    assert told["labels"] == sorted(CIRCLES)
    assert told["test"]["top1"]["value"] == 1
    assert sum(map(sum, told["test"]["confusion"])) == told["rows"]["test"]
    for name in ("figures.json", "confusion.png"):
        (place / name).hardlink_to(folder / name)
    again = json.loads(vsearch(*words, "--patience", "0", "--device", "cpu", "--json").stdout)
    assert again["digest"] == told["digest"], "a run that is done is not run again"
    for name in ("figures.json", "confusion.png"):
        assert not (place / name).samefile(folder / name), "another file took its place"
        (place / name).unlink()
    shown = vsearch("classify", "--all", "--checkpoint", folder / "classifier.npz")
    assert "stored by “classifier labels”" in shown.stderr
    assert "red" in vsearch("tags").stdout
    vsearch("doctor")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["train", "classifier"], 2, "FILE"),
        (["train", "classifier", "nowhere.csv"], 1, "nowhere.csv"),
        (["train", "classifier", "labels.csv", "--epochs", "0"], 2, "epochs"),
        (["train", "classifier", "labels.csv", "--rate", "nan"], 2, "nan"),
        (["train", "classifier", "labels.csv", "--smoothing", "nan"], 2, "nan"),
        (["train", "classifier", "labels.csv", "--from", "0.mp4"], 1, "0.mp4"),
        (["classify", "--all", "--checkpoint", "labels.csv"], 1, "labels.csv is damaged"),
        (["classify", "--all", "--checkpoint", "x", "--labels", "y"], 2, "--checkpoint"),
    ],
)
def test_mistakes_are_told_in_a_line(
    vsearch: Vsearch, place: Path, words: list[str], code: int, told: str
) -> None:
    assert told in vsearch(*words, code=code).stderr


def test_a_confusion_matrix_is_shaded_by_share_and_stays_small() -> None:
    made = picture(("dog", "größer"), ((9, 1), (0, 0)))
    assert made.mode == "RGB"
    pixels = np.asarray(made).astype(int).sum(axis=2)
    assert (pixels < 300).any(), "letters, and a dark cell"
    many = [f"label {number}" for number in range(700)]
    large = picture(many, np.eye(700, dtype=int).tolist())
    assert max(large.size) < 4_000
    assert picture(["x" * 300, "\x1b"], ((1, 0), (0, 1))).size[0] < 600
    assert isinstance(made, Image.Image)
