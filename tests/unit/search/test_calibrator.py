"""Tests of the calibrator and its cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from tests.support.filled_library import SPACE, add, scoring
from vsearch.catalog.catalog import Catalog
from vsearch.query.model import Term
from vsearch.search.calibration import MAX_CONFIDENCE, TEXT_PARAMS, Calibration, NullDistribution
from vsearch.search.calibrator import Calibrator, assign_confidence
from vsearch.search.hubness import Querybank
from vsearch.search.live_index import LiveIndex
from vsearch.types import Explanation, Moment, Space, Span, Video

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.search.live_index import IndexSnapshot
    from vsearch.types import Ids, Matrix

NO_BANK = Querybank.create_empty(SPACE.dim)
TEXT, IMAGE = Term("text", "a dog"), Term("image", "dog.png")
VIDEO = Video(1, Path("/a.mp4"), "a", 1, 1, 60.0, 25.0, 64, 48, "h264", 60)


class Library:
    """A catalog of videos with similar segments, and the inputs of a calibration."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        for number in range(12):
            scene = scoring(0.0, seed=number)
            add(catalog, f"{number}.mp4", np.repeat(scene, 4, axis=0))
        self.catalog, self.index = catalog, LiveIndex(catalog, folder / "vectors", "exact")
        self.confidence = Calibrator(catalog, folder / "null")
        self.encoder = FakeEncoder()

    @property
    def current(self) -> IndexSnapshot:
        found = self.index.take_snapshot()
        assert found is not None
        return found

    @property
    def sample(self) -> Matrix:
        return self.catalog.vectors(self.current.segment_ids, SPACE)[1]

    def calibration(self, *terms: Term, among: Ids | None = None) -> Calibration | None:
        return self.confidence.calibration_for(
            terms, self.encoder, self.current, self.sample, NO_BANK, among
        )


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Catalog.open(tmp_path / "catalog.sqlite3", create=True) as catalog:
        yield Library(catalog, tmp_path)


def moment(score: float, *, copy: bool = False) -> Moment:
    return Moment(VIDEO, Span(0, 5), score, None, Explanation(1.0, score, 1, is_copy=copy))


def test_image_null_queries_are_not_compared_with_their_own_video(library: Library) -> None:
    found = library.calibration(IMAGE)
    assert found is not None
    assert found.null_distribution.best_score < 0.9


def test_a_calibration_is_cached_until_the_library_changes(library: Library) -> None:
    first = library.calibration(TEXT)
    assert library.calibration(TEXT) is first
    assert library.calibration(TEXT, among=library.current.segment_ids[:4]) is not first
    first = library.calibration(TEXT)
    add(library.catalog, "new.mp4", scoring(0.5, seed=99))
    assert library.calibration(TEXT) is not first


def test_a_cached_calibration_reads_nothing_from_the_catalog(library: Library) -> None:
    library.calibration(IMAGE)
    current, sample = library.current, library.sample
    statements: list[str] = []
    with (
        library.catalog._pool.read_transaction() as connection
    ):  # the next reader gets this connection
        connection.set_trace_callback(statements.append)
    statements.clear()
    other = Term("image", "cat.png")
    library.confidence.calibration_for([other], library.encoder, current, sample, NO_BANK, None)
    assert statements == []


def test_transcript_terms_do_not_affect_the_calibration(library: Library) -> None:
    said = Term("said", "hello")
    assert library.calibration(said) is None
    assert library.calibration(TEXT, said) == library.calibration(TEXT)


def test_an_encoder_without_text_support_calibrates_image_queries_only(library: Library) -> None:
    library.encoder._space = Space(SPACE.name, SPACE.dim, supports_text=False)
    assert library.calibration(TEXT) is None
    assert library.calibration(IMAGE) is not None


def test_a_segment_without_a_vector_is_skipped(library: Library) -> None:
    current, sample = library.current, library.sample
    found = library.confidence.calibration_for(
        [IMAGE], library.encoder, current, sample[1:], NO_BANK, None
    )
    assert found is not None


def test_a_copy_has_the_maximum_confidence_and_others_are_calibrated_separately() -> None:
    calibrated = Calibration(NullDistribution(0.0, 0.1, 0.3), TEXT_PARAMS)
    copy, other = assign_confidence([moment(0.9, copy=True), moment(0.3)], calibrated)
    assert copy.confidence == MAX_CONFIDENCE
    assert [other.confidence] == calibrated.score_confidences([0.3])
    copy, other = assign_confidence([moment(0.9, copy=True), moment(0.3)], None)
    assert (copy.confidence, other.confidence) == (MAX_CONFIDENCE, None)


def test_a_moment_has_low_confidence_only_if_it_was_calibrated() -> None:
    strong, weak = assign_confidence(
        [moment(0.6), moment(0.1)], Calibration(NullDistribution(0.0, 0.1, 0.3), TEXT_PARAMS)
    )
    assert not strong.has_low_confidence
    assert weak.has_low_confidence
    assert not moment(0.0).has_low_confidence
