from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vsearch.errors import DatasetError
from vsearch.evaluation.auto_dataset import (
    MAX_QUERIES_PER_VIDEO,
    QuerySource,
    build_auto_dataset,
    merge_short_cues,
)
from vsearch.types import Cue, Span

if TYPE_CHECKING:
    from pathlib import Path


def merge_cues(*cues: tuple[float, float, str]) -> list[tuple[float, float, str]]:
    merged = merge_short_cues(Cue(Span(start, end), text) for start, end, text in cues)
    return [(cue.span.start, cue.span.end, cue.text) for cue in merged]


def write_subtitles(path: Path, *texts: str) -> None:
    blocks = (f"{n}\n00:{n:02}:00 --> 00:{n:02}:01\n{text}\n" for n, text in enumerate(texts))
    path.write_text("\n".join(blocks))


def test_short_cues_are_merged_with_close_ones_only() -> None:
    merged = merge_cues(
        (0, 1, "Oh"), (1, 2, "dog"), (2, 3, "in the water"), (3, 4, "he swims well")
    )
    assert merged == [(0, 3, "Oh dog in the water"), (3, 4, "he swims well")]
    assert merge_cues((0, 1, "Oh no"), (9, 10, "look at that")) == [(9, 10, "look at that")]
    assert merge_cues((0, 1, "Oh no")) == []


def test_non_speech_text_is_removed() -> None:
    assert merge_cues(
        (0, 1, "[music]"),
        (1, 2, "- JOE: (laughs) open the door"),
        (2, 3, "♪ la la la ♪ [applause]"),
        (3, 4, "100 %"),
    ) == [(1, 2, "open the door"), (2, 3, "la la la")]


def test_one_english_subtitle_file_per_video_is_used(tmp_path: Path) -> None:
    videos = [tmp_path / "x1.mp4", tmp_path / "x2.mp4"]
    texts = [f"it is seen {n} times here" for n in range(6)]
    write_subtitles(tmp_path / "x1.de.srt", *(f"auf deutsch {text}" for text in texts))
    write_subtitles(tmp_path / "x1.en.srt", *texts)
    write_subtitles(tmp_path / "x1.srt", *texts)
    write_subtitles(tmp_path / "x2.vtt", *texts)
    auto_dataset = build_auto_dataset("mine", videos)
    assert auto_dataset.sources == (QuerySource("subtitles", 12, 2),)
    assert [item.caption for item in auto_dataset.dataset.items] == texts * 2
    assert auto_dataset.dataset.items[1].span == Span(60, 61)


def test_a_long_film_does_not_outweigh_the_rest(tmp_path: Path) -> None:
    write_subtitles(tmp_path / "film.srt", *(f"they speak of {n} things" for n in range(60)))
    items = build_auto_dataset("mine", [tmp_path / "film.mp4"]).dataset.items
    assert len(items) == MAX_QUERIES_PER_VIDEO
    assert (items[0].caption, items[-1].caption) == (
        "they speak of 0 things",
        "they speak of 59 things",
    )


def test_unreadable_subtitles_are_reported_and_the_next_file_is_used(tmp_path: Path) -> None:
    (tmp_path / "film.en.srt").mkdir()
    write_subtitles(tmp_path / "film.srt", *(f"they speak of {n} things" for n in range(12)))
    auto_dataset = build_auto_dataset("mine", [tmp_path / "film.mp4"])
    assert auto_dataset.sources[0].query_count == 12
    assert "film.en.srt: cannot be read" in auto_dataset.unread_reasons[0]


def test_file_names_are_used_in_addition_to_subtitles(tmp_path: Path) -> None:
    animals = ("dog", "cat", "cow", "horse", "sheep", "goat", "bird", "rabbit", "mouse", "whale")
    videos = [tmp_path / f"{animal}_swimming_{n}.mp4" for n, animal in enumerate(animals)]
    write_subtitles(videos[0].with_suffix(".srt"), "and it is only a dog")
    auto_dataset = build_auto_dataset("mine", [*videos, tmp_path / "IMG_1.mp4"])
    assert auto_dataset.sources == (
        QuerySource("subtitles", 1, 1),
        QuerySource("file names", 10, 10),
    )
    assert auto_dataset.dataset.items[-1].caption == "whale swimming"


def test_too_few_queries_raise_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"give 0 and 1 queries.*put subtitle files next to"):
        build_auto_dataset("mine", [tmp_path / "dog on a beach.mp4", tmp_path / "IMG_1234.mp4"])
