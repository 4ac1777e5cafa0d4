"""A, then B: PYTHONPATH=tests python tests/benchmarks/bench_sequences.py DATASET

Films are joined from captioned clips as `bench_moments.py` does; of some there is another one that
shows the same clips, cut anew, from the last to the first. For every two scenes of the former that
follow each other within a minute, their captions are asked for, one then the other. A film is right
if it shows both in that order within a minute, turned round if it shows them in the opposite order
only; all others show one of the two, or none. `--kept FOLDER` is that of `bench_moments.py`.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reels import clips, indexed, reels, turned
from vsearch.types import Filters, Query, Step, Term

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reels import Reel, Scene
    from vsearch import Library
    from vsearch.types import Moment, Span

FILMS = 10
TURNED = 6  # of which there is another one in the opposite order
WITHIN = 60.0  # seconds from A to B
SHOWN = 10  # results in which one that is turned round is not to be
HIT = 0.5  # tIoU of both steps


@dataclass(frozen=True, slots=True)
class Asked:
    """A pair of captions, and how the search did."""

    first: bool  # a right film comes first
    placed: bool  # and both steps are where the scenes are
    behind: bool  # no film that is turned round comes before the right one
    absent: bool  # none is among the first results at all
    alone: bool  # none comes where the right films are left out of the search


def pairs(films: Sequence[Reel]) -> Iterator[tuple[str, str]]:
    """The captions of all scenes that follow each other soon enough, each once."""
    told = {
        (one.caption, other.caption) for film in films for one, other in _following(film.scenes)
    }
    yield from sorted(told)


def _following(scenes: Sequence[Scene]) -> Iterator[tuple[Scene, Scene]]:
    for place, one in enumerate(scenes):
        for other in scenes[place + 1 :]:
            if other.span.start - one.span.end <= WITHIN:
                yield one, other


def found_in(film: Reel, one: str, other: str) -> tuple[Span, Span] | None:
    """Where a film shows two things in this order."""
    spans = [
        (before.span, after.span)
        for before, after in _following(film.scenes)
        if (before.caption, after.caption) == (one, other)
    ]
    return spans[0] if spans else None


def asked(library: Library, films: Sequence[Reel], one: str, other: str) -> Asked:
    """Search for one, then the other."""
    right = {film.path: span for film in films if (span := found_in(film, one, other))}
    opposite = {film.path for film in films if found_in(film, other, one)} - right.keys()
    found = _search(library, one, other, ())
    rest = [str(film.path) for film in films if film.path not in right]
    paths = [moment.video.path for moment in found]
    best = next((rank for rank, path in enumerate(paths) if path in right), len(paths))
    first = bool(paths) and best == 0
    return Asked(
        first,
        first and _placed(found[0], right[paths[0]]),
        not any(path in opposite for path in paths[:best]),
        not any(path in opposite for path in paths),
        not any(m.video.path in opposite for m in _search(library, one, other, rest)),
    )


def _search(library: Library, one: str, other: str, videos: Sequence[str]) -> list[Moment]:
    then = Step((Term("text", other),), WITHIN)
    query = Query((Term("text", one),), (then,), Filters(videos=tuple(videos)))
    return library.search(query, k=SHOWN, alike=True)


def _placed(moment: Moment, truth: tuple[Span, Span]) -> bool:
    both = zip(moment.why.steps, truth, strict=True)
    return all(step.iou(span) >= HIT for step, span in both)


def main() -> None:
    """Print how often the right order came first, and the opposite one at all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--seed", type=int, default=2, help="of the draw; 1 chose the constants")
    parser.add_argument("--kept", type=Path, help="a folder for films and library, used again")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = told.kept / str(told.seed) if told.kept else Path(folder)
        known = clips(told.dataset)
        made = reels(known, FILMS, work / "films", np.random.default_rng(told.seed))
        rng = np.random.default_rng([told.seed, 1])
        films = made + [turned(reel, known, work / "turned", rng) for reel in made[:TURNED]]
        with indexed(work / "library-sequences", films) as library:
            results = [asked(library, films, *pair) for pair in pairs(made[:TURNED])]
    print(f"{len(results)} pairs in {len(films)} films, of which {TURNED} are turned round")
    for name, what in (
        ("first", "a right film comes first"),
        ("placed", "and both steps have tIoU 0.5 or more"),
        ("behind", "none that is turned round comes before it"),
        ("absent", f"none that is turned round is among the first {SHOWN}"),
        ("alone", "nor where the right films are left out"),
    ):
        print(f"{np.mean([getattr(one, name) for one in results]):6.1%} {what}")


if __name__ == "__main__":
    main()
