"""`vsearch train align`, and how other commands report the adapter."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from test_start_up import loaded, run

from tests.support.misreading_encoder import VIDEO_COUNT, make_captions, make_library, write_dataset

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("place")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a library with the model `taught`, registered like a plugin; return its path."""
    info = tmp_path / "plugin" / "vsearch_taught-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vsearch-taught\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[vsearch.encoders]\ntaught = tests.support.misreading_encoder:MisreadingEncoder\n"
    )
    monkeypatch.syspath_prepend(str(info.parent))
    with make_library(tmp_path) as made:
        folder = made.path
    monkeypatch.setenv("VSEARCH_LIBRARY", str(folder))
    return folder


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, make_captions(tmp_path))


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, make_captions(tmp_path, "noise"))


def test_better_adapter_is_installed_and_removed(
    run_vsearch: CommandRunner, place: Path, good: Path
) -> None:
    before = json.loads(run_vsearch("search", "scene 7", "--json").stdout)
    done = run_vsearch("train", "align", good)
    assert "tested on   26 rows of 26 videos, among 120 moments" in done.stdout
    assert "MRR gain +" in done.stdout
    assert "Installed" in done.stderr
    after = json.loads(run_vsearch("search", "scene 7", "--json").stdout)
    assert "query_adapted" not in before
    assert after["query_adapted"] is True
    assert before["results"] != after["results"]
    assert "adapter     94 rows of 94 videos (scene), held-out MRR" in run_vsearch("info").stdout
    output = json.loads(run_vsearch("info", "--json").stdout)["adapter"]
    assert (output["used"], output["rows"], output["forced"]) == (True, 94, False)
    assert "removed" in run_vsearch("train", "align", "--remove").stderr
    assert not (place / "adapter.npz").exists()
    again = json.loads(run_vsearch("search", "scene 7", "--json").stdout)
    assert again["results"] == before["results"]
    assert "\nadapter " not in run_vsearch("info").stdout
    run_vsearch("train", "align", "--remove", exit_code=1)


def test_noise_is_refused_unless_forced(
    run_vsearch: CommandRunner, place: Path, noise: Path
) -> None:
    done = run_vsearch("train", "align", noise, exit_code=1)
    assert "Not installed" in done.stderr
    assert not (place / "adapter.npz").exists()
    assert (
        "would not be installed"
        in run_vsearch("train", "align", noise, "--dry-run", exit_code=1).stderr
    )
    assert "WARNING" in run_vsearch("train", "align", noise, "--force").stderr
    assert (place / "adapter.npz").exists()
    assert "installed with --force" in run_vsearch("info").stdout


def test_a_dry_run_installs_nothing(run_vsearch: CommandRunner, place: Path, good: Path) -> None:
    done = run_vsearch("train", "align", good, "--dry-run", "--json")
    output = json.loads(done.stdout)
    assert (output["installed"], output["better"]) == (False, True)
    assert output["held_out"] == {"rows": 26, "videos": 26}
    assert output["baseline_metrics"][-1]["value"] < output["adapted_metrics"][-1]["value"]
    assert not (place / "adapter.npz").exists()


def test_too_few_rows_are_refused(run_vsearch: CommandRunner, tmp_path: Path, place: Path) -> None:
    few = write_dataset(tmp_path, make_captions(tmp_path, video_count=20))
    assert "20 rows of 20 videos" in run_vsearch("train", "align", few, exit_code=1).stderr
    without = run_vsearch("train", "align", exit_code=1).stderr
    assert "at least 50 rows of 10 videos are needed" in without
    assert "vsearch train align FILE" in without
    run_vsearch("train", "align", tmp_path / "nowhere.jsonl", exit_code=1)
    assert not (place / "adapter.npz").exists()


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["--remove", "--force"], "--remove cannot be combined"),
        (["--dry-run", "--force"], "--dry-run and --force cannot be combined"),
    ],
)
def test_exclusive_options_are_a_usage_error(
    run_vsearch: CommandRunner, words: list[str], output: str
) -> None:
    assert output in run_vsearch("train", "align", *words, exit_code=2).stderr


def test_missing_torch_is_reported(
    run_vsearch: CommandRunner, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vsearch.training.adapter_fit", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert (
        "pip install 'vsearch[models]'" in run_vsearch("train", "align", good, exit_code=1).stderr
    )


def test_damaged_adapter_is_reported_and_ignored(
    run_vsearch: CommandRunner, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = json.loads(run_vsearch("search", "scene 7", "--json").stdout)
    (place / "adapter.npz").write_bytes(b"nothing of use")
    after = json.loads(run_vsearch("search", "scene 7", "--json").stdout)
    assert "query_adapted" not in after
    assert after["results"] == before["results"]
    assert "adapter.npz is damaged" in caplog.text
    assert "adapter.npz is damaged" in run_vsearch("info").stdout
    assert "error" in json.loads(run_vsearch("info", "--json").stdout)["adapter"]
    assert "adapter.npz is damaged" in run_vsearch("doctor", exit_code=1).stdout


def test_adapter_of_another_space_is_reported(
    run_vsearch: CommandRunner, place: Path, tmp_path: Path, good: Path
) -> None:
    run_vsearch("train", "align", good)
    (tmp_path / "other").mkdir()
    with make_library(tmp_path / "other", "elsewhere", video_count=12) as made:
        (made.path / "adapter.npz").write_bytes((place / "adapter.npz").read_bytes())
        folder = made.path
    shown = run_vsearch("--library", folder, "info").stdout
    assert "not used: it belongs to space taught" in shown
    found = run_vsearch("--library", folder, "search", "scene 7", "--json")
    assert "query_adapted" not in json.loads(found.stdout)


def test_protocol_names_the_adapter(run_vsearch: CommandRunner, place: Path, good: Path) -> None:
    run_vsearch("train", "align", good)
    from vsearch import Library
    from vsearch.evaluation.benchmark import describe_protocol

    with Library.open(place) as made:
        output = describe_protocol(made, made.videos(), "all")
    assert output.adapter is not None
    assert output.adapter.startswith(
        f"{VIDEO_COUNT - 26} rows of {VIDEO_COUNT - 26} videos (scene; "
    )


def test_a_search_with_an_adapter_loads_no_torch(
    run_vsearch: CommandRunner,
    place: Path,
    good: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_vsearch("train", "align", good)
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    modules = loaded(run("search", "scene 7"), tmp_path)
    assert "tests.support.misreading_encoder" in modules
    assert not modules & {"torch", "open_clip", "av"}
