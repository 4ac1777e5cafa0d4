"""`vsearch export`: selections, formats and errors."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import av
import pytest

from tests.support.video_factory import BLUE, RED, ColorScene, make_video
from vsearch.config import resolve_library_path
from vsearch.library import Library
from vsearch.search import last_search

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def indexed(run_vsearch: CommandRunner, videos_folder: Path) -> Path:
    run_vsearch("index", videos_folder)
    return videos_folder


def found(vsearch: CommandRunner, *words: str) -> list[dict[str, float]]:
    output: list[dict[str, float]] = json.loads(vsearch("search", *words, "--json").stdout)[
        "results"
    ]
    return output


def test_query_is_exported_as_clips_and_table(
    run_vsearch: CommandRunner, indexed: Path, tmp_path: Path
) -> None:
    words = ("export", "blue", "wall", "-k", "2", "--clips", "out", "--csv", "a.csv", "--json")
    output = json.loads(run_vsearch(*words).stdout)
    assert output["query"] == "blue wall"
    assert [one["rank"] for one in output["excerpts"]] == [1, 2]
    assert output["failed"] == []
    best = output["excerpts"][0]
    assert best["video"].endswith("red then blue.mp4")
    clip = next(file for file in output["files"] if file["kind"] == "clips")
    assert clip["duration"] == pytest.approx(best["end"] - best["start"], abs=0.11)
    with av.open(clip["path"]) as container:
        assert container.duration == pytest.approx(clip["duration"] * 1e6, abs=0.15e6)
    table = (tmp_path / "a.csv").read_text("utf-8-sig").splitlines()
    rows = list(csv.DictReader(table))
    assert [row["name"] for row in rows] == ["red then blue.mp4", "green.mp4"]
    assert [row["note"] for row in rows] == ["blue wall"] * 2


def test_videos_of_the_library_are_never_overwritten(
    run_vsearch: CommandRunner, indexed: Path
) -> None:
    """`green.mp4` is not among the results."""
    green = indexed / "green.mp4"
    content = green.read_bytes()
    blue = ("export", "blue", "-k", "1", "--overwrite")
    for words in (
        (*blue, "--supercut", green),
        ("summarize", indexed / "red then blue.mp4", "-o", green, "--overwrite"),
    ):
        assert "is a video of the library" in run_vsearch(*words, exit_code=1).stderr
    assert green.read_bytes() == content


def test_results_of_the_last_search_are_selected_by_number(
    run_vsearch: CommandRunner, indexed: Path, tmp_path: Path
) -> None:
    with Library.open(resolve_library_path()) as library:
        last_search.save_last_search(library.path, "blue", library.search("blue", k=3))
        kept = last_search.load_last_search(library.path)
    output = json.loads(run_vsearch("export", "#2", "--csv", "a.csv", "--json").stdout)
    assert output["query"] == "blue"
    assert [one["rank"] for one in output["excerpts"]] == [2]
    assert output["excerpts"][0]["start"] == pytest.approx(kept.get_result(2).span.start, abs=0.001)
    for words in (("#1-2",), ("#1,2",), ("#1", "#2")):
        output = json.loads(
            run_vsearch("export", *words, "--m3u", "a.m3u", "--overwrite", "--json").stdout
        )
        assert [one["rank"] for one in output["excerpts"]] == [1, 2]
    assert (
        "there is no such result"
        in run_vsearch("export", "#9", "--m3u", "b.m3u", exit_code=2).stderr
    )
    assert "range from 1" in run_vsearch("export", "#3-1", "--m3u", "b.m3u", exit_code=2).stderr


def test_result_numbers_refer_to_what_a_query_exported_last(
    run_vsearch: CommandRunner, indexed: Path, tmp_path: Path
) -> None:
    run_vsearch("search", "red", "--json")
    exported = json.loads(run_vsearch("export", "blue", "--csv", "a.csv", "--json").stdout)
    words = ("--csv", "b.csv", "--json", "--overwrite")
    again = json.loads(run_vsearch("export", "#1-2", *words).stdout)
    assert again["query"] == "blue"
    assert again["excerpts"] == exported["excerpts"][:2]
    run_vsearch("search", "red", "--json")
    assert json.loads(run_vsearch("export", "#1", *words).stdout)["query"] == "red"


def test_unusable_result_numbers_are_reported(
    run_vsearch: CommandRunner, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_search, "save_last_search", lambda *_: False)
    output = run_vsearch("export", "blue", "--csv", "a.csv").stderr
    assert "Result numbers cannot be used by later commands" in output


def test_the_rate_of_timelines_can_be_chosen(
    run_vsearch: CommandRunner, indexed: Path, tmp_path: Path
) -> None:
    run_vsearch("export", "blue", "--edl", "a.edl", "--fcp7", "a.xml", "--rate", "29.97DF")
    assert "FCM: DROP FRAME" in (tmp_path / "a.edl").read_text()
    assert "<displayformat>DF</displayformat>" in (tmp_path / "a.xml").read_text("utf-8")
    error = run_vsearch("export", "blue", "--edl", "b.edl", "--rate", "26", exit_code=2).stderr
    assert "26: choose from 23.976" in error


def test_results_file_needs_no_library(
    run_vsearch: CommandRunner, indexed: Path, tmp_path: Path
) -> None:
    printed = run_vsearch("search", "blue", "-k", "2", "--json").stdout
    (tmp_path / "r.json").write_text(printed)
    for more in ((), ("--library", resolve_library_path())):
        words = ("export", "r.json", "--csv", "a.csv", "--overwrite", "--json", *more)
        output = json.loads(run_vsearch(*words).stdout)
        assert output["query"] == "blue"
        wanted = [(one["video"], one["start"]) for one in json.loads(printed)["results"]]
        assert [(one["video"], one["start"]) for one in output["excerpts"]] == wanted
    (tmp_path / "bad.json").write_text("[]")
    assert (
        "not a search result file"
        in run_vsearch("export", "bad.json", "--csv", "b.csv", exit_code=2).stderr
    )


def test_missing_results_file_is_not_a_query(
    run_vsearch: CommandRunner, indexed: Path, tmp_path: Path
) -> None:
    output = run_vsearch("export", "no-such.JSON", "--csv", "a.csv", exit_code=2).stderr
    assert "no-such.JSON: there is no such file" in output
    assert not (tmp_path / "a.csv").exists()
    run_vsearch("export", '"no-such.json"', "--csv", "a.csv")
    assert (tmp_path / "a.csv").exists()


def test_low_confidence_is_reported_and_exported(
    run_vsearch: CommandRunner, indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsearch.types.WEAK_CONFIDENCE", 1.1)
    output = run_vsearch("export", "red", "--csv", "a.csv", exit_code=0).stderr
    assert "Probably not in this library" in output
    assert (tmp_path / "a.csv").exists()


def test_padding_stays_within_the_video(run_vsearch: CommandRunner, indexed: Path) -> None:
    words = ("export", "blue", "-k", "1", "--csv", "a.csv", "--overwrite", "--json")
    bare = json.loads(run_vsearch(*words).stdout)["excerpts"][0]
    wide = json.loads(run_vsearch(*words, "--pad", "1.5s").stdout)["excerpts"][0]
    assert wide["start"] == pytest.approx(max(0, bare["start"] - 1.5), abs=0.001)
    assert wide["end"] == pytest.approx(min(8, bare["end"] + 1.5), abs=0.001)


def test_several_formats_are_written_at_once(
    run_vsearch: CommandRunner, indexed: Path, tmp_path: Path
) -> None:
    kinds = ("supercut", "otio", "edl", "fcpxml", "fcp7", "csv", "m3u", "html")
    names = {kind: f"a.{ {'supercut': 'mp4', 'fcp7': 'xml'}.get(kind, kind) }" for kind in kinds}
    targets = [word for kind, name in names.items() for word in (f"--{kind}", name)]
    output = run_vsearch("export", "red", *targets).stderr
    for name in names.values():
        assert f"Written: {name}" in output
        assert (tmp_path / name).stat().st_size
    assert not list(tmp_path.glob("*.part"))


def test_lists_are_written_into_the_new_folder_of_the_clips(
    run_vsearch: CommandRunner, indexed: Path, tmp_path: Path
) -> None:
    run_vsearch("export", "red", "-k", "1", "--csv", "new/red.csv", "--clips", "new")
    assert sorted(file.suffix for file in (tmp_path / "new").iterdir()) == [".csv", ".mp4"]


def test_gallery_is_animated_and_self_contained(run_vsearch: CommandRunner, tmp_path: Path) -> None:
    film = make_video(tmp_path / "film <b>&.mp4", [ColorScene(RED, 3), ColorScene(BLUE, 3)])
    run_vsearch("index", film)
    run_vsearch("export", "<i>red", "--html", "a.html")
    page = (tmp_path / "a.html").read_text("utf-8")
    cards = page.count("<li>")
    assert cards
    assert page.count("data:image/webp;base64,") == page.count("data:image/jpeg;base64,") == cards
    assert "film &lt;b&gt;&amp;.mp4" in page
    assert "&lt;i&gt;red" in page
    assert "<i>red" not in page
    assert "<script" not in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert f"{film.as_uri()}#t=" in page
    run_vsearch("export", "red", "--html", "a.html")  # a page created by vsearch may be replaced
    (tmp_path / "mine.html").write_text("mine")
    assert (
        "was not created by vsearch"
        in run_vsearch("export", "red", "--html", "mine.html", exit_code=2).stderr
    )


def test_gallery_over_the_size_limit_uses_still_images(
    run_vsearch: CommandRunner, indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsearch.cli.html.gallery.MAX_ANIMATION_BYTES", 1)
    run_vsearch("export", "red", "--html", "a.html")
    page = (tmp_path / "a.html").read_text("utf-8")
    assert page.count("data:image/webp") == 1
    assert page.count("<li>") > 1
    assert page.count("data:image/jpeg") == page.count("<li>")


def test_missing_video_is_reported_and_the_rest_is_written(
    run_vsearch: CommandRunner, indexed: Path, tmp_path: Path
) -> None:
    (indexed / "green.mp4").unlink()
    done = run_vsearch("export", "blue", "--csv", "a.csv", "--json", exit_code=1)
    output = json.loads(done.stdout)
    assert output["failed"][0]["video"].endswith("green.mp4")
    assert "missing" in done.stderr
    assert "green" not in (tmp_path / "a.csv").read_text("utf-8-sig")
    assert "red then blue" in (tmp_path / "a.csv").read_text("utf-8-sig")


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["red"], "name an output"),
        (["--csv", "a.csv"], "Missing argument 'QUERY|#RESULTS|FILE...'"),
        (["red", "--csv", "a.csv", "--pad", "soon"], "'soon' is not a duration"),
        (["red", "--csv", "a.csv", "--pad", "-1"], "'-1' is not a duration"),
        (["red", "--csv", "a.csv", "--pad", "10%"], "'10%' is not a duration: write 10s"),
        (["red", "--csv", "a.csv", "--pad", "2h"], "2h: the maximum is 3600 seconds"),
        (["red", "--csv", "a.csv", "-k", "0"], "0 is not in the range"),
        (["#1", "--csv", "a.csv"], "no search was made"),
        ([" ", "--csv", "a.csv"], "nothing to search for"),
    ],
)
def test_wrong_usage_is_reported(
    words: list[str], output: str, run_vsearch: CommandRunner, indexed: Path, tmp_path: Path
) -> None:
    assert output in run_vsearch("export", *words, exit_code=2).stderr
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize("target", ["a.txt", "no/such/a.csv", "mine.csv"])
def test_a_target_is_refused_before_anything_is_searched(
    target: str, run_vsearch: CommandRunner, tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    run_vsearch("export", "red", "--csv", target, exit_code=1)
    assert (tmp_path / "mine.csv").read_text() == "mine"


def test_missing_library_is_reported(run_vsearch: CommandRunner) -> None:
    assert (
        "there is no library" in run_vsearch("export", "red", "--csv", "a.csv", exit_code=1).stderr
    )
