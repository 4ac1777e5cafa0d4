from __future__ import annotations

import numpy as np
import pytest

from vsearch.transcripts import ocr
from vsearch.transcripts.ocr import FrameChangeDetector, LineTracker, OcrLine, track_text
from vsearch.types import FrameBatch, Images, Span


def image(*, level: int = 90, text: bool = False, size: tuple[int, int] = (90, 160)) -> Images:
    """Return a gray image, optionally with thin strokes, uint8 (H, W, 3)."""
    picture = np.full((*size, 3), level, np.uint8)
    if text:
        picture[40:50, 60:100:4] = 255
    return picture


def seen(*frames: tuple[float, list[str]], end: float) -> list[tuple[str, float, float]]:
    lines = LineTracker()
    for time, texts in frames:
        lines.update(time, [OcrLine(text, 0.9) for text in texts])
    return [(cue.text, cue.span.start, cue.span.end) for cue in lines.finish_cues(end)]


class Script:
    """An `OcrEngine` that returns scripted texts, one per frame."""

    name = "script"

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)

    def read(self, image: Images) -> list[OcrLine]:
        return [OcrLine(self.texts.pop(0), 0.9)]


def test_a_persistent_line_is_one_cue() -> None:
    frames = [(float(t), ["EXIT"]) for t in range(2, 6)]
    assert seen((0, []), *frames, (6, []), (9, []), end=10) == [("EXIT", 2, 6)]


def test_the_last_line_lasts_until_the_end_of_the_video() -> None:
    assert seen((3, ["The End"]), end=10.5) == [("The End", 3, 10.5)]


def test_misread_letters_give_no_new_cue_and_the_most_certain_reading_wins() -> None:
    lines = LineTracker()
    readings = [("Ernergency exit", 0.8), ("Emergency exit", 0.98), ("Emergencyexlt", 0.75)]
    for time, (text, certainty) in enumerate(readings):
        lines.update(time, [OcrLine(text, certainty)])
    [cue] = lines.finish_cues(3)
    assert cue.text == "Emergency exit"
    assert cue.span == Span(0, 3)
    assert cue.source == "ocr"


def test_the_reading_with_spaces_wins() -> None:
    lines = LineTracker()
    for time, (text, certainty) in enumerate([("Thankyou", 0.99), ("Thank you", 0.9)]):
        lines.update(time, [OcrLine(text, certainty)])
    assert [cue.text for cue in lines.finish_cues(3)] == ["Thank you"]


def test_another_number_is_another_text() -> None:
    found = seen((0, ["Score 1:0"]), (1, ["Score 2:0"]), end=2)
    assert [text for text, _, _ in found] == ["Score 1:0", "Score 2:0"]


def test_lines_that_appear_together_are_one_cue() -> None:
    both = ["It was the best of times,", "it was the worst of times"]
    assert seen((0, ["NEWS"]), (1, ["NEWS", *both]), (2, ["NEWS"]), (5, ["NEWS"]), end=6) == [
        ("NEWS", 0, 6),
        (" ".join(both), 1, 2),
    ]


def test_a_line_that_was_missed_once_is_still_one_cue() -> None:
    assert seen((0, ["EXIT"]), (1, []), (2, ["EXIT"]), end=3) == [("EXIT", 0, 3)]


def test_a_line_that_comes_back_later_is_another_cue() -> None:
    assert seen((0, ["EXIT"]), (1, []), (9, ["EXIT"]), end=10) == [("EXIT", 0, 1), ("EXIT", 9, 10)]


def test_uncertain_lines_are_dropped() -> None:
    lines = LineTracker()
    lines.update(
        0, [OcrLine("口", 0.99), OcrLine("IDENT OI", 0.6), OcrLine("!?…", 0.9), OcrLine("OK", 0.9)]
    )
    assert [cue.text for cue in lines.finish_cues(1)] == ["OK"]


def test_a_flood_of_text_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "MAX_OCR_CUES", 250)
    lines = LineTracker()
    for time in range(0, 12, 3):
        lines.update(time, [OcrLine(f"{n} {time} " + "x" * 5_000, 0.9) for n in range(500)])
    cues = lines.finish_cues(1_000)
    assert sum(cue.text.count("x ") + 1 for cue in cues) <= 250
    assert max(len(cue.text) for cue in cues) <= 1_000


def test_only_changed_frames_are_read() -> None:
    changes = FrameChangeDetector()
    assert changes.has_changed(image())
    assert not changes.has_changed(image())
    assert changes.has_changed(image(text=True))
    assert not changes.has_changed(image(text=True))
    assert changes.has_changed(image())


def test_noise_is_not_a_change() -> None:
    rng = np.random.default_rng(0)
    changes = FrameChangeDetector()
    changes.has_changed(image())
    for _ in range(5):
        noisy = image().astype(int) + rng.normal(0, 8, (90, 160, 3))
        assert not changes.has_changed(noisy.clip(0, 255).astype(np.uint8))


def test_a_frame_of_another_size_is_a_change() -> None:
    changes = FrameChangeDetector()
    changes.has_changed(image())
    assert changes.has_changed(image(size=(91, 177)))


def test_a_slow_fade_is_not_missed() -> None:
    changes = FrameChangeDetector()
    changes.has_changed(image(level=50))
    assert any(changes.has_changed(image(level=level)) for level in range(50, 70, 2))


def test_unchanged_frames_extend_the_current_cue() -> None:
    images = np.stack([image(), image(text=True), image(text=True), image()])
    batch = FrameBatch(images, np.arange(4.0))
    reader, progress_times = Script("one", "two", "three"), list[float]()
    found = [
        (cue.text, cue.span) for cue in track_text([batch], reader, 4.5, progress_times.append)
    ]
    assert found == [("one", Span(0, 1)), ("two", Span(1, 3)), ("three", Span(3, 4.5))]
    assert progress_times == pytest.approx([0, 1, 2, 3])
