"""Where moments start and end: PYTHONPATH=tests python tests/benchmarks/bench_moments.py DATASET

Films of ten scenes each are joined at random from the captioned clips of DATASET (a file as
`vsearch evaluate` takes it), each cut to 3-12 s, and indexed as anyone's video is. Every caption is
asked for in all films together. The references search the same frame features: windows, a
threshold on the curve of frame scores, plain cuts of the feature sequence, and a watershed on the
curve. `--kept FOLDER` keeps the films and the library for another run.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reels import SCENES, clips, indexed, reels
from vsearch.search.querybank import Querybank
from vsearch.types import Span
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeAlias

    import numpy.typing as npt

    from reels import Reel
    from vsearch import Library
    from vsearch.types import Features, Matrix, Vector

    Way: TypeAlias = Callable[[str, Sequence[Path]], "Answer | None"]
    Runs: TypeAlias = Iterator[tuple[int, int]]  # first frame and the one behind the last
    Cutting: TypeAlias = Callable[[Features, Vector], Runs]  # the curve is float32 (T,)

FILMS = 10
OVERLAPS = (0.3, 0.5, 0.7)
HIT = 0.5  # tIoU of a right answer


@dataclass(frozen=True, slots=True)
class Answer:
    """A moment that a way of searching gives."""

    path: Path
    span: Span


class Reference:
    """Searches frame features cut into pieces, each as the mean of its frames."""

    def __init__(self, library: Library, cutting: Cutting) -> None:
        store, space = FeatureStore(library.path / "features"), library.space
        assert space is not None
        self._cutting = cutting
        self._bank = Querybank.of(library.encoder)
        self._known = {video.path: store.load(video.id, space) for video in library.videos()}
        self._ends = {video.path: video.duration for video in library.videos()}

        self._query = cache(lambda words: library.encoder.encode_texts([words])[0])

    def __call__(self, words: str, among: Sequence[Path]) -> Answer | None:
        query = self._query(words)
        found: list[tuple[float, Path, Span]] = []
        for path in among:
            features = self._known[path]
            runs = list(self._cutting(features, features.matrix @ query))
            vectors = np.stack([_mean(features.matrix[first:last]) for first, last in runs])
            scores = vectors @ query - self._bank.excess(vectors)
            best = int(scores.argmax())
            span = _span(features.times, self._ends[path], *runs[best])
            found.append((float(scores[best]), path, span))
        _, path, span = max(found)
        return Answer(path, span)


def _mean(rows: Matrix) -> Vector:
    mean: Vector = rows.mean(axis=0)
    return mean / np.linalg.norm(mean)


def _span(times: npt.NDArray[np.float64], end: float, first: int, last: int) -> Span:
    """From half-way to the frame before to half-way to the one behind."""
    edges = np.concatenate([[0.0], (times[1:] + times[:-1]) / 2, [end]])
    return Span(float(edges[first]), float(edges[last]))


def windows(features: Features, curve: Vector) -> Runs:
    """8 s, one every 4 s."""
    times = features.times
    for start in np.arange(0, max(times[-1] - 4, 1), 4.0):
        first, last = np.searchsorted(times, [start - 1e-6, start + 8 - 1e-6])
        if last > first:
            yield int(first), int(last)


def threshold(features: Features, curve: Vector) -> Runs:
    """Wherever the curve is above the middle between its mean and its peak."""
    above = curve >= (curve.mean() + curve.max()) / 2
    yield from _runs(np.flatnonzero(np.diff(above)) + 1, len(above))


def cuts(least: float) -> Cutting:
    """Where a frame is less like the one before than so."""

    def cutting(features: Features, curve: Vector) -> Runs:
        likeness = (features.matrix[1:] * features.matrix[:-1]).sum(axis=1)
        yield from _runs(np.flatnonzero(likeness < least) + 1, len(curve))

    return cutting


def watershed(features: Features, curve: Vector) -> Runs:
    """Basins: from each peak down to half of its lead over the mean, the highest peak first."""
    smooth = np.convolve(np.pad(curve, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    free = np.ones(len(curve), bool)
    for peak in map(int, np.argsort(-smooth)):
        if not free[peak]:
            continue
        inside = free & (smooth >= (smooth[peak] + smooth.mean()) / 2)
        first, last = peak, peak + 1
        while first > 0 and inside[first - 1]:
            first -= 1
        while last < len(curve) and inside[last]:
            last += 1
        free[first:last] = False
        yield first, last


def _runs(edges: npt.NDArray[np.intp], count: int) -> Runs:
    ends = [0, *edges.tolist(), count]
    yield from pairwise(ends)


def ways(library: Library) -> dict[str, Way]:
    """The references and vsearch itself."""

    def own(words: str, among: Sequence[Path]) -> Answer | None:
        found = library.search(words, k=1, videos=[str(path) for path in among])
        return Answer(found[0].video.path, found[0].span) if found else None

    cutting: dict[str, Cutting] = {
        "windows of 8 s every 4 s": windows,
        "curve above a threshold": threshold,
        "feature cuts, cosine 0.6": cuts(0.6),
        "feature cuts, cosine 0.7": cuts(0.7),
        "watershed on the curve": watershed,
    }
    return {name: Reference(library, how) for name, how in cutting.items()} | {"vsearch": own}


@dataclass(frozen=True, slots=True)
class Asked:
    """A caption, where it is shown, and what a way of searching says."""

    truth: Span
    first: Span | None  # None: in another film
    inside: Span | None  # where the film is named


def asked(way: Way, films: Sequence[Reel]) -> list[Asked]:
    """Ask for the caption of every scene of some films, in all of these films together."""
    paths = [film.path for film in films]
    answers = []
    for film in films:
        for scene in film.scenes:
            first, inside = way(scene.caption, paths), way(scene.caption, [film.path])
            right = first is not None and first.path == film.path
            answers.append(
                Asked(
                    scene.span,
                    first.span if first and right else None,
                    inside.span if inside else None,
                )
            )
    return answers


def table(library: Library, films: Sequence[Reel]) -> None:
    """Ask every way for every caption and print how well it went."""
    draw = len({scene.caption for film in films for scene in film.scenes}) // SCENES
    groups = [films[first : first + draw] for first in range(0, len(films), draw)]
    count = sum(len(film.scenes) for film in films)
    print(f"{count} captions, each in one scene of {draw} films that are searched together")
    print(f"{'R@1, tIoU at least':26}   0.3   0.5   0.7 | 0.5 by length of scene: ", end="")
    print("3-6 s 6-9 s 9-12 s | in the film: mIoU | start error of hits")
    for name, way in ways(library).items():
        found = [answer for group in groups for answer in asked(way, group)]
        overlaps = [_overlap(one.first, one.truth) for one in found]
        lengths = [one.truth.duration for one in found]
        shares = [_share(overlaps, least) for least in OVERLAPS]
        by_length = [
            _share([o for o, n in zip(overlaps, lengths, strict=True) if low <= n < low + 3], HIT)
            for low in (3, 6, 9)
        ]
        errors = [
            abs(one.first.start - one.truth.start)
            for one in found
            if one.first is not None and one.first.iou(one.truth) >= HIT
        ]
        inside = np.mean([_overlap(one.inside, one.truth) for one in found])
        error = np.mean(errors) if errors else np.nan
        print(f"{name:26} {' '.join(shares)} | {' ' * 23}{' '.join(by_length)}", end="")
        print(f" | {inside:17.3f} | {error:.2f} s", flush=True)


def _overlap(found: Span | None, truth: Span) -> float:
    return found.iou(truth) if found is not None else 0.0


def _share(overlaps: Sequence[float], least: float) -> str:
    return f"{np.mean([one >= least for one in overlaps]):5.0%}" if overlaps else "    -"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--seed", type=int, default=2, help="of the draw; 1 chose the constants")
    parser.add_argument("--kept", type=Path, help="a folder for films and library, used again")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = told.kept / str(told.seed) if told.kept else Path(folder)
        known = clips(told.dataset)
        made = reels(known, FILMS, work / "films", np.random.default_rng(told.seed))
        with indexed(work / "library-films", made) as library:
            table(library, made)


if __name__ == "__main__":
    main()
