"""The command line is a contract: other programs parse it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from fakes import FakeEncoder
from synth import GREEN, RED, Scene, make_video

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch
    from vsearch.types import Images, Matrix

pytestmark = pytest.mark.usefixtures("fake_model")


def test_the_command_is_a_process_like_any_other(tmp_path: Path, videos: Path) -> None:
    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-m", "vsearch", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run("search", "red").returncode == 1
    assert run("index", videos).returncode == 0
    found = run("search", "green", "-k", "1")
    assert found.stdout.endswith("green.mp4\n")
    assert found.stderr == ""


def test_index_then_search_as_a_person_sees_it(vsearch: Vsearch, videos: Path) -> None:
    assert vsearch("index", videos).stdout.startswith("2 indexed   (0:00:11 of video in ")
    assert vsearch("index", videos).stdout == "2 unchanged\n"
    lines = vsearch("search", "something", "blue").stdout.splitlines()
    assert lines[0].split() == ["#", "moment", "score", "sure", "best", "at", "video"]
    assert re.fullmatch(
        r"1  0:00:04 – 0:00:08 +\d\.\d{3} +\d\d % +0:00:0[4-7]  videos/red then blue\.mp4", lines[1]
    )


def test_search_prints_one_json_object(vsearch: Vsearch, videos: Path) -> None:
    vsearch("index", videos)
    found = json.loads(vsearch("search", "blue", "--json", "-k", "1").stdout)
    assert list(found) == ["query", "space", "took_ms", "in_library", "results"]
    assert found["in_library"] is True
    assert (found["query"], found["space"]) == ("blue", "fake")
    (result,) = found["results"]
    assert list(result) == ["rank", "video", "start", "end", "score", "confidence", "weak", "why"]
    assert result["rank"] == 1
    assert result["video"] == str(videos / "red then blue.mp4")
    assert result["start"] == pytest.approx(4, abs=0.2)
    assert result["end"] == pytest.approx(8, abs=0.2)
    assert 0.5 < result["confidence"] < 1
    assert result["weak"] is False
    assert 4 <= result["why"]["peak"] < 8


def test_what_is_not_there_is_said_so_and_the_nearest_shown(vsearch: Vsearch, videos: Path) -> None:
    vsearch("index", videos)
    found = vsearch("search", "a zebra")
    said = re.fullmatch(
        r"Probably not in this library \(best match (\d+) %\); the nearest are:\n", found.stderr
    )
    assert said is not None
    first, *rows = found.stdout.splitlines()[1:]
    assert f"weak {said[1]} %" in first
    assert all("weak" in row for row in rows)
    told = json.loads(vsearch("search", "a zebra", "--json").stdout)
    assert told["in_library"] is False
    assert all(result["weak"] for result in told["results"])
    assert vsearch("search", "blue").stderr == ""


def test_messages_go_to_stderr_and_a_failed_file_is_exit_1(vsearch: Vsearch, videos: Path) -> None:
    (videos / "bad.mp4").write_bytes(b"junk")
    done = vsearch("index", videos, code=1)
    assert done.stdout.startswith("2 indexed · 1 failed")
    assert "bad.mp4" in done.stderr


def test_a_search_without_result_is_exit_0(vsearch: Vsearch, videos: Path) -> None:
    vsearch("index", videos)
    done = vsearch("search", "red", "--video", "nothing*")
    assert done.stdout == ""
    assert "Nothing found" in done.stderr
    assert json.loads(vsearch("search", "red", "--video", "x", "--json").stdout)["results"] == []


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["search"], 2, "give some words"),
        (["search", "x", "-k", "0"], 2, "range"),
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
def test_mistakes_are_told_in_a_line(
    vsearch: Vsearch, videos: Path, words: list[str], code: int, told: str
) -> None:
    done = vsearch(*words, code=code)
    assert told in done.stderr


def test_pictures_clips_and_filters(vsearch: Vsearch, videos: Path, tmp_path: Path) -> None:
    vsearch("index", videos)
    Image.new("RGB", (50, 40), GREEN).save(tmp_path / "green.png")

    def first(*words: str) -> str:
        results = json.loads(vsearch("search", "--json", *words).stdout)["results"]
        return str(results[0]["video"]).rpartition("/")[2]

    assert first("--image", "green.png") == "green.mp4"
    assert first("--clip", "videos/red then blue.mp4@0:01-0:03") == "red then blue.mp4"
    assert first("red", "--video", "gr*") == "green.mp4"


def test_the_library_can_be_kept(vsearch: Vsearch, videos: Path) -> None:
    vsearch("index", "videos/*.mp4")
    assert "green.mp4" in vsearch("list").stdout
    assert len(json.loads(vsearch("list", "--json").stdout)["videos"]) == 2
    assert json.loads(vsearch("info", "--json").stdout)["videos"] == 2
    assert "2, 0:00:11 in all" in vsearch("info").stdout
    assert vsearch("doctor").stdout == "The library is sound.\n"
    assert re.fullmatch(r"\d segments rebuilt, pooled by mean\n", vsearch("rebuild").stdout)
    assert vsearch("remove", "videos/green.mp4").stdout == "1 video removed\n"
    vsearch("remove", "videos/green.mp4", code=1)
    assert vsearch("list", "green*").stdout == ""


def test_what_vanished_is_told_and_forgotten_on_request(vsearch: Vsearch, videos: Path) -> None:
    vsearch("index", videos)
    (videos / "green.mp4").unlink()
    assert "green.mp4" in vsearch("index", videos).stderr
    assert "green.mp4" in vsearch("doctor", code=1).stdout
    assert vsearch("remove", "--missing").stdout == "1 video removed\n"
    vsearch("doctor")


def test_a_file_name_cannot_steer_the_terminal_or_the_page(
    vsearch: Vsearch, videos: Path, tmp_path: Path
) -> None:
    (videos / "green.mp4").rename(videos / "\x1b[31m<img src=x onerror=alert(1)>.mp4")
    vsearch("index", videos)
    assert "\x1b" not in vsearch("search", "green", "--sheet", "out.html").stdout
    page = (tmp_path / "out.html").read_text("utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    assert page.count("data:image/jpeg;base64,") == 3


def test_names_that_are_not_utf_8_come_through(vsearch: Vsearch, tmp_path: Path) -> None:
    import os

    name = os.fsdecode(b"caf\xe9.mp4")
    make_video(tmp_path / "x.mp4", [Scene(RED, 1)]).rename(tmp_path / name)
    vsearch("index", tmp_path)
    assert "caf\\udce9.mp4" in vsearch("list").stdout
    found = json.loads(vsearch("search", "red", "--json").stdout)["results"][0]["video"]
    assert found.endswith(name)


def test_the_demo_runs_on_ones_own_folder(vsearch: Vsearch, videos: Path, tmp_path: Path) -> None:
    done = vsearch("demo", "--query", "blue", videos)
    assert "Searching 'blue'" in done.stdout
    assert "by example clip" in done.stdout
    assert (tmp_path / "contact-sheet.html").read_text("utf-8").count("<section>") == 2


def test_a_page_that_cannot_be_written_is_told_before_the_work(
    vsearch: Vsearch, videos: Path
) -> None:
    vsearch("index", videos)
    for words in (("search", "red"), ("demo", videos)):
        done = vsearch(*words, "--sheet", "nowhere/page.html", code=2)
        assert "nowhere" in done.stderr
        assert done.stdout == ""


def test_a_query_that_is_no_text_is_a_mistake_in_a_line(vsearch: Vsearch, videos: Path) -> None:
    vsearch("index", videos)
    assert "UTF-8" in vsearch("search", "a \udcff b", code=2).stderr


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    vsearch: Vsearch, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FakeEncoder.encode_images

    def interrupted(encoder: FakeEncoder, images: Images) -> Matrix:
        if encoder.seen:  # within the second video
            raise KeyboardInterrupt
        return whole(encoder, images)

    with monkeypatch.context() as patch:
        patch.setattr(FakeEncoder, "encode_images", interrupted)
        done = vsearch("index", videos, code=130)
    assert done.stdout.startswith("1 indexed")
    assert "run the same command again" in done.stderr
    assert vsearch("index", videos).stdout.startswith("1 indexed · 1 unchanged")


def test_a_terminal_without_the_letters_of_a_name_gets_them_spelled_out(
    tmp_path: Path, videos: Path
) -> None:
    (videos / "green.mp4").rename(videos / "日本.mp4")
    command = [sys.executable, "-m", "vsearch"]
    subprocess.run([*command, "index", videos], cwd=tmp_path, check=True, capture_output=True)
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    listed = subprocess.run(
        [*command, "list"], cwd=tmp_path, env=environment, capture_output=True, check=True
    )
    assert b"\\u65e5\\u672c.mp4" in listed.stdout


def test_what_is_logged_cannot_steer_the_terminal(
    vsearch: Vsearch, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(encoder: FakeEncoder, images: Images) -> Matrix:
        raise RuntimeError("\x1b[31mred")

    monkeypatch.setattr(FakeEncoder, "encode_images", broken)
    done = vsearch("--verbose", "index", videos, code=1)
    assert "unexpected RuntimeError" in done.stderr
    assert "\x1b" not in done.stderr


def test_shared_options_stand_before_or_after_the_command(vsearch: Vsearch, videos: Path) -> None:
    vsearch("index", videos, "--library", "shelf", "--model", "fake:other")
    assert json.loads(vsearch("--library", "shelf", "info", "--json").stdout)["videos"] == 2
    found = vsearch(
        "--library", "wrong", "search", "green", "--library", "shelf", "--model", "fake:other"
    )
    assert "green.mp4" in found.stdout


def test_a_page_replaces_nothing_but_a_page(vsearch: Vsearch, videos: Path, tmp_path: Path) -> None:
    vsearch("index", videos)
    before = (videos / "green.mp4").read_bytes()
    done = vsearch("search", "green", "--sheet", videos / "green.mp4", code=2)
    assert "no page of vsearch" in done.stderr
    assert (videos / "green.mp4").read_bytes() == before
    for _ in range(2):
        vsearch("search", "green", "--sheet", "page.html")
    assert "green.mp4#t=0.00,3.00" in (tmp_path / "page.html").read_text()


def test_videos_are_named_as_they_were_to_index(vsearch: Vsearch, videos: Path) -> None:
    vsearch("index", "videos")
    for name in ("videos", "./videos/green.mp4", "videos/../videos", "gr*.mp4", "green.mp4"):
        assert "green.mp4" in vsearch("list", name).stdout
        assert "green.mp4" in vsearch("search", "red", "--video", name).stdout
    assert "1 video removed" in vsearch("remove", "./videos/green.mp4").stdout


def test_a_demo_of_nothing_is_a_failure(vsearch: Vsearch, videos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no videos" in vsearch("demo", "empty", code=1).stderr
    assert "no such file" in vsearch("demo", "nowhere", code=1).stderr
    done = vsearch("demo", "videos/green.mp4", "--query", "red")
    assert "red then blue" not in done.stdout
    assert "Ask more:" in done.stdout
    assert "serve --open" in done.stdout


def test_an_empty_library_says_that_it_is_empty(vsearch: Vsearch, videos: Path) -> None:
    vsearch("index", videos)
    vsearch("remove", "videos")
    assert "Nothing found" in vsearch("search", "red").stderr
    vsearch("--library", "new", "index", videos / "none.mp4", code=1)
    assert "is empty" in vsearch("--library", "new", "search", "red").stderr


def test_evaluate_prints_figures_and_leaves_the_library_alone(
    vsearch: Vsearch, videos: Path, tmp_path: Path
) -> None:
    rows: list[dict[str, object]] = [
        {"path": "videos/green.mp4", "caption": "green"},
        {"path": "videos/red then blue.mp4", "caption": "blue", "start": 4, "end": 8},
    ]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    shown = vsearch("evaluate", "set.jsonl").stdout
    assert re.search(r"text → video   2 among 2\n +R@1.*\n +100\.0", shown)
    assert "text → moment in its video   1 among 1" in shown
    found = json.loads(vsearch("evaluate", "set.jsonl", "--json").stdout)
    assert found["tasks"][0]["measures"][0] == {"name": "R@1", "value": 1, "low": 1, "high": 1}
    assert found["failures"] == []
    assert not (tmp_path / "indexes" / "default").exists()
    rows[0]["caption"] = "blue <b>"
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = json.loads(vsearch("evaluate", "set.jsonl", "--json", "--sheet", "wrong.html").stdout)
    assert found["failures"][0]["path"] == str(videos / "green.mp4")
    page = (tmp_path / "wrong.html").read_text()
    assert "blue &lt;b&gt; (right: the first picture, found at place 2)" in page
    assert page.count("<img") == 2
    assert "cannot be read" in vsearch("evaluate", videos / "green.mp4", code=1).stderr


def test_a_published_set_is_evaluated_as_its_authors_ship_it(
    vsearch: Vsearch, videos: Path, tmp_path: Path
) -> None:
    (videos / "red then blue.mp4").rename(videos / "video7.mp4")
    (tmp_path / "test.csv").write_text(
        "key,vid_key,video_id,sentence\nret0,msr7,video7,blue\nret1,msr8,video8,gone\n"
    )
    asked = ("evaluate", "test.csv", "--format", "msrvtt-1ka", "--videos")
    shown = vsearch(*asked, videos).stdout
    assert "1 missing" in shown
    assert "text → video   1 among 1" in shown
    assert "go together" in vsearch(*asked[:-1], code=2).stderr
