"""The words of one video, as they are wanted out of a library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.catalog.named import named
from vsearch.errors import LibraryError

if TYPE_CHECKING:
    from vsearch.catalog.repository import Catalog
    from vsearch.types import Cue, CueSource, Video

PREFERRED: tuple[CueSource, ...] = ("subtitles", "speech", "screen")


@dataclass(frozen=True, slots=True)
class Words:
    """What is said or shown in a video, in the order of time."""

    video: Video
    source: CueSource
    cues: tuple[Cue, ...]


def transcript(catalog: Catalog, name: str, source: CueSource | None) -> Words:
    """The words of a source in the video that a name means; None: subtitles, speech, screen.

    The first of these that there is. Raises LibraryError where the name means no video or several,
    and where there are no words.
    """
    videos = named(catalog, [name])
    if len(videos) != 1:
        many = f"{len(videos)} videos are called that" if videos else "no such video in the library"
        raise LibraryError(f"{name}: {many}; name one of `vsearch list` by its path")
    [video] = videos
    found = catalog.cues(video.id)
    for each in PREFERRED if source is None else (source,):
        cues = tuple(cue for cue in found if cue.source == each)
        if cues:
            return Words(video, each, cues)
    raise LibraryError(_nothing(catalog, video, source))


def _nothing(catalog: Catalog, video: Video, source: CueSource | None) -> str:
    """Why there are no words, and what to do."""
    tried = {one.source for one in catalog.transcripts([video.id])}
    what = "words" if source is None else "speech" if source == "speech" else f"words of {source}"
    remedies: dict[CueSource, str] = {
        "subtitles": "put a subtitle file beside it and `vsearch index` it",
        "speech": "`vsearch transcribe` writes down what is spoken",
        "screen": "`vsearch read` reads what it shows",
    }
    open_ = [remedies[each] for each in ((source,) if source else PREFERRED)
             if each not in tried or each == "subtitles"]  # fmt: skip
    advice = f": {', or '.join(open_)}" if open_ else ": it was looked for"
    return f"{video.path} has no {what}{advice}"
