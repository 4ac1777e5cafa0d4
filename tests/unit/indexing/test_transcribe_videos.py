from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.audio_factory import SoundScene, make_sound_video
from tests.support.fakes import FakeEncoder
from tests.support.speech_samples import FakeOcrEngine, FakeRecognizer
from tests.support.video_factory import BLACK, BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library
from vsearch.errors import LockedError, SettingsError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.indexing.transcribe import TranscriptResult
    from vsearch.progress import Progress
    from vsearch.transcripts.speech import MonoSamples, Transcription
    from vsearch.types import Cue, Transcript


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of a video with a tone at 2 to 3 s, a silent one, and one without audio."""
    made = tmp_path / "videos"
    made.mkdir()
    tone = [
        SoundScene(ColorScene(BLACK, 2)),
        SoundScene(ColorScene(RED, 1), 400),
        SoundScene(ColorScene(GREEN, 2)),
    ]
    make_sound_video(made / "loud.mp4", tone)
    make_sound_video(made / "quiet.mp4", [SoundScene(ColorScene(BLUE, 3))])
    make_video(made / "mute.mp4", [ColorScene(GREEN, 2)])
    return made


@pytest.fixture
def library(tmp_path: Path, folder: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        assert all(one.outcome == "indexed" for one in opened.index([folder]))
        yield opened


def found(results: Iterator[TranscriptResult]) -> dict[str, str]:
    return {one.video.path.name: str(one.outcome) for one in results}


def cues(library: Library, name: str) -> list[Cue]:
    [video] = library.videos([name])
    return library._catalog.cues_of_video(video.id)


def transcripts(library: Library, name: str) -> list[Transcript]:
    [video] = library.videos([name])
    found = library._catalog.transcripts([video.id])
    return [one for one in found if one.source != "subtitles"]  # which indexing adds


def test_speech_is_stored_with_word_times(library: Library) -> None:
    results = {one.video.path.name: one for one in library.transcribe(recognizer=FakeRecognizer())}
    assert {name: one.outcome for name, one in results.items()} == {
        "loud.mp4": "words",
        "quiet.mp4": "nothing",
        "mute.mp4": "nothing",
    }
    [cue] = cues(library, "loud.mp4")
    assert (cue.text, cue.source) == ("loud", "speech")
    assert (cue.span.start, cue.span.end) == pytest.approx((2, 3), abs=0.15)
    assert cue.words[0].span == cue.span
    assert results["loud.mp4"].cues[0].text == "loud"
    assert results["loud.mp4"].language == "en"


def test_a_video_removed_meanwhile_does_not_stop_the_others(library: Library) -> None:
    work = library.transcribe(recognizer=FakeRecognizer())
    library.remove(["loud.mp4"])
    assert found(work) == {"quiet.mp4": "nothing", "mute.mp4": "nothing"}


def test_model_and_language_are_stored_even_without_speech(library: Library) -> None:
    list(library.transcribe(recognizer=FakeRecognizer("big", "de")))
    [loud], [mute] = transcripts(library, "loud.mp4"), transcripts(library, "mute.mp4")
    assert (loud.source_name, loud.language, loud.cue_count) == ("big", "de", 1)
    assert (mute.source_name, mute.language, mute.cue_count) == ("big", None, 0)


def test_finished_videos_are_skipped_unless_forced(library: Library) -> None:
    list(library.transcribe(recognizer=FakeRecognizer()))
    other = FakeRecognizer("other")
    assert set(found(library.transcribe(recognizer=other)).values()) == {"known"}
    assert other.requested_languages == []
    assert found(library.transcribe(recognizer=other, force=True))["loud.mp4"] == "words"
    assert transcripts(library, "loud.mp4")[0].source_name == "other"
    assert len(cues(library, "loud.mp4")) == 1


def test_another_language_is_another_transcript(library: Library) -> None:
    list(library.transcribe(recognizer=FakeRecognizer()))
    again = found(library.transcribe(recognizer=FakeRecognizer(), language="fr"))
    assert again == {"loud.mp4": "words", "quiet.mp4": "known", "mute.mp4": "known"}
    assert (
        found(library.transcribe(recognizer=FakeRecognizer(), language="fr"))["loud.mp4"] == "known"
    )


def test_paths_select_videos(library: Library) -> None:
    assert found(library.transcribe(["loud*"], recognizer=FakeRecognizer())) == {
        "loud.mp4": "words"
    }
    assert not transcripts(library, "mute.mp4")


def test_a_missing_video_fails_alone_and_is_retried(library: Library, folder: Path) -> None:
    (folder / "loud.mp4").rename(folder / "elsewhere.mp4")
    results = {one.video.path.name: one for one in library.transcribe(recognizer=FakeRecognizer())}
    assert results["loud.mp4"].outcome == "failed"
    assert "loud.mp4: there is no such file" in (results["loud.mp4"].error or "")
    assert results["mute.mp4"].outcome == "nothing"
    (folder / "elsewhere.mp4").rename(folder / "loud.mp4")
    assert found(library.transcribe(recognizer=FakeRecognizer()))["loud.mp4"] == "words"


def test_finished_videos_survive_an_interruption(library: Library) -> None:
    class Stopped(FakeRecognizer):
        def transcribe(self, samples: MonoSamples, language: str | None) -> Transcription:
            if self.requested_languages:
                raise KeyboardInterrupt
            return super().transcribe(samples, language)

    with pytest.raises(KeyboardInterrupt):
        list(library.transcribe(recognizer=Stopped()))
    listener = FakeRecognizer()
    left = found(library.transcribe(recognizer=listener))
    assert sorted(left.values()).count("known") >= 1
    assert len(left) == 3
    assert "known" not in found(library.transcribe(recognizer=listener, force=True)).values()


def test_a_failing_model_stops_the_run(library: Library) -> None:
    class Broken(FakeRecognizer):
        def transcribe(self, samples: MonoSamples, language: str | None) -> Transcription:
            raise WeightsError("the speech model cannot be used")

    with pytest.raises(WeightsError):
        list(library.transcribe(["loud.mp4"], recognizer=Broken()))
    assert not transcripts(library, "loud.mp4")


def test_progress_reports_the_seconds_of_each_video(library: Library) -> None:
    told: list[Progress] = []
    list(library.transcribe(["loud.mp4"], recognizer=FakeRecognizer(), on_progress=told.append))
    assert [one.processed_seconds for one in told] == sorted(one.processed_seconds for one in told)
    assert told[0].processed_seconds == 0
    assert told[-1].processed_seconds == pytest.approx(told[-1].duration, abs=0.2)
    assert {one.file_count for one in told} == {1}


def test_only_one_process_writes(library: Library) -> None:
    run = library.transcribe(recognizer=FakeRecognizer())
    next(run)
    with (
        Library.open(library.path, encoder=FakeEncoder()) as other,
        pytest.raises(LockedError),
    ):
        list(other.transcribe(recognizer=FakeRecognizer()))
    run.close()  # type: ignore[attr-defined] # is a generator


def test_removing_a_video_removes_its_transcripts(library: Library) -> None:
    list(library.transcribe(recognizer=FakeRecognizer()))
    [video] = library.remove(["loud.mp4"])
    assert library._catalog.cues_of_video(video.id) == []


def test_on_screen_text_is_stored(library: Library) -> None:
    reader = FakeOcrEngine()
    assert found(library.ocr(ocr_engine=reader)) == dict.fromkeys(
        ("loud.mp4", "quiet.mp4", "mute.mp4"), "words"
    )
    read = [(cue.text, cue.span.start, cue.span.end) for cue in cues(library, "loud.mp4")]
    assert read == [("STOP here", 2, 3), ("GO there", 3, pytest.approx(5, abs=0.1))]
    assert {cue.source for cue in cues(library, "loud.mp4")} == {"ocr"}
    assert transcripts(library, "loud.mp4")[0].source_name == "fake"


def test_ocr_keeps_the_speech_transcript(library: Library) -> None:
    list(library.transcribe(recognizer=FakeRecognizer()))
    list(library.ocr(ocr_engine=FakeOcrEngine()))
    assert {cue.source for cue in cues(library, "loud.mp4")} == {"speech", "ocr"}
    assert set(found(library.ocr(ocr_engine=FakeOcrEngine())).values()) == {"known"}


def test_ocr_reads_frames_at_the_requested_rate(library: Library) -> None:
    slow, fast = FakeOcrEngine(), FakeOcrEngine()
    list(library.ocr(["loud.mp4"], fps=0.2, ocr_engine=slow))
    list(library.ocr(["loud.mp4"], fps=5, force=True, ocr_engine=fast))
    assert slow.read_count == 1
    assert fast.read_count > 2
    with pytest.raises(SettingsError):
        list(library.ocr(fps=0, ocr_engine=slow))
