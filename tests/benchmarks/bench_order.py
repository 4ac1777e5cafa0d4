"""Whether pretrained states tell the order of frames, which their mean cannot:

    PYTHONPATH=tests python tests/benchmarks/bench_order.py LIBRARY [--checkpoint pretrained.npz]

LIBRARY is an indexed library (`vsearch --library LIBRARY index CLIPS`); it is only read. Without a
checkpoint a Transformer is pretrained first, on those videos that are not held out; nothing of it
is kept. Linear probes are judged by held-out videos alone:

scenes     A→B or B→A, a probe for each pair of held-out videos; learnt on windows of the first 60 %
           of both, judged on windows of the rest
shuffled   three scenes one after the other, or all of it shuffled; learnt on the other videos
reversed   a clip, or the same backwards; learnt on the other videos

Intervals are 95 %, by resampling pairs or clips. The control is the same network untrained.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ordering import Represent, Rows, Shown, accuracy, both, joined, mean, states
from vsearch import Library
from vsearch.evaluation.metrics import measure
from vsearch.temporal.masked import MaskedFrames, initialise
from vsearch.temporal.transformer import VideoTransformer
from vsearch.training.pretraining import Plan, load, pretrain
from vsearch.training.sequences import Sequences
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.temporal.weights import Weights
    from vsearch.types import Matrix, Video

FRAMES, FIRST, LEAST = 3, 0.6, 8  # of a window; share that is learnt from; of a video
PAIRS, LEARNT, JUDGED = 40, 16, 6  # pairs of videos, windows of each
TRIPLES = {"learnt": 600, "judged": 200}
SEEDS = (0, 1, 2)  # of the untrained networks


class Bench:
    """The frames of the videos of either part."""

    def __init__(self, library: Library) -> None:
        parts, store = Sequences(library), FeatureStore(library.path / "features")

        def read(videos: Sequence[Video]) -> list[Matrix]:
            found = [store.load(video.id, parts.space) for video in videos]
            return [each.matrix for each in found if len(each.times) >= LEAST]

        self.learnt, self.held = read(parts.train), read(parts.held)
        self.random = np.random.default_rng(0)

    def scenes(self) -> Iterator[tuple[list[Shown], list[Shown]]]:
        """For each pair of held-out videos what is learnt and what is judged."""
        pairs = list(combinations(range(len(self.held)), 2))
        for place in self.random.permutation(len(pairs))[:PAIRS]:
            one, other = (self.held[number] for number in pairs[place])
            yield self._windows(one, other, 0, LEARNT), self._windows(one, other, 1, JUDGED)

    def _windows(self, one: Matrix, other: Matrix, part: int, count: int) -> list[Shown]:
        found: list[Shown] = []
        for _ in range(count):
            found += joined(self._window(one, part), self._window(other, part), 1.0)
        return found

    def _window(self, frames: Matrix, part: int) -> Matrix:
        cut = round(FIRST * len(frames))
        half = (frames[:cut], frames[cut:])[part]
        start = self.random.integers(0, len(half) - FRAMES + 1)
        return half[start : start + FRAMES]

    def shuffled(self, videos: Sequence[Matrix], which: str) -> list[list[Shown]]:
        """Three scenes, and the same frames shuffled; each a group."""
        found = []
        for _ in range(TRIPLES[which]):
            chosen = self.random.choice(len(videos), 3, replace=False)
            parts = [videos[number] for number in chosen]
            starts = [self.random.integers(0, len(part) - FRAMES + 1) for part in parts]
            frames = np.concatenate(
                [part[s : s + FRAMES] for part, s in zip(parts, starts, strict=True)]
            )
            order = self.random.permutation(len(frames))
            found.append(both(frames, np.arange(float(len(frames))), order))
        return found

    def reversed(self, videos: Sequence[Matrix], which: str) -> list[list[Shown]]:
        """Short clips, and the same backwards; a group is a video."""
        del which  # every clip there is
        found = []
        for frames in videos:
            group: list[Shown] = []
            for start in range(0, len(frames) - LEAST + 1, LEAST // 2):
                part = frames[start : start + LEAST]
                group += both(part, np.arange(float(LEAST)), np.arange(LEAST)[::-1])
            found.append(group)
        return found


def rows(bench: Bench, represents: Sequence[Represent]) -> Iterator[tuple[str, Rows]]:
    """For each task its name and how often each representation is right, (N,) a group."""
    pairs = list(bench.scenes())
    yield "scenes", _means([[accuracy(*pair, each) for pair in pairs] for each in represents])
    for name, task in (("shuffled", bench.shuffled), ("reversed", bench.reversed)):
        learnt = [one for group in task(bench.learnt, "learnt") for one in group]
        groups = task(bench.held, "judged")
        judged = [one for group in groups for one in group]
        ends = np.cumsum([len(group) for group in groups])[:-1]
        found = [accuracy(learnt, judged, each) for each in represents]
        yield name, _means([np.split(each, ends) for each in found])


def _means(groups: Sequence[Sequence[Rows]]) -> Rows:
    """Networks of several seeds count as one: groups (R, N) -> (N,)."""
    found: Rows = np.array([[each.mean() for each in one] for one in groups]).mean(axis=0)
    return found


def untrained(weights: Weights, seed: int) -> VideoTransformer:
    """As pretraining begins."""
    config = replace(weights.config, num_classes=0)
    return MaskedFrames.begun(config, None, seed).transformer.eval()


def pretrained(weights: Weights) -> VideoTransformer:
    network = VideoTransformer(weights.config)
    initialise(network, weights)
    return network.eval()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--form", default="contrastive", choices=["contrastive", "words"])
    parser.add_argument("--steps", type=int, default=200)
    given = parser.parse_args()
    with Library.open(given.library, create=False) as library:
        space = library.space
        assert space is not None, "the library is empty"
        if given.checkpoint:
            weights = load(given.checkpoint, space)
        else:
            plan = Plan(given.form, steps=given.steps, batch=16, longest=24)
            done = pretrain(library, plan)
            print(f"pretrained: held-out loss {done.first['loss']:.3f} → "
                  f"{done.figures['loss']:.3f} at step {done.step}", flush=True)  # fmt: skip
            weights = done.weights
        known: dict[str, list[Represent]] = {"mean of the frames": [mean]}
        for cls, what in ((True, "[CLS]"), (False, "mean of the states")):
            nets = [untrained(weights, seed) for seed in SEEDS]
            known[f"{what}, untrained"] = [states(net, cls=cls) for net in nets]
            known[f"{what}, pretrained"] = [states(pretrained(weights), cls=cls)]
        for name, represents in known.items():
            for task, right in rows(Bench(library), represents):
                told = measure(name, right)
                print(f"{task:9} {name:32} {100 * told.value:5.1f} % "
                      f"({100 * told.low:.1f}–{100 * told.high:.1f}), {len(right)} groups",
                      flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
