"""Training task of a pooler: recover the clean clip, and its caption, from a clip with distractors.

The loss is 1 − cosine to the mean of the clean frames, plus InfoNCE (CLIP, Radford et al. 2021) of
clips against captions, or against the clean means of the other clips if there are no captions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch.nn import functional

from vsearch.pooling.augmentation import mix_with_distractors
from vsearch.pooling.weights import NetworkWeights
from vsearch.training.masked_frames import load_pretrained
from vsearch.training.transformer import TransformerPooling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from torch import Tensor, nn

    from vsearch.pooling.augmentation import AugmentedClip, RandomGenerator
    from vsearch.pooling.weights import TransformerConfig
    from vsearch.training.clip_dataset import PoolerExample
    from vsearch.types import Matrix

BATCH_CLIPS, PAD_GROUP = 64, 16  # clips per batch; clips padded to a common length
INITIAL_GATE = 1.0  # at 0 the head would not get a gradient
CLEAN_SHARE = 0.3  # of the clips
DISTRACTOR_SHARES = (0.1, 0.5)  # of the frames of the other clips
INVERSE_TEMPERATURE = 20.0  # of InfoNCE
INFONCE_WEIGHT = 0.1  # relative to the cosine loss


class ClipSource(Protocol):
    """Source of training and validation clips."""

    @property
    def digest(self) -> str:
        """String that identifies the data."""

    @property
    def distractors(self) -> Matrix:
        """Vectors of distractor images, float32 (M, D)."""

    def sample_clip(self, rng: RandomGenerator) -> PoolerExample:
        """Return a random training clip."""

    def validation_clips(self) -> Sequence[PoolerExample]:
        """Return the validation clips, always the same ones."""


class PoolerTask:
    """A `TrainingTask` that trains a `TransformerPooling` to ignore distractor frames."""

    def __init__(
        self,
        network_config: TransformerConfig,
        clip_source: ClipSource,
        random_seed: int,
        initial_weights: NetworkWeights | None = None,
    ) -> None:
        """Build the network.

        Args:
            network_config: Shape of the network.
            clip_source: Training and validation clips.
            random_seed: Seed of the initial weights and of the augmentation.
            initial_weights: Pretrained weights of the Transformer.
        """
        torch.manual_seed(random_seed)
        self._pooling_module = TransformerPooling(network_config)
        if initial_weights is not None:
            load_pretrained(self._pooling_module.transformer, initial_weights)
        torch.nn.init.constant_(self._pooling_module.gate, INITIAL_GATE)
        self._clip_source, self._random_seed, self._initial_weights = (
            clip_source,
            random_seed,
            initial_weights,
        )
        self._validation_sets = self._build_validation_sets()

    @property
    def module(self) -> nn.Module:
        """The pooling network."""
        return self._pooling_module

    @property
    def digest(self) -> str:
        """String that identifies the data and the shape of the network."""
        initial_digest = self._initial_weights.digest if self._initial_weights is not None else None
        return (
            f"pooler {self._pooling_module.network_config} {self._clip_source.digest} "
            f"{initial_digest}"
        )

    def compute_loss(self, step_index: int) -> Tensor:
        """Return the loss of one batch of clips, most of them mixed with distractors."""
        rng = np.random.default_rng([self._random_seed, step_index])
        examples = [self._clip_source.sample_clip(rng) for _ in range(BATCH_CLIPS)]
        mixed_clips = [
            _augment_clip(
                example.clean_clip,
                examples[clip_index - 1].clean_clip,
                self._clip_source.distractors,
                rng,
            )
            for clip_index, example in enumerate(examples)
        ]
        clip_vectors = self._pool_clips(mixed_clips)
        target_vectors = self._to_tensor(
            np.stack([example.clean_clip.target_vector for example in examples])
        )
        cosine_loss: Tensor = 1 - (clip_vectors * target_vectors).sum(dim=1).mean()
        return cosine_loss + INFONCE_WEIGHT * self._compute_contrastive_loss(
            clip_vectors, target_vectors, examples
        )

    def to_weights(self, metadata: Mapping[str, Any]) -> NetworkWeights:
        """Return the weights of the network, with `metadata`."""
        state_items = self._pooling_module.state_dict().items()
        named_arrays = {
            array_name: parameter_tensor.detach().float().cpu().numpy()
            for array_name, parameter_tensor in state_items
        }
        return NetworkWeights("pooler", self._pooling_module.network_config, named_arrays, metadata)

    def validate(self) -> dict[str, float]:
        """Return the mean cosine of held-out clips to their clean vectors, clean and mixed."""
        mean_cosines = {}
        for set_name, (set_clips, target_vectors) in self._validation_sets.items():
            vector_batches = [
                self._pool_clips(set_clips[i : i + BATCH_CLIPS])
                for i in range(0, len(set_clips), BATCH_CLIPS)
            ]
            mean_cosines[set_name] = float(
                (torch.cat(vector_batches).cpu() * target_vectors).sum(dim=1).mean()
            )
        return mean_cosines | {"score": mean_cosines["clean"] + mean_cosines["mixed"]}

    def _build_validation_sets(self) -> dict[str, tuple[list[AugmentedClip], Tensor]]:
        rng, validation_clips = (
            np.random.default_rng([self._random_seed, 1 << 40]),
            self._clip_source.validation_clips(),
        )
        clean_clips = [example.clean_clip for example in validation_clips]
        target_vectors = torch.from_numpy(
            np.stack([clean_clip.target_vector for clean_clip in clean_clips])
        )
        distractors = self._clip_source.distractors
        distractor_shares = rng.uniform(0.3, 0.5, len(clean_clips))
        mixed_clips = [
            mix_with_distractors(
                clean_clip,
                clean_clips[clip_index - 1].frame_vectors,
                distractors,
                float(distractor_shares[clip_index]),
                rng,
            )
            for clip_index, clean_clip in enumerate(clean_clips)
        ]
        return {"clean": (clean_clips, target_vectors), "mixed": (mixed_clips, target_vectors)}

    def _compute_contrastive_loss(
        self, clip_vectors: Tensor, target_vectors: Tensor, examples: Sequence[PoolerExample]
    ) -> Tensor:
        """Return InfoNCE against the captions if the batch has some, else the clean vectors."""
        caption_vectors = [example.caption_vector for example in examples]
        captioned_rows = [
            clip_index
            for clip_index, caption_vector in enumerate(caption_vectors)
            if caption_vector is not None
        ]
        if len(captioned_rows) > 1:
            contrast_vectors = self._to_tensor(
                np.stack(
                    [
                        caption_vector
                        for caption_vector in caption_vectors
                        if caption_vector is not None
                    ]
                )
            )
            clip_vectors, examples = (
                clip_vectors[captioned_rows],
                [examples[clip_index] for clip_index in captioned_rows],
            )
        else:
            contrast_vectors = target_vectors
        content_ids = torch.tensor(
            [example.content_id for example in examples], device=clip_vectors.device
        )
        same_content = (content_ids[:, None] == content_ids) & ~torch.eye(
            len(content_ids), dtype=torch.bool, device=clip_vectors.device
        )
        logits = (INVERSE_TEMPERATURE * clip_vectors @ contrast_vectors.T).masked_fill(
            same_content, -torch.inf
        )
        target_rows = torch.arange(len(logits), device=clip_vectors.device)
        forward_loss = functional.cross_entropy(logits, target_rows)
        return (forward_loss + functional.cross_entropy(logits.T, target_rows)) / 2

    def _pool_clips(self, clip_list: Sequence[AugmentedClip]) -> Tensor:
        """Pool clips of any length to (B, D), grouped by length to reduce padding."""
        length_order = np.argsort([len(clip.frame_times) for clip in clip_list], kind="stable")
        row_groups = [
            length_order[group_start : group_start + PAD_GROUP]
            for group_start in range(0, len(length_order), PAD_GROUP)
        ]
        clip_vectors = torch.cat(
            [
                self._pool_padded([clip_list[clip_index] for clip_index in row_group])
                for row_group in row_groups
            ]
        )
        return clip_vectors[torch.from_numpy(np.argsort(length_order)).to(clip_vectors.device)]

    def _pool_padded(self, clip_list: Sequence[AugmentedClip]) -> Tensor:
        max_length = max(len(clip.frame_times) for clip in clip_list)
        vector_dim = clip_list[0].frame_vectors.shape[1]
        frame_vectors = np.zeros((len(clip_list), max_length, vector_dim), np.float32)
        frame_times = np.zeros((len(clip_list), max_length), np.float32)
        frame_mask = np.zeros((len(clip_list), max_length), np.bool_)
        for row_index, clip in enumerate(clip_list):
            frame_count = len(clip.frame_times)
            frame_vectors[row_index, :frame_count], frame_mask[row_index, :frame_count] = (
                clip.frame_vectors,
                True,
            )
            frame_times[row_index, :frame_count] = clip.frame_times - clip.frame_times[0]
        clip_vectors: Tensor = self._pooling_module(
            *map(self._to_tensor, (frame_vectors, frame_times, frame_mask))
        ).clip_vectors
        return clip_vectors

    def _to_tensor(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._pooling_module.gate.device)


def _augment_clip(
    clean_clip: AugmentedClip, other_clip: AugmentedClip, distractors: Matrix, rng: RandomGenerator
) -> AugmentedClip:
    if rng.random() < CLEAN_SHARE:
        return clean_clip
    return mix_with_distractors(
        clean_clip,
        other_clip.frame_vectors,
        distractors,
        float(rng.uniform(*DISTRACTOR_SHARES)),
        rng,
    )
