from __future__ import annotations

from typing import TYPE_CHECKING

from fakes import FakeEncoder
from synth import RED, Scene, make_video
from vsearch import Library, transcripts
from vsearch.types import Cue, Span

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_it_is_said_when_reading_many_lines_takes_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcripts, "MANY", 3)
    make_video(tmp_path / "a.mp4", [Scene(RED, 4)])
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        list(library.index([tmp_path / "a.mp4"]))
        for count, told in ((2, False), (3, True)):
            caplog.clear()
            cues = [Cue(Span(0, 1), f"line {i}", "speech") for i in range(count)]
            with library._catalog.begin() as change:
                change.replace_cues(1, "speech", cues, origin="by hand")
            list(library.index([tmp_path / "a.mp4"]))
            assert any("read for what they mean" in line for line in caplog.messages) is told
