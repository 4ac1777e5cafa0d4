"""`vsearch transcribe`, `vsearch read` and `vsearch index --transcribe --read`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from listening import FakeListener, FakeReader
from sounding import Sounding, make_film
from synth import BLACK, RED, Scene, make_video
from vsearch import Library, hearing
from vsearch.errors import SettingsError
from vsearch.words.whisper import Named

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch
    from vsearch.words.speech import Heard, Mono


class Model(FakeListener):
    """Stands in for `Whisper`."""

    def __init__(self, named: Named, *, device: str) -> None:
        super().__init__(named.name)
        self.device = device

    def check(self, language: str | None) -> None:
        if language == "xx":
            raise SettingsError("fake understands no language 'xx'")


@pytest.fixture
def folder(tmp_path: Path, fake_model: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two videos, one with a tone; what hears and reads is fake, and installed."""
    monkeypatch.setattr(hearing, "named", lambda name: Named(name or "tiny", ""))
    monkeypatch.setattr(hearing, "Whisper", Model)
    monkeypatch.setattr(hearing, "RapidReader", FakeReader)
    made = tmp_path / "videos"
    made.mkdir()
    make_film(made / "loud.mp4", [Sounding(Scene(BLACK, 1)), Sounding(Scene(RED, 1), 400)])
    make_video(made / "mute.mp4", [Scene(BLACK, 2)])
    return made


def sources(path: Path) -> list[str]:
    with Library.open(path) as library:
        found = [one.source for one in library._catalog.transcripts()]
    return sorted(source for source in found if source != "subtitles")


def test_it_tells_what_was_found_and_sums_up(vsearch: Vsearch, folder: Path) -> None:
    vsearch("index", folder)
    done = vsearch("transcribe")
    assert "1 cue" in done.stderr
    assert "loud.mp4 (en): loud" in done.stderr
    assert done.stdout.startswith("1 with speech · 1 without speech   (0:00:04 of video in")
    assert vsearch("transcribe").stdout == "2 done before\n"


def test_reading_does_the_same(vsearch: Vsearch, folder: Path) -> None:
    vsearch("index", folder)
    done = vsearch("read", "--fps", "2")
    assert "loud.mp4: STOP here" in done.stderr
    assert done.stdout.startswith("1 with text · 1 without text")
    assert vsearch("read").stdout == "2 done before\n"


def test_another_model_does_it_anew(vsearch: Vsearch, folder: Path) -> None:
    vsearch("index", folder)
    vsearch("transcribe", folder / "loud.mp4")
    assert vsearch("transcribe", "loud*", "--model", "tiny").stdout == "1 done before\n"
    assert "1 with speech" in vsearch("transcribe", "loud*", "--model", "small").stdout
    assert "1 with speech" in vsearch("transcribe", "loud*", "--again").stdout


def test_the_library_may_name_the_model(
    vsearch: Vsearch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vsearch("index", folder)
    monkeypatch.setenv("VSEARCH_SPEECH_MODEL", "small")
    vsearch("transcribe")
    with Library.open() as library:
        made = library._catalog.transcripts()
    assert {one.origin for one in made if one.source == "speech"} == {"small"}


def test_what_is_not_there_fails(vsearch: Vsearch, folder: Path) -> None:
    assert "there is no library" in vsearch("transcribe", code=1).stderr
    vsearch("index", folder)
    assert "No video matches." in vsearch("transcribe", "nothing*", code=1).stderr
    assert "No video matches." in vsearch("read", "nothing*", code=1).stderr
    (folder / "loud.mp4").unlink()
    done = vsearch("transcribe", code=1)
    assert "failed     " in done.stderr
    assert "loud.mp4: there is no such file" in done.stderr
    assert done.stdout.startswith("1 without speech · 1 failed")


def test_what_makes_no_sense_is_a_usage_error(vsearch: Vsearch, folder: Path) -> None:
    vsearch("index", folder)
    assert "no language 'xx'" in vsearch("transcribe", "--language", "xx", code=2).stderr
    vsearch("read", "--fps", "nan", code=2)
    vsearch("read", "--fps", "0", code=2)


def test_text_from_a_video_cannot_steer_the_terminal(
    vsearch: Vsearch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeReader, "TEXTS", {0: "\x1b[31mred\x07" + "a" * 500})
    vsearch("index", folder)
    told = vsearch("read").stderr
    assert "\\x1b[31mred" in told
    assert "\x1b" not in told
    assert "a" * 100 not in told


def test_indexing_may_do_it_at_once_and_the_library_remembers(
    vsearch: Vsearch, folder: Path, tmp_path: Path
) -> None:
    done = vsearch("index", folder / "loud.mp4", "--transcribe", "--read")
    assert "1 indexed" in done.stdout
    assert "1 with speech" in done.stdout
    assert "1 with text" in done.stdout
    settings = tmp_path / "indexes" / "default" / "vsearch.toml"
    assert "transcribe = true\nread_text = true\n" in settings.read_text()
    vsearch("index", folder, "--no-read")
    assert sources(settings.parent) == ["screen", "speech", "speech"]
    assert "2 done before" in vsearch("index", folder).stdout


def test_indexing_alone_looks_for_no_words(vsearch: Vsearch, folder: Path, tmp_path: Path) -> None:
    assert "speech" not in vsearch("index", folder).stdout
    assert sources(tmp_path / "indexes" / "default") == []


def test_a_missing_extra_is_told_before_an_hour_of_indexing(
    vsearch: Vsearch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    done = vsearch("index", folder, "--read", code=1)
    assert "pip install 'vsearch[ocr]'" in done.stderr
    assert "indexed" not in done.stdout


def test_a_stop_keeps_what_is_done(
    vsearch: Vsearch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Model, samples: Mono, language: str | None) -> Heard:
        raise KeyboardInterrupt

    vsearch("index", folder)
    vsearch("transcribe", "mute*")
    with monkeypatch.context() as patch:
        patch.setattr(Model, "hear", stop)
        done = vsearch("transcribe", code=130)
    assert done.stdout == "1 done before\n"
    assert "Stopped, 1 video left. Run the same command again to go on." in done.stderr
    assert "1 with speech · 1 done before" in vsearch("transcribe").stdout


@pytest.mark.parametrize("name", ["transcribe", "read_text"])
def test_a_switch_is_yes_or_no(
    vsearch: Vsearch, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"VSEARCH_{name.upper()}", "perhaps")
    assert f"VSEARCH_{name.upper()} must be yes or no" in vsearch("index", folder, code=2).stderr
