"""`vsearch classify` and `vsearch tags`."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from test_start_up import loaded, run

from moving import library
from vsearch import Library, Query, Span, Term
from vsearch.catalog.repository import Catalog
from vsearch.cli.classify import Told, _show, _stream
from vsearch.errors import LibraryError, QueryError, SettingsError
from vsearch.types import Classified, Filters

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def labels(tmp_path: Path, videos: Path, vsearch: Vsearch) -> Path:
    """A file of three colours, and an indexed library: red, then blue; and green."""
    vsearch("index", videos)
    file = tmp_path / "colours.txt"
    file.write_text("red\nblue\ngreen: a green thing; something yellow\n")
    return file


def tagged(vsearch: Vsearch, *words: str | Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(vsearch("tags", "--json", *words).stdout)["tags"]
    return found


def test_videos_are_judged_and_their_tags_kept(vsearch: Vsearch, labels: Path) -> None:
    done = vsearch("classify", "--all", "--labels", labels)
    heading, green, both = done.stdout.splitlines()
    assert heading.split() == ["label", "p", "next", "p", "tags", "video"]
    assert green.split()[0] == "green"
    assert both.endswith("videos/red then blue.mp4")
    assert "stored by “zero-shot colours”" in done.stderr
    found = {(tag["label"], tag["start"] is None) for tag in tagged(vsearch)}
    assert found >= {("green", True), ("green", False), ("red", False), ("blue", False)}
    parts = tagged(vsearch, "videos/red then blue.mp4")
    assert [tag["label"] for tag in parts if tag["start"] is not None] == ["red", "blue"]
    assert all(0.5 <= tag["probability"] <= 1 for tag in parts)
    assert {tag["by"] for tag in parts} == {"zero-shot colours"}


@pytest.mark.parametrize("printed", [_show, _stream])
def test_what_was_printed_of_a_video_is_let_go(
    tmp_path: Path, printed: Callable[[Iterator[Classified], int], Told]
) -> None:
    matrices: list[weakref.ref[Any]] = []
    with library(tmp_path, count=8) as made:
        videos = made.videos()

    def judged() -> Iterator[Classified]:
        for video in videos:
            matrix = np.full((1, 2), 0.5, np.float32)
            matrices.append(weakref.ref(matrix))
            yield Classified(video, ("a", "b"), matrix[0].copy(), (), matrix[:0], ())
            del matrix
            assert sum(each() is not None for each in matrices) < 3

    assert printed(judged(), len(videos)).videos == len(matrices) == 8


def test_json_tells_every_probability(vsearch: Vsearch, labels: Path) -> None:
    done = vsearch("classify", "videos/green.mp4", "--labels", labels, "--json", "--no-store")
    [one] = json.loads(done.stdout)["videos"]
    assert one["label"] == "green"
    assert list(one["probabilities"]) == ["red", "blue", "green", "none of these"]
    assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert one["segments"][0]["start"] == 0
    assert sum(one["segments"][0]["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert tagged(vsearch) == []


def test_a_second_run_replaces_what_the_first_one_said(vsearch: Vsearch, labels: Path) -> None:
    vsearch("classify", "--all", "--labels", labels)
    vsearch("tags", "videos/green.mp4", "--add", "mine")
    labels.write_text("magenta\n")
    vsearch("classify", "videos/green.mp4", "--labels", labels)
    assert [tag["label"] for tag in tagged(vsearch, "videos/green.mp4")] == ["mine"]
    assert tagged(vsearch, "videos/red then blue.mp4")
    other = labels.with_name("other.txt")
    other.write_text("red\n")
    vsearch("classify", "--all", "--labels", other)
    names = {tag["by"] for tag in tagged(vsearch)}
    assert names == {"zero-shot colours", "zero-shot other", "by hand"}


def test_a_stop_loses_at_most_the_video_in_hand(
    vsearch: Vsearch, labels: Path, tmp_path: Path
) -> None:
    with Library.open(tmp_path / "indexes/default", create=False) as library:
        judging = library.classify(["red", "blue", "green"], name="colours")
        assert isinstance(judging, Generator)
        first = next(judging)
        judging.close()
        assert {tag.video_id for tag in library.tags()} == {first.video.id}
        assert library.writer() is None


def test_tags_stay_when_a_video_is_indexed_again_and_go_when_it_changes(
    vsearch: Vsearch, labels: Path, videos: Path
) -> None:
    vsearch("classify", "--all", "--labels", labels)
    before = tagged(vsearch)
    vsearch("index", videos, "--again")
    vsearch("rebuild")
    assert tagged(vsearch) == before
    (videos / "green.mp4").write_bytes((videos / "red then blue.mp4").read_bytes())
    (videos / "red then blue.mp4").unlink()
    vsearch("remove", "--missing")
    vsearch("index", videos)
    assert tagged(vsearch) == []
    vsearch("doctor")


def test_tags_are_given_listed_and_removed_by_hand(vsearch: Vsearch, labels: Path) -> None:
    vsearch("classify", "--all", "--labels", labels)
    vsearch("tags", "videos/red then blue.mp4@0:01-0:03", "--add", "a walk")
    vsearch("tags", "videos/red then blue.mp4@0:01-0:03", "--add", "a walk")
    counts = vsearch("tags").stdout.splitlines()
    assert counts[0].split() == ["tag", "videos", "parts", "by"]
    assert counts[1].split() == ["a", "walk", "1", "1", "by", "hand"]
    shown = vsearch("tags", "videos/red then blue.mp4").stdout
    assert "0:00:01 – 0:00:03" in shown
    assert vsearch("tags", "--remove", "A Walk").stdout == "1 tag removed\n"
    vsearch("tags", "--remove-source", "zero-shot colours")
    assert "No tags." in vsearch("tags").stderr
    assert tagged(vsearch) == []


def test_a_part_of_a_video_is_listed_and_loses_its_tags_alone(
    vsearch: Vsearch, labels: Path
) -> None:
    both = "videos/red then blue.mp4"
    vsearch("tags", f"{both}@0-1", "--add", "early")
    vsearch("tags", f"{both}@5-6", "--add", "late")
    vsearch("tags", "videos/green.mp4@1-2", "--add", "late")
    assert "0:00:00 – 0:00:01" in vsearch("tags", f"{both}@0:00-0:01").stdout
    assert [tag["label"] for tag in tagged(vsearch, f"{both}@0.5-5")] == ["early"]
    assert "No tags." in vsearch("tags", f"{both}@2-3").stderr
    assert "0 tags removed" in vsearch("tags", f"{both}@0-5", "--remove", "late", code=1).stdout
    parts = (f"{both}@5:00-5:01", f"{both}@5-6", "videos/green.mp4@0-2")
    assert vsearch("tags", *parts, "--remove", "late").stdout == "2 tags removed\n"
    vsearch("tags", both, "--add", "film")
    assert [tag["label"] for tag in tagged(vsearch, f"{both}@2-3")] == ["film"]
    assert vsearch("tags", f"{both}@0-9", "--remove-source", "by hand").stdout[0] == "2"


def test_a_tag_by_hand_ends_with_its_video(vsearch: Vsearch, labels: Path) -> None:
    vsearch("tags", "videos/green.mp4@0-500", "--add", "grass")
    [one] = tagged(vsearch)
    assert one["end"] == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["classify", "--labels", "colours.txt"], 2, "--all"),
        (["classify", "a.mp4", "--all", "--labels", "colours.txt"], 2, "--all"),
        (["classify", "--all"], 2, "--labels FILE or --checkpoint"),
        (["classify", "--all", "--labels", "nowhere.txt"], 1, "nowhere.txt"),
        (["classify", "nowhere.mp4", "--labels", "colours.txt"], 1, "No video matches"),
        (["classify", "--all", "--labels", "videos/green.mp4"], 1, "green.mp4"),
        (["tags", "--add", "x"], 2, "--add needs a video"),
        (["tags", "videos", "--add", "x", "--remove", "y"], 2, "go alone"),
        (["tags", "videos", "--add", "x"], 1, "means 2 videos"),
        (["tags", "nowhere.mp4", "--add", "x"], 1, "means 0 videos"),
        (["tags", "videos/green.mp4", "--add", "x\x1b"], 1, "no label"),
        (["tags", "videos/green.mp4@8-9", "--add", "x"], 1, "ends after"),
        (["tags", "--remove", "cat"], 1, "nothing is tagged yet"),
        (["tags", "--remove-source", "cat"], 1, "nobody"),
        (["tags", "--remove-source", "\udcff"], 1, "nobody"),
        (["tags", "nosuch.mp4"], 1, "nosuch.mp4: no such video"),
        (["tags", "videos", "nosuch.mp4@0-1"], 1, "nosuch.mp4@0-1: no such video"),
        (["tags", "nosuch.mp4", "--remove-source", "x"], 1, "nosuch.mp4: no such video"),
        (["classify", "--all", "--labels", "colours.txt", "--threshold", "nan"], 2, "nan"),
    ],
)
def test_mistakes_are_told_in_a_line(
    vsearch: Vsearch, labels: Path, words: list[str], code: int, told: str
) -> None:
    assert told in vsearch(*words, code=code).stderr


def test_an_empty_library_has_nothing_to_judge(
    vsearch: Vsearch, tmp_path: Path, labels: Path
) -> None:
    vsearch("remove", "videos")
    assert "No videos." in vsearch("classify", "--all", "--labels", labels).stderr
    Library.open(tmp_path / "new").close()
    done = vsearch("--library", "new", "classify", "--all", "--labels", labels)
    assert "No videos." in done.stderr


def test_a_video_that_cannot_be_judged_is_told_and_the_rest_goes_on(
    vsearch: Vsearch, labels: Path, tmp_path: Path
) -> None:
    with Catalog.open(tmp_path / "indexes/default/catalog.sqlite3") as catalog:
        first, _ = catalog.videos()
        with catalog.begin() as change:
            change.remove_segments(first.id)
    done = vsearch("classify", "--all", "--labels", labels, code=1)
    assert "has no segments" in done.stderr
    assert tagged(vsearch)


def test_unknown_tags_are_told_with_near_ones(
    vsearch: Vsearch, labels: Path, tmp_path: Path
) -> None:
    vsearch("classify", "--all", "--labels", labels)
    with Library.open(tmp_path / "indexes/default") as library:
        with pytest.raises(LibraryError, match="did you mean 'green'"):
            library.untag(label="greeen")
        assert library.untag(label="GREEN") == 2


def test_a_source_that_is_no_text_is_spelled_out(
    vsearch: Vsearch, labels: Path, tmp_path: Path
) -> None:
    with Library.open(tmp_path / "indexes/default") as library:
        judged = list(library.classify(["red", "green"], name="\udcff"))
        assert {tag.source for tag in library.tags()} == {r"zero-shot \udcff"}
        again = list(library.classify(["red", "green"], name="\udcff"))
        assert len(library.tags()) == sum(len(one.tags) for one in again)
        assert library.untag(source="zero-shot \udcff") == sum(len(one.tags) for one in judged)


def test_a_threshold_that_is_no_number_leaves_the_tags_as_they_are(
    vsearch: Vsearch, labels: Path, tmp_path: Path
) -> None:
    with Library.open(tmp_path / "indexes/default") as library:
        list(library.classify(["red", "green"]))
        before = library.tags()
        assert before
        with pytest.raises(SettingsError, match="nan"):
            list(library.classify(["red", "green"], threshold=float("nan")))
        assert library.tags() == before


def test_neither_help_nor_labels_load_torch_or_a_decoder(
    vsearch: Vsearch, labels: Path, tmp_path: Path
) -> None:
    modules = loaded(run("classify", "--all", "--labels", "colours.txt"), tmp_path)
    assert "fakes" in modules
    assert not modules & {"torch", "open_clip", "av"}
    assert "numpy" not in loaded(run("classify", "--help"), tmp_path)


def test_a_search_is_narrowed_to_what_has_every_tag(vsearch: Vsearch, labels: Path) -> None:
    vsearch("classify", "--all", "--labels", labels)
    vsearch("tags", "videos/green.mp4", "--add", "grass")

    def found(*words: str) -> list[tuple[str, float]]:
        results = json.loads(vsearch("search", "--json", *words).stdout)["results"]
        return [(one["video"].rpartition("/")[2], one["start"]) for one in results]

    both = "red then blue.mp4"
    assert {name for name, _ in found("red")} == {both, "green.mp4"}
    [(name, start)] = found("red", "--tag", "blue")
    assert name == both
    assert start == pytest.approx(4, abs=0.2), "the red half of that video is not tagged so"
    assert {name for name, _ in found("red", "--tag", "green", "--tag", "Grass")} == {"green.mp4"}
    assert found("red", "--tag", "grass", "--tag", "red") == []
    assert found("red", "--tag", "grass", "--video", "red*") == []
    assert "tagged red and grass" in vsearch("search", "x", "--tag", "red", "--tag", "grass").stderr
    done = vsearch("search", "red", "--tag", "gras", code=1)
    assert "there is no tag 'gras'; did you mean 'grass'" in done.stderr
    assert done.stdout == ""


def test_tags_narrow_a_search_from_python(vsearch: Vsearch, labels: Path, tmp_path: Path) -> None:
    with Library.open(tmp_path / "indexes/default") as library:
        library.tag(tmp_path / "videos/red then blue.mp4", "mine", Span(0, 1))
        [moment] = library.search("blue", tags=["mine"])
        assert moment.span.end <= 4.2
        with pytest.raises(QueryError):
            library.search(Query((Term("text", "blue"),)), tags=["mine"])
        query = Query((Term("text", "blue"),), filters=Filters(tags=("mine",)))
        assert [one.span for one in library.search(query)] == [moment.span]
