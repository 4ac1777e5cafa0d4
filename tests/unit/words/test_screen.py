from __future__ import annotations

import numpy as np
import pytest

from vsearch.types import FrameBatch, Images, Span
from vsearch.words import screen
from vsearch.words.ocr import Line
from vsearch.words.screen import Changes, Lines, shown


def image(*, level: int = 90, text: bool = False, size: tuple[int, int] = (90, 160)) -> Images:
    """A gray picture, perhaps with thin strokes in its middle: uint8 (H, W, 3)."""
    picture = np.full((*size, 3), level, np.uint8)
    if text:
        picture[40:50, 60:100:4] = 255
    return picture


def seen(*frames: tuple[float, list[str]], end: float) -> list[tuple[str, float, float]]:
    lines = Lines()
    for time, texts in frames:
        lines.see(time, [Line(text, 0.9) for text in texts])
    return [(cue.text, cue.span.start, cue.span.end) for cue in lines.cues(end)]


class Script:
    """A `Reader` that reads what it is told, frame by frame."""

    name = "script"

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)

    def read(self, image: Images) -> list[Line]:
        return [Line(self.texts.pop(0), 0.9)]


def test_a_line_that_stays_is_one_cue() -> None:
    frames = [(float(t), ["EXIT"]) for t in range(2, 6)]
    assert seen((0, []), *frames, (6, []), (9, []), end=10) == [("EXIT", 2, 6)]


def test_a_line_is_shown_until_the_end_of_the_video() -> None:
    assert seen((3, ["The End"]), end=10.5) == [("The End", 3, 10.5)]


def test_misread_letters_make_no_new_cue_and_the_surest_reading_counts() -> None:
    lines = Lines()
    readings = [("Ernergency exit", 0.8), ("Emergency exit", 0.98), ("Emergencyexlt", 0.75)]
    for time, (text, certainty) in enumerate(readings):
        lines.see(time, [Line(text, certainty)])
    [cue] = lines.cues(3)
    assert cue.text == "Emergency exit"
    assert cue.span == Span(0, 3)
    assert cue.source == "screen"


def test_the_reading_with_its_spaces_counts() -> None:
    lines = Lines()
    for time, (text, certainty) in enumerate([("Thankyou", 0.99), ("Thank you", 0.9)]):
        lines.see(time, [Line(text, certainty)])
    assert [cue.text for cue in lines.cues(3)] == ["Thank you"]


def test_another_number_is_another_text() -> None:
    found = seen((0, ["Score 1:0"]), (1, ["Score 2:0"]), end=2)
    assert [text for text, _, _ in found] == ["Score 1:0", "Score 2:0"]


def test_lines_that_come_and_go_together_are_one_cue() -> None:
    both = ["It was the best of times,", "it was the worst of times"]
    assert seen((0, ["NEWS"]), (1, ["NEWS", *both]), (2, ["NEWS"]), (5, ["NEWS"]), end=6) == [
        ("NEWS", 0, 6),
        (" ".join(both), 1, 2),
    ]


def test_a_line_that_was_missed_once_is_still_one_cue() -> None:
    assert seen((0, ["EXIT"]), (1, []), (2, ["EXIT"]), end=3) == [("EXIT", 0, 3)]


def test_a_line_that_comes_back_later_is_another_cue() -> None:
    assert seen((0, ["EXIT"]), (1, []), (9, ["EXIT"]), end=10) == [("EXIT", 0, 1), ("EXIT", 9, 10)]


def test_what_is_hardly_legible_is_left_out() -> None:
    lines = Lines()
    lines.see(0, [Line("口", 0.99), Line("IDENT OI", 0.6), Line("!?…", 0.9), Line("OK", 0.9)])
    assert [cue.text for cue in lines.cues(1)] == ["OK"]


def test_a_flood_of_text_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "CUES", 250)
    lines = Lines()
    for time in range(0, 12, 3):
        lines.see(time, [Line(f"{n} {time} " + "x" * 5_000, 0.9) for n in range(500)])
    cues = lines.cues(1_000)
    assert sum(cue.text.count("x ") + 1 for cue in cues) <= 250
    assert max(len(cue.text) for cue in cues) <= 1_000


def test_a_frame_with_new_text_is_read_and_the_same_one_is_not() -> None:
    changes = Changes()
    assert changes.are_new(image())
    assert not changes.are_new(image())
    assert changes.are_new(image(text=True))
    assert not changes.are_new(image(text=True))
    assert changes.are_new(image())


def test_noise_is_no_change() -> None:
    rng = np.random.default_rng(0)
    changes = Changes()
    changes.are_new(image())
    for _ in range(5):
        noisy = image().astype(int) + rng.normal(0, 8, (90, 160, 3))
        assert not changes.are_new(noisy.clip(0, 255).astype(np.uint8))


def test_a_picture_of_another_shape_is_new() -> None:
    changes = Changes()
    changes.are_new(image())
    assert changes.are_new(image(size=(91, 177)))


def test_a_slow_fade_is_not_missed() -> None:
    changes = Changes()
    changes.are_new(image(level=50))
    assert any(changes.are_new(image(level=level)) for level in range(50, 70, 2))


def test_frames_that_are_passed_over_show_what_was_read_before() -> None:
    images = np.stack([image(), image(text=True), image(text=True), image()])
    batch = FrameBatch(images, np.arange(4.0))
    reader, told = Script("one", "two", "three"), list[float]()
    found = [(cue.text, cue.span) for cue in shown([batch], reader, 4.5, told.append)]
    assert found == [("one", Span(0, 1)), ("two", Span(1, 3)), ("three", Span(3, 4.5))]
    assert told == pytest.approx([0, 1, 2, 3])
