"""Jobs in child processes: indexing and exporting as a server does them."""

from __future__ import annotations

import asyncio
import csv
import os
import shutil
import signal
import time
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING

import av
import pytest

from synth import BLUE, RED, Scene, make_video
from vsearch import Library
from vsearch.catalog.lock import WriteLock
from vsearch.types import Span
from vsearch.web import board, exports
from vsearch.web import job as kept
from vsearch.web import jobs as limits
from vsearch.web.exporter import target
from vsearch.web.folders import Folders
from vsearch.web.job import Failure, Job
from vsearch.web.jobs import Jobs
from vsearch.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("fake_model")
PATIENCE = 60.0  # seconds


@pytest.fixture
def library(tmp_path: Path, fake_model: None) -> Iterator[Library]:
    with Library.open(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def folders(videos: Path) -> Folders:
    return Folders([videos])


@pytest.fixture
def jobs(library: Library, folders: Folders, tmp_path: Path) -> Iterator[Jobs]:
    with closing(Jobs(library, folders, tmp_path / "exports")) as made:
        yield made


@pytest.fixture
def many(videos: Path) -> Path:
    """The same folder with so much in it that indexing takes seconds."""
    film = make_video(videos / "0.mp4", [Scene(RED, 20), Scene(BLUE, 20)], fps=25, size=(320, 240))
    for number in range(1, 40):
        copy = videos / f"{number}.mp4"
        shutil.copy(film, copy)
        with copy.open("ab") as file:  # a box that says nothing: another content
            file.write(b"\0\0\0\x10free" + number.to_bytes(8, "big"))
    return videos


def until(jobs: Jobs, job: Job, reached: Callable[[Job], bool] = lambda job: job.ended) -> Job:
    deadline = time.monotonic() + PATIENCE
    while not reached(now := jobs.get(job.id)):
        assert time.monotonic() < deadline, now
        assert not now.ended, now
        time.sleep(0.02)
    return now


def index(jobs: Jobs, folders: Folders, **how: bool) -> Job:
    return jobs.submit_index([one.id for one in folders.roots()], **how)


def child_of(jobs: Jobs, kind: kept.JobKind = "index") -> int:
    running = jobs._lanes[kind]._running
    assert running is not None
    return running[1].pid


def export(jobs: Jobs, library: Library, kind: str, *spans: Span, **more: object) -> Job:
    [video] = library.videos(["red then blue.mp4"])
    made = jobs.submit_export(kind, [(video, span) for span in spans], **more)  # type: ignore[arg-type]
    return until(jobs, made)


@pytest.fixture
def indexed(library: Library, videos: Path) -> Library:
    assert all(one.outcome == "indexed" for one in library.index([videos]))
    return library


# --- indexing


def test_a_folder_is_indexed_by_a_child_and_found_by_the_server(
    jobs: Jobs, folders: Folders, library: Library
) -> None:
    made = index(jobs, folders)
    assert (made.kind, made.state, made.title) == ("index", "waiting", "videos")
    done = until(jobs, made)
    assert (done.state, done.share, done.error, done.errors) == ("done", 1.0, None, ())
    assert done.counts == {"indexed": 2}
    assert (done.remaining, done.current) == (None, None)
    assert library.search("green")[0].video.path.name == "green.mp4"
    again = until(jobs, index(jobs, folders))
    assert again.counts == {"unchanged": 2}
    assert jobs.all() == [again, done]
    assert jobs.unfinished == 0


def test_a_broken_file_is_told_and_stops_nothing(
    jobs: Jobs, folders: Folders, videos: Path, library: Library
) -> None:
    (videos / "broken.mp4").write_bytes(b"\0\0\0\x18ftypisom" + b"nonsense" * 500)
    done = until(jobs, index(jobs, folders))
    assert (done.state, done.counts) == ("done", {"indexed": 2, "failed": 1})
    [failure] = done.errors
    assert (failure.name, failure.path) == ("broken.mp4", str(videos / "broken.mp4"))
    assert "broken.mp4" in failure.error
    assert len(library.videos()) == 2


def test_what_a_link_leads_out_to_is_not_indexed(
    jobs: Jobs, folders: Folders, videos: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    make_video(outside / "secret.mp4", [Scene(RED, 2)])
    (videos / "way out").symlink_to(outside)
    (videos / "linked.mp4").symlink_to(outside / "secret.mp4")
    assert until(jobs, index(jobs, folders)).counts == {"indexed": 2}


def test_settings_of_the_server_hold_for_its_children(
    videos: Path, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VSEARCH_MODEL")
    with (
        Library.open(tmp_path / "named", model="fake:other", fps=2.0) as library,
        closing(Jobs(library, folders, tmp_path / "exports")) as jobs,
    ):
        done = until(jobs, index(jobs, folders, fast=True))
        assert done.counts == {"indexed": 2}
        assert library.space is not None
        assert library.space.name == "fake-other"
        assert all(video.keyframes and video.model == "fake:other" for video in library.videos())


def test_progressive_jobs_take_key_frames_first(jobs: Jobs, folders: Folders) -> None:
    done = until(jobs, index(jobs, folders, progressive=True))
    assert done.state == "done"
    assert done.counts["indexed"] == 2
    assert done.counts["filled"] == 2


def test_a_model_that_cannot_be_had_fails_the_job_and_says_why(
    folders: Folders, tmp_path: Path
) -> None:
    with (
        Library.open(tmp_path / "odd", model="nobody") as library,
        closing(Jobs(library, folders, tmp_path / "exports")) as jobs,
    ):
        failed = until(jobs, index(jobs, folders))
        assert failed.state == "failed"
        assert failed.error is not None
        assert "nobody" in failed.error


def test_a_module_that_lies_in_the_current_folder_is_never_run(
    jobs: Jobs, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("av", "numpy", "json", "vsearch"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    assert until(jobs, index(jobs, folders)).counts == {"indexed": 2}


def test_another_writer_fails_the_job_and_is_named(
    jobs: Jobs, folders: Folders, library: Library
) -> None:
    with WriteLock(library.path, command="somebody else"):
        failed = until(jobs, index(jobs, folders))
    assert failed.state == "failed"
    assert failed.error is not None
    assert "somebody else" in failed.error
    assert until(jobs, index(jobs, folders)).state == "done"


def test_a_running_job_tells_how_far_it_is_and_is_stopped(
    jobs: Jobs, folders: Folders, many: Path, library: Library
) -> None:
    running = until(jobs, index(jobs, folders), lambda job: job.share > 0.05)
    assert running.state == "running"
    assert running.current is not None
    assert running.current.endswith(".mp4")
    until(jobs, running, lambda job: job.counts.get("indexed", 0) >= 1)
    began = time.monotonic()
    jobs.stop(running.id)
    stopped = until(jobs, running)
    assert time.monotonic() - began < 6
    assert (stopped.state, stopped.error) == ("stopped", None)
    assert 0 < len(library.videos()) < 42
    assert library.doctor() == []
    assert jobs.stop(running.id).state == "stopped"  # once more does nothing


def test_a_job_that_waits_is_stopped_at_once(jobs: Jobs, folders: Folders, many: Path) -> None:
    first = until(jobs, index(jobs, folders), lambda job: job.state == "running")
    second = index(jobs, folders)
    assert jobs.stop(second.id).state == "stopped"
    assert jobs.get(first.id).state == "running"
    jobs.stop(first.id)
    assert until(jobs, first).state == "stopped"
    assert jobs.get(second.id).counts == {}


@pytest.mark.skipif(os.name == "nt", reason="there are no signals")
def test_a_child_that_is_killed_fails_its_job_and_the_next_one_works(
    jobs: Jobs, folders: Folders, many: Path, library: Library
) -> None:
    running = until(jobs, index(jobs, folders), lambda job: job.counts.get("indexed", 0) >= 1)
    os.kill(child_of(jobs), signal.SIGKILL)
    failed = until(jobs, running)
    assert failed.state == "failed"
    assert failed.error is not None
    assert "SIGKILL" in failed.error
    assert "what was indexed is kept" in failed.error
    for path in many.glob("[0-9]*.mp4"):
        path.unlink()
    done = until(jobs, index(jobs, folders))
    assert done.state == "done"
    assert done.counts.get("indexed", 0) + done.counts.get("unchanged", 0) == 2
    assert library.search("green")[0].video.path.name == "green.mp4"


def test_an_export_does_not_wait_for_indexing(
    jobs: Jobs, folders: Folders, indexed: Library, many: Path
) -> None:
    running = until(jobs, index(jobs, folders), lambda job: job.state == "running")
    assert export(jobs, indexed, "csv", Span(0, 1)).state == "done"
    assert jobs.get(running.id).state == "running"


def test_closing_ends_what_runs_and_deletes_what_was_made(
    jobs: Jobs, folders: Folders, indexed: Library, many: Path, tmp_path: Path
) -> None:
    made = export(jobs, indexed, "csv", Span(0, 1))
    path = jobs.file(made.id, made.files[0].name)
    running = until(jobs, index(jobs, folders), lambda job: job.state == "running")
    waits = index(jobs, folders)
    began = time.monotonic()
    jobs.close()
    assert time.monotonic() - began < 8
    assert [jobs.get(job.id).state for job in (running, waits)] == ["stopped", "stopped"]
    assert not path.exists()
    assert not list((tmp_path / "exports").iterdir())
    with pytest.raises(Problem, match="shut down"):
        index(jobs, folders)


@pytest.mark.skipif(os.name == "nt", reason="there are no signals")
def test_a_child_ends_when_its_server_is_gone(jobs: Jobs, folders: Folders, many: Path) -> None:
    running = until(jobs, index(jobs, folders), lambda job: job.counts.get("indexed", 0) >= 1)
    _, child = jobs._lanes["index"]._running or (None, None)
    assert child is not None
    assert child._process.stdin is not None
    child._process.stdin.close()  # as the system does when a process dies
    failed = until(jobs, running)
    assert failed.error is not None
    assert "code 143" in failed.error


def test_too_many_jobs_that_wait_are_refused(
    jobs: Jobs, folders: Folders, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WAITING", 2)
    until(jobs, index(jobs, folders), lambda job: job.state == "running")
    for _ in range(2):
        index(jobs, folders)
    with pytest.raises(Problem, match="waiting already") as refused:
        index(jobs, folders)
    assert (refused.value.status, refused.value.kind) == (429, "busy")


def test_old_jobs_are_forgotten_and_their_files_with_them(
    jobs: Jobs, indexed: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "HISTORY", 2)
    first, *_, last = [export(jobs, indexed, "csv", Span(0, 1)) for _ in range(4)]
    assert next(job.id for job in jobs.all()) == last.id
    assert len(jobs.all()) == 2
    with pytest.raises(Problem, match="no such job"):
        jobs.get(first.id)


def test_errors_are_kept_up_to_a_number_and_then_counted() -> None:
    job = Job("1", "index", "x", made_at=None)  # type: ignore[arg-type]
    for number in range(kept.ERRORS + 7):
        job = job.failing(Failure(str(number), str(number), "bad")).counted("failed")
    assert len(job.errors) == kept.ERRORS
    assert job.errors_left_out == 7
    assert job.counts == {"failed": kept.ERRORS + 7}


def test_nothing_is_indexed_where_no_folder_was_named(library: Library, tmp_path: Path) -> None:
    with closing(Jobs(library, Folders([]), tmp_path)) as jobs:
        assert not jobs.may_index
        with pytest.raises(Problem, match="name some") as refused:
            jobs.submit_index(["0"])
        assert refused.value.status == 403


# --- watching


def test_a_job_is_watched_until_it_ends(jobs: Jobs, folders: Folders) -> None:
    async def follow() -> list[Job]:
        made = index(jobs, folders)
        return [job async for job in jobs.watch(made.id) if job is not None]

    seen = asyncio.run(asyncio.wait_for(follow(), PATIENCE))
    assert seen[-1].state == "done"
    assert seen[0].state in ("waiting", "running")
    shares = [job.share for job in seen]
    assert shares == sorted(shares)
    assert not jobs._board._watches._watches


def test_all_jobs_are_watched_until_the_server_hushes(jobs: Jobs, folders: Folders) -> None:
    async def follow() -> tuple[set[str], set[str]]:
        made, seen = [index(jobs, folders), index(jobs, folders)], dict[str, str]()
        async for job in jobs.watch():
            if job is not None:
                seen[job.id] = job.state
            if list(seen.values()) == ["done", "done"]:
                jobs.hush()
        return {one.id for one in made}, set(seen)

    wanted, seen = asyncio.run(asyncio.wait_for(follow(), PATIENCE))
    assert wanted == seen


def test_watchers_hear_that_nothing_is_new(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "HEARTBEAT", 0.05)

    async def follow() -> Job | None:
        watching = jobs.watch()
        try:
            return await anext(watching)
        finally:
            await watching.aclose()

    assert asyncio.run(asyncio.wait_for(follow(), 5)) is None
    assert not jobs._board._watches._watches


# --- exporting


def test_clips_are_films_and_come_as_one_file_too(jobs: Jobs, indexed: Library) -> None:
    done = export(jobs, indexed, "clips", Span(0, 2), Span(4, 7), title="Ünï/../codé")
    assert (done.state, done.errors, done.share) == ("done", (), 1.0)
    names = [one.name for one in done.files]
    films, archive = names[:-1], names[-1]
    assert films == ["01_red_then_blue_0.00.00-0.00.02.mp4", "02_red_then_blue_0.00.04-0.00.07.mp4"]
    assert archive == "Ünï_.._codé.zip"
    for name, seconds in zip(films, (2, 3), strict=True):
        with av.open(str(jobs.file(done.id, name))) as film:
            assert film.duration is not None
            assert film.duration / 1e6 == pytest.approx(seconds, abs=0.5)
    with zipfile.ZipFile(jobs.file(done.id, archive)) as packed:
        assert packed.namelist() == films
        assert packed.testzip() is None
        assert {one.compress_type for one in packed.infolist()} == {zipfile.ZIP_STORED}
    assert [one.size for one in done.files] == [
        jobs.file(done.id, name).stat().st_size for name in names
    ]


def test_one_clip_comes_alone(jobs: Jobs, indexed: Library) -> None:
    assert len(export(jobs, indexed, "clips", Span(0, 2)).files) == 1


def test_a_supercut_is_one_film_with_more_around_each_moment(jobs: Jobs, indexed: Library) -> None:
    done = export(jobs, indexed, "supercut", Span(1, 2), Span(6, 7), pad=0.5, title="best of")
    [made] = done.files
    assert made.name == "best_of.mp4"
    with av.open(str(jobs.file(done.id, made.name))) as film:
        assert film.duration is not None
        assert film.duration / 1e6 == pytest.approx(4, abs=0.5)


@pytest.mark.parametrize(
    ("kind", "begins"),
    [("edl", b"TITLE:"), ("fcpxml", b"<?xml"), ("m3u", b"#EXTM3U"), ("otio", b"{")],
)
def test_timelines_and_lists_are_made(
    jobs: Jobs, indexed: Library, kind: str, begins: bytes
) -> None:
    if kind == "otio":
        pytest.importorskip("opentimelineio")
    done = export(jobs, indexed, kind, Span(0, 2), title="cut")
    [made] = done.files
    assert made.name == f"cut.{kind}"
    assert jobs.file(done.id, made.name).read_bytes().lstrip().startswith(begins)


def test_a_table_names_the_videos_by_their_whole_path(
    jobs: Jobs, indexed: Library, videos: Path
) -> None:
    done = export(jobs, indexed, "csv", Span(0, 2), title="=1+1\r\nSet-Cookie: x")
    [made] = done.files
    text = jobs.file(done.id, made.name).read_text("utf-8-sig")
    [row] = csv.DictReader(text.splitlines())
    assert row["path"] == str(videos / "red then blue.mp4")
    assert row["note"] == "'=1+1\\r\\nSet-Cookie: x"
    assert made.name == "1_1_r_nSet-Cookie_x.csv"


@pytest.mark.parametrize("kind", ["csv", "supercut", "m3u"])
@pytest.mark.parametrize(
    "title", ["../../etc/passwd", "/abs", "a\0b", "..", "C:\\x", "é" * 200, "", "<b>", "\u202e"]
)
def test_titles_never_make_a_path(tmp_path: Path, kind: str, title: str) -> None:
    path = target(kind, tmp_path, title)
    assert path.parent == tmp_path
    assert not set(path.name) & set('/\\\0:<>"|?*\u202e')
    assert not path.name.startswith(".")
    assert len(path.name.encode()) < 200


def test_only_the_very_names_of_a_job_are_files(jobs: Jobs, indexed: Library) -> None:
    done = export(jobs, indexed, "csv", Span(0, 1), title="moments")
    assert jobs.file(done.id, "moments.csv").is_file()
    for name in ("../x", "/etc/passwd", "a\0b", "%2e%2e", "", ".", "MOMENTS.CSV"):
        with pytest.raises(Problem, match="no such file"):
            jobs.file(done.id, name)


def test_videos_that_are_gone_are_told_and_the_rest_is_exported(
    jobs: Jobs, indexed: Library, videos: Path
) -> None:
    known = {video.path.name: video for video in indexed.videos()}
    (videos / "green.mp4").unlink()
    both = [(known["green.mp4"], Span(0, 1)), (known["red then blue.mp4"], Span(0, 1))]
    done = until(jobs, jobs.submit_export("clips", both))
    assert (done.state, len(done.files), done.counts) == ("done", 1, {"failed": 1})
    assert [one.name for one in done.errors] == ["green.mp4"]
    failed = until(jobs, jobs.submit_export("csv", both[:1]))
    assert (failed.state, failed.files) == ("failed", ())
    assert failed.error is not None
    assert "nothing to write" in failed.error


def test_older_exports_make_way_for_new_ones(
    jobs: Jobs, indexed: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "KEPT", 1)
    old = export(jobs, indexed, "csv", Span(0, 1))
    path = jobs.file(old.id, old.files[0].name)
    new = export(jobs, indexed, "csv", Span(0, 1))
    assert jobs.get(old.id).files == ()
    assert jobs.get(old.id).state == "done"
    assert not path.exists()
    assert jobs.file(new.id, new.files[0].name).exists()


def test_films_of_many_hours_are_refused(jobs: Jobs, indexed: Library) -> None:
    with pytest.raises(Problem, match="hours"):
        export(jobs, indexed, "supercut", Span(0, 5 * 3600))


def test_an_export_that_is_stopped_leaves_nothing(
    jobs: Jobs, indexed: Library, many: Path, tmp_path: Path
) -> None:
    list(indexed.index([many / "0.mp4"]))
    [video] = indexed.videos(["0.mp4"])
    made = jobs.submit_export("clips", [(video, Span(0.3, 39))] * 100)
    running = until(jobs, made, lambda job: job.share > 0)
    jobs.stop(running.id)
    stopped = until(jobs, running)
    assert (stopped.state, stopped.files) == ("stopped", ())
    assert not list((tmp_path / "exports").glob(f"*/{made.id}"))
