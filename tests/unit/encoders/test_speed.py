"""How fast a model is: measured, noted, and forgotten when something it depends on changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes import FakeEncoder
from vsearch.encoders import speed
from vsearch.encoders.notes import Notes

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Images, Matrix


@pytest.fixture(autouse=True)
def _briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "SECONDS", 0.01)


class Clock:
    """Time that passes when it is told to."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Slow(FakeEncoder):
    """Takes a tenth of a second of that clock for a picture, and a second to load."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def encode_images(self, images: Images) -> Matrix:
        self.clock.now += 0.1 * len(images) + (0 if self.seen else 1)
        return super().encode_images(images)


def test_the_rate_is_of_a_model_that_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(speed, "time", clock)
    monkeypatch.setattr(speed, "SECONDS", 2.0)
    assert speed.measure("slow", "cpu", Slow(clock)).rate == pytest.approx(10)
    assert clock.now < 6, "a few seconds"


def test_what_was_measured_is_known_by_name_and_device() -> None:
    found = speed.measure("fake", "cpu", FakeEncoder())
    assert (found.dim, found.speaks_text) == (16, True)
    assert speed.noted("cpu") == {"fake": found}
    assert speed.noted("auto") == {}


@pytest.mark.parametrize("part", ["_processor", "_version", "_weights"])
def test_another_processor_engine_or_other_weights_have_a_speed_of_their_own(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed.measure("fake", "cpu", FakeEncoder())
    monkeypatch.setattr(speed, part, lambda *_: "another")
    assert speed.noted("cpu") == {}


def test_a_checkpoint_that_was_replaced_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"1")
    name = f"fake:arch@{tmp_path / 'w.pt'}"
    speed.measure(name, "cpu", FakeEncoder())
    assert list(speed.noted("cpu")) == [name]
    (tmp_path / "w.pt").write_bytes(b"22")
    assert speed.noted("cpu") == {}


def test_notes_that_make_no_sense_are_passed_over() -> None:
    found = speed.measure("fake", "cpu", FakeEncoder())
    Notes().put(speed.TOPIC, "other", {"of": "another version"})
    Notes().put(speed.TOPIC, "third", 3)
    assert speed.noted("cpu") == {"fake": found}
