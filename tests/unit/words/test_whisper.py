from __future__ import annotations

import shutil
import subprocess
import sys
import types
import wave
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from vsearch.errors import (
    MissingExtraError,
    SettingsError,
    UnknownPluginError,
    WeightsError,
)
from vsearch.words import carried
from vsearch.words.speech import RATE
from vsearch.words.whisper import Named, Whisper, named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOUND = np.zeros(RATE, np.float32)


@dataclass
class FakeWord:
    word: str
    start: float
    end: float
    probability: float = 0.9


@dataclass
class FakeSegment:
    text: str
    start: float = 0.0
    end: float = 1.0
    avg_logprob: float = -0.3
    no_speech_prob: float = 0.1
    compression_ratio: float = 1.2
    seek: int = 0  # what was heard at once has the same
    words: list[FakeWord] | None = None


@dataclass
class FakeInfo:
    language: str = "en"
    language_probability: float = 0.95


@dataclass
class FakeModel:
    """Stands in for faster_whisper.WhisperModel."""

    segments: list[FakeSegment] = field(default_factory=list)
    info: FakeInfo = field(default_factory=FakeInfo)
    error: Exception | None = None
    reason: str = "Got: ConnectError: no name\nand more"  # why base cannot be had
    spoken: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 1.0)])
    supported_languages: tuple[str, ...] = ("en", "de")
    made: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)

    def transcribe(self, samples: Any, **asked: Any) -> tuple[Iterator[FakeSegment], FakeInfo]:
        self.asked = asked
        return self._segments(), self.info

    def _segments(self) -> Iterator[FakeSegment]:
        yield from self.segments
        if self.error is not None:
            raise self.error


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """What faster_whisper makes in this test, whether or not it is installed."""
    made, module, engine = FakeModel(), types.ModuleType("faster_whisper"), types.ModuleType("x")

    def make(path: str, **more: Any) -> FakeModel:
        if path == "base":
            raise FileNotFoundError(made.reason)
        made.made = {"path": path, **more}
        return made

    def speech(samples: Any, options: Any) -> list[dict[str, int]]:
        return [{"start": int(s * RATE), "end": int(e * RATE)} for s, e in made.spoken]

    vad = types.SimpleNamespace(get_speech_timestamps=speech, VadOptions=dict)
    module.__dict__.update(
        vad=vad, WhisperModel=make, available_models=lambda: ["tiny", "base", "small"]
    )
    engine.__dict__.update(get_cuda_device_count=lambda: 0)
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    monkeypatch.setitem(sys.modules, "ctranslate2", engine)
    return made


def texts(listener: Whisper, language: str | None = None) -> list[str]:
    return [cue.text for cue in listener.hear(SOUND, language).cues]


def test_segments_are_cues_with_the_times_of_words(model: FakeModel) -> None:
    words = [FakeWord(" Hello", 0.2, 0.5), FakeWord(" world.", 0.5, 0.9)]
    model.segments = [FakeSegment(" Hello world.", words=words)]
    heard = Whisper(Named("tiny", "tiny")).hear(SOUND, None)
    assert (heard.language, heard.certainty) == ("en", 0.95)
    [cue] = heard.cues
    assert (cue.text, cue.span.start, cue.span.end, cue.source) == (
        "Hello world.", 0.2, 0.9, "speech",
    )  # fmt: skip
    assert [word.text for word in cue.words] == ["Hello", "world."]


def test_a_segment_without_words_has_its_own_times(model: FakeModel) -> None:
    model.segments = [FakeSegment(" Hello", -0.1, 1.5)]
    [cue] = Whisper(Named("tiny", "tiny")).hear(SOUND, None).cues
    assert (cue.span.start, cue.span.end) == (0, 1.5)


def test_what_was_made_up_is_left_out(model: FakeModel) -> None:
    model.segments = [
        FakeSegment(" you you you you", compression_ratio=3.0),
        FakeSegment(" Thanks for watching", no_speech_prob=0.9, avg_logprob=-1.5),
        FakeSegment("  "),
        FakeSegment(" This was said."),
    ]
    assert texts(Whisper(Named("tiny", "tiny"))) == ["This was said."]
    assert model.asked["condition_on_previous_text"] is False


def said(text: str, chance: float, seek: int = 0) -> FakeSegment:
    return FakeSegment(text, seek=seek, words=[FakeWord(text, 0.0, 1.0, chance)])


def test_noise_is_not_heard_as_thanks(model: FakeModel) -> None:
    model.segments = [
        said(" Thank you.", 0.85),
        said(" Thank you!", 0.83),
        said(" It is my trip.", 0.51),
        said(" Thanks for watching!", 0.7, seek=3000),
        said(" Bye-bye. Bye!", 0.7, seek=6000),
        said("どうぞ、どうぞ", 0.5, seek=9000),
        said("どうぞ", 0.5, seek=9000),
    ]
    assert texts(Whisper(Named("tiny", "tiny"))) == []


def test_where_probably_nobody_speaks_words_have_to_be_sure(model: FakeModel) -> None:
    model.segments = [said(" Mm-hmm.", 0.4), said(" Good morning.", 0.9, seek=3000)]
    for segment in model.segments:
        segment.no_speech_prob = 0.7
    assert texts(Whisper(Named("tiny", "tiny"))) == ["Good morning."]


def test_one_thing_again_and_again_counts_if_it_is_sure(model: FakeModel) -> None:
    unsure = [said(" Give it a look.", 0.6)] * 3
    sure = [said(" Rain, rain, go away.", 0.9, seek=3000)] * 2
    model.segments = [*unsure, *sure]
    assert texts(Whisper(Named("tiny", "tiny"))) == ["Rain, rain, go away."] * 2


def test_thanks_that_are_sure_and_what_was_said_before_thanks_stay(model: FakeModel) -> None:
    model.segments = [
        said(" That was my talk.", 0.6),
        said(" Thank you.", 0.7),
        said(" Thank you very much.", 0.9, seek=3000),
    ]
    assert texts(Whisper(Named("tiny", "tiny"))) == ["That was my talk.", "Thank you very much."]


def test_where_nobody_speaks_nothing_is_heard(model: FakeModel) -> None:
    model.spoken, model.segments = [], [FakeSegment(" Thank you.")]
    heard = Whisper(Named("tiny", "tiny")).hear(SOUND, None)
    assert (heard.language, list(heard.cues)) == (None, [])
    assert model.asked == {}


def test_what_is_far_apart_is_heard_apart(model: FakeModel) -> None:
    model.spoken = [(1, 2), (4, 5), (9, 10), (11, 38), (38.5, 41), (60, 90)]
    Whisper(Named("tiny", "tiny")).hear(SOUND, None)
    assert model.asked["clip_timestamps"] == [1, 5, 9, 38, 38.5, 41, 60, 90]


def test_a_language_is_handed_on_and_checked(model: FakeModel) -> None:
    listener = Whisper(Named("tiny", "tiny"))
    texts(listener, "de")
    assert model.asked["language"] == "de"
    listener.check("de")
    listener.check(None)
    with pytest.raises(SettingsError, match="no language 'xx', only: en, de"):
        listener.check("xx")


def test_a_device_that_gives_up_is_one_message(model: FakeModel) -> None:
    model.error = RuntimeError("CUDA failed with error out of memory\nand a trace")
    with pytest.raises(WeightsError, match=r"tiny cannot be used: CUDA failed.*--device cpu"):
        texts(Whisper(Named("tiny", "tiny")))


@pytest.mark.parametrize(("device", "place"), [("auto", "cpu"), ("mps", "cpu"), ("cuda", "cuda")])
def test_it_runs_where_it_can(model: FakeModel, device: str, place: str) -> None:
    Whisper(Named("tiny", "tiny"), device=device)
    assert model.made["device"] == place


def test_without_a_network_it_says_what_to_do(model: FakeModel) -> None:
    with pytest.raises(WeightsError, match=r"base is not on this machine.*package:NAME") as error:
        Whisper(named("base"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("reason", "quoted"),
    [
        (
            "Cannot find a cached snapshot on the local disk. To enable downloads, set "
            "'HF_HUB_OFFLINE=0' as environment variable.",
            "(Cannot find a cached snapshot on the local disk). Without",
        ),
        ("so long a word " * 30, "so long a word so long …). Without"),
        ("", "(FileNotFoundError). Without"),
    ],
)
def test_of_a_reason_its_first_sentence_is_quoted(
    model: FakeModel, reason: str, quoted: str
) -> None:
    model.reason = reason
    with pytest.raises(WeightsError) as error:
        Whisper(named("base"))
    assert quoted in str(error.value)


def test_a_size_is_itself_and_a_wrong_one_suggests_the_nearest(model: FakeModel) -> None:
    assert named("small") == Named("small", "small")
    with pytest.raises(UnknownPluginError, match="did you mean 'small'"):
        named("smal")
    with pytest.raises(UnknownPluginError, match="known: tiny, base, small"):
        named("zzzz")


def test_a_folder_is_known_by_its_whole_path(
    model: FakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(WeightsError, match=r"mine: is no folder with model\.bin"):
        named("mine")
    for name in ("model.bin", "tokenizer.json"):
        (folder / name).touch()
    assert named("mine") == Named(str(folder), str(folder))
    Whisper(named("mine"))
    assert model.made["path"] == str(folder)
    with pytest.raises(WeightsError, match="is no folder"):
        named("not/there")


def test_a_damaged_model_is_one_message(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    for name in ("model.bin", "tokenizer.json", "config.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(WeightsError, match="cannot be used"):
        Whisper(named(str(tmp_path)))


def test_without_the_extra_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vsearch\[speech\]'"):
        named("base")


def test_real_speech_is_understood(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    if shutil.which("espeak-ng") is None or carried.best() is None:
        pytest.skip("needs espeak-ng and a package that carries a model")
    said = "Please remember to buy two bottles of milk tomorrow."
    heard = Whisper(named("")).hear(spoken(said, tmp_path / "said.wav", after=2.0), None)
    [cue, *others] = heard.cues
    assert (heard.language, others) == ("en", [])
    assert {"remember", "milk", "tomorrow"} <= set(cue.text.lower().strip(".").split())
    assert 1 < cue.span.start < 3
    assert cue.words[-1].span.end == cue.span.end
    assert list(Whisper(named("")).hear(np.zeros(5 * RATE, np.float32), None).cues) == []


def spoken(text: str, path: Path, *, after: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Text by espeak-ng after some silence: float32 (N,) at RATE."""
    subprocess.run(["espeak-ng", "-v", "en-us", "-s", "140", "-w", path, text], check=True)
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
    times = np.arange(0, len(samples) / rate, 1 / RATE)
    voice = np.interp(times, np.arange(len(samples)) / rate, samples)
    silence = np.zeros(round(after * RATE))
    return np.concatenate([silence, voice, silence]).astype(np.float32)
