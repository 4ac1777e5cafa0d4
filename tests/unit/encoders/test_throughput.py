"""Throughput is measured, cached, and measured again when its conditions change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from vsearch.encoders import model_zoo
from vsearch.encoders.model_zoo import MeasurementCache

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Images, Matrix


@pytest.fixture(autouse=True)
def _briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_zoo, "MEASURE_SECONDS", 0.01)


class Clock:
    """Clock that a test advances."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Slow(FakeEncoder):
    """Encoder that takes a tenth of a second of that clock per image, and a second to load."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def encode_images(self, images: Images) -> Matrix:
        self.clock.now += 0.1 * len(images) + (0 if self.encoded_count else 1)
        return super().encode_images(images)


def test_throughput_excludes_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(model_zoo, "time", clock)
    monkeypatch.setattr(model_zoo, "MEASURE_SECONDS", 2.0)
    assert model_zoo.measure_throughput("slow", "cpu", Slow(clock)).rate == pytest.approx(10)
    assert clock.now < 6, "a few seconds"


def test_measurements_are_cached_by_name_and_device() -> None:
    found = model_zoo.measure_throughput("fake", "cpu", FakeEncoder())
    assert (found.dim, found.speaks_text) == (16, True)
    assert model_zoo.load_measurements("cpu") == {"fake": found}
    assert model_zoo.load_measurements("auto") == {}


@pytest.mark.parametrize("part", ["_read_processor_name", "_describe_package", "_describe_weights"])
def test_another_processor_runtime_or_weights_need_a_new_measurement(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_zoo.measure_throughput("fake", "cpu", FakeEncoder())
    monkeypatch.setattr(model_zoo, part, lambda *_: "another")
    assert model_zoo.load_measurements("cpu") == {}


def test_a_replaced_checkpoint_needs_a_new_measurement(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"1")
    name = f"fake:arch@{tmp_path / 'w.pt'}"
    model_zoo.measure_throughput(name, "cpu", FakeEncoder())
    assert list(model_zoo.load_measurements("cpu")) == [name]
    (tmp_path / "w.pt").write_bytes(b"22")
    assert model_zoo.load_measurements("cpu") == {}


def test_invalid_cache_entries_are_ignored() -> None:
    found = model_zoo.measure_throughput("fake", "cpu", FakeEncoder())
    MeasurementCache().put(model_zoo.CACHE_TOPIC, "other", {"of": "another version"})
    MeasurementCache().put(model_zoo.CACHE_TOPIC, "third", 3)
    assert model_zoo.load_measurements("cpu") == {"fake": found}
