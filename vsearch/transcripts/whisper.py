"""Speech recognition in about a hundred languages with Whisper (faster-whisper).

Model names:

base                      a published size, downloaded once
FOLDER                    a model converted for CTranslate2
package:NAME              a model in an installed package, see `bundled_models`
(empty)                   the best installed model, or else base
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch.errors import (
    MissingExtraError,
    ModelError,
    SettingsError,
    UnknownPluginError,
    WeightsError,
)
from vsearch.memory import MemoryNeed, check_memory, describe_exhaustion, is_exhausted
from vsearch.transcripts import bundled_models
from vsearch.transcripts.speech import SAMPLE_RATE, Transcription, words_to_cues
from vsearch.types import Cue, Span, Word

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.transcripts.speech import MonoSamples

DEFAULT_MODEL = "base"
CACHE_HINT = "the Hugging Face cache (~/.cache/huggingface, or $HF_HOME)"
_PACKAGE_PREFIX = "package:"
_MAX_REASON_CHARS = 160  # of a quoted error
# Thresholds of Whisper itself: repetitive text; and text that is probably not speech and uncertain.
_COMPRESSION_RATIO_THRESHOLD = 2.4
_NO_SPEECH_THRESHOLD = 0.6
_LOGPROB_THRESHOLD = -1.0
_CERTAIN_WORD_PROBABILITY = 0.8  # mean word probability above which stock phrases are kept
# Phrases that Whisper hallucinates in noise because many videos on the web end with them.
_HALLUCINATED_PHRASES = frozenset(
    (
        "you", "bye", "thanks", "thank you", "thank you very much", "thank you so much",
        "thanks for watching", "thank you for watching", "thank you so much for watching",
        "thanks for listening", "please subscribe", "please subscribe to my channel",
        "like and subscribe", "see you next time", "ill see you next time",
        "see you in the next video", "vielen dank", "merci", "merci davoir regardé", "gracias",
        "gracias por ver el video", "obrigado", "grazie", "спасибо за просмотр",
        "продолжение следует", "ご視聴ありがとうございました", "谢谢观看", "谢谢大家",
        "시청해주셔서 감사합니다",
    )
)  # fmt: skip
_SPEECH_PAD_MS = 200  # kept around detected speech
_MAX_WINDOW_GAP = 3.0  # seconds of silence within one window
_WINDOW_SECONDS = 30.0  # Whisper's context
# CTranslate2 and the math library that it loads, in bytes, without the network
_RUNTIME_ADDRESS_SPACE, _RUNTIME_RESIDENT = 1_150_000_000, 100_000_000
_TEMPERATURES = (0.0, 0.4)  # with more fallbacks, music takes six times as long


@dataclass(frozen=True, slots=True)
class SpeechModelRef:
    """A speech model that was resolved but not loaded."""

    model_name: str  # as stored with the transcript
    model_path: str  # a folder, or a published size
    bundled_model: bundled_models.BundledModel | None = None


def resolve_model(model_name: str) -> SpeechModelRef:
    """Resolve a model name; see the module docstring.

    Args:
        model_name: A size, folder or package:NAME; empty for the default.

    Returns:
        The model.

    Raises:
        UnknownPluginError: Not a known size or installed package.
        WeightsError: The folder or package contains no complete model.
        MissingExtraError: faster-whisper is not installed.
    """
    if not model_name:
        bundled_model = bundled_models.best_bundled()
        if bundled_model is None:
            return SpeechModelRef(DEFAULT_MODEL, DEFAULT_MODEL)
        return _bundled_ref(bundled_model)
    if model_name.startswith(_PACKAGE_PREFIX):
        return _bundled_ref(bundled_models.find_bundled(model_name.removeprefix(_PACKAGE_PREFIX)))
    model_folder = Path(model_name).expanduser()
    if model_folder.is_dir() or os.sep in model_name:
        if (
            not (model_folder / bundled_models.MODEL_FILE).is_file()
            or not (model_folder / "tokenizer.json").is_file()
        ):
            raise WeightsError(
                f"{model_folder} is not a folder with {bundled_models.MODEL_FILE} and "
                "tokenizer.json; convert the model with "
                "ct2-transformers-converter --copy_files tokenizer.json"
            )
        return SpeechModelRef(str(model_folder.absolute()), str(model_folder.absolute()))
    model_sizes = _import_faster_whisper().available_models()
    if model_name not in model_sizes:
        close_matches = difflib.get_close_matches(model_name, model_sizes, 1)
        hint = f"known: {', '.join(model_sizes)}."
        if close_matches:
            hint = f"did you mean {close_matches[0]!r}?"
        raise UnknownPluginError(
            f"unknown speech model {model_name!r}: {hint} A folder or package:NAME also works"
        )
    return SpeechModelRef(model_name, model_name)


def _bundled_ref(bundled_model: bundled_models.BundledModel) -> SpeechModelRef:
    return SpeechModelRef(bundled_model.model_name, str(bundled_model.model_folder), bundled_model)


class WhisperRecognizer:
    """A `SpeechRecognizer` that uses faster-whisper."""

    def __init__(self, model_ref: SpeechModelRef, *, device: str = "auto") -> None:
        """Load a model.

        Args:
            model_ref: The model.
            device: "auto", "cpu" or "cuda".

        Raises:
            MissingExtraError: faster-whisper is not installed.
            WeightsError: The model cannot be loaded or downloaded.
        """
        self.name = model_ref.model_name
        self._whisper_model = _load_whisper(model_ref, device)

    def check_language(self, language: str | None) -> None:
        """Raise SettingsError if the model does not support a language."""
        known_languages = self._whisper_model.supported_languages
        if language is not None and language not in known_languages:
            raise SettingsError(
                f"{self.name} does not support language {language!r}, only: "
                f"{', '.join(known_languages)}"
            )

    def transcribe(self, samples: MonoSamples, language: str | None) -> Transcription:
        """Transcribe one chunk. See `SpeechRecognizer.transcribe`.

        Only windows with speech (by voice activity detection) are decoded, each at its own
        position: with the silence between them removed, Whisper would attribute words to the
        window before.

        Args:
            samples: float32 (N,) at `SAMPLE_RATE`.
            language: ISO 639 code; None detects the language.

        Returns:
            Language and cues; the cues are decoded lazily and may raise ModelError.

        Raises:
            ModelError: The device fails.
        """
        speech_spans = _detect_speech(samples)
        if not speech_spans:
            return Transcription(None, 0.0, ())
        speech_windows = _merge_windows(speech_spans)
        try:
            segments, transcription_info = self._whisper_model.transcribe(
                samples,
                language=language,
                clip_timestamps=list(itertools.chain.from_iterable(speech_windows)),
                language_detection_segments=4,  # until one is certain
                temperature=_TEMPERATURES,
                condition_on_previous_text=False,  # avoids repetition loops
                compression_ratio_threshold=_COMPRESSION_RATIO_THRESHOLD,
                no_speech_threshold=_NO_SPEECH_THRESHOLD,
                log_prob_threshold=_LOGPROB_THRESHOLD,
                word_timestamps=True,
            )
        except RuntimeError as error:
            raise _model_error(self.name, error) from error
        return Transcription(
            transcription_info.language,
            float(transcription_info.language_probability),
            self._iter_cues(segments),
        )

    def measure_speech(self, samples: MonoSamples) -> float:
        """Return the seconds of speech. See `SpeechDetector.measure_speech`."""
        return sum(span_end - span_start for span_start, span_end in _detect_speech(samples))

    def _iter_cues(self, segments: Any) -> Iterator[Cue]:
        try:
            for _, window_segments in itertools.groupby(segments, lambda segment: segment.seek):
                for segment in _drop_hallucinations(list(window_segments)):
                    yield from words_to_cues(_segment_words(segment))
        except RuntimeError as error:
            raise _model_error(self.name, error) from error


def _detect_speech(samples: MonoSamples) -> list[tuple[float, float]]:
    """Return the spans of speech in seconds, found by voice activity detection (Silero)."""
    from faster_whisper import vad  # deferred, as below

    speech_timestamps = vad.get_speech_timestamps(
        samples, vad.VadOptions(speech_pad_ms=_SPEECH_PAD_MS)
    )
    return [(span["start"] / SAMPLE_RATE, span["end"] / SAMPLE_RATE) for span in speech_timestamps]


def _merge_windows(speech_spans: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Merge close speech spans into windows: a window costs the same however full it is."""
    window_start, window_end = speech_spans[0]
    for span_start, span_end in speech_spans[1:]:
        if span_start - window_end > _MAX_WINDOW_GAP or span_end - window_start > _WINDOW_SECONDS:
            yield window_start, window_end
            window_start = span_start
        window_end = span_end
    yield window_start, window_end


def _is_hallucination(segment: Any) -> bool:
    """Return whether a segment is empty, repetitive, or uncertain without speech."""
    is_unsure = (
        segment.avg_logprob < _LOGPROB_THRESHOLD and segment.no_speech_prob > _NO_SPEECH_THRESHOLD
    )
    return bool(
        segment.compression_ratio > _COMPRESSION_RATIO_THRESHOLD
        or is_unsure
        or not segment.text.strip()
    )


def _drop_hallucinations(segments: list[Any]) -> list[Any]:
    """Drop likely hallucinations from the segments of one Whisper window.

    In noise Whisper hallucinates stock phrases, repeats itself, or outputs words despite a high
    no-speech probability. Real speech may look the same but has more certain words (the mean log
    probability is no criterion: it is low for anything short). If most segments are dropped, all
    are.
    """
    plausible_segments = [segment for segment in segments if not _is_hallucination(segment)]
    word_probabilities = [
        word.probability for segment in plausible_segments for word in segment.words or ()
    ]
    if (
        word_probabilities
        and sum(word_probabilities) / len(word_probabilities) >= _CERTAIN_WORD_PROBABILITY
    ):
        return plausible_segments
    text_counts = Counter(_normalize_text(segment.text) for segment in plausible_segments)
    stock_phrases = _HALLUCINATED_PHRASES.union(
        segment_text for segment_text, occurrences in text_counts.items() if occurrences > 1
    )
    kept_segments = [
        segment
        for segment in plausible_segments
        if _normalize_text(segment.text) not in stock_phrases
        and segment.no_speech_prob <= _NO_SPEECH_THRESHOLD
    ]
    return kept_segments if 2 * len(kept_segments) >= len(plausible_segments) else []


def _normalize_text(text: str) -> str:
    """Return the distinct words in lowercase, without punctuation."""
    return " ".join(dict.fromkeys(re.findall(r"[^\W_]+", text.casefold().replace("'", ""))))


def _segment_words(segment: Any) -> Iterator[Word]:
    """Yield the words of a segment, or the whole segment if word times are unknown."""
    for word in segment.words or ():
        yield Word(word.word, _clamp_span(word.start, word.end))
    if not segment.words:
        yield Word(segment.text, _clamp_span(segment.start, segment.end))


def _clamp_span(start: float, end: float) -> Span:
    start_seconds = max(0.0, float(start))
    return Span(start_seconds, max(start_seconds, float(end)))


def _import_faster_whisper() -> Any:
    try:
        import faster_whisper  # deferred: imports CTranslate2
    except ImportError as error:
        if is_exhausted(error):
            raise ModelError(f"transcribing speech: {describe_exhaustion()}") from error
        raise MissingExtraError(
            f"transcribing speech needs the package {error.name!r}, which is not installed: "
            "pip install 'vsearch[speech]'"
        ) from error
    return faster_whisper


def _load_whisper(model_ref: SpeechModelRef, device: str) -> Any:
    _check_memory(model_ref)
    whisper_library = _import_faster_whisper()
    model_files = model_ref.bundled_model.read_files() if model_ref.bundled_model else None
    compute_device = _select_device(device)
    try:
        return whisper_library.WhisperModel(
            model_ref.model_path,
            device=compute_device,
            compute_type="int8" if compute_device == "cpu" else "default",
            files=model_files,
        )
    except OSError as error:
        raise WeightsError(
            f"the speech model {model_ref.model_name} is not on this machine and cannot be "
            f"downloaded ({_first_sentence(error)}). Offline: copy {CACHE_HINT} from a machine "
            "that has it, or pass a folder or package:NAME with --model"
        ) from error
    except (RuntimeError, ValueError) as error:
        raise _model_error(model_ref.model_name, error) from error


def _check_memory(model_ref: SpeechModelRef) -> None:
    """Raise ModelError if this process may not use enough memory for a speech model."""
    bundled_model = model_ref.bundled_model
    model_paths = (
        bundled_model.part_paths
        if bundled_model
        else (Path(model_ref.model_path) / bundled_models.MODEL_FILE,)
    )
    # a published size may still have to be downloaded
    network_bytes = sum(path.stat().st_size for path in model_paths if path.is_file())
    check_memory(
        MemoryNeed(
            f"the speech model {model_ref.model_name}",
            _RUNTIME_ADDRESS_SPACE + 2 * network_bytes,
            _RUNTIME_RESIDENT + network_bytes,
        )
    )


def _select_device(device: str) -> str:
    """Return "cpu" or "cuda"; CTranslate2 does not support Metal."""
    import ctranslate2  # deferred as above

    has_cuda = ctranslate2.get_cuda_device_count() > 0
    return "cuda" if device == "cuda" or (device == "auto" and has_cuda) else "cpu"


def _model_error(model_name: str, error: Exception) -> ModelError:
    if is_exhausted(error):
        return ModelError(f"the speech model {model_name}: {describe_exhaustion()}")
    return WeightsError(
        f"the speech model {model_name} cannot be used: {_first_sentence(error)}. "
        "If this is a CUDA problem, try --device cpu"
    )


def _first_sentence(error: Exception) -> str:
    """Return the first sentence of a message, shortened, without its period."""
    first_line = next(iter(str(error).split("\n")), "").strip() or type(error).__name__
    sentence = re.split(r"(?<=[.!?])\s", first_line)[0].rstrip(".")
    return textwrap.shorten(sentence, _MAX_REASON_CHARS, placeholder=" …")
