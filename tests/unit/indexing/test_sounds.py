"""Sounds of a library: analysis of its videos, and the filter `has:`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.audio_factory import SoundScene, make_sound_video
from tests.support.fakes import FakeEncoder
from tests.support.speech_samples import FakeRecognizer, FakeSoundDetector
from tests.support.video_factory import BLACK, BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library
from vsearch.errors import LibraryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of a video with music at 4 to 8 s, a silent one, and one without audio."""
    made = tmp_path / "videos"
    made.mkdir()
    scenes = [
        SoundScene(ColorScene(BLACK, 4)),
        SoundScene(ColorScene(RED, 4), 300),
        SoundScene(ColorScene(GREEN, 4)),
    ]
    make_sound_video(made / "loud.mp4", scenes)
    make_sound_video(made / "quiet.mp4", [SoundScene(ColorScene(BLUE, 3))])
    make_video(made / "mute.mp4", [ColorScene(GREEN, 2)])
    return made


@pytest.fixture
def library(tmp_path: Path, folder: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        assert all(one.outcome == "indexed" for one in opened.index([folder]))
        yield opened


def analyze(library: Library, *paths: str, force: bool = False) -> dict[str, str]:
    results = library.sounds.analyze(paths, force=force, detector=FakeSoundDetector())
    return {one.video.path.name: str(one.outcome) for one in results}


def found(library: Library, query: str) -> set[tuple[str, bool]]:
    """Return the names of the results, each with whether it overlaps the music."""
    return {
        (one.video.path.name, one.span.start < 8 and one.span.end > 4)
        for one in library.search(query, k=20)
    }


def test_sounds_are_stored_once(library: Library) -> None:
    first = {"loud.mp4": "sounds", "quiet.mp4": "nothing", "mute.mp4": "nothing"}
    assert analyze(library) == first
    [music] = library.sounds.list("loud.mp4")
    assert music.kind == "music"
    assert music.span.start == pytest.approx(4, abs=0.2)
    assert music.span.end == pytest.approx(8, abs=0.2)
    assert library.sounds.list("mute.mp4") == []
    assert library.sounds.is_analyzed("mute.mp4")
    assert set(analyze(library).values()) == {"known"}
    assert analyze(library, force=True) == first
    assert len(library.sounds.list("loud.mp4")) == 1
    assert library.info().sound_counts == (("music", 1),)


def test_a_broken_video_fails_alone_and_is_retried(library: Library, folder: Path) -> None:
    content = (folder / "loud.mp4").read_bytes()
    (folder / "loud.mp4").unlink()
    results = list(library.sounds.analyze(detector=FakeSoundDetector()))
    assert [one.video.path.name for one in results if one.outcome == "failed"] == ["loud.mp4"]
    assert "loud.mp4" in next(one.error or "" for one in results if one.error)
    assert not library.sounds.is_analyzed("loud.mp4")
    (folder / "loud.mp4").write_bytes(content)
    assert analyze(library)["loud.mp4"] == "sounds"


def test_an_unexpected_error_fails_only_its_video(library: Library) -> None:
    class Broken(FakeSoundDetector):
        def detect(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            if abs(samples).max() > 0.1:
                raise RuntimeError("inference failed")
            return super().detect(samples)

    outcomes = {
        one.video.path.name: str(one.outcome) for one in library.sounds.analyze(detector=Broken())
    }
    assert outcomes == {"loud.mp4": "failed", "quiet.mp4": "nothing", "mute.mp4": "nothing"}


def test_finished_videos_survive_an_interruption(library: Library) -> None:
    results = library.sounds.analyze(detector=FakeSoundDetector())
    done = next(results).video.path.name
    results.close()  # type: ignore[attr-defined]
    assert analyze(library)[done] == "known"


def test_music_is_a_filter_of_segments(library: Library) -> None:
    assert found(library, "red has:music") == set()
    analyze(library)
    assert found(library, "red has:music") == {("loud.mp4", True)}
    others = found(library, "red -has:music")
    assert ("loud.mp4", True) not in others
    assert "quiet.mp4" in {name for name, _ in others}
    assert found(library, "red has:singing") == set()


def test_speech_is_transcribed_or_detected(library: Library) -> None:
    [quiet] = library.videos(["quiet.mp4"])
    analyze(library)
    assert found(library, "blue has:speech") == set()
    list(library.transcripts.transcribe(["loud.mp4"], recognizer=FakeRecognizer()))
    assert {name for name, _ in found(library, "blue has:speech")} == {"loud.mp4"}
    from vsearch.types import SoundSpan, Span

    with library._catalog.begin() as transaction:
        transaction.replace_sounds(quiet.id, [SoundSpan("speech", Span(0, 2))], model_name="m")
    assert {name for name, _ in found(library, "blue has:speech")} == {"loud.mp4", "quiet.mp4"}


def test_a_hint_names_the_missing_analysis(library: Library) -> None:
    assert any("vsearch sound" in hint for hint in library.search("red has:music").hints)
    analyze(library)
    assert not any("vsearch sound" in hint for hint in library.search("red has:singing").hints)


def test_removing_a_video_removes_its_sounds(library: Library) -> None:
    analyze(library)
    library.remove(["loud.mp4"])
    assert library.info().sound_counts == ()
    with pytest.raises(LibraryError, match="no such video"):
        library.sounds.list("loud.mp4")
