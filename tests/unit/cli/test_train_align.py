"""`vsearch train align`, and how other commands report the adapter."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.misreading_encoder import VIDEO_COUNT, make_captions, make_library, write_dataset
from tests.support.processes import format_main_call, list_loaded_modules

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("library_path")


@pytest.fixture
def library_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a library whose model `taught` is registered as a plugin; return its path."""
    info = tmp_path / "plugin" / "vsearch_taught-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vsearch-taught\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[vsearch.encoders]\ntaught = tests.support.misreading_encoder:MisreadingEncoder\n"
    )
    monkeypatch.syspath_prepend(str(info.parent))
    with make_library(tmp_path) as library:
        folder = library.path
    monkeypatch.setenv("VSEARCH_LIBRARY", str(folder))
    return folder


@pytest.fixture
def captions_file(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, make_captions(tmp_path))


@pytest.fixture
def noise_file(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, make_captions(tmp_path, "noise"))


@pytest.mark.slow
def test_better_adapter_is_installed_and_removed(
    run_vsearch: CommandRunner, library_path: Path, captions_file: Path
) -> None:
    before = json.loads(run_vsearch("search", "scene 7", "--json").stdout)
    result = run_vsearch("train", "align", captions_file)
    assert "tested on   26 rows of 26 videos, among 120 moments" in result.stdout
    assert "MRR gain +" in result.stdout
    assert "Installed" in result.stderr
    after = json.loads(run_vsearch("search", "scene 7", "--json").stdout)
    assert before["query_adapted"] is False
    assert after["query_adapted"] is True
    assert before["results"] != after["results"]
    assert "adapter     94 rows of 94 videos (scene), held-out MRR" in run_vsearch("info").stdout
    info = json.loads(run_vsearch("info", "--json").stdout)["adapter"]
    assert (info["used"], info["rows"], info["forced"]) == (True, 94, False)
    assert "removed" in run_vsearch("train", "align", "--remove").stderr
    assert not (library_path / "adapter.npz").exists()
    restored = json.loads(run_vsearch("search", "scene 7", "--json").stdout)
    assert restored["results"] == before["results"]
    assert "\nadapter " not in run_vsearch("info").stdout
    run_vsearch("train", "align", "--remove", exit_code=1)


@pytest.mark.slow
def test_a_useless_adapter_is_installed_only_with_force(
    run_vsearch: CommandRunner, library_path: Path, noise_file: Path
) -> None:
    result = run_vsearch("train", "align", noise_file, exit_code=1)
    assert "Not installed" in result.stderr
    assert not (library_path / "adapter.npz").exists()
    assert (
        "would not be installed"
        in run_vsearch("train", "align", noise_file, "--dry-run", exit_code=1).stderr
    )
    assert "WARNING" in run_vsearch("train", "align", noise_file, "--force").stderr
    assert (library_path / "adapter.npz").exists()
    assert "installed with --force" in run_vsearch("info").stdout


@pytest.mark.slow
def test_a_dry_run_installs_nothing(
    run_vsearch: CommandRunner, library_path: Path, captions_file: Path
) -> None:
    result = run_vsearch("train", "align", captions_file, "--dry-run", "--json")
    output = json.loads(result.stdout)
    assert (output["installed"], output["better"]) == (False, True)
    assert output["held_out"] == {"rows": 26, "videos": 26}
    assert output["baseline_metrics"][-1]["value"] < output["adapted_metrics"][-1]["value"]
    assert not (library_path / "adapter.npz").exists()


def test_too_few_rows_are_refused(
    run_vsearch: CommandRunner, tmp_path: Path, library_path: Path
) -> None:
    small_file = write_dataset(tmp_path, make_captions(tmp_path, video_count=20))
    assert "20 rows of 20 videos" in run_vsearch("train", "align", small_file, exit_code=1).stderr
    error = run_vsearch("train", "align", exit_code=1).stderr
    assert "at least 50 rows of 10 videos are needed" in error
    assert "vsearch train align FILE" in error
    run_vsearch("train", "align", tmp_path / "nowhere.jsonl", exit_code=1)
    assert not (library_path / "adapter.npz").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--remove", "--force"], "--remove cannot be combined"),
        (["--dry-run", "--force"], "--dry-run and --force cannot be combined"),
    ],
)
def test_exclusive_options_are_a_usage_error(
    run_vsearch: CommandRunner, options: list[str], message: str
) -> None:
    assert message in run_vsearch("train", "align", *options, exit_code=2).stderr


def test_missing_torch_is_reported(
    run_vsearch: CommandRunner, captions_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vsearch.training.adapter_fit", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert (
        "pip install 'vsearch[models]'"
        in run_vsearch("train", "align", captions_file, exit_code=1).stderr
    )


def test_damaged_adapter_is_reported_and_ignored(
    run_vsearch: CommandRunner, library_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = json.loads(run_vsearch("search", "scene 7", "--json").stdout)
    (library_path / "adapter.npz").write_bytes(b"nothing of use")
    after = json.loads(run_vsearch("search", "scene 7", "--json").stdout)
    assert after["query_adapted"] is False
    assert after["results"] == before["results"]
    assert "adapter.npz is damaged" in caplog.text
    assert "adapter.npz is damaged" in run_vsearch("info").stdout
    assert "error" in json.loads(run_vsearch("info", "--json").stdout)["adapter"]
    assert "adapter.npz is damaged" in run_vsearch("doctor", exit_code=1).stdout


@pytest.mark.slow
def test_adapter_of_another_space_is_reported(
    run_vsearch: CommandRunner, library_path: Path, tmp_path: Path, captions_file: Path
) -> None:
    run_vsearch("train", "align", captions_file)
    (tmp_path / "other").mkdir()
    with make_library(tmp_path / "other", "elsewhere", video_count=12) as library:
        (library.path / "adapter.npz").write_bytes((library_path / "adapter.npz").read_bytes())
        folder = library.path
    report = run_vsearch("--library", folder, "info").stdout
    assert "not used: it belongs to space taught" in report
    result = run_vsearch("--library", folder, "search", "scene 7", "--json")
    assert json.loads(result.stdout)["query_adapted"] is False


@pytest.mark.slow
def test_protocol_names_the_adapter(
    run_vsearch: CommandRunner, library_path: Path, captions_file: Path
) -> None:
    run_vsearch("train", "align", captions_file)
    from vsearch import Library
    from vsearch.evaluation.benchmark import describe_protocol

    with Library.open(library_path) as library:
        protocol = describe_protocol(library, library.videos(), "all", "cosine")
    assert protocol.adapter is not None
    assert protocol.adapter.startswith(
        f"{VIDEO_COUNT - 26} rows of {VIDEO_COUNT - 26} videos (scene; "
    )


@pytest.mark.slow
def test_a_search_with_an_adapter_loads_no_torch(
    run_vsearch: CommandRunner,
    library_path: Path,
    captions_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_vsearch("train", "align", captions_file)
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    modules = list_loaded_modules(format_main_call("search", "scene 7"), tmp_path)
    assert "tests.support.misreading_encoder" in modules
    assert not modules & {"torch", "open_clip", "av"}
