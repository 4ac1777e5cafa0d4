"""Routes for thumbnails, previews, files and streams."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import av
import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from tests.support.audio_factory import SoundScene, make_sound_video
from tests.support.photo_factory import TINY_HEIC, make_photo
from tests.support.video_factory import BLUE, RED, ColorScene, make_video
from vsearch.media import fragmented_mp4
from vsearch.media.fragmented_mp4 import Mp4Stream
from vsearch.server import problems, responses
from vsearch.server.problems import Problem
from vsearch.server.routes import media
from vsearch.server.thumbnail_cache import ThumbnailCache
from vsearch.types import Video

if TYPE_CHECKING:
    from collections.abc import Iterator

SCENES = [ColorScene(RED, 2), ColorScene(BLUE, 2)]
NAMES = {
    1: 'a";\r\nX: y ü.mp4',
    2: "b.mkv",
    3: "long.avi",
    4: "gone.mp4",
    5: "photo.jpg",
    6: "photo.heic",
}


class FakeState:
    """The part of AppState that these routes use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stats: dict[int, tuple[int, int]] = {}
        self.thumbnail_cache = ThumbnailCache(SimpleNamespace(cache_path=folder / "library"))  # type: ignore[arg-type]

    def require_playable(self, video_id: int) -> Video:
        if video_id not in NAMES:
            raise Problem(404, "not-found", f"there is no video {video_id}")
        path = self.folder / NAMES[video_id]
        if path.exists():  # the catalog knows a file that is gone as it was
            self.stats[video_id] = path.stat().st_size, path.stat().st_mtime_ns
        size, modified = self.stats.get(video_id, (1, 1))
        return Video(video_id, path, f"f{video_id}", size, modified, 4.0, 10.0, 64, 48, "h264", 4)


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    made = FastAPI()
    made.state.app_state = FakeState(tmp_path)
    problems.install_handlers(made)
    made.include_router(media.router)
    return made


def test_photos_are_shown_in_every_browser(client: TestClient, tmp_path: Path) -> None:
    make_photo(tmp_path / "photo.jpg", RED)
    (tmp_path / "photo.heic").write_bytes(TINY_HEIC)
    for video_id in (5, 6):
        for route in ("thumbnail?time=0.02&width=160", "preview?start=0&end=0.04"):
            answer = client.get(f"/videos/{video_id}/{route}")
            assert answer.status_code == 200
            assert Image.open(io.BytesIO(answer.content)).width >= 160
        assert client.get(f"/videos/{video_id}/stream").status_code == 200
    answer = client.get("/videos/5/file")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.content == (tmp_path / "photo.jpg").read_bytes()
    assert client.get("/videos/6/file").status_code == 409


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as made:
        yield made


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return make_video(tmp_path / "plain.mp4", SCENES).rename(tmp_path / NAMES[1])


@contextmanager
def server(app: FastAPI) -> Iterator[str]:
    """A real server, to test the handling of connections."""
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", ws="none"))
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        until(lambda: running.started)
        port = running.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        running.should_exit = True
        thread.join()


def until(true: Any, seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


def problem(answer: Any) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].removeprefix("urn:vsearch:")


# --- thumbnails and previews


def test_a_thumbnail_has_an_etag_and_is_not_sent_twice(client: TestClient, film: Path) -> None:
    answer = client.get("/videos/1/thumbnail?time=3&width=320")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert Image.open(io.BytesIO(answer.content)).getpixel((310, 150))[2] > 150  # type: ignore[index]
    tag = answer.headers["etag"]
    film.unlink()
    for tags in (tag, f'"x", W/{tag}'):
        again = client.get("/videos/1/thumbnail?time=3&width=320", headers={"If-None-Match": tags})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get("/videos/1/thumbnail?time=3&width=300").content == answer.content  # cached
    assert problem(client.get("/videos/1/thumbnail?time=1")) == (404, "gone")


def test_a_preview_is_animated(client: TestClient, film: Path) -> None:
    answer = client.get("/videos/1/preview?start=1&end=3&width=160")
    assert answer.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(answer.content)).n_frames > 5  # type: ignore[attr-defined]
    assert problem(client.get("/videos/1/preview?start=3&end=1")) == (422, "request")


@pytest.mark.parametrize(
    "query",
    [
        "time=nan",
        "time=inf",
        "time=-1",
        "time=1e300",
        "time=x",
        "width=0",
        "width=-5",
        "width=99999999999999999999",
    ],
)
def test_invalid_parameters_are_rejected(client: TestClient, query: str) -> None:
    assert problem(client.get(f"/videos/1/thumbnail?{query}")) == (422, "request")


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999999999999999", "1%00", "..%2f1"])
def test_invalid_video_ids_are_rejected(client: TestClient, number: str) -> None:
    for what in ("thumbnail", "preview?start=0&end=1", "file", "stream"):
        assert client.get(f"/videos/{number}/{what}").status_code in (404, 422)


def test_a_file_that_is_no_longer_a_video_is_a_problem(client: TestClient, film: Path) -> None:
    film.write_text("secret")
    assert problem(client.get("/videos/1/thumbnail")) == (422, "media")
    assert problem(client.get("/videos/1/stream")) == (422, "media")
    assert problem(client.get("/videos/1/file")) == (409, "playback")
    assert problem(client.get("/videos/77/thumbnail")) == (404, "not-found")
    for what in ("thumbnail", "preview?start=0&end=1", "file", "stream"):
        assert problem(client.get(f"/videos/4/{what}")) == (404, "gone")


# --- the file


def test_a_file_is_sent_with_a_safe_name(client: TestClient, film: Path) -> None:
    answer = client.get("/videos/1/file")
    assert answer.content == film.read_bytes()
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    named = answer.headers["content-disposition"]
    assert named == "inline; filename*=UTF-8''a%22%3B%0D%0AX%3A%20y%20%C3%BC.mp4"
    assert "x" not in answer.headers
    assert responses.format_inline_disposition("\udcff.mp4") == "inline; filename*=UTF-8''%3F.mp4"
    head = client.head("/videos/1/file")
    assert head.content == b""
    assert head.headers["content-length"] == str(len(answer.content))


def test_a_single_byte_range_is_served(client: TestClient, film: Path) -> None:
    data = film.read_bytes()
    size = len(data)
    for asked, first, last in [
        ("0-0", 0, 0), ("10-19", 10, 19), ("100-", 100, size - 1), ("-5", size - 5, size - 1),
        (f"-{size * 2}", 0, size - 1), (f"5-{size * 9}", 5, size - 1),
    ]:  # fmt: skip
        answer = client.get("/videos/1/file", headers={"Range": f"bytes={asked}"})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
        assert answer.content == data[first : last + 1]
        assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize(
    "asked",
    ["bytes=0-1,2-3", "bytes=" + "0-," * 5000 + "0-", "bytes=5-1", "bytes=-", "bytes=", "lines=1-2",
     "bytes=1_0-20", "bytes=+1-5", "bytes=a-b", "bytes=" + "9" * 5000 + "-", "0-5"],
)  # fmt: skip
def test_any_other_range_is_answered_with_the_whole_file(
    client: TestClient, film: Path, asked: str
) -> None:
    answer = client.get("/videos/1/file", headers={"Range": asked})
    assert answer.status_code == 200
    assert answer.content == film.read_bytes()


def test_a_range_past_the_end_is_a_problem(client: TestClient, film: Path) -> None:
    size = film.stat().st_size
    for asked in (f"{size}-", f"{size * 2}-{size * 3}", "-0"):
        answer = client.get("/videos/1/file", headers={"Range": f"bytes={asked}"})
        assert problem(answer) == (416, "range")
        assert answer.headers["content-range"] == f"bytes */{size}"


def test_a_range_of_a_changed_file_is_the_whole_file(client: TestClient, film: Path) -> None:
    tag = client.head("/videos/1/file").headers["etag"]
    part = {"Range": "bytes=0-9", "If-Range": tag}
    assert client.get("/videos/1/file", headers=part).status_code == 206
    os.utime(film, (1, 1))
    answer = client.get("/videos/1/file", headers=part)
    assert (answer.status_code, answer.content) == (200, film.read_bytes())
    beyond = {"Range": "bytes=999999999-", "If-Range": tag}
    assert client.get("/videos/1/file", headers=beyond).status_code == 200


def test_a_file_that_browsers_cannot_play_is_not_served(client: TestClient, tmp_path: Path) -> None:
    make_video(tmp_path / NAMES[2], SCENES)
    answer = client.get("/videos/2/file")
    assert problem(answer) == (409, "playback")
    assert "stream" in answer.json()["detail"]


# --- the stream


@pytest.mark.parametrize("option", ["", "&force_encoding=true"])
def test_a_stream_reports_its_start_time(client: TestClient, tmp_path: Path, option: str) -> None:
    make_sound_video(tmp_path / NAMES[2], [SoundScene(scene, 440) for scene in SCENES], gop_size=10)
    answer = client.get(f"/videos/2/stream?start=2.5{option}")
    assert answer.headers["content-type"] == "video/mp4"
    begins = float(answer.headers["x-vsearch-start"])
    assert begins == pytest.approx(2.5 if option else 2.0, abs=0.03)
    with av.open(io.BytesIO(answer.content), "r") as container:
        ends = [float(frame.time or 0) for frame in container.decode(video=0)][-1]
    assert begins + ends == pytest.approx(3.9, abs=0.05)
    head_response = client.head(f"/videos/2/stream?start=2.5{option}")
    assert head_response.headers["x-vsearch-start"] == answer.headers["x-vsearch-start"]
    assert head_response.content == b""
    assert client.get("/videos/2/stream?start=100").status_code == 200


class SlowStream(Mp4Stream):
    """A stream that takes seconds to encode."""

    def __next__(self) -> bytes:
        time.sleep(0.02)
        return super().__next__()


def open_files(path: Path) -> int:
    return sum(os.path.realpath(link) == str(path) for link in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_disconnected_client_leaves_no_open_files(
    app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(tmp_path / NAMES[3], [ColorScene(RED, 100)], codec="mpeg4")
    monkeypatch.setattr(fragmented_mp4, "Mp4Stream", SlowStream)
    with server(app) as address, httpx2.Client(base_url=address) as client:
        for _ in range(6):  # more than the maximum
            with client.stream("GET", "/videos/3/stream") as answer:
                assert answer.status_code == 200
                next(answer.iter_bytes())
                assert open_files(path) > 0
            until(lambda: open_files(path) == 0 and len(media._STREAM_SLOTS) == 0)


class EndlessStream:
    """An infinite stream."""

    def __init__(self, path: Path, start: float, *, force_encoding: bool) -> None:
        self.start_time, self.closed = start, False
        made.append(self)

    def __next__(self) -> bytes:
        return bytes(1_000_000)

    def close(self) -> None:
        self.closed = True


made: list[EndlessStream] = []


def test_the_number_of_streams_is_limited(
    app: FastAPI, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.clear()
    monkeypatch.setattr(responses, "open_stream", EndlessStream)
    with server(app) as address, httpx2.Client(base_url=address) as client, ExitStack() as asked:
        for _ in range(responses.MAX_STREAMS):
            answer = asked.enter_context(client.stream("GET", "/videos/1/stream"))
            assert answer.status_code == 200
        refused = client.get("/videos/1/stream")
        assert problem(refused) == (503, "busy")
        assert refused.headers["retry-after"] == "2"
        time.sleep(0.5)  # without reading
        monkeypatch.setattr(responses, "_IDLE_SECONDS", 0.2)
        with client.stream("GET", "/videos/1/stream") as answer:
            assert answer.status_code == 200
            until(lambda: sum(one.closed for one in made) == 1)
            assert len(media._STREAM_SLOTS) == responses.MAX_STREAMS
        asked.close()
        until(lambda: len(media._STREAM_SLOTS) == 0)
        assert all(one.closed for one in made)


def test_a_stream_that_fails_to_open_uses_no_slot(client: TestClient, film: Path) -> None:
    film.write_text("no video")
    for _ in range(responses.MAX_STREAMS + 1):
        assert client.get("/videos/1/stream").status_code == 422
    assert len(media._STREAM_SLOTS) == 0


def test_thumbnail_decoding_is_limited(app: FastAPI, film: Path) -> None:
    inside = most = 0
    lock = threading.Lock()
    thumbnail_cache = app.state.app_state.thumbnail_cache
    real = thumbnail_cache.load_or_render

    def counting_render(wanted: Any) -> bytes:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.02)
        with lock:
            inside -= 1
        return bytes(real(wanted))

    thumbnail_cache.load_or_render = counting_render

    async def many() -> list[int]:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
            asked = [client.get(f"/videos/1/thumbnail?time={number / 10}") for number in range(12)]
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    assert asyncio.run(many()) == [200] * 12
    assert most <= (os.cpu_count() or 1)


def test_the_openapi_schema_can_be_generated(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    assert (
        "image/jpeg" in paths["/videos/{video_id}/thumbnail"]["get"]["responses"]["200"]["content"]
    )
    assert paths["/videos/{video_id}/file"].keys() == {"get"}
