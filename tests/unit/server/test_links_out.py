"""Links that lead out of a served folder: whoever may write to it must not read other files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.server import serve_library
from tests.support.video_factory import BLUE, RED, ColorScene, make_video
from vsearch import Library
from vsearch.server.folders import AllowedFolders

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.testclient import TestClient

pytestmark = pytest.mark.usefixtures("fake_model")
API = "/api/v1"
SECRET_CUE = "1\n00:00:00,000 --> 00:00:01,000\nPRIVATE\n"
OWN_CUE = "1\n00:00:00,000 --> 00:00:01,000\nPUBLIC\n"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Return a served folder with a video; `tmp_path` itself is private."""
    (tmp_path / "shared").mkdir()
    make_video(tmp_path / "shared" / "a.mp4", [ColorScene(RED, 2)], fps=5)
    make_video(tmp_path / "private.mp4", [ColorScene(BLUE, 3)], fps=5)
    (tmp_path / "private.srt").write_text(SECRET_CUE)
    return tmp_path / "shared"


def index_served(client: TestClient) -> list[Any]:
    """Index all served folders and return the videos."""
    ids = [item["folder_id"] for item in client.get(f"{API}/folders").json()["items"]]
    job = client.post(f"{API}/jobs", json={"kind": "index", "folder_ids": ids}).json()
    while client.get(f"{API}/jobs/{job['job_id']}").json()["state"] in ("waiting", "running"):
        time.sleep(0.05)
    return list(client.get(f"{API}/videos").json()["items"])


@pytest.mark.parametrize("kind", ["file", "folder", "chain"])
def test_subtitles_behind_a_link_out_are_not_read(kind: str, shared: Path, tmp_path: Path) -> None:
    if kind == "file":
        (shared / "a.srt").symlink_to(tmp_path / "private.srt")
    elif kind == "chain":
        (shared / "b.srt").symlink_to(tmp_path / "private.srt")
        (shared / "a.srt").symlink_to("b.srt")
    else:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "a.srt").write_text(SECRET_CUE)
        (shared / "sub").symlink_to(tmp_path / "elsewhere")
        (shared / "a.srt").symlink_to("sub/a.srt")
    with serve_library(tmp_path / "library", folders=[shared]) as client:
        [video] = index_served(client)
        answer = client.get(f"{API}/videos/{video['video_id']}/transcript")
    assert "PRIVATE" not in answer.text


def test_subtitles_behind_a_link_within_the_folder_are_read(shared: Path, tmp_path: Path) -> None:
    (shared / "texts").mkdir()
    (shared / "texts" / "a.srt").write_text(OWN_CUE)
    (shared / "a.srt").symlink_to("texts/a.srt")
    with serve_library(tmp_path / "library", folders=[shared]) as client:
        [video] = index_served(client)
        answer = client.get(f"{API}/videos/{video['video_id']}/transcript")
    assert "PUBLIC" in answer.text


def test_an_indexed_video_replaced_by_a_link_out_is_not_sent(shared: Path, tmp_path: Path) -> None:
    with serve_library(tmp_path / "library", folders=[shared]) as client:
        [video] = index_served(client)
        address = f"{API}/videos/{video['video_id']}"
        assert client.get(f"{address}/stream").status_code == 200
        (shared / "a.mp4").unlink()
        (shared / "a.mp4").symlink_to(tmp_path / "private.mp4")
        for part in ("file", "stream", "thumbnail?time=1", "preview?start=0&end=1"):
            answer = client.get(f"{address}/{part}")
            assert (answer.status_code, answer.json()["type"].rsplit(":")[-1]) == (404, "gone")
        moment = {"video_id": video["video_id"], "start": 0, "end": 1}
        exported = client.post(f"{API}/exports", json={"kind": "clips", "moments": [moment]})
        assert exported.status_code == 404
        assert client.get(address).status_code == 200  # its row is still there


def test_a_video_that_becomes_a_link_while_it_waits_is_not_indexed(
    shared: Path, tmp_path: Path
) -> None:
    (shared / "b.mp4").symlink_to(tmp_path / "private.mp4")
    with Library.open(tmp_path / "library") as library:
        outcomes = {
            result.path.name: result.error
            for result in library.index([shared / "a.mp4", shared / "b.mp4"], roots=[shared])
        }
    assert outcomes["a.mp4"] is None
    assert "leads out of the folders" in (outcomes["b.mp4"] or "")


def test_the_owner_may_index_through_links(shared: Path, tmp_path: Path) -> None:
    (shared / "b.mp4").symlink_to(tmp_path / "private.mp4")
    with Library.open(tmp_path / "library") as library:
        assert not [result.error for result in library.index([shared]) if result.error]


def test_videos_outside_of_all_roots_are_admitted(shared: Path, tmp_path: Path) -> None:
    folders = AllowedFolders([shared])
    assert folders.admits_path(tmp_path / "private.mp4")
    assert folders.admits_path(shared / "a.mp4")
    (shared / "b.mp4").symlink_to(tmp_path / "private.mp4")
    assert not folders.admits_path(shared / "b.mp4")
