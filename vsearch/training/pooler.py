"""Training of a pooler on a library's stored frame features, and its installation.

The training clips are parts of the library's videos mixed with distractors, and captions if there
are any. Whole videos are held out, on which the pooler must pass the gate
(`vsearch.evaluation.pooler_gate`).
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DatasetError
from vsearch.evaluation.pooler_gate import (
    GateResult,
    PoolingCase,
    encode_distractors,
    encode_gate_distractors,
    get_saturated_recall,
    run_gate,
    subsample_clip,
)
from vsearch.evaluation.retrieval_cases import build_relevance
from vsearch.plugins import require_models_extra
from vsearch.pooling.augmentation import AugmentedClip
from vsearch.pooling.mean import MeanPooler
from vsearch.pooling.selection import AUTO_POOLER, select_pooler
from vsearch.pooling.transformer import TransformerPooler
from vsearch.pooling.weights import CONFIG_PRESETS, NetworkWeights
from vsearch.search.hubness import Querybank
from vsearch.training.clip_dataset import ClipDataset, PoolerExample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vsearch.evaluation.datasets import CaptionDataset, CaptionItem
    from vsearch.library import Library
    from vsearch.pooling.augmentation import RandomGenerator
    from vsearch.protocols import Encoder, Pooler
    from vsearch.types import Features, Vector, Video

DISTRACTOR_COUNT = 140  # training images
MAX_CLIP_FRAMES = 48
LEARNING_RATE = 4e-4
CAPTIONED_SHARE = 0.5  # of the training clips, if there are captions
HELD_OUT_CLIPS, MIN_HELD_OUT_CLIPS = 256, 10
MAX_CAPTIONS = 2_000  # in the evaluation


@dataclass(frozen=True, slots=True)
class PoolerTrainingResult:
    """A trained pooler that is not installed yet, and its evaluation."""

    weights: NetworkWeights
    gate_result: GateResult
    step_count: int
    seconds: float
    video_count: int  # training videos
    skipped_reasons: tuple[str, ...]


class LibraryClips:
    """A `ClipSource` of a library's videos, some clips with captions."""

    def __init__(
        self, library: Library, encoder: Encoder, dataset: CaptionDataset | None, seed: int
    ) -> None:
        self.clip_dataset = ClipDataset(
            library, max_frames=MAX_CLIP_FRAMES, min_frames=2, seed=seed
        )
        self.distractors = encode_distractors(encoder, DISTRACTOR_COUNT, seed)
        self._train_captions = self._encode_captions(
            encoder, dataset, self.clip_dataset.train_videos
        )
        self._held_out_captions = self._encode_captions(
            encoder, dataset, self.clip_dataset.held_out_videos
        )[:MAX_CAPTIONS]

    @property
    def digest(self) -> str:
        """String that identifies the data."""
        text_bytes = b"".join(
            captioned_span.text_vector.tobytes() for captioned_span in self._train_captions
        )
        data_digest = hashlib.sha256(self.distractors.tobytes() + text_bytes).hexdigest()
        return f"{self.clip_dataset.digest} {data_digest}"

    def sample_clip(self, rng: RandomGenerator) -> PoolerExample:
        """Return a random training clip."""
        if self._train_captions and rng.random() < CAPTIONED_SHARE:
            captioned_example = self._build_example(
                self._train_captions[int(rng.integers(0, len(self._train_captions)))]
            )
            if captioned_example is not None:
                return captioned_example
        sampled_clip = self.clip_dataset.sample_clips(int(rng.integers(0, 1 << 62)), 1)[0]
        frames, frame_times = (
            sampled_clip.frame_features.frame_vectors,
            sampled_clip.frame_features.frame_times,
        )
        clip_length = int(np.exp(rng.uniform(np.log(2), np.log(len(frame_times) + 1))))
        first_index = int(rng.integers(0, len(frame_times) - clip_length + 1))
        frame_slice = slice(first_index, first_index + clip_length)
        return PoolerExample(
            AugmentedClip.from_frames(frames[frame_slice], frame_times[frame_slice]),
            None,
            sampled_clip.video.id,
        )

    def validation_clips(self) -> Sequence[PoolerExample]:
        """Return clips of held-out videos, always the same ones."""
        return [
            PoolerExample(
                AugmentedClip.from_frames(
                    validation_clip.frame_features.frame_vectors,
                    validation_clip.frame_features.frame_times,
                ),
                None,
                validation_clip.video.id,
            )
            for validation_clip in self.clip_dataset.iter_validation_clips(HELD_OUT_CLIPS)
        ]

    def load_held_out_captions(self) -> Sequence[tuple[CaptionItem, PoolerExample]]:
        """Return at most MAX_CAPTIONS captioned clips of held-out videos."""
        return [
            (captioned_span.item, example)
            for captioned_span in self._held_out_captions
            if (example := self._build_example(captioned_span)) is not None
        ]

    def _encode_captions(
        self, encoder: Encoder, dataset: CaptionDataset | None, videos: Sequence[Video]
    ) -> list[_CaptionedSpan]:
        videos_by_path = {video.path: video for video in videos}
        caption_items = (
            [item for item in dataset.items if item.video_path in videos_by_path] if dataset else []
        )
        text_vectors = encoder.encode_texts([item.caption for item in caption_items])
        return [
            _CaptionedSpan(videos_by_path[item.video_path], item, text_vector)
            for item, text_vector in zip(caption_items, text_vectors, strict=True)
        ]

    def _build_example(self, captioned_span: _CaptionedSpan) -> PoolerExample | None:
        """Load the frames of a captioned span; return None if they cannot be read."""
        frame_features = self.clip_dataset.load_features(captioned_span.video)
        if frame_features is None:
            return None
        span = captioned_span.item.span
        span_features = frame_features.within(span) if span else frame_features
        return PoolerExample(
            subsample_clip(_convert_to_clip(span_features)),
            captioned_span.text_vector,
            captioned_span.video.id,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _CaptionedSpan:
    """A caption of a span of a video, or of the whole video."""

    video: Video
    item: CaptionItem
    text_vector: Vector  # float32 (D,)


def train_pooler(
    library: Library,
    dataset: CaptionDataset | None = None,
    *,
    checkpoint_folder: Path,
    step_count: int,
    seed: int = 0,
    device: str = "auto",
    initial_weights: NetworkWeights | None = None,
    force: bool = False,
    on_progress: Callable[[int, int], None] = lambda _, __: None,
) -> PoolerTrainingResult:
    """Train a pooler, without decoding or installing anything; see `install_pooler`.

    Args:
        library: Library whose stored frame features are used.
        dataset: Captions of the videos, or None.
        checkpoint_folder: Folder of checkpoint and log; an interrupted run resumes from it.
        step_count: Training steps.
        seed: Seed of the split, the weights and the augmentation.
        device: Name of a device, or "auto".
        initial_weights: Pretrained weights of the Transformer.
        force: Train even if the library is too easy to show an improvement.
        on_progress: Called with the number of finished steps and of all steps.

    Returns:
        The pooler and the result of the gate.

    Raises:
        DatasetError: If the library is too small to evaluate a pooler.
        MissingExtraError: If torch is not installed.
    """
    with require_models_extra("training"):
        from vsearch.encoders.torch_device import Device  # deferred: imports torch
        from vsearch.training.denoising_task import PoolerTask
        from vsearch.training.trainer import TrainerConfig, train_network
    started_at = time.monotonic()
    encoder = library.encoder
    clip_source = LibraryClips(library, encoder, dataset, seed)
    pooling_case = build_gate_case(clip_source, encoder)
    if not force and (mean_recall := get_saturated_recall(pooling_case)) is not None:
        raise DatasetError(
            f"{library.location}: the mean already finds {mean_recall:.0%} of "
            f"{len(pooling_case.clips)} held-out clips with distractors, so no pooler could gain "
            "six points. Index more videos, or pass captions that are harder to distinguish"
        )
    model_config = replace(CONFIG_PRESETS["small"], features=encoder.space.dim)
    training_task = PoolerTask(model_config, clip_source, seed, initial_weights)
    device_kind = Device.from_name(device).device_name
    trainer_config = TrainerConfig(
        steps=step_count,
        learning_rate=LEARNING_RATE,
        seed=seed,
        eval_interval=max(1, min(100, step_count // 5)),
        device=device_kind,
        half=device_kind == "cuda",
    )
    trainer_state = train_network(
        training_task,
        trainer_config,
        checkpoint_folder,
        lambda trainer_state: on_progress(trainer_state.step, step_count),
    )
    video_count = len(clip_source.clip_dataset.train_videos)
    weights_metadata = {
        "space": encoder.space.name,
        "videos": video_count,
        "seed": seed,
        "steps": trainer_state.best_step,
    }
    weights = training_task.to_weights(weights_metadata).rounded_weights
    gate_result = run_gate(
        pooling_case, TransformerPooler.from_weights(weights), _load_current_pooler(library)
    )
    training_seconds, skipped_reasons = (
        time.monotonic() - started_at,
        clip_source.clip_dataset.skipped_reasons,
    )
    return PoolerTrainingResult(
        weights, gate_result, trainer_state.step, training_seconds, video_count, skipped_reasons
    )


def _load_current_pooler(library: Library) -> Pooler | None:
    """Return the trained pooler of the library's segments, or None for the mean."""
    current_pooler = select_pooler(
        AUTO_POOLER, library.path, library.encoder.space, library.info().pooler, allow_best=True
    )
    return None if isinstance(current_pooler, MeanPooler) else current_pooler


def build_gate_case(clip_source: LibraryClips, encoder: Encoder) -> PoolingCase:
    """Build the retrieval case of the gate from held-out videos.

    The queries are their captions, of which equal ones share their clips, or every second frame of
    each clip if there are no captions.

    Args:
        clip_source: Clips of the library.
        encoder: Encoder of the distractor images.

    Returns:
        The clips, the queries and their relevant clips.

    Raises:
        DatasetError: If there are too few clips of four or more frames.
    """
    distractor_vectors, captioned_examples = (
        encode_gate_distractors(encoder),
        clip_source.load_held_out_captions(),
    )
    if len(captioned_examples) >= MIN_HELD_OUT_CLIPS:
        query_vectors = np.stack(
            [
                example.caption_vector
                for _, example in captioned_examples
                if example.caption_vector is not None
            ]
        )
        relevance_matrix = build_relevance(
            [item for item, _ in captioned_examples],
            range(len(captioned_examples)),
            len(captioned_examples),
        )
        return PoolingCase(
            tuple(example.clean_clip for _, example in captioned_examples),
            query_vectors,
            relevance_matrix,
            distractor_vectors,
            Querybank.from_encoder(encoder),
        )
    held_out_examples = [
        example
        for example in clip_source.validation_clips()
        if len(example.clean_clip.frame_times) >= 4
    ]
    if len(held_out_examples) < MIN_HELD_OUT_CLIPS:
        raise DatasetError(
            f"{len(held_out_examples)} held-out clips are too few to evaluate a pooler; at least "
            f"{MIN_HELD_OUT_CLIPS} of four or more frames are needed: `vsearch index` more videos"
        )
    video_numbers = np.array([example.content_id for example in held_out_examples])
    clip_halves = [
        (_take_every_second(example.clean_clip, 0), _take_every_second(example.clean_clip, 1))
        for example in held_out_examples
    ]
    query_vectors = np.stack([clip_half.target_vector for _, clip_half in clip_halves])
    relevance_matrix = video_numbers[:, None] == video_numbers
    querybank = Querybank.create_empty(encoder.space.dim)
    return PoolingCase(
        tuple(clip_half for clip_half, _ in clip_halves),
        query_vectors,
        relevance_matrix,
        distractor_vectors,
        querybank,
    )


def install_pooler(
    library: Library, training_result: PoolerTrainingResult, *, force: bool = False
) -> bool:
    """Pool the library with a trained pooler from now on, if it passed the gate.

    All segments are pooled again from stored features; nothing is decoded.

    Args:
        library: Library to change.
        training_result: Result of `train_pooler`.
        force: Install even if the gate failed.

    Returns:
        True if the pooler was installed.

    Raises:
        LockedError: If another process writes to the library.
    """
    if training_result.gate_result.has_passed or force:
        library.models.install_pooler(training_result.weights)
    return training_result.gate_result.has_passed or force


def _convert_to_clip(frame_features: Features) -> AugmentedClip:
    return AugmentedClip.from_frames(frame_features.frame_vectors, frame_features.frame_times)


def _take_every_second(clip: AugmentedClip, first_index: int) -> AugmentedClip:
    frame_slice = slice(first_index, None, 2)
    return AugmentedClip(
        clip.frame_vectors[frame_slice], clip.frame_times[frame_slice], clip.clean_mask[frame_slice]
    )
