"""Checks of arguments of the public API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vsearch.errors import QueryError
from vsearch.query.arguments import (
    check_count,
    check_names,
    check_number,
    check_path,
    check_span,
    check_text,
)
from vsearch.types import Span


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_whole_numbers_are_counts(value: Any) -> None:
    assert check_count(value, "k") == 3


@pytest.mark.parametrize("value", [None, "3", 3.0, True, np.bool_(True), 0, -1, b"3", [], object()])
def test_other_values_are_no_counts(value: Any) -> None:
    with pytest.raises(QueryError, match="k must be a whole number of at least 1, not "):
        check_count(value, "k")


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2)])
def test_numbers_are_accepted(value: Any) -> None:
    assert check_number(value, "threshold") == 2.0


@pytest.mark.parametrize("value", [None, "2", True, float("nan"), float("inf"), [2], 10**400])
def test_other_values_are_not_numbers(value: Any) -> None:
    with pytest.raises(QueryError, match="threshold must be a finite number"):
        check_number(value, "threshold")


def test_a_single_path_counts_as_a_list_of_one() -> None:
    assert check_names("films/a.mp4", "paths") == ("films/a.mp4",)
    assert check_names(Path("a.mp4"), "paths") == ("a.mp4",)
    assert check_names(iter(["a", Path("b")]), "paths") == ("a", "b")


@pytest.mark.parametrize("value", [None, 3, b"a", [None], [b"a"], object()])
def test_other_values_are_not_lists_of_paths(value: Any) -> None:
    with pytest.raises(QueryError, match="paths must be a"):
        check_names(value, "paths")


@pytest.mark.parametrize("value", [None, 3, b"a", Path("a")])
def test_text_is_text(value: Any) -> None:
    assert check_text("dog", "the query") == "dog"
    with pytest.raises(QueryError, match="the query must be text"):
        check_text(value, "the query")


def test_a_path_is_text_or_path_like() -> None:
    assert check_path(Path("a"), "clip") == "a"
    with pytest.raises(QueryError, match="clip must be a path, not 3"):
        check_path(3, "clip")


def test_spans_and_pairs_are_spans() -> None:
    assert check_span((1, np.float32(2)), "span") == Span(1, 2) == check_span(Span(1, 2), "span")
    assert check_span(None, "span") is None


@pytest.mark.parametrize("value", [3, "1-2", (1,), (2, 1), (1, None), (float("nan"), 1), b"ab"])
def test_other_values_are_not_spans(value: Any) -> None:
    with pytest.raises(QueryError, match="span"):
        check_span(value, "span")
