from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest

from spoken_words import add, said, with_words
from vsearch.catalog import cue_index
from vsearch.catalog.cue_index import matching

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_asked_for_is_quoted() -> None:
    assert matching([["a", 'b"c'], ["NEAR*"]]) == '("a" OR "b""c") AND ("NEAR"*)'


def test_cues_that_have_one_of_each_group_are_found(tmp_path: Path) -> None:
    with with_words(tmp_path, ["a dog barks", "dogs bark", "a cat", "the dogma"]) as catalog:
        index = catalog.cue_index
        assert index.having([["dog", "dogs"]], most=9).tolist() == [1, 2]
        assert index.having([["dog", "dogs"], ["bark"]], most=9).tolist() == [2]
        assert index.having([["dog*"]], most=9).tolist() == [1, 2, 4]
        assert index.having([["a dog"]], most=9).tolist() == [1]
        assert index.count([["dog*"]], 9) == 3
        assert index.size() == 4
        assert [each.cue.text for each in index.read([2, 9])] == ["dogs bark"]
        videos, sources = index.places(np.array([4, 9]))
        assert videos.tolist() == [1, -1]
        assert sources == ["subtitles", None]


def test_where_there_is_too_much_some_of_every_part_is_seen(tmp_path: Path) -> None:
    with with_words(tmp_path, *(["again"] * 100,) * 16) as catalog:
        index = catalog.cue_index
        some = index.having([["again"]], most=32)
        assert len(some) == 32
        assert set(index.places(some)[0].tolist()) == set(range(1, 17))
        assert index.count([["again"]], 100) == pytest.approx(1_600, rel=0.05)


def test_videos_narrow_it_to_where_their_cues_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with with_words(tmp_path, ["go"], ["go"], ["go"], ["go"]) as catalog:
        index = catalog.cue_index
        assert index.having([["go"]], most=9, videos=np.array([2, 4])).tolist() == [2, 4]
        assert index.having([["go"]], most=9, videos=np.array([7])).tolist() == []
        monkeypatch.setattr(cue_index, "RANGES", 1)  # whoever asks sorts out the others
        assert index.having([["go"]], most=9, videos=np.array([2, 4])).tolist() == [2, 3, 4]


def test_an_index_that_lost_words_is_noticed_and_made_anew(tmp_path: Path) -> None:
    with with_words(tmp_path, ["a dog", "a cat"]) as catalog:
        add(catalog, "/films/2.mp4", [said("a bird", 1)])
        assert catalog.check() == []
        with closing(sqlite3.connect(tmp_path / "catalog.sqlite3")) as raw, raw:
            raw.execute(
                "INSERT INTO cues_fts (cues_fts, rowid, text) VALUES ('delete', 1, 'a dog')"
            )
        [problem] = catalog.check()
        assert "full-text index" in problem
        assert "vsearch rebuild" in problem
        with catalog.begin() as change:
            change.rebuild_words()
        assert catalog.check() == []
        assert catalog.cue_index.having([["dog"]], most=9).tolist() == [1]


def test_a_space_that_is_forgotten_takes_its_meanings_along(tmp_path: Path) -> None:
    from vsearch.types import Space

    other = Space("other", 4, speaks_text=True)
    with with_words(tmp_path, ["a dog"]) as catalog:
        with catalog.begin() as change:
            change.add_cue_vectors([1], np.eye(4, dtype=np.float32)[:1], other)
        ids, vectors = catalog.cue_index.vectors(other, 9)
        assert (ids.tolist(), vectors.tolist()) == ([1], [[1, 0, 0, 0]])
        assert catalog.cue_index.read_until(other) == 1
        with catalog.begin() as change:
            change.remove_space(other)
        assert catalog.cue_index.read_until(other) == 0
        assert catalog.check() == []
