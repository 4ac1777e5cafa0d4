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

from vsearch.errors import MissingExtraError, SettingsError, UnknownPluginError, WeightsError
from vsearch.transcripts import bundled_models
from vsearch.transcripts.speech import SAMPLE_RATE
from vsearch.transcripts.whisper import SpeechModelRef, WhisperRecognizer, resolve_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOUND = np.zeros(SAMPLE_RATE, np.float32)


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
    seek: int = 0  # equal within a window
    words: list[FakeWord] | None = None


@dataclass
class FakeInfo:
    language: str = "en"
    language_probability: float = 0.95


@dataclass
class FakeModel:
    """A fake of faster_whisper.WhisperModel."""

    segments: list[FakeSegment] = field(default_factory=list)
    info: FakeInfo = field(default_factory=FakeInfo)
    error: Exception | None = None
    reason: str = "Got: ConnectError: no name\nand more"  # error of the download of base
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
    """The model that faster_whisper returns, installed or not."""
    made, module, engine = FakeModel(), types.ModuleType("faster_whisper"), types.ModuleType("x")

    def make(path: str, **more: Any) -> FakeModel:
        if path == "base":
            raise FileNotFoundError(made.reason)
        made.made = {"path": path, **more}
        return made

    def speech(samples: Any, options: Any) -> list[dict[str, int]]:
        return [
            {"start": int(s * SAMPLE_RATE), "end": int(e * SAMPLE_RATE)} for s, e in made.spoken
        ]

    vad = types.SimpleNamespace(get_speech_timestamps=speech, VadOptions=dict)
    module.__dict__.update(
        vad=vad, WhisperModel=make, available_models=lambda: ["tiny", "base", "small"]
    )
    engine.__dict__.update(get_cuda_device_count=lambda: 0)
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    monkeypatch.setitem(sys.modules, "ctranslate2", engine)
    return made


def texts(listener: WhisperRecognizer, language: str | None = None) -> list[str]:
    return [cue.text for cue in listener.transcribe(SOUND, language).cues]


def test_segments_are_cues_with_the_times_of_words(model: FakeModel) -> None:
    words = [FakeWord(" Hello", 0.2, 0.5), FakeWord(" world.", 0.5, 0.9)]
    model.segments = [FakeSegment(" Hello world.", words=words)]
    heard = WhisperRecognizer(SpeechModelRef("tiny", "tiny")).transcribe(SOUND, None)
    assert (heard.language, heard.certainty) == ("en", 0.95)
    [cue] = heard.cues
    assert (cue.text, cue.span.start, cue.span.end, cue.source) == (
        "Hello world.", 0.2, 0.9, "speech",
    )  # fmt: skip
    assert [word.text for word in cue.words] == ["Hello", "world."]


def test_a_segment_without_words_has_its_own_times(model: FakeModel) -> None:
    model.segments = [FakeSegment(" Hello", -0.1, 1.5)]
    [cue] = WhisperRecognizer(SpeechModelRef("tiny", "tiny")).transcribe(SOUND, None).cues
    assert (cue.span.start, cue.span.end) == (0, 1.5)


def test_hallucinations_are_dropped(model: FakeModel) -> None:
    model.segments = [
        FakeSegment(" you you you you", compression_ratio=3.0),
        FakeSegment(" Thanks for watching", no_speech_prob=0.9, avg_logprob=-1.5),
        FakeSegment("  "),
        FakeSegment(" This was said."),
    ]
    assert texts(WhisperRecognizer(SpeechModelRef("tiny", "tiny"))) == ["This was said."]
    assert model.asked["condition_on_previous_text"] is False


def said(text: str, chance: float, seek: int = 0) -> FakeSegment:
    return FakeSegment(text, seek=seek, words=[FakeWord(text, 0.0, 1.0, chance)])


def test_stock_phrases_in_noise_are_dropped(model: FakeModel) -> None:
    model.segments = [
        said(" Thank you.", 0.85),
        said(" Thank you!", 0.83),
        said(" It is my trip.", 0.51),
        said(" Thanks for watching!", 0.7, seek=3000),
        said(" Bye-bye. Bye!", 0.7, seek=6000),
        said("どうぞ、どうぞ", 0.5, seek=9000),
        said("どうぞ", 0.5, seek=9000),
    ]
    assert texts(WhisperRecognizer(SpeechModelRef("tiny", "tiny"))) == []


def test_uncertain_words_with_high_no_speech_probability_are_dropped(model: FakeModel) -> None:
    model.segments = [said(" Mm-hmm.", 0.4), said(" Good morning.", 0.9, seek=3000)]
    for segment in model.segments:
        segment.no_speech_prob = 0.7
    assert texts(WhisperRecognizer(SpeechModelRef("tiny", "tiny"))) == ["Good morning."]


def test_certain_repetitions_are_kept(model: FakeModel) -> None:
    unsure = [said(" Give it a look.", 0.6)] * 3
    sure = [said(" Rain, rain, go away.", 0.9, seek=3000)] * 2
    model.segments = [*unsure, *sure]
    assert texts(WhisperRecognizer(SpeechModelRef("tiny", "tiny"))) == ["Rain, rain, go away."] * 2


def test_certain_stock_phrases_and_text_before_them_are_kept(model: FakeModel) -> None:
    model.segments = [
        said(" That was my talk.", 0.6),
        said(" Thank you.", 0.7),
        said(" Thank you very much.", 0.9, seek=3000),
    ]
    assert texts(WhisperRecognizer(SpeechModelRef("tiny", "tiny"))) == [
        "That was my talk.",
        "Thank you very much.",
    ]


def test_silence_is_not_transcribed(model: FakeModel) -> None:
    model.spoken, model.segments = [], [FakeSegment(" Thank you.")]
    heard = WhisperRecognizer(SpeechModelRef("tiny", "tiny")).transcribe(SOUND, None)
    assert (heard.language, list(heard.cues)) == (None, [])
    assert model.asked == {}


def test_distant_speech_is_decoded_in_separate_windows(model: FakeModel) -> None:
    model.spoken = [(1, 2), (4, 5), (9, 10), (11, 38), (38.5, 41), (60, 90)]
    WhisperRecognizer(SpeechModelRef("tiny", "tiny")).transcribe(SOUND, None)
    assert model.asked["clip_timestamps"] == [1, 5, 9, 38, 38.5, 41, 60, 90]


def test_the_language_is_passed_on_and_checked(model: FakeModel) -> None:
    listener = WhisperRecognizer(SpeechModelRef("tiny", "tiny"))
    texts(listener, "de")
    assert model.asked["language"] == "de"
    listener.check_language("de")
    listener.check_language(None)
    with pytest.raises(SettingsError, match="not support language 'xx', only: en, de"):
        listener.check_language("xx")


def test_a_device_failure_is_one_message(model: FakeModel) -> None:
    model.error = RuntimeError("CUDA failed with error out of memory\nand a trace")
    with pytest.raises(WeightsError, match=r"tiny cannot be used: CUDA failed.*--device cpu"):
        texts(WhisperRecognizer(SpeechModelRef("tiny", "tiny")))


@pytest.mark.parametrize(("device", "place"), [("auto", "cpu"), ("mps", "cpu"), ("cuda", "cuda")])
def test_the_device_is_selected_by_availability(model: FakeModel, device: str, place: str) -> None:
    WhisperRecognizer(SpeechModelRef("tiny", "tiny"), device=device)
    assert model.made["device"] == place


def test_without_a_network_the_error_explains_alternatives(model: FakeModel) -> None:
    with pytest.raises(WeightsError, match=r"base is not on this machine.*package:NAME") as error:
        WhisperRecognizer(resolve_model("base"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("reason", "quoted"),
    [
        (
            "Cannot find a cached snapshot on the local disk. To enable downloads, set "
            "'HF_HUB_OFFLINE=0' as environment variable.",
            "(Cannot find a cached snapshot on the local disk). Offline",
        ),
        ("so long a word " * 30, "so long a word so long …). Offline"),
        ("", "(FileNotFoundError). Offline"),
    ],
)
def test_the_first_sentence_of_a_cause_is_quoted(
    model: FakeModel, reason: str, quoted: str
) -> None:
    model.reason = reason
    with pytest.raises(WeightsError) as error:
        WhisperRecognizer(resolve_model("base"))
    assert quoted in str(error.value)


def test_an_unknown_size_suggests_the_closest(model: FakeModel) -> None:
    assert resolve_model("small") == SpeechModelRef("small", "small")
    with pytest.raises(UnknownPluginError, match="did you mean 'small'"):
        resolve_model("smal")
    with pytest.raises(UnknownPluginError, match="known: tiny, base, small"):
        resolve_model("zzzz")


def test_a_folder_is_named_by_its_absolute_path(
    model: FakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(WeightsError, match=r"mine is not a folder with model\.bin"):
        resolve_model("mine")
    for name in ("model.bin", "tokenizer.json"):
        (folder / name).touch()
    assert resolve_model("mine") == SpeechModelRef(str(folder), str(folder))
    WhisperRecognizer(resolve_model("mine"))
    assert model.made["path"] == str(folder)
    with pytest.raises(WeightsError, match="is not a folder"):
        resolve_model("not/there")


def test_a_damaged_model_is_one_message(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    for name in ("model.bin", "tokenizer.json", "config.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(WeightsError, match="cannot be used"):
        WhisperRecognizer(resolve_model(str(tmp_path)))


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vsearch\[speech\]'"):
        resolve_model("base")


def test_real_speech_is_recognized(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    if shutil.which("espeak-ng") is None or bundled_models.best_bundled() is None:
        pytest.skip("needs espeak-ng and a package that carries a model")
    said = "Please remember to buy two bottles of milk tomorrow."
    heard = WhisperRecognizer(resolve_model("")).transcribe(
        spoken(said, tmp_path / "said.wav", after=2.0), None
    )
    [cue, *others] = heard.cues
    assert (heard.language, others) == ("en", [])
    assert {"remember", "milk", "tomorrow"} <= set(cue.text.lower().strip(".").split())
    assert 1 < cue.span.start < 3
    assert cue.words[-1].span.end == cue.span.end
    assert (
        list(
            WhisperRecognizer(resolve_model(""))
            .transcribe(np.zeros(5 * SAMPLE_RATE, np.float32), None)
            .cues
        )
        == []
    )


def spoken(text: str, path: Path, *, after: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Synthesize text with espeak-ng after silence, float32 (N,) at SAMPLE_RATE."""
    subprocess.run(["espeak-ng", "-v", "en-us", "-s", "140", "-w", path, text], check=True)
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
    times = np.arange(0, len(samples) / rate, 1 / SAMPLE_RATE)
    voice = np.interp(times, np.arange(len(samples)) / rate, samples)
    silence = np.zeros(round(after * SAMPLE_RATE))
    return np.concatenate([silence, voice, silence]).astype(np.float32)
