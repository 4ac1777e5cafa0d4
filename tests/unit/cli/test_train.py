"""`vsearch train align`, and what other commands tell of it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from test_start_up import loaded, run

from taught import COUNT, captions, library, written

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch

pytestmark = pytest.mark.usefixtures("place")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library made by the model `taught`, which is offered as a plugin would be."""
    info = tmp_path / "plugin" / "vsearch_taught-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vsearch-taught\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vsearch.encoders]\ntaught = taught:Taught\n")
    monkeypatch.syspath_prepend(str(info.parent))
    with library(tmp_path) as made:
        folder = made.path
    monkeypatch.setenv("VSEARCH_LIBRARY", str(folder))
    return folder


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return written(tmp_path, captions(tmp_path))


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    return written(tmp_path, captions(tmp_path, "noise"))


def test_what_is_better_is_installed_told_and_taken_away(
    vsearch: Vsearch, place: Path, good: Path
) -> None:
    before = json.loads(vsearch("search", "scene 7", "--json").stdout)
    done = vsearch("train", "align", good)
    assert "held out   26 rows of 26 videos, among 120 moments" in done.stdout
    assert "MRR gained +" in done.stdout
    assert "Installed" in done.stderr
    after = json.loads(vsearch("search", "scene 7", "--json").stdout)
    assert "adapter" not in before
    assert after["adapter"] is True
    assert before["results"] != after["results"]
    assert "adapter   94 rows of 94 videos (scene), held-out MRR" in vsearch("info").stdout
    told = json.loads(vsearch("info", "--json").stdout)["adapter"]
    assert (told["used"], told["rows"], told["forced"]) == (True, 94, False)
    assert "removed" in vsearch("train", "align", "--remove").stderr
    assert not (place / "adapter.npz").exists()
    again = json.loads(vsearch("search", "scene 7", "--json").stdout)
    assert again["results"] == before["results"]
    assert "adapter" not in vsearch("info").stdout
    vsearch("train", "align", "--remove", code=1)


def test_noise_is_refused_unless_forced(vsearch: Vsearch, place: Path, noise: Path) -> None:
    done = vsearch("train", "align", noise, code=1)
    assert "Not installed" in done.stderr
    assert not (place / "adapter.npz").exists()
    assert "would not be installed" in vsearch("train", "align", noise, "--dry-run", code=1).stderr
    assert "WARNING" in vsearch("train", "align", noise, "--force").stderr
    assert (place / "adapter.npz").exists()
    assert "installed by force" in vsearch("info").stdout


def test_a_dry_run_installs_nothing(vsearch: Vsearch, place: Path, good: Path) -> None:
    done = vsearch("train", "align", good, "--dry-run", "--json")
    told = json.loads(done.stdout)
    assert (told["installed"], told["better"]) == (False, True)
    assert told["held_out"] == {"rows": 26, "videos": 26}
    assert told["before"][-1]["value"] < told["after"][-1]["value"]
    assert not (place / "adapter.npz").exists()


def test_too_few_rows_are_refused(vsearch: Vsearch, tmp_path: Path, place: Path) -> None:
    few = written(tmp_path, captions(tmp_path, count=20))
    assert "20 rows of 20 videos" in vsearch("train", "align", few, code=1).stderr
    without = vsearch("train", "align", code=1).stderr
    assert "50 rows of 10 videos are the least" in without
    assert "vsearch train align FILE" in without
    vsearch("train", "align", tmp_path / "nowhere.jsonl", code=1)
    assert not (place / "adapter.npz").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--remove", "--force"], "--remove goes alone"),
        (["--dry-run", "--force"], "--dry-run and --force exclude each other"),
    ],
)
def test_what_makes_no_sense_together_is_a_usage_error(
    vsearch: Vsearch, words: list[str], told: str
) -> None:
    assert told in vsearch("train", "align", *words, code=2).stderr


def test_without_torch_it_says_what_to_install(
    vsearch: Vsearch, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vsearch.encoders.adaptation", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install 'vsearch[models]'" in vsearch("train", "align", good, code=1).stderr


def test_a_damaged_adapter_is_told_and_the_search_goes_on(
    vsearch: Vsearch, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = json.loads(vsearch("search", "scene 7", "--json").stdout)
    (place / "adapter.npz").write_bytes(b"nothing of use")
    after = json.loads(vsearch("search", "scene 7", "--json").stdout)
    assert "adapter" not in after
    assert after["results"] == before["results"]
    assert "adapter.npz is damaged" in caplog.text
    assert "adapter.npz is damaged" in vsearch("info").stdout
    assert "error" in json.loads(vsearch("info", "--json").stdout)["adapter"]
    assert "adapter.npz is damaged" in vsearch("doctor", code=1).stdout


def test_an_adapter_of_another_space_is_kept_and_told(
    vsearch: Vsearch, place: Path, tmp_path: Path, good: Path
) -> None:
    vsearch("train", "align", good)
    (tmp_path / "other").mkdir()
    with library(tmp_path / "other", "elsewhere", count=12) as made:
        (made.path / "adapter.npz").write_bytes((place / "adapter.npz").read_bytes())
        folder = made.path
    shown = vsearch("--library", folder, "info").stdout
    assert "not used: it is kept for taught" in shown
    found = vsearch("--library", folder, "search", "scene 7", "--json")
    assert "adapter" not in json.loads(found.stdout)


def test_a_measurement_says_that_words_were_adapted(
    vsearch: Vsearch, place: Path, good: Path
) -> None:
    vsearch("train", "align", good)
    from vsearch import Library
    from vsearch.evaluation.protocol import protocol

    with Library.open(place) as made:
        told = protocol(made, made.videos(), "all")
    assert told.adapter is not None
    assert told.adapter.startswith(f"{COUNT - 26} rows of {COUNT - 26} videos (scene; ")


def test_a_search_with_an_adapter_loads_no_torch(
    vsearch: Vsearch, place: Path, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vsearch("train", "align", good)
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    modules = loaded(run("search", "scene 7"), tmp_path)
    assert "taught" in modules
    assert not modules & {"torch", "open_clip", "av"}
