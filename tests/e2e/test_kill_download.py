"""kill -9 during a download: the next run continues it."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, RED, ColorScene, make_video
from tests.support.web_server import Served, WebServer, serve
from vsearch import Library, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK_BYTES = 1000
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fake_model"), pytest.mark.timeout(300)]


@pytest.fixture
def web() -> Iterator[WebServer]:
    yield from serve()


def start(library: Path, *urls: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vsearch", "--library", str(library), "index", *urls]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_killed_download_is_continued(tmp_path: Path, web: WebServer) -> None:
    content = make_video(tmp_path / "red.mp4", [ColorScene(RED, 3)]).read_bytes()
    other = make_video(tmp_path / "blue.mp4", [ColorScene(BLUE, 3)]).read_bytes()
    library, is_sent, may_go_on = tmp_path / "library", threading.Event(), threading.Event()
    url, other_url = f"{web.url}/red.mp4", f"{web.url}/blue.mp4"

    def stop_in_the_middle(sent_bytes: int) -> None:
        if sent_bytes >= 2 * CHUNK_BYTES:
            is_sent.set()
            may_go_on.wait(60)

    web.files["/blue.mp4"] = Served(other)
    web.files["/red.mp4"] = Served(
        content, chunk_bytes=CHUNK_BYTES, before_chunk=stop_in_the_middle
    )
    process = start(library, other_url, url)
    part_bytes = 2 * CHUNK_BYTES
    assert is_sent.wait(60)
    while process.poll() is None:
        if [part.stat().st_size for part in (library / "downloads").glob("[0-9a-f]*.part")] == [
            part_bytes
        ]:
            break
    process.kill()
    process.wait()
    may_go_on.set()

    assert start(library, other_url, url).wait() == 0
    assert web.statuses() == [200, 200, 304, 206]
    assert web.requests[-1].headers["Range"] == f"bytes={part_bytes}-"
    with Library.open(library, encoder=FakeEncoder()) as opened:
        assert {video.source_url for video in opened.videos()} == {url, other_url}
        assert opened.videos(["*red-*"])[0].path.read_bytes() == content
        assert opened.doctor() == []
        assert {one.outcome for one in opened.index([url, other_url])} == {Outcome.UNCHANGED}
