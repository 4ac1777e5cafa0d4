"""Do clips find their source: PYTHONPATH=tests python tests/benchmarks/bench_clips.py CLIPS

Clips of 3-20 s are cut at random out of the videos in the folder CLIPS, and out of some of them
joined, re-encoded at half the size, cropped by 10 % anywhere and given another frame rate. The
reference in the same run is what was done before: the moments nearest to the pooled clip.

`--duplicates` measures `vsearch duplicates` instead: copies of each kind beside the originals.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from copying import Copying, copied, copy, joined, wandering, write
from vsearch import Library
from vsearch.media.discovery import find_videos
from vsearch.media.video import probe
from vsearch.types import Span

if TYPE_CHECKING:
    from vsearch.types import Moment

RATES = (10, 12, 15, 20, 24, 30)  # frames a second of the copies
SHORTEST, LONGEST = 3.0, 20.0  # seconds of a clip
JOINED = 5  # films that the videos are joined to


@dataclass(frozen=True, slots=True)
class Tried:
    """One clip, and how two ways of searching did."""

    kind: str  # of its source
    length: float  # seconds
    first: tuple[bool, bool]  # is its source; by moments alone, and as it is
    overlap: tuple[float, float]  # tIoU of the first moment and the truth
    seconds: float  # that the search took
    describing: float  # of these, to decode and encode the clip


def films(folder: Path, made: Path, rng: np.random.Generator) -> dict[str, list[Path]]:
    """The videos by kind: as they are, and joined."""
    single = [found.path for found in find_videos([folder]) if found.error is None]
    made.mkdir()
    order = rng.permutation(len(single))
    for number in range(min(JOINED, len(single))):
        paths = [single[i] for i in order[number::JOINED]]
        parts = [(path, Span(0, min(probe(path).duration, LONGEST))) for path in paths]
        joined(made / f"{number}.mp4", parts)
    return {"single": single, "joined": sorted(made.iterdir())}


def moments_alone(library: Library, clip: Path) -> list[Moment]:
    """The moments nearest to the clip as one vector, as if it could be no copy."""
    from unittest.mock import patch

    with patch("vsearch.search.copies.Copies.of", return_value=[]):
        return library.search(clip=clip, k=1)


def tried(library: Library, kind: str, source: Path, truth: Span, clip: Path) -> Tried:
    """Search by a clip both ways."""
    began = time.perf_counter()
    before = moments_alone(library, clip)[0]
    between = time.perf_counter()
    after = library.search(clip=clip, k=1)[0]
    took = time.perf_counter() - between
    right = before.video.path == source, after.video.path == source
    overlaps = [
        found.span.iou(truth) if well else 0.0
        for found, well in zip((before, after), right, strict=True)
    ]
    return Tried(kind, truth.duration, right, (overlaps[0], overlaps[1]), took, between - began)


def run(folder: Path, count: int, work: Path) -> list[Tried]:
    """Cut clips, search for them."""
    rng = np.random.default_rng(7)
    results = []
    for kind, paths in films(folder, work / "joined", rng).items():
        with Library.open(work / kind) as library:
            known = [one.video for one in library.index(paths) if one.video is not None]
            long = [video for video in known if video.duration >= SHORTEST]
            for number in range(count):
                video = long[rng.integers(len(long))]
                length = rng.uniform(SHORTEST, min(LONGEST, video.duration))
                start = rng.uniform(0, video.duration - length)
                truth = Span(start, start + length)
                how = Copying(fps=float(rng.choice(RATES)))
                clip = copy(video.path, truth, work / f"{kind}{number}.mp4", how, rng)
                results.append(tried(library, kind, video.path, truth, clip))
    return results


def table(results: list[Tried]) -> None:
    """Print shares by kind and by length."""
    print(
        "kind    seconds   clips | moments alone: first  tIoU>=0.7  mean | now: first  ...", end=""
    )
    print("  | seconds a search, of these beyond describing")
    groups = {
        "all": results,
        **{kind: [one for one in results if one.kind == kind] for kind in ("single", "joined")},
        "3-6 s": [one for one in results if one.length < 6],
        "6-12 s": [one for one in results if 6 <= one.length < 12],
        "12-20 s": [one for one in results if one.length >= 12],
    }
    for name, group in groups.items():
        if not group:
            continue
        row = [f"{name:8} {len(group):4}"]
        for way in (0, 1):
            overlaps = np.array([one.overlap[way] for one in group])
            first = np.mean([one.first[way] for one in group])
            row.append(f"{first:6.1%} {(overlaps >= 0.7).mean():6.1%} {overlaps.mean():.3f}")
        took = np.mean([one.seconds for one in group])
        more = took - np.mean([one.describing for one in group])
        row.append(f"{took:.1f} {more:+.1f}")
        print(" | ".join(row))


KINDS = {
    "re-encoded": Copying(fps=25, crop=0, quality=32),
    "cropped": Copying(fps=25),
    "other rate": Copying(fps=12, crop=0),
    "part": Copying(fps=20, crop=0.05),
    "with intro": Copying(fps=25, crop=0, scale=1),
}


def twin(source: Path, kind: str, target: Path, rng: np.random.Generator) -> None:
    """A copy of one kind."""
    how, length = KINDS[kind], probe(source).duration
    whole = Span(0, min(length, LONGEST))
    if kind == "part":
        half = length / 2
        start = rng.uniform(0, length - half)
        whole = Span(start, start + half)
    images = copied(source, whole, how, rng)
    if kind != "with intro":
        write(target, images, how.fps, how.quality)
        return
    body = list(images)
    rows, columns = (np.arange(length) * 72 // length for length in body[0].shape[:2])
    first = wandering(4, int(rng.integers(10**6)), fps=how.fps)
    opening = [image[rows][:, columns] for image in first]
    write(target, [*opening, *body], how.fps, how.quality)


def run_duplicates(folder: Path, count: int, work: Path) -> None:
    """Copies of each kind among the originals: how many are found, and what else is."""
    rng = np.random.default_rng(11)
    paths = [found.path for found in find_videos([folder]) if found.error is None]
    long = [path for path in paths if probe(path).duration >= 2 * SHORTEST]
    chosen = [long[i] for i in rng.permutation(len(long))[: min(count, len(long))]]
    truth: dict[frozenset[str], str] = {}
    for number, path in enumerate(chosen):
        kind = list(KINDS)[number % len(KINDS)]
        target = work / f"twin{number}.mp4"
        twin(path, kind, target, rng)
        truth[frozenset((path.name, target.name))] = kind
    with Library.open(work / "library") as library:
        for _ in library.index([folder, *sorted(work.glob("twin*.mp4"))]):
            pass
        began = time.perf_counter()
        found = {frozenset((one.one.name, one.other.name)) for one in library.duplicates()}
        took = time.perf_counter() - began
    made, right = Counter(truth.values()), Counter(truth[pair] for pair in found & set(truth))
    for kind in KINDS:
        print(f"{kind:12} {right[kind]} of {made[kind]}")
    print(f"recall {right.total() / len(truth):.1%}", end="")
    print(f"  precision {right.total() / max(1, len(found)):.1%}  in {took:.0f} s")
    for pair in sorted(map(sorted, found - set(truth))):
        print("also:", *pair)
    for pair in sorted(map(sorted, set(truth) - found)):
        print("missed:", *pair)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--count", type=int, default=50, help="clips of each kind, or copies")
    parser.add_argument("--duplicates", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.duplicates:
            run_duplicates(asked.clips, asked.count, Path(folder))
        else:
            table(run(asked.clips, asked.count, Path(folder)))


if __name__ == "__main__":
    main()
