from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fakes import FakeEncoder
from synth import BLUE, GREEN, RED, Scene, make_video
from vsearch import Library
from vsearch.encoders import speed
from vsearch.errors import DatasetError, NoTextError, SpaceMismatchError, VSearchError
from vsearch.evaluation import comparison
from vsearch.evaluation.comparison import Configuration, check, compare, marked, thinned
from vsearch.evaluation.datasets import Dataset, Item
from vsearch.evaluation.metrics import Measure
from vsearch.temporal.pooling import MeanPooler
from vsearch.types import Features, Space, Span

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Matrix, Times, Vector


class LastFrame:
    """A `Pooler` for which only the end of a segment counts."""

    name = "last"

    def pool(self, frames: Matrix, times: Times) -> Vector:
        last: Vector = frames[-1]
        return last


class OtherSpace:
    """A `Pooler` that was trained for vectors of other models."""

    name = "trained"

    def pool(self, frames: Matrix, times: Times) -> Vector:
        raise VSearchError("trained for another model")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    for name, colour in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        make_video(tmp_path / "videos" / f"{name}.mp4", [Scene(colour, 5)])
    return indexed(tmp_path / "library", tmp_path / "videos")


@pytest.fixture(autouse=True)
def _prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "videos").mkdir()
    monkeypatch.setattr(speed, "SECONDS", 0.01)


def indexed(folder: Path, videos: Path, encoder: FakeEncoder | None = None) -> Library:
    library = Library.open(folder, encoder=encoder or FakeEncoder())
    assert all(one.error is None for one in library.index([videos]))
    return library


def asked(library: Library) -> Dataset:
    items = (Item(video.path, video.path.stem) for video in library.videos())
    return Dataset("own", tuple(items), ())


def row(mrr: float, seconds: float, size: float) -> Configuration:
    measures = tuple(Measure(name, mrr, mrr, mrr) for name in ("R@1", "R@5", "MRR"))
    return Configuration("m", "s", 1.0, "mean", measures, False, 1, seconds, size)


def test_lower_rates_are_measured_from_what_is_stored(library: Library) -> None:
    found = compare([library], asked(library))
    assert (found.queries, found.videos, found.left_out) == (3, 3, 0)
    assert [(one.fps, one.frames) for one in found.configurations] == [(1, 15), (0.5, 9), (0.25, 6)]
    assert all(one.measures[0].value == 1 for one in found.configurations)
    sizes = [one.size for one in found.configurations]
    assert sizes == sorted(sizes, reverse=True)
    hour = 15 * (2 * 16 + 8) + 3 * 2 * 16  # bytes of the 15 seconds that there are
    assert sizes[0] == pytest.approx(hour * 3600 / 15, rel=0.01)


def test_every_pooler_is_tried_and_one_that_cannot_is_named(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = {"last": LastFrame, "mean": MeanPooler, "trained": OtherSpace}
    monkeypatch.setattr(comparison, "names", lambda group: list(classes))
    monkeypatch.setattr(comparison, "resolve", lambda group, name: classes[name])
    found = compare([library], asked(library))
    assert [one.pooler for one in found.configurations] == ["last", "mean"] * 3
    assert found.skipped == ("pooler trained on fake: trained for another model",)


def test_libraries_are_compared_on_the_videos_that_all_have(
    library: Library, tmp_path: Path
) -> None:
    (tmp_path / "videos" / "green.mp4").unlink()
    other = indexed(tmp_path / "other", tmp_path / "videos", FakeEncoder("other"))
    found = compare([library, other], asked(library))
    assert (found.queries, found.videos, found.left_out) == (2, 2, 1)
    assert [one.space for one in found.configurations] == ["fake"] * 3 + ["fake-other"] * 3
    other.remove([tmp_path / "videos"])
    with pytest.raises(DatasetError, match="none of its videos is in every library"):
        compare([library, other], asked(library))


def test_a_rate_that_was_decoded_stands_for_itself(library: Library, tmp_path: Path) -> None:
    slow = Library.open(tmp_path / "slow", encoder=FakeEncoder(), fps=0.5)
    assert all(one.error is None for one in slow.index([tmp_path / "videos"]))
    found = compare([library, slow], asked(library)).configurations
    assert [(one.fps, one.thinned) for one in found] == [
        (1, False),
        (0.25, True),
        (0.5, False),
        (0.125, True),
    ]


def test_a_library_that_cannot_be_asked_is_refused_before_it_is_indexed(library: Library) -> None:
    class Deaf(FakeEncoder):
        @property
        def space(self) -> Space:
            return replace(super().space, speaks_text=False)

    check(library)
    with pytest.raises(NoTextError, match="understands pictures only"):
        check(Library.open(library.path / "deaf", encoder=Deaf()))
    with pytest.raises(SpaceMismatchError, match="was not indexed with fake-other"):
        check(Library.open(library.path, encoder=FakeEncoder("other")))


def test_what_something_else_beats_in_every_respect_is_not_marked() -> None:
    rows = [row(0.9, 10, 10), row(0.8, 10, 10), row(0.7, 5, 20), row(0.9, 11, 9), row(0.7, 5, 20)]
    assert [one.best for one in marked(rows)] == [True, False, True, True, True]


def test_a_lower_rate_leaves_every_segment_a_frame_of_its_own() -> None:
    times = np.arange(8, dtype=np.float64)
    features = Features(Space("s", 1, speaks_text=True), np.ones((8, 1), np.float32), times)
    assert thinned(features, Span(0, 8), 2).times.tolist() == [0, 2, 4, 6]
    assert thinned(features, Span(1, 4), 4).times.tolist() == [2]
    assert thinned(features, Span(3, 6), 4).times.tolist() == [4]
    assert thinned(features, Span(0, 8), 1).times.tolist() == times.tolist()
