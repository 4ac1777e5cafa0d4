from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from fakes import FakeEncoder
from spoken_words import add, said, with_words
from vsearch.search import meanings as room
from vsearch.search.meanings import Meanings
from vsearch.search.spoken import SAID, SHOWN, Spoken
from vsearch.transcripts import read_meanings
from vsearch.types import Space

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from vsearch.catalog.repository import Catalog
    from vsearch.types import Matrix

LINES = [f"nothing number {number}" for number in range(100)]
BLUE = "azure is blue"  # means what FakeEncoder takes for blue


class Counting(FakeEncoder):
    """Counts the texts that it reads."""

    texts = 0

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        self.texts += len(texts)
        return super().encode_texts(texts)


def spoken(catalog: Catalog, encoder: FakeEncoder | None = None) -> Spoken:
    known = encoder or FakeEncoder()
    read_meanings(catalog, lambda: known)
    return Spoken(catalog, Meanings(catalog, lambda: known))


def test_what_means_the_same_is_found_and_nothing_else(tmp_path: Path) -> None:
    with with_words(tmp_path, [*LINES, BLUE], every=20) as catalog:
        [heard] = spoken(catalog).find("blue sky at noon")
        assert heard.quote.text == BLUE
        assert heard.quote.span.start == 2000
        assert heard.hits[0].text == "blue"
        assert 0.5 <= heard.quote.score <= room.BEST
        assert Spoken(catalog).find("blue sky at noon") == []
        assert spoken(catalog).find("elephants") == []


def test_words_that_are_said_come_before_their_meaning(tmp_path: Path) -> None:
    with with_words(tmp_path, [*LINES, BLUE, "the sky so blue"], every=20) as catalog:
        find = spoken(catalog).find
        assert [each.quote.text for each in find("blue sky")] == ["the sky so blue", BLUE]
        assert [each.quote.text for each in find("sky so blue", exact=True)] == ["the sky so blue"]
        assert [each.quote.text for each in find("sky is blue", exact=True)] != []


def test_filters_hold_for_meanings_too(tmp_path: Path) -> None:
    with with_words(tmp_path, LINES, every=20) as catalog:
        add(catalog, "/films/2.mp4", [said("blue car", 5, "screen"), said("blue hat", 205)])
        find = spoken(catalog).find
        assert [each.quote.text for each in find("blue thing", sources=SAID)] == ["blue hat"]
        assert [each.quote.text for each in find("blue thing", sources=SHOWN)] == ["blue car"]
        early = np.array([segment.id for segment in catalog.segments_of(2)][:5])
        assert [each.quote.text for each in find("blue thing", among=early)] == ["blue car"]


def test_each_cue_is_read_once_and_new_ones_when_they_come(tmp_path: Path) -> None:
    encoder = Counting()
    with with_words(tmp_path, LINES, every=20) as catalog:
        assert read_meanings(catalog, lambda: encoder) == len(LINES)
        assert read_meanings(catalog, lambda: encoder) == 0
        assert encoder.texts == len(LINES)
        find = spoken(catalog, encoder).find
        assert find("blue sky") == []
        add(catalog, "/films/new.mp4", [said(BLUE, 0)])
        assert read_meanings(catalog, lambda: encoder) == 1
        [heard] = find("blue sky")
        with catalog.begin() as change:
            change.remove_videos([heard.video_id])
        assert find("blue sky") == []


def test_what_another_training_of_the_model_read_is_read_anew(tmp_path: Path) -> None:
    class Trained(Counting):
        def encode_texts(self, texts: Sequence[str]) -> Matrix:
            return np.roll(super().encode_texts(texts), 1, axis=1)

    with with_words(tmp_path, LINES, every=20) as catalog:
        read_meanings(catalog, FakeEncoder)
        assert read_meanings(catalog, FakeEncoder, check=True) == 0
        assert read_meanings(catalog, Trained, check=True) == len(LINES)
        assert read_meanings(catalog, Trained, check=True) == 0


def test_a_model_of_another_space_or_of_pictures_reads_nothing(tmp_path: Path) -> None:
    with with_words(tmp_path, LINES, every=20) as catalog:
        assert read_meanings(catalog, lambda: FakeEncoder("other")) == 0
        read_meanings(catalog, FakeEncoder)
        other = Meanings(catalog, lambda: FakeEncoder("other"))
        assert len(other.near("blue")[0]) == 0
    (tmp_path / "mute").mkdir()
    with with_words(tmp_path / "mute", LINES) as catalog:
        with catalog.begin() as change:
            change.name_model(Space("fake", 16, speaks_text=False), "mute")
        assert read_meanings(catalog, FakeEncoder) == 0


def test_of_few_cues_the_models_own_texts_tell_what_is_usual(tmp_path: Path) -> None:
    class Knowing(FakeEncoder):
        querybank = FakeEncoder().encode_texts([f"question {n}" for n in range(64)])

    with with_words(tmp_path, ["nothing", BLUE]) as catalog:
        assert spoken(catalog).find("sky deep blue sea") == []
        [heard] = spoken(catalog, Knowing()).find("sky deep blue sea")
        assert heard.quote.text == BLUE


def test_no_more_than_the_newest_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST", 100)
    with with_words(tmp_path, ["red thing", *LINES[:98], BLUE, "green"], every=20) as catalog:
        find = spoken(catalog).find
        assert find("so red a wall") == []
        assert len(find("so blue a wall")) == 1


def test_a_model_that_is_gone_stops_no_indexing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from vsearch import Library
    from vsearch.errors import WeightsError

    class Gone(FakeEncoder):
        def encode_texts(self, texts: Sequence[str]) -> Matrix:
            raise WeightsError("the weights are gone")

    with with_words(tmp_path, LINES):
        pass
    with Library.open(tmp_path, encoder=Gone()) as library, caplog.at_level(logging.WARNING):
        assert list(library.index([tmp_path])) == []
    assert "the weights are gone" in caplog.text


def test_only_what_brings_words_waits_for_what_they_mean(tmp_path: Path) -> None:
    from vsearch import Library

    with with_words(tmp_path, LINES) as catalog:
        [film] = [video.path for video in catalog.videos()]
    encoder = Counting()
    with Library.open(tmp_path, encoder=encoder) as library:
        library.tag(str(film), "dog")
        library.untag([str(film)])
        library.remove(["no such film"])
        assert encoder.texts == 0
        list(library.index([tmp_path]))
        assert encoder.texts == len(LINES)


def test_a_query_of_all_words_has_a_threshold_that_is_no_certainty() -> None:
    same = np.full(100, 0.99, np.float32)
    assert room._threshold(same, None) == room.SURE
    assert room._threshold(same[:3], None) == np.inf
