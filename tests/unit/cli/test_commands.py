"""The command line: output, messages and exit codes that other programs rely on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import GREEN, RED, ColorScene, make_video
from vsearch.config import resolve_library_path

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner
    from vsearch.types import Images, Matrix

pytestmark = pytest.mark.usefixtures("fake_model")


def test_commands_work_as_processes(tmp_path: Path, videos_folder: Path) -> None:
    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-m", "vsearch", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run("search", "red").returncode == 1
    assert run("index", videos_folder).returncode == 0
    found = run("search", "green", "-k", "1")
    assert found.stdout.endswith("green.mp4\n")
    assert found.stderr == ""


def test_index_and_search_print_tables(run_vsearch: CommandRunner, videos_folder: Path) -> None:
    assert run_vsearch("index", videos_folder).stdout.startswith(
        "2 indexed   (0:00:11 of video in "
    )
    assert run_vsearch("index", videos_folder).stdout == "2 unchanged\n"
    lines = run_vsearch("search", "something", "blue").stdout.splitlines()
    assert lines[0].split() == ["#", "moment", "score", "confidence", "peak", "video"]
    assert re.fullmatch(
        r"1  0:00:04 – 0:00:08 +\d\.\d{3} +\d\d % +0:00:0[4-7]  videos/red then blue\.mp4", lines[1]
    )


def test_search_prints_one_json_object(run_vsearch: CommandRunner, videos_folder: Path) -> None:
    run_vsearch("index", videos_folder)
    found = json.loads(run_vsearch("search", "blue", "--json", "-k", "1").stdout)
    assert list(found) == [
        "query",
        "space",
        "text_model",
        "query_adapted",
        "took_ms",
        "has_confident_match",
        "feedback_count",
        "hints",
        "browse",
        "results",
    ]
    assert found["has_confident_match"] is True
    assert (found["query"], found["space"]) == ("blue", "fake")
    (result,) = found["results"]
    assert list(result) == [
        "rank", "video", "start", "end", "score", "confidence", "low_confidence", "file_status",
        "is_photo", "explanation",
    ]  # fmt: skip
    assert result["rank"] == 1
    assert result["video"] == str(videos_folder / "red then blue.mp4")
    assert result["start"] == pytest.approx(4, abs=0.2)
    assert result["end"] == pytest.approx(8, abs=0.2)
    assert 0.5 < result["confidence"] < 1
    assert result["low_confidence"] is False
    assert 4 <= result["explanation"]["peak"] < 8


def test_low_confidence_is_reported_with_nearest_results(
    run_vsearch: CommandRunner, videos_folder: Path
) -> None:
    run_vsearch("index", videos_folder)
    found = run_vsearch("search", "a zebra")
    said = re.fullmatch(
        r"Probably not in this library \(best match (\d+) %\); nearest results:\n", found.stderr
    )
    assert said is not None
    first, *rows = found.stdout.splitlines()[1:]
    assert f"weak {said[1]} %" in first
    assert all("weak" in row for row in rows)
    output = json.loads(run_vsearch("search", "a zebra", "--json").stdout)
    assert output["has_confident_match"] is False
    assert all(result["low_confidence"] for result in output["results"])
    assert run_vsearch("search", "blue").stderr == ""


def test_failed_file_is_reported_on_stderr_with_exit_1(
    run_vsearch: CommandRunner, videos_folder: Path
) -> None:
    (videos_folder / "bad.mp4").write_bytes(b"junk")
    done = run_vsearch("index", videos_folder, exit_code=1)
    assert done.stdout.startswith("2 indexed · 1 failed")
    assert "bad.mp4" in done.stderr


def test_a_search_without_result_is_exit_0(run_vsearch: CommandRunner, videos_folder: Path) -> None:
    run_vsearch("index", videos_folder)
    done = run_vsearch("search", "red", "--video", "nothing*")
    assert done.stdout == ""
    assert "Nothing found" in done.stderr
    assert (
        json.loads(run_vsearch("search", "red", "--video", "x", "--json").stdout)["results"] == []
    )


@pytest.mark.parametrize(
    ("words", "exit_code", "message"),
    [
        (["search"], 2, "nothing to search for"),
        (["search", "x", "-k", "0"], 2, "a number from 1, or all"),
        (["search", "--clip", "a.mp4@8-3"], 2, "must end after it starts"),
        (["search", "red"], 1, "there is no library"),
        (["index"], 2, "Missing argument"),
        (["--device", "abacus", "list"], 2, "abacus"),
        (["index", "nowhere"], 1, "nowhere"),
        (["--model", "clippy", "index", "."], 1, "clippy"),
        (["remove"], 2, "--missing"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_mistakes_are_reported_in_one_line(
    run_vsearch: CommandRunner, videos_folder: Path, words: list[str], exit_code: int, message: str
) -> None:
    done = run_vsearch(*words, exit_code=exit_code)
    assert message in done.stderr


def test_pictures_clips_and_filters(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    run_vsearch("index", videos_folder)
    Image.new("RGB", (50, 40), GREEN).save(tmp_path / "green.png")

    def first(*words: str) -> str:
        results = json.loads(run_vsearch("search", "--json", *words).stdout)["results"]
        return str(results[0]["video"]).rpartition("/")[2]

    assert first("--image", "green.png") == "green.mp4"
    assert first("--clip", "videos/red then blue.mp4@0:01-0:03") == "red then blue.mp4"
    assert first("red", "--video", "gr*") == "green.mp4"


def test_list_info_doctor_rebuild_and_remove(
    run_vsearch: CommandRunner, videos_folder: Path
) -> None:
    run_vsearch("index", "videos/*.mp4")
    assert "green.mp4" in run_vsearch("list").stdout
    assert len(json.loads(run_vsearch("list", "--json").stdout)["videos"]) == 2
    info = json.loads(run_vsearch("info", "--json").stdout)
    assert (info["videos"], info["transcript_counts"]) == (2, [])
    assert "2, 0:00:11 in total" in run_vsearch("info").stdout
    assert run_vsearch("doctor").stdout == "No problems found.\n"
    assert re.fullmatch(r"\d segments rebuilt, pooled by mean\n", run_vsearch("rebuild").stdout)
    assert run_vsearch("remove", "videos/green.mp4").stdout == "1 video removed\n"
    assert "No video matches" in run_vsearch("remove", "videos/green.mp4", exit_code=1).stderr
    done = run_vsearch("list", "green*", exit_code=1)
    assert (done.stdout, done.stderr) == ("", "No video matches; see `vsearch list`.\n")
    listed = run_vsearch("list", "green*", "--json", exit_code=1)
    assert json.loads(listed.stdout) == {"videos": []}


def test_missing_files_are_reported_and_removed_on_request(
    run_vsearch: CommandRunner, videos_folder: Path
) -> None:
    run_vsearch("index", videos_folder)
    (videos_folder / "green.mp4").unlink()
    assert "green.mp4" in run_vsearch("index", videos_folder).stderr
    assert "green.mp4" in run_vsearch("doctor", exit_code=1).stdout
    assert run_vsearch("remove", "--missing", "--yes").stdout == "1 video removed\n"
    run_vsearch("doctor")


def test_a_file_name_cannot_steer_the_terminal_or_the_page(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    (videos_folder / "green.mp4").rename(videos_folder / "\x1b[31m<img src=x onerror=alert(1)>.mp4")
    run_vsearch("index", videos_folder)
    assert "\x1b" not in run_vsearch("search", "green", "--contact-sheet", "out.html").stdout
    page = (tmp_path / "out.html").read_text("utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    assert page.count("data:image/jpeg;base64,") == 3


def test_file_names_that_are_not_utf_8_are_kept(run_vsearch: CommandRunner, tmp_path: Path) -> None:
    import os

    name = os.fsdecode(b"caf\xe9.mp4")
    make_video(tmp_path / "x.mp4", [ColorScene(RED, 1)]).rename(tmp_path / name)
    run_vsearch("index", tmp_path)
    assert "caf\\udce9.mp4" in run_vsearch("list").stdout
    found = json.loads(run_vsearch("search", "red", "--json").stdout)["results"][0]["video"]
    assert found.endswith(name)


def test_demo_runs_on_own_folder(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    done = run_vsearch("demo", "--query", "blue", videos_folder)
    assert "Searching 'blue'" in done.stdout
    assert "by example clip" in done.stdout
    assert (tmp_path / "contact-sheet.html").read_text("utf-8").count("<section>") == 2


def test_unwritable_page_is_refused_before_the_work(
    run_vsearch: CommandRunner, videos_folder: Path
) -> None:
    run_vsearch("index", videos_folder)
    for words in (("search", "red"), ("demo", videos_folder)):
        done = run_vsearch(*words, "--contact-sheet", "nowhere/page.html", exit_code=2)
        assert "nowhere" in done.stderr
        assert done.stdout == ""


def test_query_that_is_not_utf_8_is_refused(
    run_vsearch: CommandRunner, videos_folder: Path
) -> None:
    run_vsearch("index", videos_folder)
    assert "UTF-8" in run_vsearch("search", "a \udcff b", exit_code=2).stderr


def test_ctrl_c_keeps_indexed_videos_and_explains_how_to_continue(
    run_vsearch: CommandRunner, videos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FakeEncoder.encode_images

    def interrupted(encoder: FakeEncoder, images: Images) -> Matrix:
        if encoder.encoded_count:  # within the second video
            raise KeyboardInterrupt
        return whole(encoder, images)

    with monkeypatch.context() as patch:
        patch.setattr(FakeEncoder, "encode_images", interrupted)
        done = run_vsearch("index", videos_folder, exit_code=130)
    assert done.stdout.startswith("1 indexed")
    assert "run the same command again" in done.stderr
    assert run_vsearch("index", videos_folder).stdout.startswith("1 indexed · 1 unchanged")


def test_characters_missing_in_the_encoding_are_escaped(
    tmp_path: Path, videos_folder: Path
) -> None:
    (videos_folder / "green.mp4").rename(videos_folder / "日本.mp4")
    command = [sys.executable, "-m", "vsearch"]
    subprocess.run(
        [*command, "index", videos_folder], cwd=tmp_path, check=True, capture_output=True
    )
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    listed = subprocess.run(
        [*command, "list"], cwd=tmp_path, env=environment, capture_output=True, check=True
    )
    assert b"\\u65e5\\u672c.mp4" in listed.stdout


def test_log_records_cannot_steer_the_terminal(
    run_vsearch: CommandRunner, videos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(encoder: FakeEncoder, images: Images) -> Matrix:
        raise RuntimeError("\x1b[31mred")

    monkeypatch.setattr(FakeEncoder, "encode_images", broken)
    done = run_vsearch("--verbose", "index", videos_folder, exit_code=1)
    assert "unexpected RuntimeError" in done.stderr
    assert "\x1b" not in done.stderr


def test_shared_options_stand_before_or_after_the_command(
    run_vsearch: CommandRunner, videos_folder: Path
) -> None:
    run_vsearch("index", videos_folder, "--library", "shelf", "--model", "fake:other")
    assert json.loads(run_vsearch("--library", "shelf", "info", "--json").stdout)["videos"] == 2
    found = run_vsearch(
        "--library", "wrong", "search", "green", "--library", "shelf", "--model", "fake:other"
    )
    assert "green.mp4" in found.stdout


def test_a_page_replaces_nothing_but_a_page(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    run_vsearch("index", videos_folder)
    before = (videos_folder / "green.mp4").read_bytes()
    done = run_vsearch(
        "search", "green", "--contact-sheet", videos_folder / "green.mp4", exit_code=2
    )
    assert "was not created by vsearch" in done.stderr
    assert (videos_folder / "green.mp4").read_bytes() == before
    for _ in range(2):
        run_vsearch("search", "green", "--contact-sheet", "page.html")
    assert "green.mp4#t=0.00,3.00" in (tmp_path / "page.html").read_text()


def test_videos_are_named_as_for_index(run_vsearch: CommandRunner, videos_folder: Path) -> None:
    run_vsearch("index", "videos")
    for name in ("videos", "./videos/green.mp4", "videos/../videos", "gr*.mp4", "green.mp4"):
        assert "green.mp4" in run_vsearch("list", name).stdout
        assert "green.mp4" in run_vsearch("search", "red", "--video", name).stdout
    assert "1 video removed" in run_vsearch("remove", "./videos/green.mp4").stdout


def test_demo_without_videos_fails(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert "No videos found" in run_vsearch("demo", "empty", exit_code=1).stderr
    assert "no such file" in run_vsearch("demo", "nowhere", exit_code=1).stderr
    done = run_vsearch("demo", "videos/green.mp4", "--query", "red")
    assert "red then blue" not in done.stdout
    assert "Search:" in done.stdout
    assert "serve --open" in done.stdout


def test_empty_library_is_reported(run_vsearch: CommandRunner, videos_folder: Path) -> None:
    run_vsearch("index", videos_folder)
    run_vsearch("remove", "videos")
    assert "Nothing found" in run_vsearch("search", "red").stderr
    run_vsearch("--library", "new", "index", videos_folder / "none.mp4", exit_code=1)
    assert "is empty" in run_vsearch("--library", "new", "search", "red").stderr


def test_evaluate_prints_figures_and_leaves_the_library_alone(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    rows: list[dict[str, object]] = [
        {"path": "videos/green.mp4", "caption": "green"},
        {"path": "videos/red then blue.mp4", "caption": "blue", "start": 4, "end": 8},
    ]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    shown = run_vsearch("evaluate", "set.jsonl").stdout
    assert re.search(r"text → video   2 among 2\n +R@1.*\n +100\.0", shown)
    assert "text → moment in its video   1 among 1" in shown
    found = json.loads(run_vsearch("evaluate", "set.jsonl", "--json").stdout)
    recall = {"name": "R@1", "value": 1, "ci_low": 1, "ci_high": 1}
    assert found["task_results"][0]["metrics"][0] == recall
    assert found["failures"] == []
    assert not resolve_library_path().exists()
    rows[0]["caption"] = "blue <b>"
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = json.loads(
        run_vsearch("evaluate", "set.jsonl", "--json", "--contact-sheet", "wrong.html").stdout
    )
    assert found["failures"][0]["path"] == str(videos_folder / "green.mp4")
    page = (tmp_path / "wrong.html").read_text()
    assert "blue &lt;b&gt; (correct: first picture, ranked 2)" in page
    assert page.count("<img") == 2
    assert (
        "cannot be read" in run_vsearch("evaluate", videos_folder / "green.mp4", exit_code=1).stderr
    )


def test_public_dataset_is_read_in_its_own_format(
    run_vsearch: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    (videos_folder / "red then blue.mp4").rename(videos_folder / "video7.mp4")
    (tmp_path / "test.csv").write_text(
        "key,vid_key,video_id,sentence\nret0,msr7,video7,blue\nret1,msr8,video8,gone\n"
    )
    asked = ("evaluate", "test.csv", "--format", "msrvtt-1ka", "--videos")
    shown = run_vsearch(*asked, videos_folder).stdout
    assert "1 missing" in shown
    assert "text → video   1 among 1" in shown
    assert "must be used together" in run_vsearch(*asked[:-1], exit_code=2).stderr
