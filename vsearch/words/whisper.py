"""Whisper by faster-whisper: what is said, in some hundred languages.

base                      a published size, downloaded once
FOLDER                    a model that was converted for CTranslate2
package:NAME              one that an installed package carries, see carried.py
(nothing)                 the best one that is installed, else base
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
from vsearch.types import Cue, Span, Word
from vsearch.words import carried
from vsearch.words.speech import RATE, Heard, phrases

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.words.speech import Mono

DEFAULT = "base"
CACHE = "the Hugging Face cache (~/.cache/huggingface, or $HF_HOME)"
_PACKAGE = "package:"
_REASON = 160  # characters of an error that are quoted
_SQUEEZED = 2.4  # compressed better than this, text is one phrase over and over
_SILENT = 0.6  # this sure that nobody speaks …
_UNSURE = -1.0  # … and of its words no surer than this: made up. Both are Whisper's own
_SURE = 0.8  # mean of words: what is known to be made up often counts only if they are so sure
# what Whisper learned to hear in noise, as films on the net end so
_STOCK = frozenset(
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
_MARGIN = 200  # milliseconds heard around speech
_APART = 3.0  # seconds of silence between what is heard together, at most
_WINDOW = 30.0  # seconds that Whisper hears at once
_TEMPERATURES = (0.0, 0.4)  # more of them let music take six times as long


@dataclass(frozen=True, slots=True)
class Named:
    """A model that was found, and not yet loaded."""

    name: str  # as it is kept beside what it heard
    path: str  # of a folder, or a size to be downloaded
    package: carried.Carried | None = None


def named(name: str) -> Named:
    """The model that a name means, "" being the default. Raises ModelError."""
    if not name:
        best = carried.best()
        return Named(DEFAULT, DEFAULT) if best is None else _of(best)
    if name.startswith(_PACKAGE):
        return _of(carried.carried(name.removeprefix(_PACKAGE)))
    folder = Path(name).expanduser()
    if folder.is_dir() or os.sep in name:
        if not (folder / carried.WHOLE).is_file() or not (folder / "tokenizer.json").is_file():
            raise WeightsError(
                f"{folder}: is no folder with {carried.WHOLE} and tokenizer.json; convert the "
                "model with ct2-transformers-converter --copy_files tokenizer.json"
            )
        return Named(str(folder.absolute()), str(folder.absolute()))
    sizes = _library().available_models()
    if name not in sizes:
        near = difflib.get_close_matches(name, sizes, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sizes)}."
        raise UnknownPluginError(
            f"no speech model is called {name!r}: {hint} A folder or package:NAME does as well"
        )
    return Named(name, name)


def _of(package: carried.Carried) -> Named:
    return Named(package.name, str(package.folder), package)


class Whisper:
    """A `Listener`."""

    def __init__(self, model: Named, *, device: str = "auto") -> None:
        """`device` is auto, cpu or cuda. Raises MissingExtraError and WeightsError."""
        self.name = model.name
        self._model = _loaded(model, device)

    def check(self, language: str | None) -> None:
        """Raise SettingsError for a language that it does not understand."""
        known = self._model.supported_languages
        if language is not None and language not in known:
            raise SettingsError(
                f"{self.name} understands no language {language!r}, only: {', '.join(known)}"
            )

    def hear(self, samples: Mono, language: str | None) -> Heard:
        """The words in float32 (N,); ModelError where the device gives up.

        Only stretches in which someone speaks are heard, each where it is: without the silence
        between them, words would be taken for those of the stretch before.
        """
        from faster_whisper import vad  # deferred, as below

        found = vad.get_speech_timestamps(samples, vad.VadOptions(speech_pad_ms=_MARGIN))
        if not found:
            return Heard(None, 0.0, ())
        spans = _windows([(one["start"] / RATE, one["end"] / RATE) for one in found])
        try:
            segments, info = self._model.transcribe(
                samples,
                language=language,
                clip_timestamps=[time for span in spans for time in span],
                language_detection_segments=4,  # until one is beyond doubt
                temperature=_TEMPERATURES,
                condition_on_previous_text=False,  # else it may go round in circles
                compression_ratio_threshold=_SQUEEZED,
                no_speech_threshold=_SILENT,
                log_prob_threshold=_UNSURE,
                word_timestamps=True,
            )
        except RuntimeError as error:
            raise _failed(self.name, error) from error
        return Heard(info.language, float(info.language_probability), self._cues(segments))

    def _cues(self, segments: Any) -> Iterator[Cue]:
        try:
            for _, together in itertools.groupby(segments, lambda segment: segment.seek):
                for segment in _meant(list(together)):
                    yield from phrases(_words(segment))
        except RuntimeError as error:
            raise _failed(self.name, error) from error


def _windows(spans: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Starts and ends of what is heard together, of one span at least.

    A window costs the same however full it is.
    """
    start, end = spans[0]
    for begin, last in spans[1:]:
        if begin - end > _APART or last - start > _WINDOW:
            yield start, end
            start = begin
        end = last
    yield start, end


def _made_up(segment: Any) -> bool:
    """Whether it was heard in what is no speech: the same over and over, or nothing sure."""
    unsure = segment.avg_logprob < _UNSURE and segment.no_speech_prob > _SILENT
    return bool(segment.compression_ratio > _SQUEEZED or unsure or not segment.text.strip())


def _meant(segments: list[Any]) -> list[Any]:
    """Of what was heard at once, that which was said.

    Noise is heard as what films on the net end with, as one thing again and again, or as words
    where probably nobody speaks. All of that is said, too, but then it is surer; not by its mean
    log probability, which is low for anything short. Where most is made up, so is the rest.
    """
    heard = [segment for segment in segments if not _made_up(segment)]
    chances = [word.probability for segment in heard for word in segment.words or ()]
    if chances and sum(chances) / len(chances) >= _SURE:
        return heard
    texts = Counter(_bare(segment.text) for segment in heard)
    often = _STOCK.union(text for text, count in texts.items() if count > 1)
    meant = [
        segment
        for segment in heard
        if _bare(segment.text) not in often and segment.no_speech_prob <= _SILENT
    ]
    return meant if 2 * len(meant) >= len(heard) else []


def _bare(text: str) -> str:
    """Small letters without punctuation, and each word once."""
    return " ".join(dict.fromkeys(re.findall(r"[^\W_]+", text.casefold().replace("'", ""))))


def _words(segment: Any) -> Iterator[Word]:
    """The words of a segment, or itself where their times are not known."""
    for word in segment.words or ():
        yield Word(word.word, _span(word.start, word.end))
    if not segment.words:
        yield Word(segment.text, _span(segment.start, segment.end))


def _span(start: float, end: float) -> Span:
    begin = max(0.0, float(start))
    return Span(begin, max(begin, float(end)))


def _library() -> Any:
    try:
        import faster_whisper  # deferred: brings CTranslate2, of use to who transcribes only
    except ImportError as error:
        raise MissingExtraError(
            f"transcribing speech needs the package {error.name!r}, which is not installed: "
            "pip install 'vsearch[speech]'"
        ) from error
    return faster_whisper


def _loaded(model: Named, device: str) -> Any:
    library = _library()
    files = model.package.contents() if model.package else None
    where = _place(device)
    try:
        return library.WhisperModel(
            model.path, device=where, compute_type="int8" if where == "cpu" else "default",
            files=files,
        )  # fmt: skip
    except OSError as error:
        raise WeightsError(
            f"the speech model {model.name} is not on this machine and cannot be downloaded "
            f"({_short(error)}). Without a network: copy {CACHE} from a machine that has it, or "
            "name a folder or package:NAME with --model"
        ) from error
    except (RuntimeError, ValueError) as error:
        raise _failed(model.name, error) from error


def _place(device: str) -> str:
    """cpu or cuda; CTranslate2 has no Metal."""
    import ctranslate2  # deferred as above

    there = ctranslate2.get_cuda_device_count() > 0
    return "cuda" if device == "cuda" or (device == "auto" and there) else "cpu"


def _failed(name: str, error: Exception) -> ModelError:
    return WeightsError(
        f"the speech model {name} cannot be used: {_short(error)}. If that is about CUDA, try "
        "--device cpu"
    )


def _short(error: Exception) -> str:
    """The first sentence, or its beginning, without a full stop."""
    line = next(iter(str(error).split("\n")), "").strip() or type(error).__name__
    sentence = re.split(r"(?<=[.!?])\s", line)[0].rstrip(".")
    return textwrap.shorten(sentence, _REASON, placeholder=" …")
