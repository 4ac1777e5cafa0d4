"""The gate: what passes over junk may take the place of the mean, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from fakes import FakeEncoder
from vsearch.evaluation.gate import SEEDS, Case, evenly, gate, hopeless, junk_pictures
from vsearch.search.querybank import Querybank
from vsearch.temporal.mixing import Clip
from vsearch.temporal.pooling import MeanPooler

if TYPE_CHECKING:
    from vsearch.types import Matrix, Times, Vector

DIM = 6


def unit(rows: npt.NDArray[np.float64]) -> Matrix:
    found: Matrix = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return found


@pytest.fixture
def case() -> Case:
    """Eighty clips of eight frames that are alike, many like another one; junk fits every query."""
    random = np.random.default_rng(0)
    middles = unit(random.normal(size=(80, DIM)))
    clips = [
        Clip.of(unit(middle + 0.02 * random.normal(size=(8, DIM))), np.arange(8.0))
        for middle in middles
    ]
    junk = unit(random.normal(size=(20, DIM)))
    asked = unit(middles + 0.02 * random.normal(size=middles.shape))
    return Case(tuple(clips), asked, np.eye(80, dtype=np.bool_), junk, Querybank.empty(DIM))


class Median(MeanPooler):
    """Passes over whatever is far from most of the frames."""

    name = "median"

    def pool(self, frames: Matrix, times: Times) -> Vector:
        near = (frames @ frames.T > 0.8).sum(axis=1)
        return super().pool(frames[near >= near.max() - 1], times)


class First(MeanPooler):
    """The first frame: no better on junk, and worse on clean clips."""

    name = "first"

    def pool(self, frames: Matrix, times: Times) -> Vector:
        return super().pool(np.ones_like(frames[:1]), times)


def test_the_mean_gains_nothing_on_itself(case: Case) -> None:
    found = gate(case, MeanPooler())
    assert (found.lost, found.gained, found.passed) == (0, 0, False)
    assert (found.clips, found.queries, found.seeds) == (80, 80, len(SEEDS))
    assert found.clean[0].value > found.mixed[0].value  # junk does harm


def test_what_passes_over_junk_passes(case: Case) -> None:
    found = gate(case, Median())
    assert found.gained >= 0.06
    assert found.passed


def test_what_loses_on_clean_clips_does_not_pass(case: Case) -> None:
    found = gate(case, First())
    assert found.lost > 0.005
    assert not found.passed


def test_what_finds_less_than_the_one_in_use_does_not_pass(case: Case) -> None:
    found = gate(case, Median(), present=Median())
    assert found.passed  # as good is good enough
    assert found.present == "median"
    worse = replace(found, mixed=found.mean_mixed)
    assert worse.beaten
    assert not worse.passed


def test_where_the_mean_finds_nearly_all_nothing_could_pass(case: Case) -> None:
    assert hopeless(case) is None
    told = Case(case.clips[:3], case.queries[:3], np.eye(3, dtype=np.bool_), case.junk, case.bank)
    assert hopeless(told) == pytest.approx(1.0, abs=0.06)


def test_it_is_the_same_each_time(case: Case) -> None:
    assert gate(case, Median()) == gate(case, Median())


def test_long_clips_are_thinned_evenly() -> None:
    frames = unit(np.random.default_rng(0).normal(size=(200, DIM)))
    found = evenly(Clip.of(frames, np.arange(200.0)))
    assert len(found.times) == len(found.frames) == 64
    assert found.times[0] == 0
    assert found.times[-1] == 199
    assert np.diff(found.times).max() <= 4


def test_pictures_of_junk_are_in_the_space_of_the_encoder() -> None:
    junk = junk_pictures(FakeEncoder())
    assert junk.shape[1] == 16
    assert np.linalg.norm(junk, axis=1) == pytest.approx(1, abs=1e-4)
