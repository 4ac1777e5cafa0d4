"""What a library says of how sure it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from filled import SPACE, add, scoring

from fakes import FakeEncoder
from vsearch.catalog.repository import Catalog
from vsearch.search.calibration import SURE, WORDS, Calibration, Null
from vsearch.search.confidence import Confidence, told
from vsearch.search.current import CurrentIndex
from vsearch.search.querybank import Querybank
from vsearch.types import Moment, Space, Span, Term, Video, Why

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.search.current import Current
    from vsearch.types import Ids, Matrix

NO_BANK = Querybank.empty(SPACE.dim)
TEXT, IMAGE = Term("text", "a dog"), Term("image", "dog.png")
VIDEO = Video(1, Path("/a.mp4"), "a", 1, 1, 60.0, 25.0, 64, 48, "h264", 60)


class Library:
    """A catalogue of videos whose segments are alike, and what an engine would know of it."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        for number in range(12):
            scene = scoring(0.0, seed=number)
            add(catalog, f"{number}.mp4", np.repeat(scene, 4, axis=0))
        self.catalog, self.index = catalog, CurrentIndex(catalog, folder / "vectors", "exact")
        self.confidence = Confidence(catalog, folder / "null")
        self.encoder = FakeEncoder()

    @property
    def current(self) -> Current:
        found = self.index.get()
        assert found is not None
        return found

    @property
    def sample(self) -> Matrix:
        return self.catalog.vectors(self.current.ids, SPACE)[1]

    def calibration(self, *terms: Term, among: Ids | None = None) -> Calibration | None:
        return self.confidence.calibration(
            terms, self.encoder, self.current, self.sample, NO_BANK, among
        )


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as catalog:
        yield Library(catalog, tmp_path)


def moment(score: float, *, copy: bool = False) -> Moment:
    return Moment(VIDEO, Span(0, 5), score, None, Why(1.0, score, 1, copy=copy))


def test_pictures_are_not_compared_with_their_own_video(library: Library) -> None:
    found = library.calibration(IMAGE)
    assert found is not None
    assert found.null.best < 0.9


def test_what_was_measured_is_kept_until_the_library_changes(library: Library) -> None:
    first = library.calibration(TEXT)
    assert library.calibration(TEXT) is first
    assert library.calibration(TEXT, among=library.current.ids[:4]) is not first
    first = library.calibration(TEXT)
    add(library.catalog, "new.mp4", scoring(0.5, seed=99))
    assert library.calibration(TEXT) is not first


def test_a_query_of_the_same_form_asks_the_catalogue_nothing(library: Library) -> None:
    library.calibration(IMAGE)
    current, sample = library.current, library.sample
    statements: list[str] = []
    with library.catalog._pool.reading() as connection:  # the next one to read has it
        connection.set_trace_callback(statements.append)
    statements.clear()
    other = Term("image", "cat.png")
    library.confidence.calibration([other], library.encoder, current, sample, NO_BANK, None)
    assert statements == []


def test_words_that_are_said_have_no_part_in_it(library: Library) -> None:
    said = Term("said", "hello")
    assert library.calibration(said) is None
    assert library.calibration(TEXT, said) == library.calibration(TEXT)


def test_a_model_without_words_is_sure_of_pictures_only(library: Library) -> None:
    library.encoder._space = Space(SPACE.name, SPACE.dim, speaks_text=False)
    assert library.calibration(TEXT) is None
    assert library.calibration(IMAGE) is not None


def test_a_segment_without_a_vector_is_passed_over(library: Library) -> None:
    current, sample = library.current, library.sample
    found = library.confidence.calibration(
        [IMAGE], library.encoder, current, sample[1:], NO_BANK, None
    )
    assert found is not None


def test_a_copy_is_as_sure_as_can_be_and_the_others_are_judged_apart() -> None:
    calibrated = Calibration(Null(0.0, 0.1, 0.3), WORDS)
    copy, other = told([moment(0.9, copy=True), moment(0.3)], calibrated)
    assert copy.confidence == SURE
    assert [other.confidence] == calibrated.confidences([0.3])
    copy, other = told([moment(0.9, copy=True), moment(0.3)], None)
    assert (copy.confidence, other.confidence) == (SURE, None)


def test_a_moment_is_weak_if_it_is_improbable_and_not_if_nothing_is_known() -> None:
    strong, weak = told([moment(0.6), moment(0.1)], Calibration(Null(0.0, 0.1, 0.3), WORDS))
    assert not strong.weak
    assert weak.weak
    assert not moment(0.0).weak
