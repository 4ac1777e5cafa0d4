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

WINDOW_FRAMES, MIN_FRAMES = 3, 8  # of a window, of a video
TRAIN_SHARE = 0.6  # of each video
MAX_PAIRS = 40  # of videos
TRAIN_WINDOWS, TEST_WINDOWS = 16, 6  # of each video
TRIPLE_COUNTS = {"train": 600, "test": 200}
UNTRAINED_SEEDS = (0, 1, 2)


class OrderTasks:
    """Frames of the training and held-out videos."""

    def __init__(self, library: Library) -> None:
        dataset, store = ClipDataset(library), FeatureStore(library.path / "features")

        def read(videos: Sequence[Video]) -> list[Matrix]:
            features = [store.load(video.id, dataset.space) for video in videos]
            return [
                video_features.frame_vectors
                for video_features in features
                if len(video_features.frame_times) >= MIN_FRAMES
            ]

        self.train_videos, self.held_out_videos = (
            read(dataset.train_videos),
            read(dataset.held_out_videos),
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
        samples: list[OrderedFrames] = []
        for _ in range(window_count):
            samples += join_scenes(
                self._random_window(first_video, half_index),
                self._random_window(second_video, half_index),
                1.0,
            )
        return samples

    def _random_window(self, frames: Matrix, half_index: int) -> Matrix:
        cut = round(TRAIN_SHARE * len(frames))
        half = (frames[:cut], frames[cut:])[half_index]
        start = self.rng.integers(0, len(half) - WINDOW_FRAMES + 1)
        return half[start : start + WINDOW_FRAMES]

    def shuffled_scenes(
        self, videos: Sequence[Matrix], split_name: str
    ) -> list[list[OrderedFrames]]:
        """Yield three scenes and the same frames shuffled, as groups."""
        groups = []
        for _ in range(TRIPLE_COUNTS[split_name]):
            chosen = self.rng.choice(len(videos), 3, replace=False)
            parts = [videos[number] for number in chosen]
            starts = [self.rng.integers(0, len(part) - WINDOW_FRAMES + 1) for part in parts]
            frames = np.concatenate(
                [part[s : s + WINDOW_FRAMES] for part, s in zip(parts, starts, strict=True)]
            )
            order = self.rng.permutation(len(frames))
            groups.append(in_both_orders(frames, np.arange(float(len(frames))), order))
        return groups

    def reversed_clips(
        self, videos: Sequence[Matrix], split_name: str
    ) -> list[list[OrderedFrames]]:
        """Yield short clips and their reversals; one group per video."""
        del split_name  # all clips are used
        groups = []
        for frames in videos:
            group: list[OrderedFrames] = []
            for start in range(0, len(frames) - MIN_FRAMES + 1, MIN_FRAMES // 2):
                part = frames[start : start + MIN_FRAMES]
                group += in_both_orders(
                    part, np.arange(float(MIN_FRAMES)), np.arange(MIN_FRAMES)[::-1]
                )
            groups.append(group)
        return groups


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
        train_samples = [
            sample for group in task(order_tasks.train_videos, "train") for sample in group
        ]
        groups = task(order_tasks.held_out_videos, "test")
        test_samples = [sample for group in groups for sample in group]
        ends = np.cumsum([len(group) for group in groups])[:-1]
        accuracies = [probe_accuracy(train_samples, test_samples, each) for each in representations]
        yield name, _mean_over_seeds([np.split(each, ends) for each in accuracies])


def _mean_over_seeds(groups: Sequence[Sequence[FloatRows]]) -> FloatRows:
    """Average groups over networks of several seeds: (R, N) -> (N,)."""
    means: FloatRows = np.array(
        [[values.mean() for values in representation_groups] for representation_groups in groups]
    ).mean(axis=0)
    return means


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
    parser.add_argument(
        "--objective", default="contrastive", choices=["contrastive", "visual-words"]
    )
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    with Library.open(options.library, create=False) as library:
        space = library.space
        assert space is not None, "the library is empty"
        if options.checkpoint:
            weights = load_checkpoint(options.checkpoint, space)
        else:
            config = PretrainConfig(
                options.objective, steps=options.steps, batch_size=16, max_frames=24
            )
            result = pretrain_transformer(library, config)
            print(
                f"pretrained: held-out loss {result.initial_figures['loss']:.3f} → "
                f"{result.best_figures['loss']:.3f} at step {result.best_step}",
                flush=True,
            )
            weights = result.weights
        representations: dict[str, list[Representation]] = {"mean of the frames": [mean_of_frames]}
        for use_cls_token, state_name in ((True, "[CLS]"), (False, "mean of the states")):
            nets = [build_untrained(weights, seed) for seed in UNTRAINED_SEEDS]
            representations[f"{state_name}, untrained"] = [
                transformer_states(net, use_cls_token=use_cls_token) for net in nets
            ]
            representations[f"{state_name}, pretrained"] = [
                transformer_states(build_pretrained(weights), use_cls_token=use_cls_token)
            ]
        for name, task_representations in representations.items():
            for task, accuracies in probe_tasks(OrderTasks(library), task_representations):
                estimate = bootstrap_metric(name, accuracies)
                print(
                    f"{task:9} {name:32} {100 * estimate.value:5.1f} % "
                    f"({100 * estimate.ci_low:.1f}–{100 * estimate.ci_high:.1f}), "
                    f"{len(accuracies)} groups",
                    flush=True,
                )


if __name__ == "__main__":
    main()
