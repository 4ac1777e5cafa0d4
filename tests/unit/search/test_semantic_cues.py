from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from tests.support.catalog_locations import SQLITE_ONLY
from tests.support.fakes import FakeEncoder
from tests.support.spoken_words import add_video_with_cues, make_cue, make_transcript_catalog
from vsearch.search import semantic_cues as room
from vsearch.search.cue_embedding import embed_cues
from vsearch.search.semantic_cues import SemanticCueIndex
from vsearch.search.text import OCR_SOURCES, SPEECH_SOURCES, TranscriptSearch
from vsearch.types import Space

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from vsearch.catalog.catalog import Catalog
    from vsearch.catalog.database_url import CatalogLocation
    from vsearch.types import Matrix

LINES = [f"nothing number {number}" for number in range(100)]
BLUE = "azure is blue"  # FakeEncoder embeds it like blue


class Counting(FakeEncoder):
    """An encoder that counts encoded texts."""

    texts = 0

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        self.texts += len(texts)
        return super().encode_texts(texts)


def spoken(catalog: Catalog, encoder: FakeEncoder | None = None) -> TranscriptSearch:
    known = encoder or FakeEncoder()
    embed_cues(catalog, lambda: known)
    return TranscriptSearch(catalog, SemanticCueIndex(catalog, lambda: known))


def test_cues_with_the_same_meaning_are_found(catalog_location: CatalogLocation) -> None:
    with make_transcript_catalog(catalog_location, [*LINES, BLUE], cue_interval=20) as catalog:
        [heard] = spoken(catalog).search("blue sky at noon")
        assert heard.quote.text == BLUE
        assert heard.quote.span.start == 2000
        assert heard.hit_tokens[0].folded_text == "blue"
        assert 0.5 <= heard.quote.score <= room.MAX_CUE_SCORE
        assert TranscriptSearch(catalog).search("blue sky at noon") == []
        assert spoken(catalog).search("elephants") == []


def test_literal_matches_outrank_semantic_ones(catalog_location: CatalogLocation) -> None:
    with make_transcript_catalog(
        catalog_location, [*LINES, BLUE, "the sky so blue"], cue_interval=20
    ) as catalog:
        find = spoken(catalog).search
        assert [each.quote.text for each in find("blue sky")] == ["the sky so blue", BLUE]
        assert [each.quote.text for each in find("sky so blue", exact_phrase=True)] == [
            "the sky so blue"
        ]
        assert [each.quote.text for each in find("sky is blue", exact_phrase=True)] != []


def test_filters_apply_to_semantic_matches(catalog_location: CatalogLocation) -> None:
    with make_transcript_catalog(catalog_location, LINES, cue_interval=20) as catalog:
        add_video_with_cues(
            catalog, "/films/2.mp4", [make_cue("blue car", 5, "ocr"), make_cue("blue hat", 205)]
        )
        find = spoken(catalog).search
        assert [each.quote.text for each in find("blue thing", cue_sources=SPEECH_SOURCES)] == [
            "blue hat"
        ]
        assert [each.quote.text for each in find("blue thing", cue_sources=OCR_SOURCES)] == [
            "blue car"
        ]
        early = np.array([segment.id for segment in catalog.segments_of_video(2)][:5])
        assert [each.quote.text for each in find("blue thing", allowed_ids=early)] == ["blue car"]


def test_each_cue_is_embedded_once(catalog_location: CatalogLocation) -> None:
    encoder = Counting()
    with make_transcript_catalog(catalog_location, LINES, cue_interval=20) as catalog:
        assert embed_cues(catalog, lambda: encoder) == len(LINES)
        assert embed_cues(catalog, lambda: encoder) == 0
        assert encoder.texts == len(LINES)
        find = spoken(catalog, encoder).search
        assert find("blue sky") == []
        add_video_with_cues(catalog, "/films/new.mp4", [make_cue(BLUE, 0)])
        assert embed_cues(catalog, lambda: encoder) == 1
        [heard] = find("blue sky")
        with catalog.begin() as change:
            change.remove_videos([heard.video_id])
        assert find("blue sky") == []


def test_a_retrained_model_embeds_all_cues_again(catalog_location: CatalogLocation) -> None:
    class Trained(Counting):
        def encode_texts(self, texts: Sequence[str]) -> Matrix:
            return np.roll(super().encode_texts(texts), 1, axis=1)

    with make_transcript_catalog(catalog_location, LINES, cue_interval=20) as catalog:
        embed_cues(catalog, FakeEncoder)
        assert embed_cues(catalog, FakeEncoder, check_model=True) == 0
        assert embed_cues(catalog, Trained, check_model=True) == len(LINES)
        assert embed_cues(catalog, Trained, check_model=True) == 0


def test_a_model_that_is_new_for_a_part_of_the_cues_is_noticed(
    catalog_location: CatalogLocation,
) -> None:
    class Multilingual(FakeEncoder):
        def encode_texts(self, texts: Sequence[str]) -> Matrix:
            return super().encode_texts(["red" if "9" in text else text for text in texts])

    with make_transcript_catalog(catalog_location, LINES, cue_interval=20) as catalog:
        embed_cues(catalog, FakeEncoder)
        assert embed_cues(catalog, Multilingual, check_model=True) == len(LINES)


@SQLITE_ONLY
def test_an_encoder_of_another_space_or_without_text_embeds_nothing(
    catalog_location: CatalogLocation, tmp_path: Path
) -> None:
    with make_transcript_catalog(catalog_location, LINES, cue_interval=20) as catalog:
        assert embed_cues(catalog, lambda: FakeEncoder("other")) == 0
        embed_cues(catalog, FakeEncoder)
        other = SemanticCueIndex(catalog, lambda: FakeEncoder("other"))
        assert len(other.search_similar("blue")[0]) == 0
    (tmp_path / "mute").mkdir()
    with make_transcript_catalog(tmp_path / "mute" / "catalog.sqlite3", LINES) as catalog:
        with catalog.begin() as change:
            change.set_space_model(Space("fake", 16, supports_text=False), "mute")
        assert embed_cues(catalog, FakeEncoder) == 0


def test_few_cues_are_compared_with_the_querybank(catalog_location: CatalogLocation) -> None:
    class Knowing(FakeEncoder):
        querybank = FakeEncoder().encode_texts([f"question {n}" for n in range(64)])

    with make_transcript_catalog(catalog_location, ["nothing", BLUE]) as catalog:
        assert spoken(catalog).search("sky deep blue sea") == []
        [heard] = spoken(catalog, Knowing()).search("sky deep blue sea")
        assert heard.quote.text == BLUE


def test_only_the_newest_cues_are_held_in_memory(
    catalog_location: CatalogLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MAX_HELD_CUES", 100)
    with make_transcript_catalog(
        catalog_location, ["red thing", *LINES[:98], BLUE, "green"], cue_interval=20
    ) as catalog:
        find = spoken(catalog).search
        assert find("so red a wall") == []
        assert len(find("so blue a wall")) == 1


@SQLITE_ONLY
def test_a_missing_model_does_not_stop_indexing(
    catalog_location: CatalogLocation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from vsearch import Library
    from vsearch.errors import WeightsError

    class Gone(FakeEncoder):
        def encode_texts(self, texts: Sequence[str]) -> Matrix:
            raise WeightsError("the weights are gone")

    with make_transcript_catalog(catalog_location, LINES):
        pass
    with Library.open(tmp_path, encoder=Gone()) as library, caplog.at_level(logging.WARNING):
        assert list(library.index([tmp_path])) == []
    assert "the weights are gone" in caplog.text


@SQLITE_ONLY
def test_only_commands_that_add_cues_embed_them(
    catalog_location: CatalogLocation, tmp_path: Path
) -> None:
    from vsearch import Library

    with make_transcript_catalog(catalog_location, LINES) as catalog:
        [film] = [video.path for video in catalog.videos()]
    encoder = Counting()
    with Library.open(tmp_path, encoder=encoder) as library:
        library.tags.add(str(film), "dog")
        library.tags.remove([str(film)])
        library.remove(["no such film"])
        assert encoder.texts == 0
        list(library.index([tmp_path]))
        assert encoder.texts == len(LINES)


def test_the_similarity_threshold_is_below_certainty() -> None:
    same, no_queries = np.full(100, 0.99, np.float32), np.empty(0, np.float32)
    assert room._similarity_threshold(same, no_queries) == room.CERTAIN_CUE_SIMILARITY
    assert room._similarity_threshold(same[:3], no_queries) == np.inf
