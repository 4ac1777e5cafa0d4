"""`--text-model`: encode queries with another model, without reindexing."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.support.tiny_models import TINY_ARCH, make_small_cnn, make_tiny_clip
from tests.support.video_factory import GREEN
from vsearch import Library
from vsearch.encoders.model_zoo import MeasurementCache
from vsearch.encoders.text_tower import TextTower
from vsearch.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def words(tmp_path: Path) -> str:
    """Return an untrained open_clip model with the dimensions of the fake encoder."""
    return f"openclip:{TINY_ARCH}@{make_tiny_clip(tmp_path)}"


def results(found: str) -> list[float]:
    return [one["score"] for one in json.loads(found)["results"]]


def test_text_model_encodes_queries_without_reindexing(
    run_vsearch: CommandRunner, videos_folder: Path, words: str
) -> None:
    run_vsearch("index", videos_folder)
    own = run_vsearch("search", "green", "--json")
    other = run_vsearch("search", "green", "--json", "--text-model", words)
    assert json.loads(own.stdout)["text_model"] is None
    assert list(json.loads(other.stdout)) == [
        "query",
        "space",
        "text_model",
        "query_adapted",
        "took_ms",
        "has_confident_match",
        "feedback_count",
        "hints",
        "browse",
        "results",
    ]
    assert json.loads(other.stdout)["text_model"] == words
    assert json.loads(other.stdout)["space"] == "fake"
    assert len(results(own.stdout)) == len(results(other.stdout))
    assert results(own.stdout) != results(other.stdout)
    assert run_vsearch("index", videos_folder).stdout == "2 unchanged\n"


def test_incompatible_text_model_is_reported(
    run_vsearch: CommandRunner, videos_folder: Path, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    run_vsearch("index", videos_folder)
    assert run_vsearch("search", "green", "--text-model", words).stdout
    assert [r.levelname for r in caplog.records if r.levelno >= logging.WARNING] == ["WARNING"]
    assert words in caplog.text
    run_vsearch("search", "green", "--text-model", "fake:other")
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(records) == 1, "its pictures are the same"


def test_incompatible_text_model_is_one_line_on_stderr(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    run_vsearch("index", videos_folder)
    MeasurementCache().put("agreement", "fake fake-other", 0.0)
    command = [sys.executable, "-m", "vsearch", "search", "green", "--text-model", "fake:other"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert line.startswith("The text model fake:other does not share the image space of fake ")
    assert "green.mp4" in done.stdout


def test_image_queries_and_indexing_do_not_load_it(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (50, 40), GREEN).save(tmp_path / "green.png")
    run_vsearch("index", videos_folder, "--text-model", "no such model")
    found = run_vsearch("search", "--image", "green.png", "--text-model", "no such model")
    assert "green.mp4" in found.stdout.splitlines()[1]
    assert "no such model" in run_vsearch("search", "green", exit_code=1).stderr


def test_models_of_different_dimensions_are_refused(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    run_vsearch("index", videos_folder)
    (line,) = run_vsearch(
        "search", "green", "--text-model", "builtin", exit_code=1
    ).stderr.splitlines()  # fmt: skip
    assert "builtin have 512 dimensions, but vectors of fake have 16" in line
    seeing = f"cnn:resnet18@{make_small_cnn(tmp_path / 'resnet18.pth')}"
    done = run_vsearch("search", "green", "--text-model", seeing, exit_code=1)
    assert "encodes images only" in done.stderr


def test_info_names_both_models(run_vsearch: CommandRunner, videos_folder: Path) -> None:
    run_vsearch("index", videos_folder)
    assert "text model" not in run_vsearch("info").stdout
    assert json.loads(run_vsearch("info", "--json").stdout)["text_model"] is None
    shown = run_vsearch("info", "--text-model", "fake:other").stdout.splitlines()
    assert shown[1:3] == ["model       fake (fake)", "text model  fake:other"]
    named = json.loads(run_vsearch("info", "--json", "--text-model", "fake:other").stdout)
    assert named["text_model"] == "fake:other"


def test_text_model_is_a_setting(
    tmp_path: Path, videos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "library"

    def setting(text_model: str | None = None) -> str:
        with Library.open(folder, text_model=text_model) as library:
            assert isinstance(library.encoder, TextTower) == bool(library.settings.text_model)
            return library.settings.text_model

    assert setting() == ""
    with Library.open(folder, text_model="fake:file") as library:
        list(library.index([videos_folder]))
    assert 'text_model = "fake:file"' in (folder / "vsearch.toml").read_text()
    assert setting() == "fake:file"
    monkeypatch.setenv("VSEARCH_TEXT_MODEL", "fake:environment")
    assert setting() == "fake:environment"
    assert setting("fake:flag") == "fake:flag"
    assert setting("") == "", "none, whatever is set elsewhere"
    (folder / "vsearch.toml").write_text("text_model = 3\n")
    with pytest.raises(SettingsError, match="text_model must be a name, not 3"):
        setting()


def test_checkpoint_is_stored_with_its_absolute_path(
    tmp_path: Path, videos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pt").touch()
    with Library.open(tmp_path / "library", text_model="openclip:ViT-B-16@w.pt") as library:
        list(library.index([videos_folder]))
    with Library.open(tmp_path / "library") as library:
        assert library.settings.text_model == f"openclip:ViT-B-16@{tmp_path / 'w.pt'}"


def test_text_and_images_use_their_own_models(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (50, 40), GREEN).save(tmp_path / "green.png")
    run_vsearch("index", videos_folder)
    asked = ("search", "--json", "--image", "green.png", "green")
    own, other = (
        run_vsearch(*asked).stdout,
        run_vsearch(*asked, "--text-model", "fake:other").stdout,
    )
    assert results(own) == pytest.approx(results(other)), "fake:other reads as fake does"
