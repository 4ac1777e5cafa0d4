"""Measure whether pretrained states encode the order of frames, which their mean cannot.

    python -m benchmarks.bench_order LIBRARY [--checkpoint pretrained.npz]

LIBRARY is an indexed library (`vsearch --library LIBRARY index CLIPS`); it is only read. Without a
checkpoint a Transformer is pretrained first on the videos that are not held out, and discarded
afterwards. Linear probes are evaluated on held-out videos only:

scenes     A→B or B→A, one probe per pair of held-out videos; trained on windows of the first 60 %
           of both, evaluated on windows of the rest
shuffled   three consecutive scenes, or the same frames shuffled; trained on the other videos
reversed   a clip, or the same clip backwards; trained on the other videos

Intervals are 95 %, from resampled pairs or clips. The control is the same network untrained.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.support.frame_order import (
    FloatRows,
    OrderedFrames,
    Representation,
    in_both_orders,
    join_scenes,
    mean_of_frames,
    probe_accuracy,
    transformer_states,
)
from vsearch import Library
from vsearch.evaluation.metrics import bootstrap_metric
from vsearch.storage.feature_store import FeatureStore
from vsearch.training.clip_dataset import ClipDataset
from vsearch.training.masked_frames import MaskedFrameModel, load_pretrained
from vsearch.training.pretraining import PretrainConfig, pretrain_transformer
from vsearch.training.pretraining import load_pretrained as load_checkpoint
from vsearch.training.transformer import VideoTransformer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.pooling.weights import NetworkWeights
    from vsearch.types import Matrix, Video

WINDOW_FRAMES, TRAIN_SHARE, MIN_FRAMES = (
    3,
    0.6,
    8,
)  # of a window; share that is learnt from; of a video
MAX_PAIRS, TRAIN_WINDOWS, TEST_WINDOWS = 40, 16, 6  # pairs of videos, windows of each
TRIPLE_COUNTS = {"learnt": 600, "judged": 200}
UNTRAINED_SEEDS = (0, 1, 2)  # of the untrained networks


class OrderTasks:
    """Frames of the training and held-out videos."""

    def __init__(self, library: Library) -> None:
        parts, store = ClipDataset(library), FeatureStore(library.path / "features")

        def read(videos: Sequence[Video]) -> list[Matrix]:
            found = [store.load(video.id, parts.space) for video in videos]
            return [each.frame_vectors for each in found if len(each.frame_times) >= MIN_FRAMES]

        self.train_videos, self.held_out_videos = (
            read(parts.train_videos),
            read(parts.held_out_videos),
        )
        self.rng = np.random.default_rng(0)

    def scene_pairs(self) -> Iterator[tuple[list[OrderedFrames], list[OrderedFrames]]]:
        """Yield training and test samples of each pair of held-out videos."""
        pairs = list(combinations(range(len(self.held_out_videos)), 2))
        for pair_index in self.rng.permutation(len(pairs))[:MAX_PAIRS]:
            first_video, second_video = (
                self.held_out_videos[number] for number in pairs[pair_index]
            )
            yield (
                self._paired_windows(first_video, second_video, 0, TRAIN_WINDOWS),
                self._paired_windows(first_video, second_video, 1, TEST_WINDOWS),
            )

    def _paired_windows(
        self, first_video: Matrix, second_video: Matrix, half_index: int, window_count: int
    ) -> list[OrderedFrames]:
        found: list[OrderedFrames] = []
        for _ in range(window_count):
            found += join_scenes(
                self._random_window(first_video, half_index),
                self._random_window(second_video, half_index),
                1.0,
            )
        return found

    def _random_window(self, frames: Matrix, half_index: int) -> Matrix:
        cut = round(TRAIN_SHARE * len(frames))
        half = (frames[:cut], frames[cut:])[half_index]
        start = self.rng.integers(0, len(half) - WINDOW_FRAMES + 1)
        return half[start : start + WINDOW_FRAMES]

    def shuffled_scenes(
        self, videos: Sequence[Matrix], split_name: str
    ) -> list[list[OrderedFrames]]:
        """Yield three scenes and the same frames shuffled, as groups."""
        found = []
        for _ in range(TRIPLE_COUNTS[split_name]):
            chosen = self.rng.choice(len(videos), 3, replace=False)
            parts = [videos[number] for number in chosen]
            starts = [self.rng.integers(0, len(part) - WINDOW_FRAMES + 1) for part in parts]
            frames = np.concatenate(
                [part[s : s + WINDOW_FRAMES] for part, s in zip(parts, starts, strict=True)]
            )
            order = self.rng.permutation(len(frames))
            found.append(in_both_orders(frames, np.arange(float(len(frames))), order))
        return found

    def reversed_clips(
        self, videos: Sequence[Matrix], split_name: str
    ) -> list[list[OrderedFrames]]:
        """Yield short clips and their reversals; one group per video."""
        del split_name  # every clip there is
        found = []
        for frames in videos:
            group: list[OrderedFrames] = []
            for start in range(0, len(frames) - MIN_FRAMES + 1, MIN_FRAMES // 2):
                part = frames[start : start + MIN_FRAMES]
                group += in_both_orders(
                    part, np.arange(float(MIN_FRAMES)), np.arange(MIN_FRAMES)[::-1]
                )
            found.append(group)
        return found


def probe_tasks(
    order_tasks: OrderTasks, representations: Sequence[Representation]
) -> Iterator[tuple[str, FloatRows]]:
    """Yield each task with the accuracy of a representation per group, (N,)."""
    pairs = list(order_tasks.scene_pairs())
    yield (
        "scenes",
        _mean_over_seeds(
            [[probe_accuracy(*pair, each) for pair in pairs] for each in representations]
        ),
    )
    for name, task in (
        ("shuffled", order_tasks.shuffled_scenes),
        ("reversed", order_tasks.reversed_clips),
    ):
        learnt = [one for group in task(order_tasks.train_videos, "learnt") for one in group]
        groups = task(order_tasks.held_out_videos, "judged")
        judged = [one for group in groups for one in group]
        ends = np.cumsum([len(group) for group in groups])[:-1]
        found = [probe_accuracy(learnt, judged, each) for each in representations]
        yield name, _mean_over_seeds([np.split(each, ends) for each in found])


def _mean_over_seeds(groups: Sequence[Sequence[FloatRows]]) -> FloatRows:
    """Average groups over networks of several seeds: (R, N) -> (N,)."""
    found: FloatRows = np.array([[each.mean() for each in one] for one in groups]).mean(axis=0)
    return found


def build_untrained(weights: NetworkWeights, seed: int) -> VideoTransformer:
    """Build the network as initialized."""
    config = replace(weights.network_config, num_classes=0)
    return MaskedFrameModel.build_seeded(config, None, seed).transformer.eval()


def build_pretrained(weights: NetworkWeights) -> VideoTransformer:
    network = VideoTransformer(weights.network_config)
    load_pretrained(network, weights)
    return network.eval()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--form", default="contrastive", choices=["contrastive", "visual-words"])
    parser.add_argument("--steps", type=int, default=200)
    given = parser.parse_args()
    with Library.open(given.library, create=False) as library:
        space = library.space
        assert space is not None, "the library is empty"
        if given.checkpoint:
            weights = load_checkpoint(given.checkpoint, space)
        else:
            plan = PretrainConfig(given.form, steps=given.steps, batch_size=16, max_frames=24)
            done = pretrain_transformer(library, plan)
            print(
                f"pretrained: held-out loss {done.initial_figures['loss']:.3f} → "
                f"{done.best_figures['loss']:.3f} at step {done.best_step}",
                flush=True,
            )
            weights = done.weights
        known: dict[str, list[Representation]] = {"mean of the frames": [mean_of_frames]}
        for cls, what in ((True, "[CLS]"), (False, "mean of the states")):
            nets = [build_untrained(weights, seed) for seed in UNTRAINED_SEEDS]
            known[f"{what}, untrained"] = [
                transformer_states(net, use_cls_token=cls) for net in nets
            ]
            known[f"{what}, pretrained"] = [
                transformer_states(build_pretrained(weights), use_cls_token=cls)
            ]
        for name, represents in known.items():
            for task, right in probe_tasks(OrderTasks(library), represents):
                told = bootstrap_metric(name, right)
                print(
                    f"{task:9} {name:32} {100 * told.value:5.1f} % "
                    f"({100 * told.ci_low:.1f}–{100 * told.ci_high:.1f}), {len(right)} groups",
                    flush=True,
                )


if __name__ == "__main__":
    main()
