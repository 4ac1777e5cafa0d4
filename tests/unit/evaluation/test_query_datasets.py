from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from vsearch.errors import DatasetError
from vsearch.evaluation.query_datasets import QueryItem, is_query_file, read_queries

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _clips(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / "clips" / name).write_bytes(b"video")


def write_lines(folder: Path, *records: dict[str, Any]) -> Path:
    (folder / "set.jsonl").write_text("\n".join(map(json.dumps, records)))
    return folder / "set.jsonl"


def test_queries_name_clips_relative_to_the_file(tmp_path: Path) -> None:
    dataset_path = write_lines(
        tmp_path,
        {"query": "red hair", "clips": ["clips/a.mp4", "clips/b.mp4"]},
        {"query": "Schnee", "clips": [], "lang": "de"},
    )
    dataset = read_queries(dataset_path)
    a, b = tmp_path / "clips" / "a.mp4", tmp_path / "clips" / "b.mp4"
    assert dataset.items == (
        QueryItem("red hair", frozenset([a, b])),
        QueryItem("Schnee", frozenset(), "de"),
    )
    assert (dataset.dataset_name, dataset.clip_paths) == ("set", [a, b])
    assert (dataset.missing_paths, dataset.skipped_count) == ((), 0)


def test_queries_name_clips_relative_to_a_given_folder(tmp_path: Path) -> None:
    dataset_path = write_lines(tmp_path, {"query": "x", "clips": ["a.mp4"]})
    folder = tmp_path / "clips" / ".." / "clips"
    assert read_queries(dataset_path, folder).clip_paths == [tmp_path / "clips" / "a.mp4"]


def test_a_line_may_have_one_caption_per_language(tmp_path: Path) -> None:
    dataset_path = write_lines(tmp_path, {"clip": "clips/a.mp4", "en": "a dog", "de": "ein Hund"})
    paths = frozenset([tmp_path / "clips" / "a.mp4"])
    assert read_queries(dataset_path).items == (
        QueryItem("a dog", paths, "en", is_literal=True),
        QueryItem("ein Hund", paths, "de", is_literal=True),
    )


def test_equal_queries_of_one_language_share_their_clips(tmp_path: Path) -> None:
    dataset = read_queries(
        write_lines(
            tmp_path,
            {"clip": "a.mp4", "en": "A  dog", "de": "Hand"},
            {"clip": "b.mp4", "en": "a dog", "fr": "hand"},
        ),
        tmp_path / "clips",
    )
    counts = {(item.query_text, item.language): len(item.clip_paths) for item in dataset.items}
    assert counts == {
        ("A  dog", "en"): 2,
        ("a dog", "en"): 2,
        ("Hand", "de"): 1,
        ("hand", "fr"): 1,
    }


def test_queries_without_an_existing_clip_are_skipped(tmp_path: Path) -> None:
    dataset = read_queries(
        write_lines(
            tmp_path,
            {"query": "dog", "clips": ["a.mp4", "gone.mp4"]},
            {"query": "cat", "clips": ["gone.mp4"]},
            {"query": "tram", "clips": []},
        ),
        tmp_path / "clips",
    )
    assert [item.query_text for item in dataset.items] == ["dog", "tram"]
    assert (len(dataset.missing_paths), dataset.skipped_count) == (1, 1)
    with pytest.raises(DatasetError, match=r"none of the clips exists .*--clips"):
        read_queries(tmp_path / "set.jsonl", tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", "required"),
        ('{"path": "a.mp4", "caption": "x"}', "required"),
        ('{"query": "x", "clip": "a.mp4"}', "required"),
        ('{"query": "x"}', "clips must be a list"),
        ('{"query": "x", "clips": "a.mp4"}', "clips must be a list"),
        ('{"query": " ", "clips": []}', "query must be non-empty"),
        ('{"query": "x", "clips": [3]}', "the name of a clip must be"),
        ('{"query": "x", "clips": ["a\\u0000"]}', "NUL"),
        ('{"query": "x", "clips": [], "lang": 3}', "lang must be"),
        ('{"clip": "a.mp4"}', "at least one caption"),
        ('{"clip": "a.mp4", "en": ""}', "en must be non-empty"),
        ("no json", "JSON"),
    ],
)
def test_errors_name_the_invalid_line(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "set.jsonl").write_text(f'{{"query": "x", "clips": ["a.mp4"]}}\n{line}')
    with pytest.raises(DatasetError, match=rf"set\.jsonl:2: .*{message}"):
        read_queries(tmp_path / "set.jsonl", tmp_path / "clips")


def test_the_first_line_distinguishes_queries_from_captions(tmp_path: Path) -> None:
    assert is_query_file(write_lines(tmp_path, {"query": "x", "clips": []}))
    assert is_query_file(write_lines(tmp_path, {"clip": "a.mp4", "en": "x"}))
    assert not is_query_file(write_lines(tmp_path, {"path": "a.mp4", "caption": "x"}))
    (tmp_path / "set.csv").write_text("path,caption\na.mp4,x\n")
    assert not is_query_file(tmp_path / "set.csv")
    (tmp_path / "empty.jsonl").write_text("")
    assert not is_query_file(tmp_path / "empty.jsonl")


def test_the_shared_development_sets_can_be_read(real_clips: Path) -> None:
    queries_folder = real_clips.parents[1] / "queries"
    if not queries_folder.is_dir():
        pytest.skip("requires queries that are not in the repository")
    natural = read_queries(queries_folder / "natural.jsonl", real_clips)
    assert natural.skipped_count == 0
    assert any(not item.clip_paths for item in natural.items)
    captions = read_queries(queries_folder / "captions_i18n.jsonl", real_clips)
    assert {item.language for item in captions.items} >= {"en", "de"}
    assert all(item.is_literal for item in captions.items)
