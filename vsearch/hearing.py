"""What is spoken in indexed videos and shown as text, brought into the catalogue.

A video is stored as soon as it is done, in one transaction, and passed over the next time.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from vsearch.errors import MediaError, SettingsError
from vsearch.ingest import Run
from vsearch.media.ahead import ahead
from vsearch.media.sound import mono
from vsearch.media.video import Sampler
from vsearch.words.ocr import SHORT_SIDE, RapidReader
from vsearch.words.screen import shown
from vsearch.words.speech import RATE, transcribe
from vsearch.words.whisper import Whisper, named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from vsearch.catalog.repository import Catalog
    from vsearch.types import Cue, CueSource, Progress, Transcript, Video
    from vsearch.words.ocr import Reader
    from vsearch.words.speech import Listener, Mono

    Words = tuple[tuple[Cue, ...], str | None]  # and their language
    Look = Callable[[Video, Callable[[float], None]], Words]  # it is told how far one has come

_BATCH = 4  # frames at once
_OVER = 1.0  # seconds that sound may go on after the pictures


class Found(StrEnum):
    """What became of looking for words in one video."""

    WORDS = "words"
    NOTHING = "nothing"  # nobody speaks, or there is nothing to read
    KNOWN = "known"  # done before
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Worded:
    """The words of one source in a video; never an exception."""

    video: Video
    found: Found
    cues: tuple[Cue, ...] = ()  # none where they were known
    language: str | None = None  # of speech
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What looks for words, loaded and ready."""

    origin: str  # the model, kept beside the words
    look: Look


def listening(listener: Listener, language: str | None) -> Work:
    """Hears what is spoken."""

    def look(video: Video, progress: Callable[[float], None]) -> Words:
        with closing(mono(video.path, RATE)) as blocks:
            until = _until(blocks, video.duration + _OVER)
            speech = transcribe(until, listener, language, progress)
        return speech.cues, speech.language

    return Work(listener.name, look)


def reading(reader: Reader, fps: float) -> Work:
    """Reads what is shown as text, `fps` times a second."""

    def look(video: Video, progress: Callable[[float], None]) -> Words:
        side = max(1, min(SHORT_SIDE, video.width, video.height))
        frames = Sampler(video.path, fps=fps, short_side=side, batch_size=_BATCH)
        with ahead(frames) as batches:
            return tuple(shown(batches, reader, video.duration, progress)), None

    return Work(reader.name, look)


class Hearing:
    """Looks for words in the videos of one library."""

    def __init__(
        self,
        catalog: Catalog,
        writing: Callable[[], AbstractContextManager[None]],
        progress: Callable[[Progress], None],
    ) -> None:
        """`writing` makes this process the one writer."""
        self._catalog, self._writing, self._progress = catalog, writing, progress

    def speech(
        self,
        videos: Sequence[Video],
        model: str,
        language: str | None,
        *,
        device: str,
        again: bool,
        listener: Listener | None,
    ) -> Iterator[Worded]:
        """See `Library.transcribe`; a `model` of "" is any that made a transcript before."""
        origin = named(model).name if model and listener is None else None

        def is_done(one: Transcript) -> bool:
            heard = not one.cues or language in (None, one.language)
            return not again and heard and origin in (None, one.origin)

        def make() -> Work:
            if listener is not None:
                return listening(listener, language)
            loaded = Whisper(named(model), device=device)
            loaded.check(language)
            return listening(loaded, language)

        yield from self._run(videos, "speech", make, is_done)

    def screen(
        self, videos: Sequence[Video], *, fps: float, again: bool, reader: Reader | None
    ) -> Iterator[Worded]:
        """See `Library.read_screen`."""
        if not 0.01 <= fps <= 60:  # as of the frames that are indexed
            raise SettingsError(f"fps must be a number from 0.01 to 60, not {fps}")

        def make() -> Work:
            return reading(reader or RapidReader(), fps)

        yield from self._run(videos, "screen", make, lambda _: not again)

    def _run(
        self,
        videos: Sequence[Video],
        source: CueSource,
        make: Callable[[], Work],
        is_done: Callable[[Transcript], bool],
    ) -> Iterator[Worded]:
        """One for each video; what is done comes first, and if all is, no model is loaded.

        Those that went before this was the one writer are passed over.
        """
        with self._writing():
            there = self._catalog.videos_by_id([video.id for video in videos])
            videos = [video for video in videos if video.id in there]
            known = {one.video_id for one in self._made(videos, source) if is_done(one)}
            yield from (Worded(video, Found.KNOWN) for video in videos if video.id in known)
            left = [video for video in videos if video.id not in known]
            if not left:
                return
            work, run = make(), Run([video.size for video in left], self._progress)
            for number, video in enumerate(left):
                one = self._one(video, source, work, run.reporter(video.path, number))
                run.finished(number)
                yield one

    def _made(self, videos: Sequence[Video], source: CueSource) -> list[Transcript]:
        found = self._catalog.transcripts([video.id for video in videos])
        return [one for one in found if one.source == source]

    def _one(
        self, video: Video, source: CueSource, work: Work, told: Callable[[float, float], None]
    ) -> Worded:
        told(0.0, video.duration)
        try:
            cues, language = work.look(video, lambda seconds: told(seconds, video.duration))
        except MediaError as error:
            return Worded(video, Found.FAILED, error=str(error))
        with self._catalog.begin() as change:
            change.replace_cues(video.id, source, cues, origin=work.origin, language=language)
        return Worded(video, Found.WORDS if cues else Found.NOTHING, cues, language)


def _until(blocks: Iterable[Mono], seconds: float) -> Iterator[Mono]:
    """Sound up to some second: a broken file may have silence without end."""
    left = round(seconds * RATE)
    for block in blocks:
        yield block[:left]
        left -= len(block)
        if left <= 0:
            return
