"""`vsearch search`: how a command line becomes a query."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from vsearch.cli.asked import text_of

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch


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
def test_what_the_shell_took_apart_is_put_together(words: list[str], text: str) -> None:
    assert text_of(words) == text


@pytest.fixture
def library(fake_model: None, vsearch: Vsearch, videos: Path) -> Vsearch:
    vsearch("index", videos)
    return vsearch


def asked(vsearch: Vsearch, *words: str) -> dict[str, object]:
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
def test_a_dash_before_a_word_leaves_it_out(library: Vsearch, words: list[str], query: str) -> None:
    if "--tag" in words:
        library("tags", "videos/green.mp4", "--add", "x")
    assert asked(library, *words)["query"] == query


@pytest.mark.parametrize(
    ("mistyped", "told"),
    [
        ("--jsn", "No such option '--jsn'. Did you mean '--json'?"),
        ("-v", "No such option '-v'"),
        ("-k", "Option '-k' requires an argument"),
    ],
)
def test_a_mistyped_option_stays_one(library: Vsearch, mistyped: str, told: str) -> None:
    assert told in library("search", "red", mistyped, code=2).stderr


def test_a_name_that_no_video_has_is_told(library: Vsearch) -> None:
    done = library("search", "red", "--video", "nothere", "--video", "green*")
    assert "nothere: no such video" in done.stderr
    assert "green*" not in done.stderr
    assert "green.mp4" in done.stdout
    assert "nothere: no such" in library("search", "red path:nothere", "--json").stderr


@pytest.mark.parametrize(
    ("query", "command"),
    [("said:hello", "transcribe"), ("red has:speech", "transcribe"), ("shown:EXIT", "read")],
)
def test_it_is_told_that_nobody_has_listened_or_read(
    library: Vsearch, query: str, command: str
) -> None:
    told = library("search", query)
    assert f"`vsearch {command}`" in told.stderr
    assert "`vsearch" not in library("search", "red path:nothing").stderr.replace(
        "`vsearch list`", ""
    )


def test_results_can_be_named(library: Vsearch) -> None:
    best = asked(library, "blue")["results"][0]  # type: ignore[index]
    again = asked(library, "like:#1")
    assert again["results"][0]["video"] == best["video"]  # type: ignore[index]
    assert again["results"][0]["start"] == best["start"]  # type: ignore[index]
    assert "there is no such result" in library("search", "like:#99", code=2).stderr


def test_a_search_is_saved_listed_asked_and_forgotten(library: Vsearch, tmp_path: Path) -> None:
    library("save", "gone", "-k", "red", "--", "x", code=2)
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
    refused = library("search", "@red", code=2).stderr
    assert 'did you mean @reds? (to look for the word, write "@red")' in refused
    refused = library("save", "last", "--remove", code=2).stderr
    assert refused.endswith("no search is saved under that name; see `vsearch saved`\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a b", "red"], "is no name"),
        (["x" * 65, "red"], "is no name"),
        (["x", "paht:y"], "did you mean path:"),
        (["x"], "no search was made"),
        (["x", "y", "--remove"], "no query"),
        (["x", "\\x" * 900], "too long"),
    ],
)
def test_what_cannot_be_saved_is_told(library: Vsearch, words: list[str], told: str) -> None:
    assert told in library("save", *words, code=2).stderr


def test_an_export_is_asked_for_in_the_same_way(library: Vsearch, tmp_path: Path) -> None:
    library("export", "a red car", "-blue", "path:green*", "-k", "5", "--csv", "out.csv")
    table = (tmp_path / "out.csv").read_text("utf-8")
    assert "green.mp4" in table
    assert "red then blue" not in table
