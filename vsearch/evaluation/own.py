"""A test set of a person's own videos, from what lies beside them: subtitles and file names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DatasetError, MediaError
from vsearch.evaluation import filenames
from vsearch.evaluation.datasets import Dataset, Item, paths
from vsearch.types import Span
from vsearch.words import subtitles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from vsearch.types import Cue

LEAST = 10  # queries
PER_VIDEO = 40  # of subtitles, evenly over the video: one film is not to outweigh the rest
WORDS = 3  # of a query from subtitles; shorter cues are joined
PAUSE = 2.0  # seconds between cues, over which none are joined

_ASIDE = re.compile(r"\[[^\]]*\]|\([^)]*\)|[♪♫#*]+|^\s*-\s*|\b[A-Z][A-Z .]{1,30}:")  # [music], JOE:
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True)
class Source:
    """Where some of the queries are from."""

    name: str
    queries: int
    videos: int


@dataclass(frozen=True, slots=True)
class OwnSet:
    """Queries, the video that each is right for, and where they are from."""

    dataset: Dataset
    sources: tuple[Source, ...]
    unread: tuple[str, ...]  # why a subtitle file gave nothing


def own_set(name: str, videos: Sequence[Path]) -> OwnSet:
    """What is known of these videos without anybody having described them.

    Raises DatasetError if that is too little to measure anything with.
    """
    unread: list[str] = []
    spoken = list(_spoken(videos, unread))
    named = [Item(path, text) for path, text in filenames.captions(videos).items()]
    if len(spoken) + len(named) < LEAST:
        raise DatasetError(
            f"{name}: subtitles and file names give {len(spoken)} and {len(named)} queries, and "
            f"{LEAST} are the least to compare anything with; put subtitle files beside the "
            "videos (film.srt beside film.mp4), or measure on captions of yours: "
            "vsearch evaluate FILE"
        )
    sources = (_source("subtitles", spoken), _source("file names", named))
    dataset = Dataset(name, (*spoken, *named), ())
    return OwnSet(dataset, tuple(each for each in sources if each.queries), tuple(unread))


def _source(name: str, items: Sequence[Item]) -> Source:
    return Source(name, len(items), len(paths(items)))


def _spoken(videos: Sequence[Path], unread: list[str]) -> Iterator[Item]:
    """The cues of one file a video, in English or in no language that its name tells."""
    done: set[Path] = set()
    for each in subtitles.beside(videos):
        if each.video in done or not (each.language or "en").startswith("en"):
            continue
        try:
            cues = subtitles.read(each.path)
        except MediaError as error:
            unread.append(str(error))
            continue
        said = _spread([Item(each.video, cue.text, cue.span) for cue in joined(cues)])
        done |= {each.video} if said else set()
        yield from said


def joined(cues: Iterable[Cue]) -> Iterator[Cue]:
    """Cues of three words and more; shorter ones joined with the next, or dropped if none is near.

    What is not spoken, such as [music], and who speaks, is left out.
    """
    held: Cue | None = None
    for cue in cues:
        text = " ".join(_ASIDE.sub(" ", cue.text).split())
        if not _WORD.search(text):
            continue
        near = held is not None and cue.span.start - held.span.end <= PAUSE
        if held is not None and near:
            span = Span(held.span.start, max(held.span.end, cue.span.end))
            held = type(cue)(span, f"{held.text} {text}")
        else:
            held = type(cue)(cue.span, text)
        if len(_WORD.findall(held.text)) >= WORDS:
            yield held
            held = None


def _spread(items: Sequence[Item]) -> list[Item]:
    """No more than PER_VIDEO of them, evenly."""
    places = np.unique(np.linspace(0, len(items) - 1, min(len(items), PER_VIDEO)).round())
    return [items[int(place)] for place in places]
