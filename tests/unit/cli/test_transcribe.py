"""`vsearch transcribe`, `vsearch ocr` and `vsearch index --transcribe --ocr`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.audio_factory import SoundScene, make_sound_video
from tests.support.speech_samples import FakeOcrEngine, FakeRecognizer
from tests.support.track_factory import ToneTrack, make_tracks_video
from tests.support.video_factory import BLACK, RED, ColorScene, make_video
from vsearch import Library
from vsearch.config import resolve_library_path
from vsearch.errors import SettingsError
from vsearch.indexing import extraction
from vsearch.transcripts.whisper import SpeechModelRef

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner
    from vsearch.transcripts.speech import MonoSamples, Transcription


class Model(FakeRecognizer):
    """Stand-in for `WhisperRecognizer`."""

    def __init__(self, named: SpeechModelRef, *, device: str) -> None:
        super().__init__(named.model_name)
        self.device = device

    def check_language(self, language: str | None) -> None:
        if language == "xx":
            raise SettingsError("fake understands no language 'xx'")


@pytest.fixture
def folder(tmp_path: Path, fake_model: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create two videos, one with a tone; install fake speech recognition and OCR."""
    monkeypatch.setattr(
        extraction, "resolve_model", lambda name: SpeechModelRef(name or "tiny", "")
    )
    monkeypatch.setattr(extraction, "WhisperRecognizer", Model)
    monkeypatch.setattr(extraction, "RapidOcrEngine", FakeOcrEngine)
    made = tmp_path / "videos"
    made.mkdir()
    make_sound_video(
        made / "loud.mp4", [SoundScene(ColorScene(BLACK, 1)), SoundScene(ColorScene(RED, 1), 400)]
    )
    make_video(made / "mute.mp4", [ColorScene(BLACK, 2)])
    return made


def sources(path: Path) -> list[str]:
    with Library.open(path) as library:
        found = [one.source for one in library._catalog.transcripts()]
    return sorted(source for source in found if source != "subtitles")


def test_transcribe_prints_previews_and_summary(run_vsearch: CommandRunner, folder: Path) -> None:
    run_vsearch("index", folder)
    done = run_vsearch("transcribe")
    assert "1 cue" in done.stderr
    assert "loud.mp4 (en): loud" in done.stderr
    assert done.stdout.startswith("1 with speech · 1 without speech   (0:00:04 of video in")
    assert run_vsearch("transcribe").stdout == "2 done before\n"


def test_ocr_prints_previews_and_summary(run_vsearch: CommandRunner, folder: Path) -> None:
    run_vsearch("index", folder)
    done = run_vsearch("ocr", "--fps", "2")
    assert "loud.mp4: STOP here" in done.stderr
    assert done.stdout.startswith("1 with text · 1 without text")
    assert run_vsearch("ocr").stdout == "2 done before\n"


def test_another_model_transcribes_again(run_vsearch: CommandRunner, folder: Path) -> None:
    run_vsearch("index", folder)
    run_vsearch("transcribe", folder / "loud.mp4")
    assert run_vsearch("transcribe", "loud*", "--model", "tiny").stdout == "1 done before\n"
    assert "1 with speech" in run_vsearch("transcribe", "loud*", "--model", "small").stdout
    assert "1 with speech" in run_vsearch("transcribe", "loud*", "--force").stdout


def test_the_library_may_name_the_model(
    run_vsearch: CommandRunner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_vsearch("index", folder)
    monkeypatch.setenv("VSEARCH_SPEECH_MODEL", "small")
    run_vsearch("transcribe")
    with Library.open() as library:
        made = library._catalog.transcripts()
    assert {one.source_name for one in made if one.source == "speech"} == {"small"}


def test_missing_videos_fail(run_vsearch: CommandRunner, folder: Path) -> None:
    assert "there is no library" in run_vsearch("transcribe", exit_code=1).stderr
    run_vsearch("index", folder)
    assert "No video matches." in run_vsearch("transcribe", "nothing*", exit_code=1).stderr
    assert "No video matches." in run_vsearch("ocr", "nothing*", exit_code=1).stderr
    (folder / "loud.mp4").unlink()
    done = run_vsearch("transcribe", exit_code=1)
    assert "failed     " in done.stderr
    assert "loud.mp4: there is no such file" in done.stderr
    assert done.stdout.startswith("1 without speech · 1 failed")


def test_invalid_options_are_usage_errors(run_vsearch: CommandRunner, folder: Path) -> None:
    run_vsearch("index", folder)
    assert "no language 'xx'" in run_vsearch("transcribe", "--language", "xx", exit_code=2).stderr
    run_vsearch("ocr", "--fps", "nan", exit_code=2)
    run_vsearch("ocr", "--fps", "0", exit_code=2)


def test_text_from_a_video_cannot_steer_the_terminal(
    run_vsearch: CommandRunner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeOcrEngine, "TEXTS", {0: "\x1b[31mred\x07" + "a" * 500})
    run_vsearch("index", folder)
    output = run_vsearch("ocr").stderr
    assert "\\x1b[31mred" in output
    assert "\x1b" not in output
    assert "a" * 100 not in output


def test_indexing_transcribes_and_stores_the_setting(
    run_vsearch: CommandRunner, folder: Path, tmp_path: Path
) -> None:
    done = run_vsearch("index", folder / "loud.mp4", "--transcribe", "--ocr")
    assert "1 indexed" in done.stdout
    assert "1 with speech" in done.stdout
    assert "1 with text" in done.stdout
    settings = resolve_library_path() / "vsearch.toml"
    assert "transcribe = true\nocr = true\n" in settings.read_text()
    run_vsearch("index", folder, "--no-ocr")
    assert sources(settings.parent) == ["ocr", "speech", "speech"]
    assert "2 done before" in run_vsearch("index", folder).stdout


def test_indexing_does_not_transcribe_by_default(
    run_vsearch: CommandRunner, folder: Path, tmp_path: Path
) -> None:
    assert "speech" not in run_vsearch("index", folder).stdout
    assert sources(resolve_library_path()) == []


def test_missing_extra_is_reported_before_indexing(
    run_vsearch: CommandRunner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    done = run_vsearch("index", folder, "--ocr", exit_code=1)
    assert "pip install 'vsearch[ocr]'" in done.stderr
    assert "indexed" not in done.stdout


def test_interruption_keeps_finished_transcripts(
    run_vsearch: CommandRunner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Model, samples: MonoSamples, language: str | None) -> Transcription:
        raise KeyboardInterrupt

    run_vsearch("index", folder)
    run_vsearch("transcribe", "mute*")
    with monkeypatch.context() as patch:
        patch.setattr(Model, "transcribe", stop)
        done = run_vsearch("transcribe", exit_code=130)
    assert done.stdout == "1 done before\n"
    assert "Stopped, 1 video left. Run the same command again to continue." in done.stderr
    assert "1 with speech · 1 done before" in run_vsearch("transcribe").stdout


@pytest.mark.parametrize("name", ["transcribe", "ocr"])
def test_boolean_setting_is_yes_or_no(
    run_vsearch: CommandRunner, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"VSEARCH_{name.upper()}", "perhaps")
    assert (
        f"VSEARCH_{name.upper()} must be yes or no"
        in run_vsearch("index", folder, exit_code=2).stderr
    )


def test_an_audio_track_is_selected_and_printed(run_vsearch: CommandRunner, folder: Path) -> None:
    tracks = [ToneTrack(language="eng"), ToneTrack([(1, 2)], language="deu")]
    film = make_tracks_video(folder / "film.mkv", tracks, picture_seconds=3)
    run_vsearch("index", film)
    assert "film.mkv (en, audio track 2 (de)): loud" in run_vsearch("transcribe").stderr
    first = run_vsearch("transcribe", "--audio-track", "1")
    assert first.stdout.startswith("1 without speech")
    missing = run_vsearch("transcribe", "--audio-track", "fr", exit_code=1)
    assert "has no audio track fr; its tracks are 1 (en), 2 (de)" in missing.stderr
    assert (
        "must be auto, a number"
        in run_vsearch("transcribe", "--audio-track", "0", exit_code=2).stderr
    )
    run_vsearch("index", "--transcribe", "--audio-track", "de", folder / "loud.mp4", exit_code=1)
