"""Tests of search results and their hints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.filled_library import add_vectors, vectors_with_scores
from vsearch.catalog.catalog import Catalog
from vsearch.query.hints import NEGATION_HINT
from vsearch.query.parser import parse_query
from vsearch.search.hints import collect_hints
from vsearch.search.result import SearchResult
from vsearch.search.serialization import search_result_to_dict
from vsearch.types import Explanation, Moment, Span, TextReading

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    catalog = Catalog.open(tmp_path / "catalog.sqlite3", create=True)
    add_vectors(catalog, "dogs.mp4", np.repeat(vectors_with_scores(0.0, seed=1), 4, axis=0))
    return catalog


def create_moment(catalog: Catalog, *, confidence: float | None = None) -> Moment:
    [video] = catalog.videos()
    return Moment(video, Span(1, 3), 0.5, confidence, Explanation(2.0, 0.5, 1))


def test_a_result_is_a_sequence_of_its_moments(catalog: Catalog) -> None:
    moment = create_moment(catalog)
    search_result = SearchResult((moment, moment), "dog", "space")
    assert (len(search_result), search_result[0], search_result[1:]) == (2, moment, (moment,))
    assert list(search_result) == [moment, moment]
    assert not SearchResult((), "dog", "space")


@pytest.mark.parametrize(
    ("confidences", "expected"),
    [([], False), ([None], None), ([0.01, 0.02], False), ([0.01, 0.9], True), ([None, 0.9], True)],
)
def test_a_confident_match_needs_one_confident_moment(
    catalog: Catalog, confidences: list[float | None], expected: bool | None
) -> None:
    moments = tuple(create_moment(catalog, confidence=confidence) for confidence in confidences)
    assert SearchResult(moments, "dog", "space").has_confident_match is expected


def test_json_has_the_details_of_the_search(catalog: Catalog) -> None:
    search_result = SearchResult(
        (create_moment(catalog, confidence=0.9),), "dog", "space", ("try again",), 12.345
    )
    search_data = search_result_to_dict(search_result)
    assert search_data["results"][0]["rank"] == 1
    assert search_data["hints"] == ["try again"]
    assert (search_data["took_ms"], search_data["has_confident_match"]) == (12.3, True)


def hints_for(catalog: Catalog, query_text: str, *moments: Moment) -> tuple[str, ...]:
    return collect_hints(catalog, parse_query(query_text), moments)


def test_an_unknown_path_is_named_even_if_another_one_matches(catalog: Catalog) -> None:
    moment = create_moment(catalog)
    [hint] = hints_for(catalog, "a path:nothing*")
    assert hint.startswith("nothing*: no such video in the library")
    assert hints_for(catalog, "a path:*dogs*", moment) == ()
    [hint] = hints_for(catalog, "a path:*dogs* path:cats*", moment)
    assert hint.startswith("cats*: ")


def test_many_paths_are_looked_up_at_once(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    [video], list_places, calls = catalog.videos(), catalog.video_places, []

    def count_calls() -> list[tuple[int, Path]]:
        calls.append(1)
        return list_places()

    monkeypatch.setattr(catalog, "video_places", count_calls)
    hints = hints_for(catalog, f"a path:{video.path} path:x path:y path:z")
    assert [hint[:2] for hint in hints] == ["x:", "y:", "z:"]
    assert len(calls) == 1  # `vsearch watch` restricts a search to all new videos


def test_an_empty_result_of_a_restricted_search_names_the_restriction(catalog: Catalog) -> None:
    [hint] = hints_for(catalog, "a path:*dogs* tag:park")
    assert hint == "Only moments tagged park in *dogs* were searched."


def test_missing_transcripts_are_named_with_the_command(catalog: Catalog) -> None:
    assert hints_for(catalog, "a dog") == ()
    [hint] = hints_for(catalog, "a dog then: said:hello")
    assert "`vsearch transcribe`" in hint
    [hint] = hints_for(catalog, "shown:exit")
    assert "`vsearch ocr`" in hint
    assert hints_for(catalog, "said:hello", create_moment(catalog)) == ()


def test_a_negation_that_was_not_understood_gets_a_hint_even_with_results(catalog: Catalog) -> None:
    moment = create_moment(catalog)
    assert hints_for(catalog, "never give up", moment) == (NEGATION_HINT,)
    assert NEGATION_HINT in hints_for(catalog, "it is not funny")
    assert hints_for(catalog, "a kitchen without people", moment) == ()


def test_what_the_model_does_not_read_gets_a_hint_even_with_results(catalog: Catalog) -> None:
    query, moments = parse_query("koira"), [create_moment(catalog)]
    finnish = TextReading("Finnish", is_supported=False, supported_languages=("English", "German"))
    [hint] = collect_hints(catalog, query, moments, [finnish, finnish])
    assert hint.startswith("These words look Finnish, which the model does not read.")
    assert "English, German" in hint
    assert "--text-model" in hint
    misspelled = TextReading("English", replacements=(("dolfin", "dolphin"),))
    assert collect_hints(catalog, query, moments, [misspelled]) == (
        'Searched for "dolphin" as well, as "dolfin" is not in the vocabulary.',
    )
    unknown = TextReading("English", unknown_words=("zqxwv", "qwx"))
    [hint] = collect_hints(catalog, query, moments, [unknown])
    assert hint.startswith('"zqxwv", "qwx" are not in the vocabulary')
    assert collect_hints(catalog, query, moments, [TextReading("German")]) == ()
