"""The words of videos: taken out of a library, and read for what they mean."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.catalog.named import named
from vsearch.errors import LibraryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.catalog.repository import Catalog
    from vsearch.protocols import Encoder
    from vsearch.types import Cue, CueSource, Video

log = logging.getLogger(__name__)

BATCH = 256  # cues read at once
MANY = 5_000  # cues, of which it is told that it takes a while: about 8 ms each
AGREED = 0.99  # of a cue read twice by one model
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


def read_meanings(catalog: Catalog, encoder: Callable[[], Encoder], *, check: bool = False) -> int:
    """Note what cues mean that nobody has read yet, as the library's model does; how many.

    Stored batch by batch, so that it may be stopped at any time. `check` first looks whether that
    model reads as it did; if not, all are read anew. A model of pictures only reads none.
    """
    space, index = catalog.space(), catalog.cue_index
    if space is None or not space.speaks_text:
        return 0
    last = index.read_until(space)
    if not check and not index.after(last, 1):
        return 0
    model = encoder()
    if model.space != space:
        return 0
    example = index.example(space) if check else None
    if example is not None and float(model.encode_texts([example[0]])[0] @ example[1]) < AGREED:
        with catalog.begin() as change:
            change.remove_cue_vectors(space)
        last = 0
    if (waiting := index.waiting(last)) >= MANY:
        log.warning(
            "%d lines are read for what they mean: some minutes. Ctrl-C puts off what is left "
            "to the next `vsearch index`; the words themselves are found already.",
            waiting,
        )
    count = 0
    while batch := index.after(last, BATCH):
        vectors = model.encode_texts([text for _, text in batch])
        sound = np.isfinite(vectors).all(axis=1) & (np.abs(vectors).max(axis=1) > 0)
        ids = [id_ for (id_, _), usable in zip(batch, sound, strict=True) if usable]
        with catalog.begin() as change:
            change.add_cue_vectors(ids, vectors[sound], space)
        last, count = batch[-1][0], count + len(ids)
    if count:
        log.info("%d lines read for what they mean", count)
    return count
