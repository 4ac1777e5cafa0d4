"""Self-supervised pretraining of a Transformer on a library's frames: `vsearch train pretrain`.

Combines the stored frame features (`clip_dataset`), the captions (`caption_features`) and the
task (`masked_frames`). No video is decoded and the library is not modified.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from vsearch.errors import SettingsError, SpaceMismatchError
from vsearch.index import kmeans
from vsearch.plugins import require_models_extra
from vsearch.pooling.weights import CONFIG_PRESETS, NetworkWeights
from vsearch.training.caption_features import CaptionFeatures
from vsearch.training.clip_batches import ClipBatch
from vsearch.training.clip_dataset import MAX_CLIP_FRAMES, ClipDataset
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from vsearch.evaluation.datasets import CaptionDataset
    from vsearch.library import Library
    from vsearch.training.clip_dataset import FeatureClip
    from vsearch.training.trainer import TrainerConfig, TrainerState
    from vsearch.types import Matrix, Space

PretrainObjective: TypeAlias = Literal["contrastive", "visual-words"]
PRETRAIN_OBJECTIVES: tuple[str, ...] = get_args(PretrainObjective)
PRETRAINED_FILE = "pretrained.npz"
EVAL_CLIPS = 256
MIN_EVAL_CLIPS = 64  # fewer held-out clips are evaluated several times, with different masks
EVALS_PER_RUN = 20
MAX_VOCABULARY_BYTES = 1 << 30  # frame features that visual words are clustered from
FIX_HINT = "run `vsearch train pretrain`"


@dataclass(frozen=True, slots=True)
class PretrainConfig:
    """Pretraining hyperparameters.

    Raises:
        SettingsError: If the objective or the preset is unknown.
    """

    objective: PretrainObjective = "contrastive"
    preset: str = "small"
    steps: int = 1_000
    batch_size: int = 32  # clips
    max_frames: int = MAX_CLIP_FRAMES  # per clip
    learning_rate: float = 3e-4
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.objective not in PRETRAIN_OBJECTIVES or self.preset not in CONFIG_PRESETS:
            raise SettingsError(
                f"unknown objective {self.objective!r} or preset {self.preset!r}; the objectives "
                f"are {', '.join(PRETRAIN_OBJECTIVES)}, the presets {', '.join(CONFIG_PRESETS)}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class PretrainingResult:
    """Pretrained weights and their figures on the held-out videos."""

    weights: NetworkWeights
    best_figures: Mapping[str, float]  # of the best weights; see `MaskedFrameTask.validate`
    initial_figures: Mapping[str, float]  # before the first step
    best_step: int
    video_count: int  # training videos
    held_out_videos: int
    captioned_videos: int  # videos with captions
    visual_word_count: int  # 0 for the contrastive objective
    skipped_reasons: tuple[str, ...]
    seconds: float


def pretrain_transformer(
    library: Library,
    pretrain_config: PretrainConfig | None = None,
    caption_dataset: CaptionDataset | None = None,
    output_folder: Path | None = None,
    *,
    on_progress: Callable[[TrainerState], None] = lambda _: None,
) -> PretrainingResult:
    """Pretrain a Transformer on the library's stored frame features.

    Args:
        library: Library to train on; it is not modified.
        pretrain_config: Hyperparameters; the defaults if None.
        caption_dataset: Captions of the videos; the subtitles next to the videos if None.
        output_folder: Folder of the checkpoint, the log and pretrained.npz. A run that was
            interrupted resumes from its checkpoint. Nothing is saved if None.
        on_progress: Called after every step.

    Returns:
        The weights of the best validation, with their figures.

    Raises:
        DatasetError: If the library has too few videos.
        DamagedLibraryError: If the checkpoint cannot be loaded.
        NoTextError: If there are captions and the library's model does not encode text.
        SpaceMismatchError: If there are captions and another model indexed the library.
        MissingExtraError: If torch is not installed.
    """
    pretrain_config = pretrain_config or PretrainConfig()
    with require_models_extra("training"):
        from vsearch.encoders.torch_device import Device  # deferred: imports torch
        from vsearch.training import masked_frames
        from vsearch.training.trainer import train_network
    started_at = time.monotonic()
    device_kind = Device.from_name(pretrain_config.device).device_name
    pretrain_dataset = PretrainDataset(library, pretrain_config, caption_dataset)
    vocabulary = (
        pretrain_dataset.build_vocabulary() if pretrain_config.objective == "visual-words" else None
    )
    model_config = replace(
        CONFIG_PRESETS[pretrain_config.preset],
        features=pretrain_dataset.space.dim,
        num_classes=0 if vocabulary is None else len(vocabulary),
    )
    training_task = masked_frames.MaskedFrameTask(
        masked_frames.MaskedFrameModel.build_seeded(model_config, vocabulary, pretrain_config.seed),
        pretrain_dataset.sample_batch,
        pretrain_dataset.iter_validation_batches,
        data_digest=pretrain_dataset.digest,
        random_seed=pretrain_config.seed,
    )
    initial_figures = training_task.evaluate_on(device_kind)
    trainer_state = train_network(
        training_task,
        _build_trainer_config(pretrain_config, device_kind),
        output_folder,
        on_progress,
    )
    weights_metadata = pretrain_dataset.weights_metadata | {
        "figures": dict(trainer_state.figures),
        "step": trainer_state.best_step,
    }
    weights = training_task.model.to_weights(weights_metadata)
    if output_folder is not None:
        weights.save(output_folder / PRETRAINED_FILE)
    return PretrainingResult(
        weights,
        trainer_state.figures,
        initial_figures,
        trainer_state.best_step,
        len(pretrain_dataset.clip_dataset.train_videos),
        len(pretrain_dataset.clip_dataset.held_out_videos),
        len(pretrain_dataset.caption_features),
        model_config.num_classes,
        pretrain_dataset.skipped_reasons,
        time.monotonic() - started_at,
    )


def _build_trainer_config(pretrain_config: PretrainConfig, device_kind: str) -> TrainerConfig:
    from vsearch.training.trainer import TrainerConfig  # deferred: imports torch

    return TrainerConfig(
        steps=pretrain_config.steps,
        learning_rate=pretrain_config.learning_rate,
        seed=pretrain_config.seed,
        eval_interval=max(1, math.ceil(pretrain_config.steps / EVALS_PER_RUN)),
        device=device_kind,
        half=device_kind == "cuda",
    )


def load_pretrained(weights_path: Path, space: Space) -> NetworkWeights:
    """Load the weights that `pretrain_transformer` saved for a space.

    Args:
        weights_path: A pretrained.npz file.
        space: Vector space of the library to train on.

    Returns:
        The pretrained weights.

    Raises:
        DamagedLibraryError: If the file cannot be read.
        SpaceMismatchError: If the weights were pretrained in another space.
    """
    weights = NetworkWeights.load(weights_path, "pretrained", FIX_HINT)
    if (weights_space := weights.metadata.get("space")) != space.name:
        raise SpaceMismatchError(
            f"{weights_path} was pretrained in {weights_space}, not {space.name}; {FIX_HINT}"
        )
    return weights


class PretrainDataset:
    """Batches of a library's clips with their captions."""

    def __init__(
        self,
        library: Library,
        pretrain_config: PretrainConfig,
        caption_dataset: CaptionDataset | None,
    ) -> None:
        self.pretrain_config = pretrain_config
        self.clip_dataset = ClipDataset(
            library, max_frames=pretrain_config.max_frames, seed=pretrain_config.seed
        )
        self.caption_features, self._skipped_captions = CaptionFeatures.from_library(
            library, caption_dataset
        )
        self.space = self.clip_dataset.space

    @property
    def digest(self) -> str:
        """String that identifies the data and the hyperparameters."""
        config_values = asdict(self.pretrain_config)
        del config_values["device"]
        return repr([config_values, self.clip_dataset.digest, self.caption_features.digest])

    @property
    def skipped_reasons(self) -> tuple[str, ...]:
        """Captions and videos that were skipped, and why."""
        return (*self._skipped_captions, *self.clip_dataset.skipped_reasons)

    @property
    def weights_metadata(self) -> dict[str, Any]:
        """Metadata saved with the weights, as JSON values."""
        config_values = asdict(self.pretrain_config)
        del config_values["device"]
        video_counts = {
            "videos": len(self.clip_dataset.train_videos),
            "held": len(self.clip_dataset.held_out_videos),
        }
        return {
            "space": self.space.name,
            **config_values,
            **video_counts,
            "talking": len(self.caption_features),
        }

    def sample_batch(self, step: int) -> ClipBatch:
        """Return the training batch of a step."""
        return self._build_clips(
            self.clip_dataset.sample_clips(step, self.pretrain_config.batch_size)
        )

    def iter_validation_batches(self) -> Iterator[ClipBatch]:
        """Yield the validation batches, always the same ones."""
        batch_clips: list[FeatureClip] = []
        clip_count = sum(1 for _ in self.clip_dataset.iter_validation_clips(EVAL_CLIPS))
        for _ in range(-(-MIN_EVAL_CLIPS // max(1, clip_count))):
            for clip in self.clip_dataset.iter_validation_clips(EVAL_CLIPS):
                batch_clips.append(clip)
                if len(batch_clips) == self.pretrain_config.batch_size:
                    yield self._build_clips(batch_clips)
                    batch_clips = []
        if batch_clips:
            yield self._build_clips(batch_clips)

    def build_vocabulary(self) -> Matrix:
        """Cluster frames of the training videos into visual words, float32 (K, D)."""
        train_frames = self.clip_dataset.sample_frames(MAX_VOCABULARY_BYTES // (4 * self.space.dim))
        return kmeans.learn_vocabulary(train_frames, seed=self.pretrain_config.seed)

    def _build_clips(self, clips: Sequence[FeatureClip]) -> ClipBatch:
        frame_features = [clip.frame_features for clip in clips]
        clip_texts = [
            self.caption_features.encode_within(
                clip.video.path,
                Span(
                    max(0.0, float(clip_features.frame_times[0])),
                    max(0.0, float(clip_features.frame_times[-1])),
                ),
                self.space.dim,
            )
            for clip, clip_features in zip(clips, frame_features, strict=True)
        ]
        return ClipBatch.from_features(
            frame_features, [clip.video.id for clip in clips], clip_texts
        )
