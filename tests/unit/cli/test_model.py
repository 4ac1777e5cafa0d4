"""`vsearch model`: see and change the model that a library answers by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from fakes import FakeEncoder
from vsearch.catalog.lock import WriteLock

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch
    from vsearch.types import Images, Matrix

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def indexed(
    vsearch: Vsearch, fake_model: None, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library of two videos made by `fake`, which the environment does not name."""
    monkeypatch.delenv("VSEARCH_MODEL")
    vsearch("--model", "fake", "index", videos)


@pytest.mark.usefixtures("indexed")
def test_use_back_and_drop(vsearch: Vsearch) -> None:
    done = vsearch("model", "use", "fake:other")
    assert done.stdout == "2 videos embedded\nThe library answers by fake:other (fake-other).\n"
    assert done.stderr == ""
    assert vsearch("search", "green", "-k", "1").stdout.endswith("green.mp4\n")
    assert json.loads(vsearch("search", "green", "--json").stdout)["space"] == "fake-other"
    done = vsearch("model", "back")
    assert done.stdout == "The library answers by fake (fake).\n"
    assert vsearch("model", "drop", "fake-other").stdout.startswith("fake-other dropped, ")
    assert "no model or space" in vsearch("model", "drop", "fake:other", code=1).stderr
    assert "had no other model" in vsearch("model", "back", code=1).stderr
    assert vsearch("doctor").stdout == "The library is sound.\n"


@pytest.mark.usefixtures("indexed")
def test_status_says_what_there_is(vsearch: Vsearch, tmp_path: Path) -> None:
    vsearch("model", "use", "fake:other")
    for words in (("model",), ("model", "status")):
        heading, first, second = vsearch(*words).stdout.splitlines()
        assert heading.split() == ["model", "space", "videos", "on", "disk"]
        assert first.split()[:5] == ["fake", "fake", "2", "of", "2"]
        assert first.endswith("ready")
        assert second.split()[:3] == ["*", "fake:other", "fake-other"]
        assert second.endswith("answers")
    found = json.loads(vsearch("model", "status", "--json").stdout)
    assert list(found) == ["spaces", "videos", "writer"]
    assert (found["videos"], found["writer"]) == (2, None)
    assert list(found["spaces"][1]) == [
        "model", "space", "dim", "pooler", "in_use", "videos", "bytes",
    ]  # fmt: skip
    assert [one["in_use"] for one in found["spaces"]] == [False, True]
    with WriteLock(tmp_path / "indexes" / "default", command="vsearch model use big"):
        assert "Being written by 'vsearch model use big'" in vsearch("model").stdout
        assert "vsearch model use big" in vsearch("model", "use", "fake", code=1).stderr
        assert "model use big" in vsearch("model", "use", "fake", "--background", code=1).stderr


@pytest.mark.usefixtures("indexed")
def test_what_failed_is_a_line_and_exit_1_unless_skipped(vsearch: Vsearch, videos: Path) -> None:
    (videos / "green.mp4").unlink()
    done = vsearch("model", "use", "fake:other", code=1)
    assert done.stdout == ""
    first, *rest = done.stderr.splitlines()
    assert first.startswith("failed ")
    assert "green.mp4: the file is gone" in first
    assert " ".join(rest).startswith("1 video failed, so the library answers as before.")
    assert vsearch("model").stdout.splitlines()[2].endswith("lacks 1 video")
    done = vsearch("model", "use", "fake:other", "--skip-missing")
    assert "1 video will not be found by the new model" in done.stderr
    assert "answers by fake:other" in done.stdout


@pytest.mark.usefixtures("indexed")
def test_models_of_one_space_are_told_apart(vsearch: Vsearch, videos: Path) -> None:
    told = vsearch("model", "use", "fake:fast").stdout
    assert "Nothing has to be embedded anew" in told
    assert "2 videos still with the features of another model; `vsearch index --again`" in told
    assert vsearch("info").stdout.splitlines()[1] == (
        "model     fake:fast (fake) – 0 videos; fake – 2"
    )
    vsearch("index", videos / "green.mp4", "--again")
    assert (
        vsearch("info").stdout.splitlines()[1] == "model     fake:fast (fake) – 1 video; fake – 1"
    )
    found = json.loads(vsearch("info", "--json").stdout)
    assert found["model"] == "fake:fast"
    assert sorted(found["models"], key=lambda one: str(one["model"])) == [
        {"model": "fake", "videos": 1},
        {"model": "fake:fast", "videos": 1},
    ]
    listed = json.loads(vsearch("list", "--json").stdout)["videos"]
    assert [one["model"] for one in listed] == ["fake:fast", "fake"]
    vsearch("index", videos, "--again")
    assert vsearch("info").stdout.splitlines()[1] == "model     fake:fast (fake)"


@pytest.mark.usefixtures("indexed")
def test_ctrl_c_says_how_to_go_on(vsearch: Vsearch, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = FakeEncoder.encode_images

    def interrupted(encoder: FakeEncoder, images: Images) -> Matrix:
        if encoder.seen:
            raise KeyboardInterrupt
        return whole(encoder, images)

    with monkeypatch.context() as patch:
        patch.setattr(FakeEncoder, "encode_images", interrupted)
        done = vsearch("model", "use", "fake:other", code=130)
    assert "run the same command again to go on" in done.stderr
    assert "1 of 2" in vsearch("model").stdout
    assert vsearch("model", "use", "fake:other").stdout.startswith("1 video embedded\n")


@pytest.mark.usefixtures("indexed")
def test_a_variable_that_beats_the_new_model_is_told(
    vsearch: Vsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSEARCH_MODEL", "fake")
    assert "VSEARCH_MODEL is fake" in vsearch("model", "use", "fake:other").stderr


def test_the_background_goes_on_after_the_command(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VSEARCH_MODEL")
    library = tmp_path / "my library"

    def run(*words: str | Path) -> str:
        command = [sys.executable, "-W", "error", "-m", "vsearch", "--library", str(library)]
        command += map(str, words)
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        return done.stdout

    run("--model", "fake", "index", videos)
    os.environ["COLUMNS"] = "200"
    assert "model.log" in run("model", "use", "fake:other", "--background", "--device", "cpu")
    for _ in range(600):
        if json.loads(run("model", "status", "--json"))["spaces"][-1]["in_use"]:
            break
        time.sleep(0.1)
    for _ in range(600):  # the index is still saved after the switch
        if "answers by fake:other" in (library / "model.log").read_text():
            break
        time.sleep(0.1)
    assert "answers by fake:other" in (library / "model.log").read_text()
    assert run("search", "green", "-k", "1").endswith("green.mp4\n")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["model", "use"], 2, "NAME"),
        (["model", "use", "clippy"], 1, "clippy"),
        (["model", "frobnicate"], 2, "frobnicate"),
        (["--library", "nowhere", "model"], 1, "no library"),
    ],
)
@pytest.mark.usefixtures("indexed")
def test_mistakes_are_told_in_a_line(
    vsearch: Vsearch, words: list[str], code: int, told: str
) -> None:
    assert told in vsearch(*words, code=code).stderr


def test_keep_frames_is_kept_by_the_library(vsearch: Vsearch, videos: Path, tmp_path: Path) -> None:
    vsearch("index", videos / "green.mp4", "--keep-frames")
    frames = tmp_path / "indexes" / "default" / "frames"
    assert len(list(frames.iterdir())) == 1
    assert "keep_frames = true" in (frames.parent / "vsearch.toml").read_text()
    vsearch("index", videos, "--no-keep-frames")
    assert len(list(frames.iterdir())) == 1


def test_keep_frames_is_yes_or_no(
    vsearch: Vsearch, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSEARCH_KEEP_FRAMES", "perhaps")
    assert "VSEARCH_KEEP_FRAMES must be yes or no" in vsearch("index", videos, code=2).stderr
    monkeypatch.setenv("VSEARCH_KEEP_FRAMES", "Yes")
    vsearch("index", videos)
    assert len(list((tmp_path / "indexes" / "default" / "frames").iterdir())) == 2
    (tmp_path / "indexes" / "default" / "vsearch.toml").write_text('keep_frames = "x"\n')
    assert "true or false" in vsearch("list", code=2).stderr
