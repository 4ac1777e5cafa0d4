"""`vsearch search`: conversion of arguments to a query, and saved searches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.support.video_factory import WHITE, YELLOW, ColorScene, make_video
from vsearch.cli.query_args import query_from_argv

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["a dog path:x"], "a dog path:x"),
        (["a", "dog", "-cat"], "a dog -cat"),
        (["a dog", "-cat"], '"a dog" -cat'),
        (["2:into a pool", "dog"], '2:"into a pool" dog'),
        (["x", "-a b"], 'x -"a b"'),
        (["x", "-tag:my dog"], 'x -tag:"my dog"'),
        (["x", "clip:my film.mp4@3-8"], 'x clip:"my film.mp4"@3-8'),
        (["x", 'said:"thank you" b'], 'x said:"thank you" b'),
        (["x", "then:<30s splash"], "x then:<30s splash"),
        (["x", r"a \b"], r'x "a \\b"'),
        ([], ""),
    ],
)
def test_quotes_removed_by_the_shell_are_restored(words: list[str], text: str) -> None:
    assert query_from_argv(words) == text


@pytest.fixture
def library(fake_model: None, run_vsearch: CommandRunner, videos_folder: Path) -> CommandRunner:
    run_vsearch("index", videos_folder)
    return run_vsearch


def asked(vsearch: CommandRunner, *words: str) -> dict[str, object]:
    found = json.loads(vsearch("search", "--json", *words).stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("words", "query"),
    [
        (["red", "-indoor"], "red -indoor"),
        (["red", "-kitchen"], "red -kitchen"),
        (["red", "-5:blue"], "red -5:blue"),
        (["-k5", "red"], "red"),
        (["red", "-kx"], "red -kx"),
        (["red", "-k", "1"], "red"),
        (["--", "red", "-k"], "red -k"),
        (["red", "--video", "-x.mp4"], "red path:-x.mp4"),
        (["a red car", "--tag", "x"], "a red car tag:x"),
    ],
)
def test_dash_excludes_a_word(library: CommandRunner, words: list[str], query: str) -> None:
    if "--tag" in words:
        library("tags", "videos/green.mp4", "--add", "x")
    assert asked(library, *words)["query"] == query


@pytest.mark.parametrize(
    ("mistyped", "output"),
    [
        ("--jsn", "No such option '--jsn'. Did you mean '--json'?"),
        ("-z", "No such option '-z'"),
        ("-k", "Option '-k' requires an argument"),
    ],
)
def test_mistyped_option_is_reported(library: CommandRunner, mistyped: str, output: str) -> None:
    assert output in library("search", "red", mistyped, exit_code=2).stderr


def test_unknown_video_name_is_reported(library: CommandRunner) -> None:
    done = library("search", "red", "--video", "nothere", "--video", "green*")
    assert "nothere: no such video" in done.stderr
    assert "green*" not in done.stderr
    assert "green.mp4" in done.stdout
    assert "nothere: no such" in library("search", "red path:nothere", "--json").stderr


@pytest.mark.parametrize(
    ("query", "command"),
    [("said:hello", "transcribe"), ("red has:speech", "transcribe"), ("shown:EXIT", "ocr")],
)
def test_missing_transcripts_are_reported(library: CommandRunner, query: str, command: str) -> None:
    output = library("search", query)
    assert f"`vsearch {command}`" in output.stderr
    assert "`vsearch" not in library("search", "red path:nothing").stderr.replace(
        "`vsearch list`", ""
    )


def test_results_can_be_referenced(library: CommandRunner) -> None:
    best = asked(library, "blue")["results"][0]  # type: ignore[index]
    again = asked(library, "like:#1")
    assert again["results"][0]["video"] == best["video"]  # type: ignore[index]
    assert again["results"][0]["start"] == best["start"]  # type: ignore[index]
    assert "there is no such result" in library("search", "like:#99", exit_code=2).stderr


def test_weak_results_are_folded(
    library: CommandRunner, videos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_video(videos_folder / "three.mp4", [ColorScene(WHITE, 3), ColorScene(YELLOW, 3)])
    library("index", videos_folder)
    monkeypatch.setattr("vsearch.types.WEAK_CONFIDENCE", 1.1)
    found = asked(library, "yellow", "-k", "5")["results"]
    assert isinstance(found, list)
    assert [result["low_confidence"] for result in found] == [True] * 5
    folded = library("search", "yellow", "-k", "5", "--contact-sheet", "sheet.html")
    assert [row[0] for row in folded.stdout.splitlines()] == ["#", "1", "2", "3"]
    assert "\n2 more weak results; show with --all\n" in folded.stderr
    sheet = (videos_folder.parent / "sheet.html").read_text("utf-8")
    assert ">5. " in sheet
    assert asked(library, "like:#5")["results"]
    every = library("search", "yellow", "-k", "5", "--all")
    assert [row[0] for row in every.stdout.splitlines()] == ["#", "1", "2", "3", "4", "5"]
    assert "--all" not in every.stderr


def test_search_is_saved_listed_used_and_removed(library: CommandRunner, tmp_path: Path) -> None:
    library("save", "gone", "-k", "red", "--", "x", exit_code=2)
    library("save", "reds", "red", "-blue", "image:a.jpg")
    assert f"@reds  red -blue image:{tmp_path}/a.jpg" in library("saved").stdout
    library("search", "blue", "path:red*")
    library("save", "last")
    saved = json.loads(library("saved", "--json").stdout)["searches"]
    assert [one["name"] for one in saved] == ["last", "reds"]
    assert saved[0]["query"] == "blue path:red*"
    assert asked(library, "@last", "longer:1s")["query"] == "blue path:red* longer:1s"
    library("save", "last", "green")
    assert asked(library, "@last")["query"] == "green"
    library("save", "last", "--remove")
    refused = library("search", "@red", exit_code=2).stderr
    assert 'did you mean @reds? (to look for the word, write "@red")' in refused
    refused = library("save", "last", "--remove", exit_code=2).stderr
    assert refused.endswith("there is no saved search of that name; see `vsearch saved`\n")


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["a b", "red"], "is not a valid name"),
        (["x" * 65, "red"], "is not a valid name"),
        (["x", "paht:y"], "did you mean path:"),
        (["x"], "no search was made"),
        (["x", "y", "--remove"], "no query"),
        (["x", "\\x" * 900], "too long"),
    ],
)
def test_invalid_saved_search_is_refused(
    library: CommandRunner, words: list[str], output: str
) -> None:
    assert output in library("save", *words, exit_code=2).stderr


def test_export_uses_the_same_query_language(library: CommandRunner, tmp_path: Path) -> None:
    library("export", "a red car", "-blue", "path:green*", "-k", "5", "--csv", "out.csv")
    table = (tmp_path / "out.csv").read_text("utf-8")
    assert "green.mp4" in table
    assert "red then blue" not in table


def test_paths_are_printed_for_other_programs(
    run_vsearch: CommandRunner, fake_model: None, videos_folder: Path
) -> None:
    (videos_folder / "green.mp4").rename(videos_folder / "gr\neen ü.mp4")
    run_vsearch("index", videos_folder)
    lines = run_vsearch("search", "blue", "--paths", "-k", "all").stdout
    assert lines.startswith(f"{videos_folder / 'red then blue.mp4'}\n")
    paths = run_vsearch("search", "blue", "-0", "-k", "all").stdout.split("\0")
    assert sorted(paths) == sorted(["", *map(str, videos_folder.iterdir())])
    assert "cannot be combined" in run_vsearch("search", "blue", "--json", "-0", exit_code=2).stderr


def test_all_results_are_found_and_weak_ones_left_out(
    library: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = json.loads(library("search", "blue", "-k", "all", "--json").stdout)["results"]
    assert len(found) >= 3
    some = sorted(one["confidence"] for one in found)[len(found) // 2]
    percent = str(100 * some)
    kept = json.loads(library("search", "blue", "--min-confidence", percent, "--json").stdout)
    assert {one["confidence"] >= some for one in kept["results"]} == {True}
    assert "at least 100 %" in library("search", "blue", "--min-confidence", "100").stderr
    for wrong in ("0", "-1", "some", "1.5"):
        assert "a number from 1, or all" in library("search", "x", "-k", wrong, exit_code=2).stderr


def test_a_file_among_the_words_is_an_example(
    library: CommandRunner, videos_folder: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (32, 32), "blue").save(tmp_path / "beach.jpg")
    for words, expected in (
        (("beach.jpg",), ("--image", "beach.jpg")),
        (("beach.jpg", "wall"), ("wall", "--image", "beach.jpg")),
        ((f"{videos_folder / 'green.mp4'}@0-1",), ("--clip", f"{videos_folder / 'green.mp4'}@0-1")),
    ):
        result = library("search", *words, "--json")
        assert "Searching by the file" in result.stderr
        query = json.loads(library("search", *expected, "--json").stdout)["query"]
        assert json.loads(result.stdout)["query"] == query
    assert "Searching by" not in library("search", "a", "beach.png").stderr


def test_filters_alone_list_videos_by_date_without_a_model(
    library: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.fakes import FakeEncoder

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a model was loaded")

    monkeypatch.setattr(FakeEncoder, "__init__", refuse)
    found = asked(library, "longer:1s")
    assert found["browse"] is True
    assert found["has_confident_match"] is None
    results = found["results"]
    assert isinstance(results, list)
    assert results
    assert {(one["score"], one["confidence"], one["start"]) for one in results} == {(0, None, 0)}
    done = library("search", "longer:1s", "-k", "1", "--min-confidence", "50")
    assert done.stdout.splitlines()[0].split() == ["#", "recorded", "moment", "video"]
    assert len(done.stdout.splitlines()) == 2
    assert "Only the newest 1" in done.stderr
    assert "cannot be marked" in library("mark", "1", "up", exit_code=2).stderr
    assert "Nothing found" in library("search", "shorter:0.1s").stderr


def test_filters_alone_can_be_saved(library: CommandRunner) -> None:
    library("save", "long", "longer:1s")
    assert asked(library, "@long")["browse"] is True
    assert asked(library, "@long", "red")["browse"] is False
