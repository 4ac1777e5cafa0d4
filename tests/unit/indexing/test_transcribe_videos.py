from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.audio_factory import SoundScene, make_sound_video
from tests.support.fakes import FakeEncoder
from tests.support.speech_samples import FakeOcrEngine, FakeRecognizer
from tests.support.video_factory import BLACK, BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library
from vsearch.errors import LockedError, MissingExtraError, SettingsError, WeightsError
from vsearch.indexing import extraction
from vsearch.server.workers import index
from vsearch.transcripts.whisper import SpeechModelRef

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from vsearch.progress import IndexResult, Progress, TranscriptResult
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
    results = {
        one.video.path.name: one
        for one in library.transcripts.transcribe(recognizer=FakeRecognizer())
    }
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
    work = library.transcripts.transcribe(recognizer=FakeRecognizer())
    library.remove(["loud.mp4"])
    assert found(work) == {"quiet.mp4": "nothing", "mute.mp4": "nothing"}


def test_model_and_language_are_stored_even_without_speech(library: Library) -> None:
    list(library.transcripts.transcribe(recognizer=FakeRecognizer("big", "de")))
    [loud], [mute] = transcripts(library, "loud.mp4"), transcripts(library, "mute.mp4")
    assert (loud.source_name, loud.language, loud.cue_count) == ("big", "de", 1)
    assert (mute.source_name, mute.language, mute.cue_count) == ("big", None, 0)


def test_finished_videos_are_skipped_unless_forced(library: Library) -> None:
    list(library.transcripts.transcribe(recognizer=FakeRecognizer()))
    other = FakeRecognizer("other")
    assert set(found(library.transcripts.transcribe(recognizer=other)).values()) == {"known"}
    assert other.requested_languages == []
    assert (
        found(library.transcripts.transcribe(recognizer=other, force=True))["loud.mp4"] == "words"
    )
    assert transcripts(library, "loud.mp4")[0].source_name == "other"
    assert len(cues(library, "loud.mp4")) == 1


def test_another_language_is_another_transcript(library: Library) -> None:
    list(library.transcripts.transcribe(recognizer=FakeRecognizer()))
    again = found(library.transcripts.transcribe(recognizer=FakeRecognizer(), language="fr"))
    assert again == {"loud.mp4": "words", "quiet.mp4": "known", "mute.mp4": "known"}
    assert (
        found(library.transcripts.transcribe(recognizer=FakeRecognizer(), language="fr"))[
            "loud.mp4"
        ]
        == "known"
    )


def test_paths_select_videos(library: Library) -> None:
    assert found(library.transcripts.transcribe(["loud*"], recognizer=FakeRecognizer())) == {
        "loud.mp4": "words"
    }
    assert not transcripts(library, "mute.mp4")


def test_a_missing_video_fails_alone_and_is_retried(library: Library, folder: Path) -> None:
    (folder / "loud.mp4").rename(folder / "elsewhere.mp4")
    results = {
        one.video.path.name: one
        for one in library.transcripts.transcribe(recognizer=FakeRecognizer())
    }
    assert results["loud.mp4"].outcome == "failed"
    assert "loud.mp4: there is no such file" in (results["loud.mp4"].error or "")
    assert results["mute.mp4"].outcome == "nothing"
    (folder / "elsewhere.mp4").rename(folder / "loud.mp4")
    assert found(library.transcripts.transcribe(recognizer=FakeRecognizer()))["loud.mp4"] == "words"


def test_finished_videos_survive_an_interruption(library: Library) -> None:
    class Stopped(FakeRecognizer):
        def transcribe(self, samples: MonoSamples, language: str | None) -> Transcription:
            if self.requested_languages:
                raise KeyboardInterrupt
            return super().transcribe(samples, language)

    with pytest.raises(KeyboardInterrupt):
        list(library.transcripts.transcribe(recognizer=Stopped()))
    listener = FakeRecognizer()
    left = found(library.transcripts.transcribe(recognizer=listener))
    assert sorted(left.values()).count("known") >= 1
    assert len(left) == 3
    assert (
        "known"
        not in found(library.transcripts.transcribe(recognizer=listener, force=True)).values()
    )


def test_a_failing_model_stops_the_run(library: Library) -> None:
    class Broken(FakeRecognizer):
        def transcribe(self, samples: MonoSamples, language: str | None) -> Transcription:
            raise WeightsError("the speech model cannot be used")

    with pytest.raises(WeightsError):
        list(library.transcripts.transcribe(["loud.mp4"], recognizer=Broken()))
    assert not transcripts(library, "loud.mp4")


def test_an_unexpected_error_fails_only_its_video(library: Library) -> None:
    class Broken(FakeRecognizer):
        def transcribe(self, samples: MonoSamples, language: str | None) -> Transcription:
            if samples.any():
                raise ValueError("too loud")
            return super().transcribe(samples, language)

    results = {
        one.video.path.name: one for one in library.transcripts.transcribe(recognizer=Broken())
    }
    assert results["loud.mp4"].outcome == "failed"
    assert "ValueError: too loud" in (results["loud.mp4"].error or "")
    assert results["quiet.mp4"].outcome == results["mute.mp4"].outcome == "nothing"


def test_progress_reports_the_seconds_of_each_video(library: Library) -> None:
    progress_reports: list[Progress] = []
    list(
        library.transcripts.transcribe(
            ["loud.mp4"], recognizer=FakeRecognizer(), on_progress=progress_reports.append
        )
    )
    assert [one.processed_seconds for one in progress_reports] == sorted(
        one.processed_seconds for one in progress_reports
    )
    assert progress_reports[0].processed_seconds == 0
    assert progress_reports[-1].processed_seconds == pytest.approx(
        progress_reports[-1].duration, abs=0.2
    )
    assert {one.file_count for one in progress_reports} == {1}


def test_only_one_process_writes(library: Library) -> None:
    run = library.transcripts.transcribe(recognizer=FakeRecognizer())
    next(run)
    with (
        Library.open(library.path, encoder=FakeEncoder()) as other,
        pytest.raises(LockedError),
    ):
        list(other.transcripts.transcribe(recognizer=FakeRecognizer()))
    run.close()  # type: ignore[attr-defined] # is a generator


def test_removing_a_video_removes_its_transcripts(library: Library) -> None:
    list(library.transcripts.transcribe(recognizer=FakeRecognizer()))
    [video] = library.remove(["loud.mp4"])
    assert library._catalog.cues_of_video(video.id) == []


def test_on_screen_text_is_stored(library: Library) -> None:
    reader = FakeOcrEngine()
    assert found(library.transcripts.ocr(ocr_engine=reader)) == dict.fromkeys(
        ("loud.mp4", "quiet.mp4", "mute.mp4"), "words"
    )
    read = [(cue.text, cue.span.start, cue.span.end) for cue in cues(library, "loud.mp4")]
    assert read == [("STOP here", 2, 3), ("GO there", 3, pytest.approx(5, abs=0.1))]
    assert {cue.source for cue in cues(library, "loud.mp4")} == {"ocr"}
    assert transcripts(library, "loud.mp4")[0].source_name == "fake"


def test_ocr_keeps_the_speech_transcript(library: Library) -> None:
    list(library.transcripts.transcribe(recognizer=FakeRecognizer()))
    list(library.transcripts.ocr(ocr_engine=FakeOcrEngine()))
    assert {cue.source for cue in cues(library, "loud.mp4")} == {"speech", "ocr"}
    assert set(found(library.transcripts.ocr(ocr_engine=FakeOcrEngine())).values()) == {"known"}


def test_ocr_reads_frames_at_the_requested_rate(library: Library) -> None:
    slow, fast = FakeOcrEngine(), FakeOcrEngine()
    list(library.transcripts.ocr(["loud.mp4"], fps=0.2, ocr_engine=slow))
    list(library.transcripts.ocr(["loud.mp4"], fps=5, force=True, ocr_engine=fast))
    assert slow.read_count == 1
    assert fast.read_count > 2
    with pytest.raises(SettingsError):
        list(library.transcripts.ocr(fps=0, ocr_engine=slow))


# --- as a part of indexing


class Model(FakeRecognizer):
    """Stand-in for `WhisperRecognizer`."""

    def __init__(self, named: SpeechModelRef, *, device: str) -> None:
        super().__init__(named.model_name)
        self.device = device

    def check_language(self, language: str | None) -> None:
        assert language is None


@pytest.fixture
def transcribing(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Library]:
    """An empty library whose settings ask for speech and on-screen text."""
    monkeypatch.setattr(extraction, "resolve_model", lambda name: SpeechModelRef(name, ""))
    monkeypatch.setattr(extraction, "WhisperRecognizer", Model)
    monkeypatch.setattr(extraction, "RapidOcrEngine", FakeOcrEngine)
    path = tmp_path / "transcribing"
    with Library.open(
        path, create=True, encoder=FakeEncoder(), transcribe=True, ocr=True
    ) as opened:
        yield opened


def stages(results: Iterator[IndexResult]) -> list[tuple[str, str, str]]:
    """Return stage, file name and outcome of each result."""
    return [
        (one.transcript.source if one.transcript else "index", one.path.name, str(one.outcome))
        for one in results
    ]


def test_indexing_transcribes_speech_and_text_if_set(transcribing: Library, folder: Path) -> None:
    progress_reports: list[Progress] = []
    found = stages(transcribing.index([folder], on_progress=progress_reports.append))
    names = {"loud.mp4", "quiet.mp4", "mute.mp4"}
    assert [stage for stage, _, _ in found] == ["index"] * 3 + ["speech"] * 3 + ["ocr"] * 3
    assert {name for stage, name, _ in found if stage == "ocr"} == names
    assert {outcome for _, _, outcome in found[3:]} == {"transcribed"}
    assert {cue.source for cue in cues(transcribing, "loud.mp4")} == {"speech", "ocr"}
    shares = [one.completed_share for one in progress_reports]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1, abs=0.1)
    assert [one.stage for one in progress_reports] == sorted(
        (one.stage for one in progress_reports), key=("index", "speech", "ocr").index
    )
    assert {(one.stage, one.stage_index, one.stage_count) for one in progress_reports} == {
        ("index", 0, 3), ("speech", 1, 3), ("ocr", 2, 3)
    }  # fmt: skip


def test_indexing_transcribes_only_what_has_no_transcript(
    transcribing: Library, folder: Path
) -> None:
    list(transcribing.index([folder / "loud.mp4"]))
    found = stages(transcribing.index([folder]))
    assert ("speech", "loud.mp4", "unchanged") in found
    assert ("ocr", "mute.mp4", "transcribed") in found
    assert {outcome for _, _, outcome in stages(transcribing.index([folder]))} == {"unchanged"}


def test_a_stage_is_reported_even_if_it_cannot_start(
    transcribing: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> SpeechModelRef:
        raise WeightsError(f"unknown speech model {name!r}")

    monkeypatch.setattr(extraction, "resolve_model", fail)
    transcribing._active_model.update_settings(speech_model="tiney")
    reported: list[Progress] = []
    with pytest.raises(WeightsError):
        list(transcribing.index([folder], on_progress=reported.append))
    assert reported[-1].stage == "speech"  # so the summary of the files is printed
    assert len(transcribing.videos()) == 3


def test_indexing_continues_transcription_after_an_interruption(
    transcribing: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Model):
        def transcribe(self, samples: MonoSamples, language: str | None) -> Transcription:
            if self.requested_languages:
                raise KeyboardInterrupt
            return super().transcribe(samples, language)

    with monkeypatch.context() as patch:
        patch.setattr(extraction, "WhisperRecognizer", Stopped)
        with pytest.raises(KeyboardInterrupt):
            list(transcribing.index([folder]))
    assert len(transcribing.videos()) == 3
    done = sum(bool(transcripts(transcribing, video.path.name)) for video in transcribing.videos())
    found = stages(transcribing.index([folder]))
    assert [one[2] for one in found].count("unchanged") == 3 + done
    assert [one[2] for one in found].count("transcribed") == 6 - done
    assert 1 <= done <= 2
    run = transcribing.index([folder], force=True)
    assert next(one for one in run if one.transcript is not None).outcome == "unchanged"
    run.close()
    assert transcribing.doctor() == []


def test_a_video_that_cannot_be_transcribed_does_not_stop_indexing(
    transcribing: Library, folder: Path
) -> None:
    found: list[IndexResult] = []
    for one in transcribing.index([folder]):
        found.append(one)
        if len(found) == 3:
            (folder / "loud.mp4").unlink()
    failed = [one for one in found if one.outcome == "failed"]
    assert [(one.path.name, one.transcript is not None) for one in failed] == [
        ("loud.mp4", True), ("loud.mp4", True)
    ]  # fmt: skip
    assert "there is no such file" in (failed[0].error or "")
    assert len(found) == 9


def test_a_missing_extra_is_raised_before_a_file_is_indexed(
    transcribing: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vsearch\[ocr\]'"):
        next(transcribing.index([folder]))
    assert transcribing.videos() == []


def test_an_index_job_reports_transcripts(
    transcribing: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Mapping[str, Any]] = []
    task_request = {
        "library_path": str(transcribing.path),
        "settings": {"encoder": FakeEncoder(), "transcribe": True, "ocr": True},
        "root_paths": [str(folder)],
        "folder_paths": [str(folder)],
        "progressive": False,
    }
    list(transcribing.index([folder / "mute.mp4"]))
    monkeypatch.setattr(index, "REPORT_INTERVAL_SECONDS", 0.0)
    index.index_folders(task_request, events.append)
    outcomes = Counter(one["outcome"] for one in events if one["event"] == "file")
    assert outcomes == {
        "indexed": 2, "unchanged": 1, "speech words": 1, "speech nothing": 1, "speech known": 1,
        "ocr words": 2, "ocr known": 1,
    }  # fmt: skip
    shares = [one["progress"] for one in events if one["event"] == "progress"]
    assert shares == sorted(shares)
    assert 2 / 3 < shares[-1] <= 1
