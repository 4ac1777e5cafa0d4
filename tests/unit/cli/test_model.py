"""`vsearch model`: status, switch, rollback and delete."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from vsearch.catalog.lock import WriteLock
from vsearch.config import resolve_library_path

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner
    from vsearch.types import Images, Matrix

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def indexed(
    run_vsearch: CommandRunner,
    fake_model: None,
    videos_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Index two videos with `fake`, without naming it in the environment."""
    monkeypatch.delenv("VSEARCH_MODEL")
    run_vsearch("--model", "fake", "index", videos_folder)


@pytest.mark.usefixtures("indexed")
def test_switch_rollback_and_delete(run_vsearch: CommandRunner) -> None:
    done = run_vsearch("model", "switch", "fake:other")
    assert done.stdout == "2 videos embedded\nThe library answers with fake:other (fake-other).\n"
    assert done.stderr == ""
    assert run_vsearch("search", "green", "-k", "1").stdout.endswith("green.mp4\n")
    assert json.loads(run_vsearch("search", "green", "--json").stdout)["space"] == "fake-other"
    done = run_vsearch("model", "rollback")
    assert done.stdout == "The library answers with fake (fake).\n"
    assert run_vsearch("model", "delete", "fake-other").stdout.startswith("fake-other deleted, ")
    assert "no model or space" in run_vsearch("model", "delete", "fake:other", exit_code=1).stderr
    assert "never used another model" in run_vsearch("model", "rollback", exit_code=1).stderr
    assert run_vsearch("doctor").stdout == "No problems found.\n"


@pytest.mark.usefixtures("indexed")
def test_status_lists_models_and_lock_holder(run_vsearch: CommandRunner, tmp_path: Path) -> None:
    run_vsearch("model", "switch", "fake:other")
    for words in (("model",), ("model", "status")):
        heading, first, second = run_vsearch(*words).stdout.splitlines()
        assert heading.split() == ["model", "space", "videos", "on", "disk"]
        assert first.split()[:5] == ["fake", "fake", "2", "of", "2"]
        assert first.endswith("ready")
        assert second.split()[:3] == ["*", "fake:other", "fake-other"]
        assert second.endswith("active")
    found = json.loads(run_vsearch("model", "status", "--json").stdout)
    assert list(found) == ["spaces", "videos", "lock_holder"]
    assert (found["videos"], found["lock_holder"]) == (2, None)
    assert list(found["spaces"][1]) == [
        "model", "space", "dim", "pooler", "in_use", "videos", "bytes",
    ]  # fmt: skip
    assert [one["in_use"] for one in found["spaces"]] == [False, True]
    with WriteLock(resolve_library_path(), command="vsearch model use big"):
        assert "Being written by 'vsearch model use big'" in run_vsearch("model").stdout
        assert "vsearch model use big" in run_vsearch("model", "switch", "fake", exit_code=1).stderr
        assert (
            "model use big"
            in run_vsearch("model", "switch", "fake", "--background", exit_code=1).stderr
        )


@pytest.mark.usefixtures("indexed")
def test_failed_videos_prevent_the_switch_unless_skipped(
    run_vsearch: CommandRunner, videos_folder: Path
) -> None:
    (videos_folder / "green.mp4").unlink()
    done = run_vsearch("model", "switch", "fake:other", exit_code=1)
    assert done.stdout == ""
    first, *rest = done.stderr.splitlines()
    assert first.startswith("failed ")
    assert "green.mp4: the file is missing" in first
    assert " ".join(rest).startswith("1 video failed, so the model was not switched.")
    assert run_vsearch("model").stdout.splitlines()[2].endswith("lacks 1 video")
    done = run_vsearch("model", "switch", "fake:other", "--skip-missing")
    assert "1 video cannot be found by the new model" in done.stderr
    assert "answers with fake:other" in done.stdout


@pytest.mark.usefixtures("indexed")
def test_models_of_one_space_are_distinguished(
    run_vsearch: CommandRunner, videos_folder: Path
) -> None:
    output = run_vsearch("model", "switch", "fake:fast").stdout
    assert "nothing was embedded again" in output
    assert "2 videos still with features of another model; `vsearch index --force`" in output
    assert run_vsearch("info").stdout.splitlines()[1] == (
        "model       fake:fast (fake) – 0 videos; fake – 2"
    )
    run_vsearch("index", videos_folder / "green.mp4", "--force")
    assert (
        run_vsearch("info").stdout.splitlines()[1]
        == "model       fake:fast (fake) – 1 video; fake – 1"
    )
    found = json.loads(run_vsearch("info", "--json").stdout)
    assert found["model"] == "fake:fast"
    assert sorted(found["models"], key=lambda one: str(one["model"])) == [
        {"model": "fake", "videos": 1},
        {"model": "fake:fast", "videos": 1},
    ]
    listed = json.loads(run_vsearch("list", "--json").stdout)["videos"]
    assert [one["model"] for one in listed] == ["fake:fast", "fake"]
    run_vsearch("index", videos_folder, "--force")
    assert run_vsearch("info").stdout.splitlines()[1] == "model       fake:fast (fake)"


@pytest.mark.usefixtures("indexed")
def test_ctrl_c_explains_how_to_continue(
    run_vsearch: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FakeEncoder.encode_images

    def interrupted(encoder: FakeEncoder, images: Images) -> Matrix:
        if encoder.encoded_count:
            raise KeyboardInterrupt
        return whole(encoder, images)

    with monkeypatch.context() as patch:
        patch.setattr(FakeEncoder, "encode_images", interrupted)
        done = run_vsearch("model", "switch", "fake:other", exit_code=130)
    assert "run the same command again to continue" in done.stderr
    assert "1 of 2" in run_vsearch("model").stdout
    assert run_vsearch("model", "switch", "fake:other").stdout.startswith("1 video embedded\n")


@pytest.mark.usefixtures("indexed")
def test_environment_variable_over_the_new_model_is_reported(
    run_vsearch: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSEARCH_MODEL", "fake")
    assert "VSEARCH_MODEL is fake" in run_vsearch("model", "switch", "fake:other").stderr


def test_background_process_outlives_the_command(
    videos_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VSEARCH_MODEL")
    library = tmp_path / "my library"

    def run(*words: str | Path) -> str:
        command = [sys.executable, "-W", "error", "-m", "vsearch", "--library", str(library)]
        command += map(str, words)
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        return done.stdout

    run("--model", "fake", "index", videos_folder)
    os.environ["COLUMNS"] = "200"
    assert "model.log" in run("model", "switch", "fake:other", "--background", "--device", "cpu")
    for _ in range(600):
        if json.loads(run("model", "status", "--json"))["spaces"][-1]["in_use"]:
            break
        time.sleep(0.1)
    for _ in range(600):  # the index is still saved after the switch
        if "answers with fake:other" in (library / "model.log").read_text():
            break
        time.sleep(0.1)
    assert "answers with fake:other" in (library / "model.log").read_text()
    assert run("search", "green", "-k", "1").endswith("green.mp4\n")


@pytest.mark.parametrize(
    ("words", "exit_code", "message"),
    [
        (["model", "switch"], 2, "NAME"),
        (["model", "switch", "clippy"], 1, "clippy"),
        (["model", "frobnicate"], 2, "frobnicate"),
        (["--library", "nowhere", "model"], 1, "no library"),
    ],
)
@pytest.mark.usefixtures("indexed")
def test_mistakes_are_reported_in_one_line(
    run_vsearch: CommandRunner, words: list[str], exit_code: int, message: str
) -> None:
    assert message in run_vsearch(*words, exit_code=exit_code).stderr


def test_keep_frames_is_stored_in_the_library(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    run_vsearch("index", videos_folder / "green.mp4", "--keep-frames")
    frames = resolve_library_path() / "frame_cache"
    assert len(list(frames.iterdir())) == 1
    assert "keep_frames = true" in (frames.parent / "vsearch.toml").read_text()
    run_vsearch("index", videos_folder, "--no-keep-frames")
    assert len(list(frames.iterdir())) == 1


def test_keep_frames_is_yes_or_no(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSEARCH_KEEP_FRAMES", "perhaps")
    assert (
        "VSEARCH_KEEP_FRAMES must be yes or no"
        in run_vsearch("index", videos_folder, exit_code=2).stderr
    )
    monkeypatch.setenv("VSEARCH_KEEP_FRAMES", "Yes")
    run_vsearch("index", videos_folder)
    assert len(list((resolve_library_path() / "frame_cache").iterdir())) == 2
    (resolve_library_path() / "vsearch.toml").write_text('keep_frames = "x"\n')
    assert "true or false" in run_vsearch("index", videos_folder, exit_code=2).stderr
