"""`vsearch search --server`: search the library of a server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE
from vsearch import Library
from vsearch.config import resolve_library_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.processes import CommandRunner

TOKEN = "0123456789abcdef"


@pytest.fixture
def server(tmp_path: Path, videos_folder: Path, fake_model: None) -> Iterator[str]:
    """Start `vsearch serve` with a token and return its address."""
    with Library.open(tmp_path / "lib", encoder=FakeEncoder()) as library:
        list(library.index([videos_folder]))
        library.saved_searches.add("seas", "blue")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    command = [sys.executable, "-m", "vsearch", "--library", str(tmp_path / "lib"), "serve"]
    with subprocess.Popen(
        [*command, "--port", "0", "--token-file", str(tmp_path / "token")],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        timer = threading.Timer(120, process.kill)
        timer.start()
        try:
            assert process.stderr is not None
            found = re.search(r"http://[^/]+/", process.stderr.readline())
            assert found is not None
            yield found[0]
        finally:
            process.terminate()
            process.communicate()
            timer.cancel()


def test_remote_search_prints_what_a_local_one_prints(
    run_vsearch: CommandRunner, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "sea.png"
    Image.new("RGB", (64, 48), BLUE).save(picture)
    here = ["--library", tmp_path / "lib"]
    there = ["--server", server, "--token-file", tmp_path / "token"]
    for words in (
        ["blue", "-k", "2"],
        ["blue", "-red", "--video", "red*"],
        ["@seas"],
        ["--image", picture],
        [f"image:{picture}", "-green", "--per-video", "1"],
    ):
        own = json.loads(run_vsearch("search", *words, *here, "--json").stdout)
        found = json.loads(run_vsearch("search", *words, *there, "--json").stdout)
        assert own.pop("took_ms") > 0
        assert found.pop("took_ms") > 0
        if "--image" not in words and "image:" not in str(words):
            assert found == own, words
        else:  # the server re-encodes uploads
            assert (found.keys(), found["query"]) == (own.keys(), own["query"])
            assert [one["video"] for one in found["results"]] == [
                one["video"] for one in own["results"]
            ]
        assert run_vsearch("search", *words, *there).stdout
    assert (
        run_vsearch("search", "blue", *there).stdout == run_vsearch("search", "blue", *here).stdout
    )
    assert not resolve_library_path().exists()

    monkeypatch.setenv("VSEARCH_SERVER", server)
    monkeypatch.setenv("VSEARCH_TOKEN", TOKEN)
    sheet = tmp_path / "sheet.html"
    named = json.loads(
        run_vsearch("search", "blue", "-k", "1", "--json", "--contact-sheet", sheet).stdout
    )
    assert named["results"][0]["video"].endswith("red then blue.mp4")
    assert "data:image/jpeg;base64," in sheet.read_text()
    done = run_vsearch("search", "tag:nothing red", exit_code=2)
    assert "tag" in done.stderr
    assert TOKEN not in done.stderr
    assert "there is no library" not in run_vsearch("search", '"open', exit_code=2).stderr
    modules = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "vsearch", "search", "blue"],
        capture_output=True, text=True, check=True, env=os.environ,
    ).stderr  # fmt: skip
    loaded = set(re.findall(r"\| +([\w.]+)$", modules, re.MULTILINE))
    assert "httpx2" in loaded
    assert not loaded & {"onnxruntime", "faiss", "sqlalchemy", "torch", "av", "vsearch.library"}

    monkeypatch.setenv("VSEARCH_TOKEN", "wrong")
    assert "the token is missing or wrong" in run_vsearch("search", "blue", exit_code=1).stderr
    assert run_vsearch("search", "blue", *here).stdout, (
        "a library that is named goes before a variable"
    )


def test_local_options_and_server_are_exclusive(run_vsearch: CommandRunner) -> None:
    for option in ("--library", "--model", "--text-model"):
        done = run_vsearch(
            "search", "red", "--server", "http://127.0.0.1:1", option, "x", exit_code=2
        )
        assert f"{option} cannot be combined with --server" in done.stderr
    done = run_vsearch("search", "red", "--token-file", "token", exit_code=2)
    assert "--token-file needs --server URL" in done.stderr


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_invalid_token_file_is_reported(
    run_vsearch: CommandRunner, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    where = ["--server", "http://127.0.0.1:1", "--token-file", "token"]
    assert "token" in run_vsearch("search", "red", *where, exit_code=2).stderr


def test_unreachable_server_is_reported(run_vsearch: CommandRunner) -> None:
    done = run_vsearch("search", "red", "--server", "http://127.0.0.1:1", exit_code=1)
    assert "vsearch: http://127.0.0.1:1: cannot connect" in done.stderr
    assert "vsearch serve" in done.stderr
    assert done.stdout == ""


def test_all_results_of_a_server_are_found(
    run_vsearch: CommandRunner, server: str, tmp_path: Path
) -> None:
    there = ["--server", server, "--token-file", tmp_path / "token"]
    found = json.loads(run_vsearch("search", "blue", "-k", "all", "--json", *there).stdout)
    here = run_vsearch("search", "blue", "-k", "all", "--json", "--library", tmp_path / "lib")
    assert len(found["results"]) == len(json.loads(here.stdout)["results"]) >= 2
