"""The short form of `make soak`: one round of each scenario."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from benchmarks.soak.__main__ import SCENARIOS, main
from benchmarks.soak.harness import Round, WrongAnswerError, check_same_answers
from benchmarks.soak.sample_media import FORMATS, MUTATIONS
from benchmarks.soak.samples import Samples, make_samples

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SEED = 1


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return make_samples(tmp_path_factory.mktemp("soak"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_round_finds_no_wrong_answer(scenario: str, samples: Samples, tmp_path: Path) -> None:
    round_ = Round(tmp_path, random.Random(f"{scenario} {SEED}"))
    SCENARIOS[scenario](round_, samples)
    assert sum(round_.counts.values()) > 0


def test_a_wrong_answer_is_noticed(samples: Samples, tmp_path: Path) -> None:
    library_path = samples.copy_library(tmp_path / "library")
    query, moments = next(iter(samples.answers.items()))
    with pytest.raises(WrongAnswerError, match="instead of"):
        check_same_answers({query: moments[1:]}, library_path, "nothing")


def test_a_wrong_answer_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find_wrong_answer(round_: Round, samples: Samples) -> None:
        raise WrongAnswerError("an error")

    monkeypatch.setitem(SCENARIOS, "media", find_wrong_answer)
    monkeypatch.setattr("sys.argv", ["soak", "--only", "media", "--seed", "5"])
    assert main() == 1
    captured = capsys.readouterr()
    assert "WRONG: an error" in captured.err
    assert "--only media --seed 5" in captured.err
    assert "1 rounds" in captured.out


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="needs Linux")
def test_making_films_leaves_no_real_time_thread(samples: Samples) -> None:
    assert any(each.codec == "libsvtav1" for each in samples.media)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_films_of_twenty_formats_are_damaged() -> None:
    assert len({(each.suffix, each.codec) for each in FORMATS}) >= 20
    content = bytes(range(256)) * 40
    for mutate in MUTATIONS:
        damaged = [bytearray(content) for _ in range(2)]
        for one in damaged:
            mutate(one, random.Random(3))
        assert damaged[0] == damaged[1] != content  # repeatable
