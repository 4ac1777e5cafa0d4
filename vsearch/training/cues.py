"""What is said in the videos of a library, and when, as vectors: from captions or subtitles.

A text is encoded when a clip with it is drawn, so that nothing waits for a library's worth of them.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from vsearch.errors import MediaError, NoTextError
from vsearch.evaluation.comparison import check
from vsearch.evaluation.own import joined
from vsearch.temporal.clips import Texts
from vsearch.types import Span
from vsearch.words import subtitles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from vsearch.evaluation.datasets import Dataset
    from vsearch.library import Library
    from vsearch.types import Matrix, Vector

Said: TypeAlias = dict["Path", list[tuple[Span, str]]]  # by video

MOST = 16  # texts of a clip, evenly
KEPT = 50_000  # vectors
WHOLE = Span(0, 1e9)  # of a caption of no time: it is true of every moment


class Cues:
    """The texts of each video."""

    def __init__(self, read: Callable[[Sequence[str]], Matrix], said: Said) -> None:
        """`read` gives the vectors of texts."""
        self._read, self._said = read, said
        self._known: OrderedDict[str, Vector] = OrderedDict()

    @classmethod
    def of(cls, library: Library, dataset: Dataset | None = None) -> tuple[Cues, list[str]]:
        """The captions of a dataset, or the subtitles beside the videos; and what was left out.

        Raises NoTextError and SpaceMismatchError if there are captions and the library's model
        cannot read them; subtitles are then left out.
        """
        paths = [video.path for video in library.videos()]
        left_out: list[str] = []
        if dataset is None:
            said = _subtitles(paths, left_out)
        else:
            known, said = set(paths), {}
            for item in dataset.items:
                if item.path in known:
                    said.setdefault(item.path, []).append((item.span or WHOLE, item.caption))
            absent = {item.path for item in dataset.items} - known
            if absent or dataset.missing:
                count = len(absent | set(dataset.missing))
                left_out.append(f"videos that are not in the library: {count}")
        if not said:
            return cls(_nothing, {}), left_out
        try:
            check(library)
        except NoTextError:
            if dataset is not None:
                raise
            return cls(_nothing, {}), [*left_out, "subtitles: the library's model reads no words"]
        return cls(library.encoder.encode_texts, said), left_out

    def __len__(self) -> int:
        """How many videos have texts."""
        return len(self._said)

    @property
    def digest(self) -> str:
        """Names the texts, wherever their videos lie."""
        rows = sorted((path.name, repr(said)) for path, said in self._said.items())
        return hashlib.sha256(repr(rows).encode()).hexdigest()

    def within(self, path: Path, span: Span, dim: int) -> Texts:
        """What is said in a part of a video, at most MOST texts."""
        said = [one for one in self._said.get(path, ()) if _meets(one[0], span)]
        if not said:
            return Texts(np.empty((0, dim), np.float32), np.empty(0))
        chosen = np.unique(np.linspace(0, len(said) - 1, min(len(said), MOST)).round())
        said = [said[int(place)] for place in chosen]
        places = [_place(when, span) for when, _ in said]
        return Texts(self._vectors([text for _, text in said]), np.array(places))

    def _vectors(self, texts: Sequence[str]) -> Matrix:
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        if fresh:
            for text, row in zip(fresh, self._read(fresh), strict=True):
                self._known[text] = row
        found: Matrix = np.stack([self._known[text] for text in texts])
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return found


def _nothing(texts: Sequence[str]) -> Matrix:
    raise ValueError(f"there is no model to read {len(texts)} texts")


def _subtitles(paths: Iterable[Path], left_out: list[str]) -> Said:
    """The cues of one file a video, in English or in no language that its name tells."""
    said: Said = {}
    for each in subtitles.beside(paths):
        if each.video in said or not (each.language or "en").startswith("en"):
            continue
        try:
            cues = list(joined(subtitles.read(each.path)))
        except MediaError as error:
            left_out.append(str(error))
            continue
        if cues:
            said[each.video] = [(cue.span, cue.text) for cue in cues]
    return said


def _meets(one: Span, other: Span) -> bool:
    return one.start <= other.end and other.start < one.end


def _place(when: Span, clip: Span) -> float:
    """Where in the clip the middle of a cue is, in [0, 1]."""
    start, end = max(when.start, clip.start), min(when.end, clip.end)
    place = ((start + end) / 2 - clip.start) / clip.duration if clip.duration else 0.5
    return min(1.0, max(0.0, place)) if math.isfinite(place) else 0.5
