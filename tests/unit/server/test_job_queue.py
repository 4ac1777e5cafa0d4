"""Index and export jobs in worker processes."""

from __future__ import annotations

import asyncio
import csv
import os
import shutil
import signal
import time
import zipfile
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import av
import pytest

from tests.support.video_factory import BLUE, RED, ColorScene, make_video
from vsearch import Library
from vsearch.catalog.lock import WriteLock
from vsearch.server import export_store
from vsearch.server.folders import AllowedFolders
from vsearch.server.jobs import model as job_model
from vsearch.server.jobs import registry
from vsearch.server.jobs import service as job_service_module
from vsearch.server.jobs.model import FileFailure, Job
from vsearch.server.jobs.service import JobService
from vsearch.server.problems import Problem
from vsearch.server.workers.export import choose_target
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("fake_model")
PATIENCE = 60.0  # seconds


@pytest.fixture
def library(tmp_path: Path, fake_model: None) -> Iterator[Library]:
    with Library.open(tmp_path / "library", create=True) as opened:
        yield opened


@pytest.fixture
def folders(videos_folder: Path) -> AllowedFolders:
    return AllowedFolders([videos_folder])


@pytest.fixture
def jobs(library: Library, folders: AllowedFolders, tmp_path: Path) -> Iterator[JobService]:
    with closing(JobService(library, folders, tmp_path / "exports")) as made:
        yield made


@pytest.fixture
def many(videos_folder: Path) -> Path:
    """The videos folder with enough files that indexing takes seconds."""
    film = make_video(
        videos_folder / "0.mp4",
        [ColorScene(RED, 20), ColorScene(BLUE, 20)],
        fps=25,
        frame_size=(320, 240),
    )
    for number in range(1, 40):
        copy = videos_folder / f"{number}.mp4"
        shutil.copy(film, copy)
        with copy.open("ab") as file:  # an empty box changes the fingerprint
            file.write(b"\0\0\0\x10free" + number.to_bytes(8, "big"))
    return videos_folder


def until(
    jobs: JobService, job: Job, reached: Callable[[Job], bool] = lambda job: job.is_finished
) -> Job:
    deadline = time.monotonic() + PATIENCE
    while not reached(now := jobs.get_job(job.id)):
        assert time.monotonic() < deadline, now
        assert not now.is_finished, now
        time.sleep(0.02)
    return now


def index(jobs: JobService, folders: AllowedFolders, **options: Any) -> Job:
    return jobs.submit_index([one.id for one in folders.list_roots()], **options)


def worker_pid(jobs: JobService, kind: job_model.JobKind = "index") -> int:
    running = jobs._queues[kind]._running_worker
    assert running is not None
    return running[1].process_id


def export(jobs: JobService, library: Library, kind: str, *spans: Span, **more: object) -> Job:
    [video] = library.videos(["red then blue.mp4"])
    made = jobs.submit_export(kind, [(video, span) for span in spans], **more)  # type: ignore[arg-type]
    return until(jobs, made)


@pytest.fixture
def indexed(library: Library, videos_folder: Path) -> Library:
    assert all(one.outcome == "indexed" for one in library.index([videos_folder]))
    return library


# --- indexing


def test_a_worker_indexes_a_folder_and_the_server_finds_it(
    jobs: JobService, folders: AllowedFolders, library: Library
) -> None:
    made = index(jobs, folders)
    assert (made.kind, made.state, made.title) == ("index", "waiting", "videos")
    done = until(jobs, made)
    assert (done.state, done.progress, done.error, done.errors) == ("done", 1.0, None, ())
    assert done.counts == {"indexed": 2}
    assert (done.eta_seconds, done.current_file) == (None, None)
    assert library.search("green")[0].video.path.name == "green.mp4"
    again = until(jobs, index(jobs, folders))
    assert again.counts == {"unchanged": 2}
    assert jobs.list_jobs() == [again, done]
    assert jobs.unfinished_count == 0


def test_a_broken_file_is_reported_and_the_job_continues(
    jobs: JobService, folders: AllowedFolders, videos_folder: Path, library: Library
) -> None:
    (videos_folder / "broken.mp4").write_bytes(b"\0\0\0\x18ftypisom" + b"nonsense" * 500)
    done = until(jobs, index(jobs, folders))
    assert (done.state, done.counts) == ("done", {"indexed": 2, "failed": 1})
    [failure] = done.errors
    assert (failure.name, failure.path) == ("broken.mp4", str(videos_folder / "broken.mp4"))
    assert "broken.mp4" in failure.error
    assert len(library.videos()) == 2


def test_links_out_of_the_roots_are_not_indexed(
    jobs: JobService, folders: AllowedFolders, videos_folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    make_video(outside / "secret.mp4", [ColorScene(RED, 2)])
    (videos_folder / "way out").symlink_to(outside)
    (videos_folder / "linked.mp4").symlink_to(outside / "secret.mp4")
    assert until(jobs, index(jobs, folders)).counts == {"indexed": 2}


def test_server_settings_are_passed_to_workers(
    videos_folder: Path, folders: AllowedFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VSEARCH_MODEL")
    with (
        Library.open(tmp_path / "named", create=True, model="fake:other", fps=2.0) as library,
        closing(JobService(library, folders, tmp_path / "exports")) as jobs,
    ):
        done = until(jobs, index(jobs, folders, keyframes_only=True))
        assert done.counts == {"indexed": 2}
        assert library.space is not None
        assert library.space.name == "fake-other"
        assert all(
            video.keyframes_only and video.model == "fake:other" for video in library.videos()
        )


def test_progressive_jobs_index_key_frames_first(jobs: JobService, folders: AllowedFolders) -> None:
    done = until(jobs, index(jobs, folders, progressive=True))
    assert done.state == "done"
    assert done.counts["indexed"] == 2
    assert done.counts["refined"] == 2


def test_an_unknown_model_fails_the_job_with_a_reason(
    folders: AllowedFolders, tmp_path: Path
) -> None:
    with (
        Library.open(tmp_path / "odd", create=True, model="nobody") as library,
        closing(JobService(library, folders, tmp_path / "exports")) as jobs,
    ):
        failed = until(jobs, index(jobs, folders))
        assert failed.state == "failed"
        assert failed.error is not None
        assert "nobody" in failed.error


def test_modules_in_the_current_folder_are_never_imported(
    jobs: JobService, folders: AllowedFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("av", "numpy", "json", "vsearch"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    assert until(jobs, index(jobs, folders)).counts == {"indexed": 2}


def test_a_locked_library_fails_the_job_and_names_the_writer(
    jobs: JobService, folders: AllowedFolders, library: Library
) -> None:
    with WriteLock(library.path, command="somebody else"):
        failed = until(jobs, index(jobs, folders))
    assert failed.state == "failed"
    assert failed.error is not None
    assert "somebody else" in failed.error
    assert until(jobs, index(jobs, folders)).state == "done"


def test_a_running_job_reports_progress_and_can_be_cancelled(
    jobs: JobService, folders: AllowedFolders, many: Path, library: Library
) -> None:
    running = until(jobs, index(jobs, folders), lambda job: job.progress > 0.05)
    assert running.state == "running"
    assert running.current_file is not None
    assert running.current_file.endswith(".mp4")
    until(jobs, running, lambda job: job.counts.get("indexed", 0) >= 1)
    began = time.monotonic()
    jobs.cancel_job(running.id)
    stopped = until(jobs, running)
    assert time.monotonic() - began < 6
    assert (stopped.state, stopped.error) == ("stopped", None)
    assert 0 < len(library.videos()) < 42
    assert library.doctor() == []
    assert jobs.cancel_job(running.id).state == "stopped"  # cancelling again has no effect


def test_a_waiting_job_is_cancelled_at_once(
    jobs: JobService, folders: AllowedFolders, many: Path
) -> None:
    first = until(jobs, index(jobs, folders), lambda job: job.state == "running")
    second = index(jobs, folders)
    assert jobs.cancel_job(second.id).state == "stopped"
    assert jobs.get_job(first.id).state == "running"
    jobs.cancel_job(first.id)
    assert until(jobs, first).state == "stopped"
    assert jobs.get_job(second.id).counts == {}


@pytest.mark.skipif(os.name == "nt", reason="there are no signals")
def test_a_killed_worker_fails_its_job_and_the_next_one_works(
    jobs: JobService, folders: AllowedFolders, many: Path, library: Library
) -> None:
    running = until(jobs, index(jobs, folders), lambda job: job.counts.get("indexed", 0) >= 1)
    os.kill(worker_pid(jobs), signal.SIGKILL)
    failed = until(jobs, running)
    assert failed.state == "failed"
    assert failed.error is not None
    assert "SIGKILL" in failed.error
    assert "finished videos are kept" in failed.error
    for path in many.glob("[0-9]*.mp4"):
        path.unlink()
    done = until(jobs, index(jobs, folders))
    assert done.state == "done"
    assert done.counts.get("indexed", 0) + done.counts.get("unchanged", 0) == 2
    assert library.search("green")[0].video.path.name == "green.mp4"


def test_an_export_does_not_wait_for_indexing(
    jobs: JobService, folders: AllowedFolders, indexed: Library, many: Path
) -> None:
    running = until(jobs, index(jobs, folders), lambda job: job.state == "running")
    assert export(jobs, indexed, "csv", Span(0, 1)).state == "done"
    assert jobs.get_job(running.id).state == "running"


def test_closing_stops_jobs_and_deletes_exports(
    jobs: JobService, folders: AllowedFolders, indexed: Library, many: Path, tmp_path: Path
) -> None:
    made = export(jobs, indexed, "csv", Span(0, 1))
    path = jobs.require_file(made.id, made.files[0].name)
    running = until(jobs, index(jobs, folders), lambda job: job.state == "running")
    waits = index(jobs, folders)
    began = time.monotonic()
    jobs.close()
    assert time.monotonic() - began < 8
    assert [jobs.get_job(job.id).state for job in (running, waits)] == ["stopped", "stopped"]
    assert not path.exists()
    assert not list((tmp_path / "exports").iterdir())
    with pytest.raises(Problem, match="shutting down"):
        index(jobs, folders)


@pytest.mark.skipif(os.name == "nt", reason="there are no signals")
def test_a_worker_exits_when_its_server_is_gone(
    jobs: JobService, folders: AllowedFolders, many: Path
) -> None:
    running = until(jobs, index(jobs, folders), lambda job: job.counts.get("indexed", 0) >= 1)
    _, child = jobs._queues["index"]._running_worker or (None, None)
    assert child is not None
    assert child._process.stdin is not None
    child._process.stdin.close()  # as the system does when a process dies
    failed = until(jobs, running)
    assert failed.error is not None
    assert "code 143" in failed.error


def test_too_many_waiting_jobs_are_rejected(
    jobs: JobService, folders: AllowedFolders, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_service_module, "MAX_PENDING_JOBS", 2)
    until(jobs, index(jobs, folders), lambda job: job.state == "running")
    for _ in range(2):
        index(jobs, folders)
    with pytest.raises(Problem, match="already waiting") as refused:
        index(jobs, folders)
    assert (refused.value.status_code, refused.value.problem_type) == (429, "busy")


def test_old_jobs_are_dropped_with_their_files(
    jobs: JobService, indexed: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "MAX_JOBS", 2)
    first, *_, last = [export(jobs, indexed, "csv", Span(0, 1)) for _ in range(4)]
    assert next(job.id for job in jobs.list_jobs()) == last.id
    assert len(jobs.list_jobs()) == 2
    with pytest.raises(Problem, match="job does not exist"):
        jobs.get_job(first.id)


def test_errors_beyond_the_maximum_are_only_counted() -> None:
    job = Job("1", "index", "x", created_at=None)  # type: ignore[arg-type]
    for number in range(job_model.MAX_ERRORS + 7):
        job = job.add_failure(FileFailure(str(number), str(number), "bad")).count_outcome("failed")
    assert len(job.errors) == job_model.MAX_ERRORS
    assert job.errors_truncated == 7
    assert job.counts == {"failed": job_model.MAX_ERRORS + 7}


def test_indexing_is_forbidden_without_allowed_folders(library: Library, tmp_path: Path) -> None:
    with closing(JobService(library, AllowedFolders([]), tmp_path)) as jobs:
        assert not jobs.can_index
        with pytest.raises(Problem, match="no folders to index") as refused:
            jobs.submit_index(["0"])
        assert refused.value.status_code == 403


# --- watching


def test_a_job_subscription_ends_with_the_job(jobs: JobService, folders: AllowedFolders) -> None:
    async def follow() -> list[Job]:
        made = index(jobs, folders)
        return [job async for job in jobs.subscribe(made.id) if job is not None]

    seen = asyncio.run(asyncio.wait_for(follow(), PATIENCE))
    assert seen[-1].state == "done"
    assert seen[0].state in ("waiting", "running")
    shares = [job.progress for job in seen]
    assert shares == sorted(shares)
    assert not jobs._registry._subscribers._subscriptions


def test_a_subscription_to_all_jobs_ends_when_the_server_closes_it(
    jobs: JobService, folders: AllowedFolders
) -> None:
    async def follow() -> tuple[set[str], set[str]]:
        made, seen = [index(jobs, folders), index(jobs, folders)], dict[str, str]()
        async for job in jobs.subscribe():
            if job is not None:
                seen[job.id] = job.state
            if list(seen.values()) == ["done", "done"]:
                jobs.close_subscriptions()
        return {one.id for one in made}, set(seen)

    wanted, seen = asyncio.run(asyncio.wait_for(follow(), PATIENCE))
    assert wanted == seen


def test_subscribers_receive_heartbeats(jobs: JobService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "HEARTBEAT_SECONDS", 0.05)

    async def follow() -> Job | None:
        watching = jobs.subscribe()
        try:
            return await anext(watching)
        finally:
            await watching.aclose()

    assert asyncio.run(asyncio.wait_for(follow(), 5)) is None
    assert not jobs._registry._subscribers._subscriptions


def test_event_streams_are_counted_before_they_begin(jobs: JobService) -> None:
    """Many at once cannot pass the limit, and one client cannot take them all."""

    async def attack() -> None:
        opened = []
        for _ in range(70):
            with suppress(Problem):
                opened.append(jobs.subscribe(None, "1.2.3.4"))
        assert len(opened) == registry.MAX_CLIENT_SUBSCRIBERS
        for number in range(100):
            with suppress(Problem):
                opened.append(jobs.subscribe(None, f"10.0.0.{number}"))
        assert len(opened) == registry.MAX_SUBSCRIBERS
        for subscription in opened:  # not one was read
            await subscription.aclose()
        await jobs.subscribe(None, "1.2.3.4").aclose()

    asyncio.run(attack())
    assert not jobs._registry._subscribers._subscriptions


# --- exporting


def test_clips_are_exported_as_videos_and_as_one_archive(
    jobs: JobService, indexed: Library
) -> None:
    done = export(jobs, indexed, "clips", Span(0, 2), Span(4, 7), title="Ünï/../codé")
    assert (done.state, done.errors, done.progress) == ("done", (), 1.0)
    names = [one.name for one in done.files]
    films, archive = names[:-1], names[-1]
    assert films == ["01_red_then_blue_0.00.00-0.00.02.mp4", "02_red_then_blue_0.00.04-0.00.07.mp4"]
    assert archive == "Ünï_.._codé.zip"
    for name, seconds in zip(films, (2, 3), strict=True):
        with av.open(str(jobs.require_file(done.id, name))) as film:
            assert film.duration is not None
            assert film.duration / 1e6 == pytest.approx(seconds, abs=0.5)
    with zipfile.ZipFile(jobs.require_file(done.id, archive)) as packed:
        assert packed.namelist() == films
        assert packed.testzip() is None
        assert {one.compress_type for one in packed.infolist()} == {zipfile.ZIP_STORED}
    assert [one.size_bytes for one in done.files] == [
        jobs.require_file(done.id, name).stat().st_size for name in names
    ]


def test_one_clip_is_not_archived(jobs: JobService, indexed: Library) -> None:
    assert len(export(jobs, indexed, "clips", Span(0, 2)).files) == 1


def test_a_supercut_is_one_video_with_padded_moments(jobs: JobService, indexed: Library) -> None:
    done = export(jobs, indexed, "supercut", Span(1, 2), Span(6, 7), pad=0.5, title="best of")
    [made] = done.files
    assert made.name == "best_of.mp4"
    with av.open(str(jobs.require_file(done.id, made.name))) as film:
        assert film.duration is not None
        assert film.duration / 1e6 == pytest.approx(4, abs=0.5)


@pytest.mark.parametrize(
    ("kind", "begins"),
    [("edl", b"TITLE:"), ("fcpxml", b"<?xml"), ("fcp7", b"<?xml"), ("m3u", b"#EXTM3U"),
     ("otio", b"{")],
)  # fmt: skip
def test_timelines_and_lists_are_exported(
    jobs: JobService, indexed: Library, kind: str, begins: bytes
) -> None:
    if kind == "otio":
        pytest.importorskip("opentimelineio")
    done = export(jobs, indexed, kind, Span(0, 2), title="cut")
    [made] = done.files
    assert made.name == ("cut.xml" if kind == "fcp7" else f"cut.{kind}")
    assert jobs.require_file(done.id, made.name).read_bytes().lstrip().startswith(begins)


def test_csv_contains_absolute_paths_and_escapes_formulas(
    jobs: JobService, indexed: Library, videos_folder: Path
) -> None:
    done = export(jobs, indexed, "csv", Span(0, 2), title="=1+1\r\nSet-Cookie: x")
    [made] = done.files
    text = jobs.require_file(done.id, made.name).read_text("utf-8-sig")
    [row] = csv.DictReader(text.splitlines())
    assert row["path"] == str(videos_folder / "red then blue.mp4")
    assert row["note"] == "'=1+1\\r\\nSet-Cookie: x"
    assert made.name == "1_1_r_nSet-Cookie_x.csv"


@pytest.mark.parametrize("kind", ["csv", "supercut", "m3u"])
@pytest.mark.parametrize(
    "title", ["../../etc/passwd", "/abs", "a\0b", "..", "C:\\x", "é" * 200, "", "<b>", "\u202e"]
)
def test_titles_never_make_a_path(tmp_path: Path, kind: str, title: str) -> None:
    path = choose_target(kind, tmp_path, title)
    assert path.parent == tmp_path
    assert not set(path.name) & set('/\\\0:<>"|?*\u202e')
    assert not path.name.startswith(".")
    assert len(path.name.encode()) < 200


def test_only_exact_file_names_of_a_job_are_served(jobs: JobService, indexed: Library) -> None:
    done = export(jobs, indexed, "csv", Span(0, 1), title="moments")
    assert jobs.require_file(done.id, "moments.csv").is_file()
    for name in ("../x", "/etc/passwd", "a\0b", "%2e%2e", "", ".", "MOMENTS.CSV"):
        with pytest.raises(Problem, match="no such file"):
            jobs.require_file(done.id, name)


def test_missing_videos_are_reported_and_the_rest_is_exported(
    jobs: JobService, indexed: Library, videos_folder: Path
) -> None:
    known = {video.path.name: video for video in indexed.videos()}
    (videos_folder / "green.mp4").unlink()
    both = [(known["green.mp4"], Span(0, 1)), (known["red then blue.mp4"], Span(0, 1))]
    done = until(jobs, jobs.submit_export("clips", both))
    assert (done.state, len(done.files), done.counts) == ("done", 1, {"failed": 1})
    assert [one.name for one in done.errors] == ["green.mp4"]
    failed = until(jobs, jobs.submit_export("csv", both[:1]))
    assert (failed.state, failed.files) == ("failed", ())
    assert failed.error is not None
    assert "nothing to export" in failed.error


def test_older_exports_are_evicted_for_new_ones(
    jobs: JobService, indexed: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_store, "MAX_EXPORTS", 1)
    old = export(jobs, indexed, "csv", Span(0, 1))
    path = jobs.require_file(old.id, old.files[0].name)
    new = export(jobs, indexed, "csv", Span(0, 1))
    assert jobs.get_job(old.id).files == ()
    assert jobs.get_job(old.id).state == "done"
    assert not path.exists()
    assert jobs.require_file(new.id, new.files[0].name).exists()


def test_exports_of_many_hours_are_rejected(jobs: JobService, indexed: Library) -> None:
    with pytest.raises(Problem, match="hours"):
        export(jobs, indexed, "supercut", Span(0, 5 * 3600))


def test_a_cancelled_export_leaves_no_files(
    jobs: JobService, indexed: Library, many: Path, tmp_path: Path
) -> None:
    list(indexed.index([many / "0.mp4"]))
    [video] = indexed.videos(["0.mp4"])
    made = jobs.submit_export("clips", [(video, Span(0.3, 39))] * 100)
    running = until(jobs, made, lambda job: job.progress > 0)
    jobs.cancel_job(running.id)
    stopped = until(jobs, running)
    assert (stopped.state, stopped.files) == ("stopped", ())
    assert not list((tmp_path / "exports").glob(f"*/{made.id}"))
