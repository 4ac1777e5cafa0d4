"""`--text-model`: another model's words, in a library that stays as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from synth import GREEN
from tiny_models import ARCH, small_cnn, tiny_clip
from vsearch import Library
from vsearch.encoders.notes import Notes
from vsearch.encoders.text_tower import TextTower
from vsearch.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def words(tmp_path: Path) -> str:
    """A model of open_clip that knows nothing, as long as the fake's vectors are."""
    return f"openclip:{ARCH}@{tiny_clip(tmp_path)}"


def results(found: str) -> list[float]:
    return [one["score"] for one in json.loads(found)["results"]]


def test_a_query_is_read_by_another_model_and_nothing_is_indexed_anew(
    vsearch: Vsearch, videos: Path, words: str
) -> None:
    vsearch("index", videos)
    own = vsearch("search", "green", "--json")
    other = vsearch("search", "green", "--json", "--text-model", words)
    assert "text_model" not in json.loads(own.stdout)
    assert list(json.loads(other.stdout)) == [
        "query",
        "space",
        "text_model",
        "took_ms",
        "in_library",
        "results",
    ]
    assert json.loads(other.stdout)["text_model"] == words
    assert json.loads(other.stdout)["space"] == "fake"
    assert len(results(own.stdout)) == len(results(other.stdout))
    assert results(own.stdout) != results(other.stdout)
    assert vsearch("index", videos).stdout == "2 unchanged\n"


def test_a_model_whose_pictures_are_others_is_told(
    vsearch: Vsearch, videos: Path, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    vsearch("index", videos)
    assert vsearch("search", "green", "--text-model", words).stdout
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert words in caplog.text
    vsearch("search", "green", "--text-model", "fake:other")
    assert len(caplog.records) == 1, "its pictures are the same"


def test_that_is_one_line_on_stderr(vsearch: Vsearch, videos: Path, tmp_path: Path) -> None:
    vsearch("index", videos)
    Notes().put("agreement", "fake fake-other", 0.0)
    command = [sys.executable, "-m", "vsearch", "search", "green", "--text-model", "fake:other"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert line.startswith("The pictures of the text model fake:other are not those of fake ")
    assert "green.mp4" in done.stdout


def test_pictures_and_indexing_do_not_load_it(
    vsearch: Vsearch, videos: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (50, 40), GREEN).save(tmp_path / "green.png")
    vsearch("index", videos, "--text-model", "no such model")
    found = vsearch("search", "--image", "green.png", "--text-model", "no such model")
    assert "green.mp4" in found.stdout.splitlines()[1]
    assert "no such model" in vsearch("search", "green", code=1).stderr


def test_models_that_cannot_go_together_are_a_mistake_in_a_line(
    vsearch: Vsearch, videos: Path, tmp_path: Path
) -> None:
    vsearch("index", videos)
    (line,) = vsearch(
        "search", "green", "--text-model", "builtin", code=1
    ).stderr.splitlines()  # fmt: skip
    assert "builtin gives vectors of 512 numbers, but those of fake have 16" in line
    seeing = f"cnn:resnet18@{small_cnn(tmp_path / 'resnet18.pth')}"
    done = vsearch("search", "green", "--text-model", seeing, code=1)
    assert "understands pictures only" in done.stderr


def test_info_names_both_models(vsearch: Vsearch, videos: Path) -> None:
    vsearch("index", videos)
    assert "words " not in vsearch("info").stdout
    assert json.loads(vsearch("info", "--json").stdout)["text_model"] is None
    shown = vsearch("info", "--text-model", "fake:other").stdout.splitlines()
    assert shown[1:3] == ["model     fake (fake)", "words     fake:other"]
    named = json.loads(vsearch("info", "--json", "--text-model", "fake:other").stdout)
    assert named["text_model"] == "fake:other"


def test_it_is_a_setting_like_any_other(
    tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "library"

    def setting(text_model: str | None = None) -> str:
        with Library.open(folder, text_model=text_model) as library:
            assert isinstance(library.encoder, TextTower) == bool(library.settings.text_model)
            return library.settings.text_model

    assert setting() == ""
    with Library.open(folder, text_model="fake:file") as library:
        list(library.index([videos]))
    assert 'text_model = "fake:file"' in (folder / "vsearch.toml").read_text()
    assert setting() == "fake:file"
    monkeypatch.setenv("VSEARCH_TEXT_MODEL", "fake:environment")
    assert setting() == "fake:environment"
    assert setting("fake:flag") == "fake:flag"
    assert setting("") == "", "none, whatever is set elsewhere"
    (folder / "vsearch.toml").write_text("text_model = 3\n")
    with pytest.raises(SettingsError, match="text_model must be a name, not 3"):
        setting()


def test_a_checkpoint_is_kept_by_its_whole_path(
    tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pt").touch()
    with Library.open(tmp_path / "library", text_model="openclip:ViT-B-16@w.pt") as library:
        list(library.index([videos]))
    with Library.open(tmp_path / "library") as library:
        assert library.settings.text_model == f"openclip:ViT-B-16@{tmp_path / 'w.pt'}"


def test_words_and_pictures_are_asked_of_their_own_models(
    vsearch: Vsearch, videos: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (50, 40), GREEN).save(tmp_path / "green.png")
    vsearch("index", videos)
    asked = ("search", "--json", "--image", "green.png", "green")
    own, other = vsearch(*asked).stdout, vsearch(*asked, "--text-model", "fake:other").stdout
    assert results(own) == pytest.approx(results(other)), "fake:other reads as fake does"
