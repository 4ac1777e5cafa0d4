"""Training of a classifier on labeled spans of a library's videos: `vsearch train classifier`.

Combines the labels (`labeled_dataset`), the stored frame features and the task
(`classification_task`). No video is decoded and the library is not modified.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.analysis.classifier import MAX_CLIP_FRAMES, softmax_with_temperature, subsample_frames
from vsearch.errors import DamagedLibraryError, DatasetError, SettingsError
from vsearch.evaluation.classification import build_classification_report
from vsearch.plugins import require_models_extra
from vsearch.pooling.weights import CONFIG_PRESETS
from vsearch.training.clip_batches import ClipBatch
from vsearch.training.labeled_dataset import count_videos, join_with_library
from vsearch.types import Features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from vsearch.evaluation.classification import ClassificationReport
    from vsearch.evaluation.metrics import Metric
    from vsearch.library import Library
    from vsearch.pooling.weights import NetworkWeights
    from vsearch.training.classification_task import ClassificationTask
    from vsearch.training.labeled_dataset import LabeledDataset, LabeledSpan, LabelLine, SplitName
    from vsearch.training.trainer import TrainerConfig, TrainerState
    from vsearch.types import Ids, Matrix, Vector, Video

CLASSIFIER_FILE = "classifier.npz"
CACHE_BYTES = 256 << 20
MIN_EVAL_INTERVAL_STEPS = 10  # every validation writes a checkpoint
MIN_WINDOW_FRAMES = 2  # of a cropped row
TEMPERATURE_GRID = np.geomspace(0.25, 8, 81)


@dataclass(frozen=True, slots=True)
class ClassifierConfig:
    """Training hyperparameters.

    Raises:
        SettingsError: If the preset is unknown or a value is out of range.
    """

    preset: str = "small"
    epochs: int = 60
    batch_size: int = 8  # rows
    learning_rate: float = 1e-4
    label_smoothing: float = 0.0
    class_weighting: bool = True  # weight classes inversely to their frequency
    patience: int = 10  # epochs without improvement before stopping; 0: never stop
    max_frames: int = MAX_CLIP_FRAMES  # per clip
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.preset not in CONFIG_PRESETS:
            raise SettingsError(
                f"unknown preset {self.preset!r}; choose from {', '.join(CONFIG_PRESETS)}"
            )
        if (
            min(self.epochs, self.batch_size, self.max_frames) < 1
            or not 0 <= self.label_smoothing < 1
        ):
            raise SettingsError(f"epochs, batch size or smoothing out of range: {self}")
        if not 0 < self.learning_rate < math.inf:
            raise SettingsError(f"the learning rate must be above 0, not {self.learning_rate}")


@dataclass(frozen=True, slots=True, eq=False)
class ClassifierTrainingResult:
    """A trained classifier and its evaluation."""

    weights: NetworkWeights
    label_names: tuple[str, ...]
    row_counts: dict[SplitName, int]
    video_counts: dict[SplitName, int]
    validation_report: ClassificationReport  # also used for early stopping
    test_report: ClassificationReport | None  # None without test rows
    best_epoch: int
    skipped_reasons: tuple[str, ...]
    seconds: float


def train_classifier(
    library: Library,
    dataset_name: str,
    label_lines: Sequence[LabelLine],
    config: ClassifierConfig | None = None,
    output_folder: Path | None = None,
    *,
    pretrained_weights: NetworkWeights | None = None,
    on_progress: Callable[[TrainerState, int], None] = lambda _, __: None,
) -> ClassifierTrainingResult:
    """Train a classifier on labeled spans of videos.

    Args:
        library: Library whose stored frame features are used; it is not modified.
        dataset_name: Name of the labels for messages.
        label_lines: Labeled spans.
        config: Hyperparameters; the defaults if None.
        output_folder: Folder of the checkpoint, the log and classifier.npz. A run that was
            interrupted resumes from its checkpoint; the checkpoint of another run is renamed to
            `.old`. Nothing is saved if None.
        pretrained_weights: Weights of `pretrain_transformer` to start from.
        on_progress: Called after every step with the state and the total number of steps.

    Returns:
        The weights of the best validation and their reports.

    Raises:
        DatasetError: If there are too few rows.
        DamagedLibraryError: If the checkpoint cannot be loaded.
        SpaceMismatchError: If the pretrained weights have another shape.
        MissingExtraError: If torch is not installed.
    """
    config = config or ClassifierConfig()
    with require_models_extra("training"):
        from vsearch.encoders.torch_device import Device  # deferred: imports torch
        from vsearch.training import classification_task
        from vsearch.training.trainer import train_network
    started_at = time.monotonic()
    classifier_dataset = ClassifierDataset(library, dataset_name, label_lines, config)
    trainer_config = _build_trainer_config(
        config, classifier_dataset.steps_per_epoch, Device.from_name(config.device).device_name
    )
    training_task = _build_training_task(classifier_dataset, config, pretrained_weights)
    trainer_state = train_network(
        training_task,
        trainer_config,
        output_folder,
        lambda current_state: on_progress(current_state, trainer_config.steps),
    )
    # round now, so that the evaluated weights are those saved
    weights = classification_task.to_weights(training_task.classifier, {})
    logits, true_labels = classification_task.predict_logits(
        training_task.classifier, classifier_dataset.iter_batches("val")
    )
    temperature, label_names = (
        fit_temperature(logits, true_labels),
        classifier_dataset.labeled_dataset.label_names,
    )
    validation_report, test_report = (
        build_classification_report(
            softmax_with_temperature(logits, temperature), true_labels, label_names
        ),
        None,
    )
    if classifier_dataset.labeled_dataset.select_split("test"):
        logits, true_labels = classification_task.predict_logits(
            training_task.classifier, classifier_dataset.iter_batches("test")
        )
        test_report = build_classification_report(
            softmax_with_temperature(logits, temperature), true_labels, label_names
        )
    top1_accuracy = (test_report or validation_report).top1_accuracy
    weights = replace(
        weights,
        metadata=classifier_dataset.build_metadata(dataset_name, temperature, top1_accuracy),
    )
    if output_folder is not None:
        weights.save(output_folder / CLASSIFIER_FILE)
    return ClassifierTrainingResult(
        weights,
        label_names,
        classifier_dataset.row_counts,
        {
            split_name: count_videos(classifier_dataset.labeled_dataset.select_split(split_name))
            for split_name in classifier_dataset.row_counts
        },
        validation_report,
        test_report,
        trainer_state.best_step // classifier_dataset.steps_per_epoch,
        classifier_dataset.labeled_dataset.skipped_reasons,
        time.monotonic() - started_at,
    )


def _build_trainer_config(
    config: ClassifierConfig, steps_per_epoch: int, device_kind: str
) -> TrainerConfig:
    """Convert the hyperparameters from epochs to steps."""
    from vsearch.training.trainer import TrainerConfig  # deferred: imports torch

    epochs_per_eval = -(-MIN_EVAL_INTERVAL_STEPS // steps_per_epoch)
    return TrainerConfig(
        steps=config.epochs * steps_per_epoch,
        learning_rate=config.learning_rate,
        seed=config.seed,
        eval_interval=epochs_per_eval * steps_per_epoch,
        patience=-(-config.patience // epochs_per_eval),
        device=device_kind,
        half=device_kind == "cuda",
    )


def _build_training_task(
    classifier_dataset: ClassifierDataset,
    classifier_config: ClassifierConfig,
    pretrained_weights: NetworkWeights | None,
) -> ClassificationTask:
    """Build the task with an untrained classifier."""
    from vsearch.training.classification_task import (
        ClassificationTask,  # deferred: imports torch
        build_classifier,
    )

    class_count = len(classifier_dataset.labeled_dataset.label_names)
    model_config = replace(
        CONFIG_PRESETS[classifier_config.preset],
        features=classifier_dataset.vector_dim,
        num_classes=class_count,
    )
    return ClassificationTask(
        build_classifier(model_config, classifier_config.seed, pretrained_weights),
        classifier_dataset.sample_batch,
        lambda: classifier_dataset.iter_batches("val"),
        class_weights=classifier_dataset.class_weights,
        label_smoothing=classifier_config.label_smoothing,
        data_digest=repr(
            [classifier_dataset.digest, pretrained_weights and pretrained_weights.digest]
        ),
    )


def fit_temperature(logits: Matrix, true_labels: Ids) -> float:
    """Fit the softmax temperature that calibrates the probabilities (Guo et al. 2017).

    Args:
        logits: Logits of the validation rows, float32 (N, K).
        true_labels: Class ids, int64 (N,).

    Returns:
        The temperature.
    """
    row_indices = np.arange(len(true_labels))
    losses = [
        -np.log(
            softmax_with_temperature(logits, temperature)[row_indices, true_labels] + 1e-12
        ).mean()
        for temperature in TEMPERATURE_GRID
    ]
    return float(TEMPERATURE_GRID[int(np.argmin(losses))])


class ClassifierDataset:
    """Batches of a library's labeled spans."""

    def __init__(
        self,
        library: Library,
        dataset_name: str,
        label_lines: Sequence[LabelLine],
        config: ClassifierConfig,
    ) -> None:
        """Load and split the rows.

        Args:
            library: Library whose stored frame features are used.
            dataset_name: Name of the labels for messages.
            label_lines: Labeled spans.
            config: Hyperparameters.

        Raises:
            DatasetError: If there are too few rows.
        """
        if (space := library.space) is None:
            raise DatasetError(f"{library.location}: the library is empty; index the videos first")
        self.space_name, self.vector_dim, self._config = space.name, space.dim, config
        self._feature_store, self._space = library.feature_store, space
        self._features_cache, self._cached_bytes = OrderedDict[int, Features](), 0
        self.labeled_dataset = _drop_lost_videos(
            join_with_library(dataset_name, label_lines, library, config.seed), self._load_features
        )
        self._train_spans = self.labeled_dataset.select_split("train")
        self.steps_per_epoch = -(-len(self._train_spans) // config.batch_size)

    @property
    def digest(self) -> str:
        """String that identifies the data and the hyperparameters."""
        config_values = {
            config_key: config_value
            for config_key, config_value in asdict(self._config).items()
            if config_key != "device"
        }
        return repr([config_values, self.space_name, self.labeled_dataset.digest])

    def build_metadata(
        self, dataset_name: str, temperature: float, top1_accuracy: Metric
    ) -> dict[str, Any]:
        """Return the metadata saved with the weights, as JSON values."""
        return {
            "space": self.space_name,
            "name": dataset_name,
            "labels": list(self.labeled_dataset.label_names),
            "temperature": temperature,
            **{
                config_key: config_value
                for config_key, config_value in asdict(self._config).items()
                if config_key != "device"
            },
            "rows": self.row_counts,
            "top1": [top1_accuracy.value, top1_accuracy.ci_low, top1_accuracy.ci_high],
        }

    @property
    def row_counts(self) -> dict[SplitName, int]:
        """Number of rows of each split."""
        split_names: tuple[SplitName, ...] = ("train", "val", "test")
        return {
            split_name: len(self.labeled_dataset.select_split(split_name))
            for split_name in split_names
        }

    @property
    def class_weights(self) -> Vector:
        """Class weights of the loss, float32 (K,), with mean 1 over the rows."""
        class_counts = np.bincount(
            [labeled_span.label_index for labeled_span in self._train_spans],
            minlength=len(self.labeled_dataset.label_names),
        )
        if not self._config.class_weighting:
            return np.ones(len(class_counts), np.float32)
        return (len(self._train_spans) / len(class_counts) / np.maximum(class_counts, 1)).astype(
            np.float32
        )

    def sample_batch(self, step: int) -> tuple[ClipBatch, Ids]:
        """Return a training batch; each row comes once per epoch, cropped to a random window."""
        epoch, batch_index = divmod(step, self.steps_per_epoch)
        row_order = np.random.default_rng([self._config.seed, epoch]).permutation(
            len(self._train_spans)
        )
        rng = np.random.default_rng([self._config.seed, epoch, batch_index])
        batch_spans = [
            self._train_spans[row_index]
            for row_index in row_order[batch_index * self._config.batch_size :][
                : self._config.batch_size
            ]
        ]
        return self._build_clips(
            batch_spans,
            [
                _sample_window(self._load_span_features(labeled_span), rng)
                for labeled_span in batch_spans
            ],
        )

    def iter_batches(self, split_name: SplitName) -> Iterator[tuple[ClipBatch, Ids]]:
        """Yield the rows of a split in batches."""
        labeled_spans = self.labeled_dataset.select_split(split_name)
        for batch_start in range(0, len(labeled_spans), self._config.batch_size):
            batch_spans = labeled_spans[batch_start : batch_start + self._config.batch_size]
            yield self._build_clips(
                batch_spans,
                [self._load_span_features(labeled_span) for labeled_span in batch_spans],
            )

    def _build_clips(
        self, labeled_spans: Sequence[LabeledSpan], frame_features: Sequence[Features]
    ) -> tuple[ClipBatch, Ids]:
        clips = ClipBatch.from_features(
            [
                subsample_frames(clip_features, self._config.max_frames)
                for clip_features in frame_features
            ],
            [labeled_span.video.id for labeled_span in labeled_spans],
        )
        return clips, np.array(
            [labeled_span.label_index for labeled_span in labeled_spans], np.int64
        )

    def _load_span_features(self, labeled_span: LabeledSpan) -> Features:
        return self._load_features(labeled_span.video).within(labeled_span.span)

    def _load_features(self, video: Video) -> Features:
        """Return the features of a video from an LRU cache or the store."""
        if video.id not in self._features_cache:
            self._features_cache[video.id] = self._feature_store.load(video.id, self._space)
            self._cached_bytes += self._features_cache[video.id].frame_vectors.nbytes
        self._features_cache.move_to_end(video.id)
        while self._cached_bytes > CACHE_BYTES and len(self._features_cache) > 1:
            self._cached_bytes -= self._features_cache.popitem(last=False)[1].frame_vectors.nbytes
        return self._features_cache[video.id]


def _drop_lost_videos(
    labeled_dataset: LabeledDataset, load_features: Callable[[Video], Features]
) -> LabeledDataset:
    """Drop videos whose features cannot be read, and note them."""
    lost_reasons: dict[int, str] = {}
    for video in {
        labeled_span.video.id: labeled_span.video for labeled_span in labeled_dataset.labeled_spans
    }.values():
        try:
            load_features(video)
        except DamagedLibraryError as error:
            lost_reasons[video.id] = str(error)
    usable_spans = tuple(
        labeled_span
        for labeled_span in labeled_dataset.labeled_spans
        if labeled_span.video.id not in lost_reasons
    )
    if not {"train", "val"} <= {labeled_span.split_name for labeled_span in usable_spans}:
        raise DatasetError(f"no rows are left to train on: {next(iter(lost_reasons.values()), '')}")
    return replace(
        labeled_dataset,
        labeled_spans=usable_spans,
        skipped_reasons=(*labeled_dataset.skipped_reasons, *lost_reasons.values()),
    )


def _sample_window(frame_features: Features, rng: np.random.Generator) -> Features:
    """Sample consecutive frames of random count."""
    frame_count = len(frame_features.frame_times)
    window_length = int(rng.integers(min(MIN_WINDOW_FRAMES, frame_count), frame_count + 1))
    window_start = int(rng.integers(0, frame_count - window_length + 1))
    window_slice = slice(window_start, window_start + window_length)
    return Features(
        frame_features.space,
        frame_features.frame_vectors[window_slice],
        frame_features.frame_times[window_slice],
    )
