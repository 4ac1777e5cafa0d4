"""Films joined from clips at random, with what is known of them: which clip is where."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch import Library
from vsearch.evaluation.datasets import read
from vsearch.media.export import Part, export
from vsearch.media.video import probe
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np

SHORTEST, LONGEST = 3.0, 12.0  # seconds of a scene
SCENES = 10  # of a reel


@dataclass(frozen=True, slots=True)
class Clip:
    """A video that shows one thing."""

    path: Path
    caption: str
    duration: float  # seconds


@dataclass(frozen=True, slots=True)
class Scene:
    """Where in a reel something is shown."""

    caption: str
    span: Span


@dataclass(frozen=True, slots=True)
class Reel:
    """A film and its scenes, one after the other."""

    path: Path
    scenes: tuple[Scene, ...]


def clips(dataset: Path) -> list[Clip]:
    """Those of a dataset that are long enough to be a scene."""
    found = [
        Clip(item.path, item.caption, probe(item.path).duration) for item in read(dataset).items
    ]
    return [clip for clip in found if clip.duration >= SHORTEST]


def reels(known: Sequence[Clip], count: int, folder: Path, rng: np.random.Generator) -> list[Reel]:
    """So many films, written to a folder: every clip is in about as many, in each at most once.

    Those of a folder that has them are read, not made: draw from `rng` the same way again.
    """
    drawn = _hands(len(known), count, rng)
    return [
        _made(folder / f"{number}.mp4", [known[i] for i in hand], rng)
        for number, hand in enumerate(drawn)
    ]


def turned(reel: Reel, known: Sequence[Clip], folder: Path, rng: np.random.Generator) -> Reel:
    """The clips of a reel from the last to the first, cut anew."""
    of = {clip.caption: clip for clip in known}
    order = [of[scene.caption] for scene in reversed(reel.scenes)]
    return _made(folder / f"turned {reel.path.name}", order, rng)


def indexed(folder: Path, made: Sequence[Reel]) -> Library:
    """A library in a folder that holds the films."""
    library = Library.open(folder)
    failed = [one.error for one in library.index([reel.path for reel in made]) if one.error]
    assert not failed, failed
    return library


def _hands(among: int, count: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Numbers below `among`, dealt out; no hand has one twice."""
    deck: list[int] = []
    for _ in range(count):
        hand: list[int] = []
        while len(hand) < min(SCENES, among):
            deck = deck or rng.permutation(among).tolist()
            drawn = next((card for card in deck if card not in hand), None)
            if drawn is None:
                deck += rng.permutation(among).tolist()
                continue
            deck.remove(drawn)
            hand.append(drawn)
        yield hand


def _made(target: Path, order: Sequence[Clip], rng: np.random.Generator) -> Reel:
    """A part of each clip, of random length, one after the other."""
    parts = [_part(clip, rng) for clip in order]
    told = target.with_suffix(".json")
    if not told.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        places = export(parts, target, overwrite=True).places
        told.write_text(json.dumps([[place.start, place.end] for place in places]))
    spans = [Span(*ends) for ends in json.loads(told.read_text())]
    scenes = (Scene(clip.caption, span) for clip, span in zip(order, spans, strict=True))
    return Reel(target, tuple(scenes))


def _part(clip: Clip, rng: np.random.Generator) -> Part:
    length = rng.uniform(SHORTEST, min(LONGEST, clip.duration))
    start = rng.uniform(0, clip.duration - length)
    return Part(clip.path, Span(start, start + length))
