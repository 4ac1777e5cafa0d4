"""Jobs that read words, failed files that are processed again, and what jobs say meanwhile."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.server import index_videos, serve_library
from tests.support.video_factory import YELLOW, ColorScene, make_video
from vsearch import Library
from vsearch.indexing.extraction import ExtractedCues, Extractor
from vsearch.indexing.transcribe import TranscriptExtractor
from vsearch.server.jobs import service
from vsearch.server.jobs.model import FileFailure, Job
from vsearch.server.jobs.queue import apply_event
from vsearch.server.workers import transcribe as transcribe_worker
from vsearch.server.workers.index import EventReporter, index_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from starlette.testclient import TestClient

    from vsearch.indexing.extraction import ExtractFunction

pytestmark = pytest.mark.usefixtures("fake_model")
API = "/api/v1"
PATIENCE = 60.0  # seconds


@pytest.fixture
def client(tmp_path: Path, videos_folder: Path, fake_model: None) -> Iterator[TestClient]:
    index_videos(tmp_path / "library", videos_folder)
    with serve_library(tmp_path / "library", folders=[videos_folder]) as client:
        yield client


def await_end(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while True:
        now: dict[str, Any] = client.get(f"{API}/jobs/{job['job_id']}").json()
        if now["state"] in ("done", "failed", "stopped"):
            return now
        assert time.monotonic() < deadline, now
        time.sleep(0.05)


def index_all(client: TestClient) -> dict[str, Any]:
    [folder] = client.get(f"{API}/folders").json()["items"]
    job = client.post(f"{API}/jobs", json={"folder_ids": [folder["folder_id"]]}).json()
    return await_end(client, job)


def refused(response: Any, status: int, kind: str) -> str:
    assert response.status_code == status, response.text
    assert response.json()["type"] == f"urn:vsearch:{kind}"
    return str(response.json()["detail"])


# --- retrying


def test_only_the_failed_files_are_processed_again(client: TestClient, videos_folder: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (videos_folder / name).write_bytes(b"nonsense" * 500)
    first = index_all(client)
    assert [(one["failure_id"], one["name"], one["is_retried"]) for one in first["errors"]] == [
        (0, "a.mp4", False), (1, "b.mp4", False),
    ]  # fmt: skip
    make_video(videos_folder / "b.mp4", [ColorScene(YELLOW, 4)])
    answer = client.post(f"{API}/jobs/{first['job_id']}/retry", json={"failure_ids": [1]})
    assert answer.status_code == 202
    again = await_end(client, answer.json())
    assert (again["title"], again["counts"]) == ("b.mp4", {"indexed": 1})
    errors = client.get(f"{API}/jobs/{first['job_id']}").json()["errors"]
    assert [one["is_retried"] for one in errors] == [False, True]
    rest = client.post(f"{API}/jobs/{first['job_id']}/retry", json={}).json()
    assert await_end(client, rest)["counts"] == {"failed": 1}  # a.mp4 alone
    detail = refused(client.post(f"{API}/jobs/{first['job_id']}/retry", json={}), 409, "nothing")
    assert "no file" in detail


def test_names_that_json_cannot_hold_are_retried(client: TestClient, videos_folder: Path) -> None:
    odd_path = videos_folder / "odd\udcff\nname.mp4"
    odd_path.write_bytes(b"nonsense" * 500)
    first = index_all(client)
    make_video(videos_folder / "plain.mp4", [ColorScene(YELLOW, 4)]).rename(odd_path)
    again = client.post(f"{API}/jobs/{first['job_id']}/retry", json={"failure_ids": [0]}).json()
    assert await_end(client, again)["counts"] == {"indexed": 1}


def test_a_retry_of_what_did_not_fail_is_refused(client: TestClient) -> None:
    job = index_all(client)
    path = f"{API}/jobs/{job['job_id']}/retry"
    refused(client.post(path, json={"failure_ids": [0]}), 404, "not-found")
    refused(client.post(path, json={"failure_ids": []}), 422, "request")
    refused(client.post(path, json={"failure_ids": ["/etc/passwd"]}), 422, "request")
    refused(client.post(f"{API}/jobs/none/retry", json={}), 404, "not-found")
    moment = {"video_id": 1, "start": 0, "end": 1}
    export = client.post(f"{API}/exports", json={"kind": "csv", "moments": [moment]}).json()
    refused(client.post(f"{API}/jobs/{export['job_id']}/retry", json={}), 409, "nothing")


def test_a_file_that_leads_out_of_the_folders_is_not_retried(
    client: TestClient, videos_folder: Path, tmp_path: Path
) -> None:
    (videos_folder / "a.mp4").write_bytes(b"nonsense" * 500)
    first = index_all(client)
    make_video(tmp_path / "secret.mp4", [ColorScene(YELLOW, 4)])
    (videos_folder / "a.mp4").unlink()
    (videos_folder / "a.mp4").symlink_to(tmp_path / "secret.mp4")
    again = client.post(f"{API}/jobs/{first['job_id']}/retry", json={}).json()
    assert "indexed" not in await_end(client, again)["counts"]
    assert client.get(f"{API}/videos", params={"q": "a.mp4"}).json()["items"] == []


def test_patterns_of_files_to_leave_out_are_followed(
    client: TestClient, videos_folder: Path
) -> None:
    make_video(videos_folder / "draft.mp4", [ColorScene(YELLOW, 4)])
    [folder] = client.get(f"{API}/folders").json()["items"]
    body = {"folder_ids": [folder["folder_id"]], "excludes": ["draft*"]}
    done = await_end(client, client.post(f"{API}/jobs", json=body).json())
    assert done["counts"] == {"unchanged": 2}
    for invalid in ([""], ["a\nb"], ["x" * 501], "draft*"):
        refused(client.post(f"{API}/jobs", json={**body, "excludes": invalid}), 422, "request")


# --- words


@pytest.fixture
def with_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "can_read", lambda _: True)


@pytest.mark.usefixtures("with_extras")
def test_all_videos_without_words_are_transcribed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[Any] = []
    job_queue = next(
        one for one in _job_service(client)._queues.values()  # the queue of jobs that write
    )  # fmt: skip
    monkeypatch.setattr(job_queue, "submit_task", tasks.append)
    answer = client.post(f"{API}/transcriptions", json={"source": "ocr"})
    assert answer.status_code == 202
    assert (answer.json()["kind"], answer.json()["title"]) == ("transcribe", "2 videos")
    [task] = tasks
    assert task.module_name == "vsearch.server.workers.transcribe"
    assert task.task_request["source"] == "ocr"
    assert sorted(task.task_request["video_ids"]) == [1, 2]
    one = client.post(f"{API}/transcriptions", json={"video_ids": [2]}).json()
    assert one["title"] == "red then blue.mp4" or one["title"] == "green.mp4"
    refused(client.post(f"{API}/transcriptions", json={"video_ids": [99]}), 404, "not-found")
    refused(client.post(f"{API}/transcriptions", json={"source": "smell"}), 422, "request")


def _job_service(client: TestClient) -> service.JobService:
    app: Any = client.app
    job_service: service.JobService = app._app.state.app_state.job_service
    return job_service


def test_words_are_refused_where_the_extra_is_not_installed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "can_read", lambda _: False)
    detail = refused(client.post(f"{API}/transcriptions", json={}), 403, "forbidden")
    assert "not installed" in detail
    assert "pip" not in detail


def test_the_worker_reads_the_given_videos_only(
    tmp_path: Path, videos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_to_extract(*_: object) -> ExtractedCues:
        raise OSError("no sound")

    monkeypatch.setattr(TranscriptExtractor, "run_ocr", _run_with(fail_to_extract))
    index_videos(tmp_path / "library", videos_folder)
    events: list[Mapping[str, Any]] = []
    request = {
        "library_path": str(tmp_path / "library"), "settings": {}, "source": "ocr",
        "video_ids": [2, 99],
    }  # fmt: skip
    transcribe_worker.transcribe_videos(request, events.append)
    [failure] = [event for event in events if event["event"] == "file"]
    assert failure["outcome"] == "ocr failed"
    assert failure["name"] in ("green.mp4", "red then blue.mp4")
    assert "no sound" in failure["error"]


def _run_with(extract: ExtractFunction) -> Callable[..., Any]:
    class FakeExtraction:
        def create_extractor(self) -> Extractor:
            return Extractor("fake", extract)

    def run_ocr(self: TranscriptExtractor, videos: Any, **_: object) -> Any:
        return self._run_extraction(videos, "ocr", FakeExtraction(), lambda _: False)

    return run_ocr


# --- progress


def test_a_worker_speaks_before_it_decodes(
    tmp_path: Path, videos_folder: Path, fake_model: None
) -> None:
    events: list[Mapping[str, Any]] = []
    request = {
        "library_path": str(tmp_path / "library"), "settings": {}, "root_paths": [],
        "folder_paths": [str(videos_folder)], "progressive": False, "excludes": [],
    }  # fmt: skip
    Library.open(tmp_path / "library", create=True).close()
    request["root_paths"] = [str(videos_folder)]
    index_folders(request, events.append)
    assert events[0] == {"event": "discovered", "file_count": 1}
    first_progress = next(event for event in events if event["event"] == "progress")
    assert (first_progress["is_processing"], first_progress["file_number"]) == (False, 1)
    assert first_progress["file_count"] == 2
    assert any(event.get("is_processing") for event in events)


def test_events_set_the_phase_of_a_job() -> None:
    job = Job("0", "index", "videos", datetime.now(UTC), state="running", phase="discovering")
    job = apply_event(job, {"event": "discovered", "file_count": 7})
    assert (job.phase, job.file_count) == ("discovering", 7)
    progress = {
        "event": "progress", "progress": 0.0, "eta_seconds": None, "current_file": "a.mp4",
        "is_processing": False, "stage": "index", "file_number": 1, "file_count": 9,
    }  # fmt: skip
    job = apply_event(job, progress)
    assert (job.phase, job.file_number, job.file_count) == ("loading", 1, 9)
    job = apply_event(job, {**progress, "is_processing": True})
    assert (job.phase, job.stage) == ("processing", "index")
    assert job.finish("done").phase is None


def test_retried_errors_are_marked_once() -> None:
    failures = tuple(FileFailure(f"/{name}", name, "wrong", f"/{name}") for name in "ab")
    job = Job("0", "index", "videos", datetime.now(UTC), errors=failures)
    assert [one.is_retried for one in job.mark_retried({1}).errors] == [False, True]
    assert [one.is_retried for one in job.mark_retried({1}).mark_retried({0}).errors] == [True] * 2


def test_a_new_stage_loads_its_own_model() -> None:
    events: list[Mapping[str, Any]] = []
    reporter = EventReporter(events.append)
    reporter._is_processing = True
    reporter._enter_stage("speech")
    assert reporter._is_processing is False
