"""`vsearch classify` and `vsearch tags`: classification, tags and filters."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.moving_scenes import make_library
from tests.support.processes import format_main_call, list_loaded_modules
from vsearch import Library, Query, Span, Term
from vsearch.catalog.catalog import Catalog
from vsearch.cli.classify import ClassifySummary, _print_classifications, _stream_json
from vsearch.config import resolve_library_path
from vsearch.errors import LibraryError, QueryError, SettingsError
from vsearch.query.model import Filters
from vsearch.types import ClassificationResult

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def labels(tmp_path: Path, videos_folder: Path, run_vsearch: CommandRunner) -> Path:
    """Index two videos (red then blue; green) and write a file of three color labels."""
    run_vsearch("index", videos_folder)
    file = tmp_path / "colors.txt"
    file.write_text("red\nblue\ngreen: a green thing; something yellow\n")
    return file


def list_tags(vsearch: CommandRunner, *arguments: str | Path) -> list[dict[str, Any]]:
    tags: list[dict[str, Any]] = json.loads(vsearch("tags", "--json", *arguments).stdout)["tags"]
    return tags


def test_videos_are_classified_and_tagged(run_vsearch: CommandRunner, labels: Path) -> None:
    result = run_vsearch("classify", "--all", "--labels", labels)
    heading, green, two_colors = result.stdout.splitlines()
    assert heading.split() == ["label", "prob", "next", "prob", "tags", "video"]
    assert green.split()[0] == "green"
    assert two_colors.endswith("videos/red then blue.mp4")
    assert "stored with source “zero-shot colors”" in result.stderr
    tags = {(tag["label"], tag["start"] is None) for tag in list_tags(run_vsearch)}
    assert tags >= {("green", True), ("green", False), ("red", False), ("blue", False)}
    parts = list_tags(run_vsearch, "videos/red then blue.mp4")
    assert [tag["label"] for tag in parts if tag["start"] is not None] == ["red", "blue"]
    assert all(0.5 <= tag["probability"] <= 1 for tag in parts)
    assert {tag["source"] for tag in parts} == {"zero-shot colors"}


@pytest.mark.parametrize("print_results", [_print_classifications, _stream_json])
def test_printed_classifications_are_released(
    tmp_path: Path, print_results: Callable[[Iterator[ClassificationResult], int], ClassifySummary]
) -> None:
    matrices: list[weakref.ref[Any]] = []
    with make_library(tmp_path, video_count=8) as library:
        videos = library.videos()

    def iter_classifications() -> Iterator[ClassificationResult]:
        for video in videos:
            matrix = np.full((1, 2), 0.5, np.float32)
            matrices.append(weakref.ref(matrix))
            yield ClassificationResult(video, ("a", "b"), matrix[0].copy(), (), matrix[:0], ())
            del matrix
            assert sum(reference() is not None for reference in matrices) < 3

    assert print_results(iter_classifications(), len(videos)).video_count == len(matrices) == 8


def test_json_has_every_probability(run_vsearch: CommandRunner, labels: Path) -> None:
    result = run_vsearch("classify", "videos/green.mp4", "--labels", labels, "--json", "--dry-run")
    [video] = json.loads(result.stdout)["videos"]
    assert video["label"] == "green"
    assert list(video["probabilities"]) == ["red", "blue", "green", "none of these"]
    assert sum(video["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert video["segments"][0]["start"] == 0
    assert sum(video["segments"][0]["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert list_tags(run_vsearch) == []


def test_second_run_replaces_tags(run_vsearch: CommandRunner, labels: Path) -> None:
    run_vsearch("classify", "--all", "--labels", labels)
    run_vsearch("tags", "videos/green.mp4", "--add", "mine")
    labels.write_text("magenta\n")
    run_vsearch("classify", "videos/green.mp4", "--labels", labels)
    assert [tag["label"] for tag in list_tags(run_vsearch, "videos/green.mp4")] == ["mine"]
    assert list_tags(run_vsearch, "videos/red then blue.mp4")
    other = labels.with_name("other.txt")
    other.write_text("red\n")
    run_vsearch("classify", "--all", "--labels", other)
    names = {tag["source"] for tag in list_tags(run_vsearch)}
    assert names == {"zero-shot colors", "zero-shot other", "by hand"}


def test_interruption_keeps_finished_videos(
    run_vsearch: CommandRunner, labels: Path, tmp_path: Path
) -> None:
    with Library.open(resolve_library_path(), create=False) as library:
        classifications = library.classify(["red", "blue", "green"], source_name="colors")
        assert isinstance(classifications, Generator)
        first = next(classifications)
        classifications.close()
        assert {tag.video_id for tag in library.tags.list()} == {first.video.id}
        assert library.lock_holder() is None


def test_tags_survive_reindexing_but_not_changed_content(
    run_vsearch: CommandRunner, labels: Path, videos_folder: Path
) -> None:
    run_vsearch("classify", "--all", "--labels", labels)
    before = list_tags(run_vsearch)
    run_vsearch("index", videos_folder, "--force")
    run_vsearch("rebuild")
    assert list_tags(run_vsearch) == before
    (videos_folder / "green.mp4").write_bytes((videos_folder / "red then blue.mp4").read_bytes())
    (videos_folder / "red then blue.mp4").unlink()
    run_vsearch("remove", "--missing", "--yes")
    run_vsearch("index", videos_folder)
    assert list_tags(run_vsearch) == []
    run_vsearch("doctor")


def test_tags_are_added_listed_and_removed_manually(
    run_vsearch: CommandRunner, labels: Path
) -> None:
    run_vsearch("classify", "--all", "--labels", labels)
    run_vsearch("tags", "videos/red then blue.mp4@0:01-0:03", "--add", "a walk")
    run_vsearch("tags", "videos/red then blue.mp4@0:01-0:03", "--add", "a walk")
    counts = run_vsearch("tags").stdout.splitlines()
    assert counts[0].split() == ["tag", "videos", "parts", "source"]
    assert counts[1].split() == ["a", "walk", "1", "1", "by", "hand"]
    output = run_vsearch("tags", "videos/red then blue.mp4").stdout
    assert "0:00:01 – 0:00:03" in output
    assert run_vsearch("tags", "--remove", "A Walk").stdout == "1 tag removed\n"
    run_vsearch("tags", "--remove-source", "zero-shot colors")
    assert "No tags." in run_vsearch("tags").stderr
    assert list_tags(run_vsearch) == []


def test_part_of_a_video_has_its_own_tags(run_vsearch: CommandRunner, labels: Path) -> None:
    two_colors = "videos/red then blue.mp4"
    run_vsearch("tags", f"{two_colors}@0-1", "--add", "early")
    run_vsearch("tags", f"{two_colors}@5-6", "--add", "late")
    run_vsearch("tags", "videos/green.mp4@1-2", "--add", "late")
    assert "0:00:00 – 0:00:01" in run_vsearch("tags", f"{two_colors}@0:00-0:01").stdout
    assert [tag["label"] for tag in list_tags(run_vsearch, f"{two_colors}@0.5-5")] == ["early"]
    assert "No tags." in run_vsearch("tags", f"{two_colors}@2-3").stderr
    assert (
        "0 tags removed"
        in run_vsearch("tags", f"{two_colors}@0-5", "--remove", "late", exit_code=1).stdout
    )
    parts = (f"{two_colors}@5:00-5:01", f"{two_colors}@5-6", "videos/green.mp4@0-2")
    assert run_vsearch("tags", *parts, "--remove", "late").stdout == "2 tags removed\n"
    run_vsearch("tags", two_colors, "--add", "film")
    assert [tag["label"] for tag in list_tags(run_vsearch, f"{two_colors}@2-3")] == ["film"]
    assert run_vsearch("tags", f"{two_colors}@0-9", "--remove-source", "by hand").stdout[0] == "2"


def test_manual_tag_is_clipped_to_its_video(run_vsearch: CommandRunner, labels: Path) -> None:
    run_vsearch("tags", "videos/green.mp4@0-500", "--add", "grass")
    [tag] = list_tags(run_vsearch)
    assert tag["end"] == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["classify", "--labels", "colors.txt"], 2, "--all"),
        (["classify", "a.mp4", "--all", "--labels", "colors.txt"], 2, "--all"),
        (["classify", "--all"], 2, "--labels FILE or --checkpoint"),
        (["classify", "--all", "--labels", "nowhere.txt"], 1, "nowhere.txt"),
        (["classify", "nowhere.mp4", "--labels", "colors.txt"], 1, "No video matches"),
        (["classify", "--all", "--labels", "videos/green.mp4"], 1, "green.mp4"),
        (["tags", "--add", "x"], 2, "--add needs a video"),
        (["tags", "videos", "--add", "x", "--remove", "y"], 2, "cannot be combined"),
        (["tags", "videos", "--add", "x"], 1, "matches 2 videos"),
        (["tags", "nowhere.mp4", "--add", "x"], 1, "matches 0 videos"),
        (["tags", "videos/green.mp4", "--add", "x\x1b"], 1, "not a valid label"),
        (["tags", "videos/green.mp4@8-9", "--add", "x"], 1, "ends at"),
        (["tags", "--remove", "cat"], 1, "nothing is tagged yet"),
        (["tags", "--remove-source", "cat"], 1, "Sources of tags: none"),
        (["tags", "--remove-source", "\udcff"], 1, "Sources of tags: none"),
        (["tags", "nosuch.mp4"], 1, "nosuch.mp4: no such video"),
        (["tags", "videos", "nosuch.mp4@0-1"], 1, "nosuch.mp4@0-1: no such video"),
        (["tags", "nosuch.mp4", "--remove-source", "x"], 1, "nosuch.mp4: no such video"),
        (["classify", "--all", "--labels", "colors.txt", "--threshold", "nan"], 2, "nan"),
    ],
)
def test_mistakes_are_reported_in_one_line(
    run_vsearch: CommandRunner, labels: Path, arguments: list[str], exit_code: int, message: str
) -> None:
    assert message in run_vsearch(*arguments, exit_code=exit_code).stderr


def test_empty_library_has_nothing_to_classify(
    run_vsearch: CommandRunner, tmp_path: Path, labels: Path
) -> None:
    run_vsearch("remove", "videos")
    assert "No videos." in run_vsearch("classify", "--all", "--labels", labels).stderr
    Library.open(tmp_path / "new", create=True).close()
    result = run_vsearch("--library", "new", "classify", "--all", "--labels", labels)
    assert "No videos." in result.stderr


def test_failed_video_is_reported_and_others_are_classified(
    run_vsearch: CommandRunner, labels: Path, tmp_path: Path
) -> None:
    with Catalog.open(resolve_library_path() / "catalog.sqlite3") as catalog:
        first, _ = catalog.videos()
        with catalog.begin() as change:
            change.remove_segments(first.id)
    result = run_vsearch("classify", "--all", "--labels", labels, exit_code=1)
    assert "no segments" in result.stderr
    assert list_tags(run_vsearch)


def test_unknown_tag_suggests_similar_ones(
    run_vsearch: CommandRunner, labels: Path, tmp_path: Path
) -> None:
    run_vsearch("classify", "--all", "--labels", labels)
    with Library.open(resolve_library_path()) as library:
        with pytest.raises(LibraryError, match="did you mean 'green'"):
            library.tags.remove(label="greeen")
        assert library.tags.remove(label="GREEN") == 2


def test_source_that_is_not_utf_8_is_escaped(
    run_vsearch: CommandRunner, labels: Path, tmp_path: Path
) -> None:
    with Library.open(resolve_library_path()) as library:
        classifications = list(library.classify(["red", "green"], source_name="\udcff"))
        assert {tag.source for tag in library.tags.list()} == {r"zero-shot \udcff"}
        repeated = list(library.classify(["red", "green"], source_name="\udcff"))
        assert len(library.tags.list()) == sum(len(each.tags) for each in repeated)
        assert library.tags.remove(source="zero-shot \udcff") == sum(
            len(each.tags) for each in classifications
        )


def test_invalid_threshold_keeps_the_tags(
    run_vsearch: CommandRunner, labels: Path, tmp_path: Path
) -> None:
    with Library.open(resolve_library_path()) as library:
        list(library.classify(["red", "green"]))
        before = library.tags.list()
        assert before
        with pytest.raises(SettingsError, match="nan"):
            list(library.classify(["red", "green"], threshold=float("nan")))
        assert library.tags.list() == before


def test_classify_loads_no_torch_or_decoder(
    run_vsearch: CommandRunner, labels: Path, tmp_path: Path
) -> None:
    modules = list_loaded_modules(
        format_main_call("classify", "--all", "--labels", "colors.txt"), tmp_path
    )
    assert "tests.support.fakes" in modules
    assert not modules & {"torch", "open_clip", "av"}
    assert "numpy" not in list_loaded_modules(format_main_call("classify", "--help"), tmp_path)


def test_search_is_filtered_by_every_tag(run_vsearch: CommandRunner, labels: Path) -> None:
    run_vsearch("classify", "--all", "--labels", labels)
    run_vsearch("tags", "videos/green.mp4", "--add", "grass")

    def find_starts(*arguments: str) -> list[tuple[str, float]]:
        results = json.loads(run_vsearch("search", "--json", *arguments).stdout)["results"]
        return [(each["video"].rpartition("/")[2], each["start"]) for each in results]

    two_colors = "red then blue.mp4"
    assert {name for name, _ in find_starts("red")} == {two_colors, "green.mp4"}
    [(name, start)] = find_starts("red", "--tag", "blue")
    assert name == two_colors
    assert start == pytest.approx(4, abs=0.2), "the red half of that video is not tagged so"
    assert {name for name, _ in find_starts("red", "--tag", "green", "--tag", "Grass")} == {
        "green.mp4"
    }
    assert find_starts("red", "--tag", "grass", "--tag", "red") == []
    assert find_starts("red", "--tag", "grass", "--video", "red*") == []
    assert (
        "tagged red and grass"
        in run_vsearch("search", "x", "--tag", "red", "--tag", "grass").stderr
    )
    result = run_vsearch("search", "red", "--tag", "gras", exit_code=2)
    assert "there is no tag 'gras'; did you mean 'grass'" in result.stderr
    assert result.stdout == ""


def test_tags_filter_a_search_in_python(
    run_vsearch: CommandRunner, labels: Path, tmp_path: Path
) -> None:
    with Library.open(resolve_library_path()) as library:
        library.tags.add(tmp_path / "videos/red then blue.mp4", "mine", Span(0, 1))
        [moment] = library.search("blue", tags=["mine"])
        assert moment.span.end <= 4.2
        with pytest.raises(QueryError):
            library.search(Query((Term("text", "blue"),)), tags=["mine"])
        query = Query((Term("text", "blue"),), filters=Filters(tags=("mine",)))
        assert [each.span for each in library.search(query)] == [moment.span]
