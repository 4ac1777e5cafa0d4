"""`vsearch search --server`: the same, without a library here."""

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

from fakes import FakeEncoder
from synth import BLUE
from vsearch import Library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from running import Vsearch

TOKEN = "0123456789abcdef"


@pytest.fixture
def server(tmp_path: Path, videos: Path, fake_model: None) -> Iterator[str]:
    """Where `vsearch serve` serves a library; it asks for a token."""
    with Library.open(tmp_path / "lib", encoder=FakeEncoder()) as library:
        list(library.index([videos]))
        library.save("seas", "blue")
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


def test_it_prints_what_a_search_here_prints(
    vsearch: Vsearch, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
        own = json.loads(vsearch("search", *words, *here, "--json").stdout)
        found = json.loads(vsearch("search", *words, *there, "--json").stdout)
        assert own.pop("took_ms") > 0
        assert found.pop("took_ms") > 0
        if "--image" not in words and "image:" not in str(words):
            assert found == own, words
        else:  # what is uploaded is written anew by the server
            assert (found.keys(), found["query"]) == (own.keys(), own["query"])
            assert [one["video"] for one in found["results"]] == [
                one["video"] for one in own["results"]
            ]
        assert vsearch("search", *words, *there).stdout
    assert vsearch("search", "blue", *there).stdout == vsearch("search", "blue", *here).stdout
    assert not (tmp_path / "indexes").exists()

    monkeypatch.setenv("VSEARCH_SERVER", server)
    monkeypatch.setenv("VSEARCH_TOKEN", TOKEN)
    sheet = tmp_path / "sheet.html"
    named = json.loads(vsearch("search", "blue", "-k", "1", "--json", "--sheet", sheet).stdout)
    assert named["results"][0]["video"].endswith("red then blue.mp4")
    assert "data:image/jpeg;base64," in sheet.read_text()
    done = vsearch("search", "tag:nothing red", code=1)
    assert "tag" in done.stderr
    assert TOKEN not in done.stderr
    assert "there is no library" not in vsearch("search", '"open', code=2).stderr
    modules = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "vsearch", "search", "blue"],
        capture_output=True, text=True, check=True, env=os.environ,
    ).stderr  # fmt: skip
    loaded = set(re.findall(r"\| +([\w.]+)$", modules, re.MULTILINE))
    assert "httpx2" in loaded
    assert not loaded & {"onnxruntime", "faiss", "sqlalchemy", "torch", "av", "vsearch.library"}

    monkeypatch.setenv("VSEARCH_TOKEN", "wrong")
    assert "asks for its token" in vsearch("search", "blue", code=1).stderr
    assert vsearch("search", "blue", *here).stdout, "a library that is named goes before a variable"


def test_options_for_a_library_here_do_not_go_with_a_server(vsearch: Vsearch) -> None:
    for option in ("--library", "--model", "--text-model"):
        done = vsearch("search", "red", "--server", "http://127.0.0.1:1", option, "x", code=2)
        assert f"{option} is for a library here" in done.stderr
    done = vsearch("search", "red", "--token-file", "token", code=2)
    assert "--token-file is for a server" in done.stderr


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_file_without_a_token_is_told(
    vsearch: Vsearch, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    where = ["--server", "http://127.0.0.1:1", "--token-file", "token"]
    assert "token" in vsearch("search", "red", *where, code=2).stderr


def test_a_server_that_is_not_there_is_told(vsearch: Vsearch) -> None:
    done = vsearch("search", "red", "--server", "http://127.0.0.1:1", code=1)
    assert "vsearch: http://127.0.0.1:1: cannot be reached" in done.stderr
    assert "vsearch serve" in done.stderr
    assert done.stdout == ""
