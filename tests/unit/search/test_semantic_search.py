from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import RED, ColorScene, make_video
from vsearch import Library
from vsearch.search import cue_embedding
from vsearch.types import Cue, Span

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_embedding_many_cues_logs_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cue_embedding, "WARN_ABOVE_CUES", 3)
    make_video(tmp_path / "a.mp4", [ColorScene(RED, 4)])
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        list(library.index([tmp_path / "a.mp4"]))
        for count, is_logged in ((2, False), (3, True)):
            caplog.clear()
            cues = [Cue(Span(0, 1), f"line {i}", "speech") for i in range(count)]
            with library._catalog.begin() as change:
                change.replace_cues(1, "speech", cues, source_name="by hand")
            list(library.index([tmp_path / "a.mp4"]))
            assert any("for semantic search" in line for line in caplog.messages) is is_logged
