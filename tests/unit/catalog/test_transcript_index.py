from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.catalog_locations import change_by_hand
from tests.support.spoken_words import add_video_with_cues, make_cue, make_transcript_catalog
from vsearch.catalog import transcripts
from vsearch.catalog.fts import fts_expression

if TYPE_CHECKING:
    from vsearch.catalog.database_url import CatalogLocation


def test_queries_are_quoted() -> None:
    assert fts_expression([["a", 'b"c'], ["NEAR*"]]) == '("a" OR "b""c") AND ("NEAR"*)'


def test_cues_with_a_phrase_of_each_group_are_found(catalog_location: CatalogLocation) -> None:
    with make_transcript_catalog(
        catalog_location, ["a dog barks", "dogs bark", "a cat", "the dogma"]
    ) as catalog:
        index = catalog.cue_index
        assert index.search([["dog", "dogs"]], max_results=9).tolist() == [1, 2]
        assert index.search([["dog", "dogs"], ["bark"]], max_results=9).tolist() == [2]
        assert index.search([["dog*"]], max_results=9).tolist() == [1, 2, 4]
        assert index.search([["a dog"]], max_results=9).tolist() == [1]
        assert index.estimate_count([["dog*"]], 9) == 3
        assert index.estimate_size() == 4
        assert [each.cue.text for each in index.read_cues([2, 9])] == ["dogs bark"]
        videos, sources = index.locate_cues(np.array([4, 9]))
        assert videos.tolist() == [1, -1]
        assert sources == ["subtitles", None]


def test_too_many_matches_are_sampled_from_the_whole_library(
    catalog_location: CatalogLocation,
) -> None:
    with make_transcript_catalog(catalog_location, *(["again"] * 100,) * 16) as catalog:
        index = catalog.cue_index
        some = index.search([["again"]], max_results=32)
        assert len(some) == 32
        assert set(index.locate_cues(some)[0].tolist()) == set(range(1, 17))
        assert index.estimate_count([["again"]], 100) == pytest.approx(1_600, rel=0.05)


def test_videos_restrict_the_search_to_their_id_ranges(
    catalog_location: CatalogLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_transcript_catalog(catalog_location, ["go"], ["go"], ["go"], ["go"]) as catalog:
        index = catalog.cue_index
        assert index.search([["go"]], max_results=9, video_ids=np.array([2, 4])).tolist() == [2, 4]
        assert index.search([["go"]], max_results=9, video_ids=np.array([7])).tolist() == []
        monkeypatch.setattr(transcripts, "MAX_ID_RANGES", 1)  # the caller filters out other videos
        assert index.search([["go"]], max_results=9, video_ids=np.array([2, 4])).tolist() == [
            2,
            3,
            4,
        ]


def test_an_incomplete_index_is_detected_and_rebuilt(catalog_location: CatalogLocation) -> None:
    with make_transcript_catalog(catalog_location, ["a dog", "a cat"]) as catalog:
        add_video_with_cues(catalog, "/films/2.mp4", [make_cue("a bird", 1)])
        assert catalog.find_problems() == []
        change_by_hand(
            catalog_location,
            "INSERT INTO cues_fts (cues_fts, rowid, text) VALUES ('delete', 1, 'a dog')"
            if isinstance(catalog_location, Path)
            else "DELETE FROM cues_fts WHERE rowid = 1",
        )
        [problem] = catalog.find_problems()
        assert "full-text index" in problem
        assert "vsearch rebuild" in problem
        with catalog.begin() as change:
            change.rebuild_fts()
        assert catalog.find_problems() == []
        assert catalog.cue_index.search([["dog"]], max_results=9).tolist() == [1]


def test_cue_vectors_are_removed_with_their_space(catalog_location: CatalogLocation) -> None:
    from vsearch.types import Space

    other = Space("other", 4, supports_text=True)
    with make_transcript_catalog(catalog_location, ["a dog"]) as catalog:
        with catalog.begin() as change:
            change.add_cue_vectors([1], np.eye(4, dtype=np.float32)[:1], other)
        ids, vectors = catalog.cue_index.newest_vectors(other, 9)
        assert (ids.tolist(), vectors.tolist()) == ([1], [[1, 0, 0, 0]])
        assert catalog.cue_index.last_embedded_cue(other) == 1
        with catalog.begin() as change:
            change.remove_space(other)
        assert catalog.cue_index.last_embedded_cue(other) == 0
        assert catalog.find_problems() == []
