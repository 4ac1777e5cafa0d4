"""Routes for folders, jobs, events and exports."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, get_args
from xml.etree import ElementTree

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.support.video_factory import BLUE, RED, ColorScene, make_video
from vsearch import Library
from vsearch.export.timeline import RATE_NAMES
from vsearch.server import problems
from vsearch.server.folders import AllowedFolders
from vsearch.server.job_schemas import RateName
from vsearch.server.jobs import registry
from vsearch.server.jobs.service import JobService
from vsearch.server.problems import Problem
from vsearch.server.routes import jobs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.types import Video

pytestmark = pytest.mark.usefixtures("fake_model")
API = "/api/v1"
PATIENCE = 60.0  # seconds


class FakeState:
    """The part of AppState that these routes use."""

    def __init__(self, library: Library, folders: AllowedFolders, jobs: JobService) -> None:
        self.library, self.allowed_folders, self.job_service = library, folders, jobs

    def require_playable(self, video_id: int) -> Video:
        found = {one.id: one for one in self.library.videos()}.get(video_id)
        if found is None:
            raise Problem(404, "not-found", f"the library has no video {video_id}")
        return found


@pytest.fixture
def state(tmp_path: Path, videos_folder: Path, fake_model: None) -> Iterator[FakeState]:
    with Library.open(tmp_path / "library", create=True) as library:
        folders = AllowedFolders([videos_folder])
        with closing(JobService(library, folders, tmp_path / "exports")) as jobs:
            yield FakeState(library, folders, jobs)


@pytest.fixture
def app(state: FakeState) -> FastAPI:
    made = FastAPI()
    made.state.app_state = state
    made.include_router(jobs.router, prefix=API)
    problems.install_handlers(made)
    return made


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as made:
        yield made


@pytest.fixture
def served(app: FastAPI) -> Iterator[tuple[int, uvicorn.Server]]:
    """The port and instance of a real server."""
    config = uvicorn.Config(app, port=0, log_level="error", ws="none", timeout_graceful_shutdown=30)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + PATIENCE
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1], server
    app.state.app_state.job_service.close_subscriptions()
    server.should_exit = True
    thread.join(PATIENCE)


@pytest.fixture
def indexed(state: FakeState, videos_folder: Path) -> dict[str, int]:
    """Ids of the indexed videos by name."""
    list(state.library.index([videos_folder]))
    return {video.path.name: video.id for video in state.library.videos()}


@contextmanager
def listening(port: int, path: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", API + path)
        yield connection.getresponse()
    finally:
        connection.close()


def events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """Yield the data of each event, and an empty dict for a comment."""
    name = ""
    for line in response:
        if line.startswith(b"event: "):
            name = line[7:].strip().decode()
        elif line.startswith(b"data: "):
            assert name == "job"
            yield json.loads(line[6:])
        elif line.startswith(b":"):
            yield {}


def until_ended(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while True:
        now: dict[str, Any] = client.get(f"{API}/jobs/{job['job_id']}").json()
        if now["state"] in ("done", "failed", "stopped"):
            return now
        assert time.monotonic() < deadline, now
        time.sleep(0.05)


def roots(client: TestClient) -> list[str]:
    return [one["folder_id"] for one in client.get(f"{API}/folders").json()["items"]]


def moment(video: int, start: float = 0, end: float = 1) -> dict[str, Any]:
    return {"video_id": video, "start": start, "end": end}


def refused(response: Any, status: int, kind: str) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    data = response.json()
    assert data["type"] == f"urn:vsearch:{kind}"
    return str(data["detail"])


def test_folders_are_listed_and_opened(client: TestClient, videos_folder: Path) -> None:
    (videos_folder / "more").mkdir()
    [root] = client.get(f"{API}/folders").json()["items"]
    assert (root["name"], root["path"], root["parent_id"]) == ("videos", str(videos_folder), None)
    assert (root["video_count"], root["truncated"], root["error"]) == (2, False, None)
    [below] = root["subfolders"]
    assert below["name"] == "more"
    more = client.get(f"{API}/folders/{below['folder_id']}").json()
    assert more["parent_id"] == root["folder_id"]
    assert (more["video_count"], more["subfolders"]) == (0, [])


@pytest.mark.parametrize(
    "name", ["%2e%2e", "..%2f..%2fetc", "%2Fetc", "C%3A%5C", "%00", "\\\\host\\share", "x" * 5000]
)
@pytest.mark.parametrize("path", ["folders/{}", "jobs/{}", "jobs/{}/events", "exports/0/{}"])
def test_hostile_names_are_not_found(client: TestClient, path: str, name: str) -> None:
    response = client.get(f"{API}/{path.format(name)}")
    assert response.status_code in (404, 422)
    assert response.headers["content-type"] == "application/problem+json"


def test_a_folder_is_indexed_and_followed_by_events(
    served: tuple[int, uvicorn.Server], client: TestClient, videos_folder: Path
) -> None:
    (videos_folder / "broken.mp4").write_bytes(b"nonsense" * 500)
    made = client.post(f"{API}/jobs", json={"kind": "index", "folder_ids": roots(client)})
    assert made.status_code == 202
    with listening(served[0], f"/jobs/{made.json()['job_id']}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        seen = list(events(response))  # ends with the job
    assert len(seen) > 1
    last = seen[-1]
    assert (last["state"], last["progress"]) == ("done", 1.0)
    assert last["counts"] == {"indexed": 2, "failed": 1}
    [error] = last["errors"]
    assert error["name"] == "broken.mp4"
    assert last == client.get(f"{API}/jobs/{last['job_id']}").json()
    assert client.get(f"{API}/jobs").json() == {"items": [last]}


def test_a_running_job_is_cancelled(client: TestClient, videos_folder: Path) -> None:
    film = make_video(
        videos_folder / "0.mp4",
        [ColorScene(RED, 20), ColorScene(BLUE, 20)],
        fps=25,
        frame_size=(320, 240),
    )
    for number in range(1, 30):
        copy = videos_folder / f"{number}.mp4"
        shutil.copy(film, copy)
        with copy.open("ab") as file:
            file.write(b"\0\0\0\x10free" + number.to_bytes(8, "big"))
    job = client.post(f"{API}/jobs", json={"folder_ids": roots(client)}).json()
    while client.get(f"{API}/jobs/{job['job_id']}").json()["state"] == "waiting":
        time.sleep(0.02)
    assert client.delete(f"{API}/jobs/{job['job_id']}").status_code == 204
    assert until_ended(client, job)["state"] == "stopped"
    assert client.delete(f"{API}/jobs/{job['job_id']}").status_code == 204


def test_all_jobs_are_streamed_until_the_client_disconnects(
    served: tuple[int, uvicorn.Server],
    client: TestClient,
    state: FakeState,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "HEARTBEAT_SECONDS", 0.2)
    with listening(served[0], "/jobs/events") as response:
        data = events(response)
        assert next(data) == {}
        job = client.post(f"{API}/jobs", json={"folder_ids": roots(client)}).json()
        states = [job["state"]]
        while states[-1] != "done":
            states += [event["state"] for event in [next(data)] if event]
        assert next(data) == {}  # and continues
    deadline = time.monotonic() + 10
    while state.job_service._registry._subscribers._subscriptions and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not state.job_service._registry._subscribers._subscriptions


def test_event_streams_end_when_the_server_closes_them(
    served: tuple[int, uvicorn.Server], state: FakeState
) -> None:
    with listening(served[0], "/jobs/events") as response:
        assert response.readline() == b"retry: 2000\n"
        state.job_service.close_subscriptions()
        began = time.monotonic()
        assert not list(events(response))
        assert time.monotonic() - began < 3


def test_too_many_subscribers_are_rejected(
    served: tuple[int, uvicorn.Server], client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsearch.server.jobs.registry.MAX_SUBSCRIBERS", 1)
    with listening(served[0], "/jobs/events") as response:
        assert response.readline()
        detail = refused(client.get(f"{API}/jobs/events"), 429, "busy")
    assert "too many" in detail


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"folder_ids": []},
        {"folder_ids": ["0" * 24] * 101},
        {"folder_ids": ["../etc"]},
        {"folder_ids": "abc"},
        {"folder_ids": [1]},
        {"kind": "export", "folder_ids": ["0" * 24]},
        {"folder_ids": ["0" * 24], "keyframes_only": "yes"},
        {"folder_ids": ["0" * 24], "keyframes_only": True, "progressive": True},
        {"folder_ids": ["0" * 24], "audio_track": "0"},
        {"folder_ids": ["0" * 24], "library": "/etc"},
    ],
)
def test_invalid_index_requests_are_rejected(client: TestClient, body: dict[str, Any]) -> None:
    refused(client.post(f"{API}/jobs", json=body), 422, "request")


def test_unknown_folders_cannot_be_indexed(client: TestClient) -> None:
    refused(client.post(f"{API}/jobs", json={"folder_ids": ["0" * 24]}), 404, "not-found")
    assert client.get(f"{API}/jobs").json() == {"items": []}


def test_indexing_is_forbidden_without_allowed_folders(
    app: FastAPI, client: TestClient, state: FakeState, tmp_path: Path
) -> None:
    folders = AllowedFolders([])
    with closing(JobService(state.library, folders, tmp_path / "exports")) as jobs:
        app.state.app_state = FakeState(state.library, folders, jobs)
        assert client.get(f"{API}/folders").json() == {"items": []}
        refused(client.post(f"{API}/jobs", json={"folder_ids": ["0" * 24]}), 403, "forbidden")


def test_moments_are_exported_and_downloaded(client: TestClient, indexed: dict[str, int]) -> None:
    film = indexed["red then blue.mp4"]
    body = {"kind": "clips", "title": "ü <b>", "moments": [moment(film), moment(film, 5, 6.5)]}
    made = client.post(f"{API}/exports", json=body)
    assert made.status_code == 202
    assert (made.json()["kind"], made.json()["title"]) == ("export", "ü <b>")
    done = until_ended(client, made.json())
    assert (done["state"], len(done["files"])) == ("done", 3)
    for file in done["files"]:
        got = client.get(file["url"])
        assert got.status_code == 200
        assert len(got.content) == file["size"]
        assert got.headers["content-disposition"].startswith("attachment; filename")
        assert got.headers["content-type"] == "application/octet-stream"
        assert got.headers["x-content-type-options"] == "nosniff"
    assert done["files"][-1]["url"].endswith("/%C3%BC_b.zip")
    part = client.get(done["files"][0]["url"], headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    beyond = client.get(done["files"][0]["url"], headers={"Range": "bytes=99999999999-"})
    refused(beyond, 416, "range")


@pytest.mark.parametrize(("rate", "timebase"), [("59.94df", "60"), ("25", "25")])
def test_a_timeline_is_exported_at_a_rate(
    client: TestClient, indexed: dict[str, int], rate: str, timebase: str
) -> None:
    body = {"kind": "fcp7", "rate": rate, "moments": [moment(indexed["green.mp4"])]}
    done = until_ended(client, client.post(f"{API}/exports", json=body).json())
    sequence = ElementTree.fromstring(client.get(done["files"][0]["url"]).text).find("sequence")
    assert sequence is not None
    assert sequence.findtext("rate/timebase") == timebase
    assert sequence.findtext("timecode/displayformat") == ("DF" if rate.endswith("df") else "NDF")


def test_the_server_and_the_command_line_take_the_same_rates() -> None:
    rates = {RATE_NAMES[name] for name in get_args(RateName)}
    assert rates == set(RATE_NAMES.values())


def test_only_exact_file_names_of_an_export_are_served(
    client: TestClient, indexed: dict[str, int]
) -> None:
    body = {"kind": "csv", "title": "moments", "moments": [moment(indexed["green.mp4"])]}
    done = until_ended(client, client.post(f"{API}/exports", json=body).json())
    assert client.get(f"{API}/exports/{done['job_id']}/moments.csv").status_code == 200
    for name in (
        "%2e%2e%2fcatalog.sqlite3", "..", "%2e%2e", "%2Fetc%2Fpasswd", "moments.csv%00",
        "MOMENTS.CSV", ".%5Cmoments.csv", "%252e%252e", "moments.csv.part", "/moments.csv",
    ):  # fmt: skip
        response = client.get(f"{API}/exports/{done['job_id']}/{name}", follow_redirects=False)
        assert response.status_code in (404, 405), name  # the client resolves ".."


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"kind": "exe"}, 422),
        ({"pad": -1}, 422),
        ({"pad": 61}, 422),
        ({"pad": "1"}, 422),
        ({"title": "x" * 201}, 422),
        ({"title": "\ud800"}, 422),
        ({"moments": []}, 422),
        ({"moments": [moment(1)] * 201}, 422),
        ({"moments": [moment(1, 2, 2)]}, 422),
        ({"moments": [moment(1, -1, 2)]}, 422),
        ({"moments": [moment(1, 0, 1e300)]}, 422),
        ({"moments": [moment(2**63)]}, 422),
        ({"moments": [{"path": "/etc/passwd", "start": 0, "end": 1}]}, 422),
        ({"moments": [moment(999)]}, 404),
        ({"moments": [moment(1, 0, 8 * 3600)], "kind": "supercut"}, 422),
        ({"rate": "17"}, 422),
        ({"rate": 25}, 422),
        ({"target": "/tmp/x"}, 422),
    ],
)
def test_invalid_export_requests_are_rejected(
    client: TestClient, indexed: dict[str, int], change: dict[str, Any], status: int
) -> None:
    assert 1 in indexed.values()
    body = {"kind": "csv", "moments": [moment(1)], **change}
    response = client.post(
        f"{API}/exports",
        content=json.dumps(body),
        headers={"content-type": "application/json"},
    )
    assert response.status_code == status
    assert client.get(f"{API}/jobs").json() == {"items": []}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_non_finite_times_are_rejected(client: TestClient, number: str) -> None:
    body = f'{{"kind":"csv","moments":[{{"video_id":1,"start":0,"end":{number}}}]}}'
    response = client.post(
        f"{API}/exports", content=body, headers={"content-type": "application/json"}
    )
    refused(response, 422, "request")


def test_a_list_of_jobs_truncates_errors_and_a_single_job_does_not(
    client: TestClient, videos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        (videos_folder / f"broken {number}.mp4").write_bytes(b"nonsense" * 100 + bytes([number]))
    job = client.post(f"{API}/jobs", json={"folder_ids": roots(client)}).json()
    done = until_ended(client, job)
    assert (len(done["errors"]), done["errors_truncated"]) == (60, 0)
    [listed] = client.get(f"{API}/jobs").json()["items"]
    assert (len(listed["errors"]), listed["errors_truncated"]) == (50, 10)


def test_the_routes_are_in_the_openapi_schema(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert f"{API}/jobs/{{job_id}}/events" in paths
    export = paths[f"{API}/exports"]["post"]
    assert "202" in export["responses"]
