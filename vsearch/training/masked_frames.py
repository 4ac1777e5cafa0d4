"""Masked-frame modeling, a self-supervised objective after VideoBERT (Sun et al. 2019).

Spans of a clip's frames are masked, and the Transformer predicts them from the others: either as
one of the frames of the batch (`contrastive`: CBT, Sun et al. 2019b; MFM-NCE of HERO, Li et al.
2020), or as a visual word (`visual-words`: VideoBERT; see `vsearch.index.kmeans`). Both compare
one prediction, a direction in the space of the frames, with candidates. The captions of a clip are
input tokens next to its frames, and [CLS] predicts whether they belong to the clip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from vsearch.errors import SpaceMismatchError
from vsearch.pooling.weights import NetworkWeights
from vsearch.training.masking_plan import MaskingPlan
from vsearch.training.transformer import FRAME_TOKEN, TEXT_TOKEN, VideoTransformer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

    from vsearch.pooling.weights import TransformerConfig
    from vsearch.training.clip_batches import ClipBatch
    from vsearch.types import Ids, Matrix

DUPLICATE_SIMILARITY = 0.95  # cosine from which frames are not negatives of each other
INITIAL_LOGIT_SCALE, MAX_LOGIT_SCALE = 1 / 0.07, 100.0
NETWORK_KIND = "pretrained"


@dataclass(frozen=True, slots=True)
class MaskedOutput:
    """Predictions of the network for a batch."""

    predicted_frames: Tensor  # (B, T, D) of unit length
    match_logits: Tensor  # (B,) logits of the captions belonging to the clip


class MaskedFrameModel(nn.Module):
    """The Transformer with its pretraining heads."""

    vocabulary: Tensor  # (K, D) visual words; only if network_config.num_classes, which is K

    def __init__(
        self, network_config: TransformerConfig, visual_words: Matrix | None = None
    ) -> None:
        super().__init__()
        if network_config.num_classes != (0 if visual_words is None else len(visual_words)):
            raise ValueError(f"num_classes {network_config.num_classes} is not the vocabulary size")
        self.network_config = network_config
        self.transformer = VideoTransformer(network_config)
        self.mask = nn.Parameter(
            torch.randn(network_config.features) / math.sqrt(network_config.features)
        )
        self.predict = nn.Linear(network_config.hidden, network_config.features)
        self.match = nn.Linear(network_config.hidden, 1)
        self.sharpness = nn.Parameter(torch.tensor(math.log(INITIAL_LOGIT_SCALE)))
        # features at the scale of the positions, whatever their dimension
        nn.init.normal_(self.transformer.embed.weight, std=network_config.features**-0.5)
        nn.init.normal_(self.match.weight, std=0.02)
        with torch.no_grad():  # the transpose of the embedding, so that content is preserved
            self.predict.weight.copy_(self.transformer.embed.weight.T)
        for head_layer in (self.predict, self.match):
            nn.init.zeros_(head_layer.bias)
        if visual_words is not None:
            self.register_buffer("vocabulary", torch.tensor(visual_words))
            self.bias = nn.Parameter(torch.zeros(len(visual_words)))

    def forward(self, device_batch: DeviceBatch, hidden_mask: Tensor) -> MaskedOutput:
        """Predict the masked frames and the match of the captions.

        Args:
            device_batch: Frames and captions.
            hidden_mask: Frames to mask, bool (B, T).

        Returns:
            The predictions for all frames, masked or not.
        """
        frame_vectors = torch.where(hidden_mask[..., None], self.mask, device_batch.frame_vectors)
        batch_size, frame_count = hidden_mask.shape
        clip_ends = device_batch.frame_times.amax(dim=1, keepdim=True)
        token_modality = torch.full(
            (batch_size, frame_count + device_batch.text_vectors.shape[1]),
            FRAME_TOKEN,
            device=frame_vectors.device,
        )
        token_modality[:, frame_count:] = TEXT_TOKEN
        token_states = self.transformer(
            torch.cat([frame_vectors, device_batch.text_vectors], dim=1),
            torch.cat([device_batch.frame_times, device_batch.text_positions * clip_ends], dim=1),
            torch.cat([device_batch.frame_mask, device_batch.text_mask], dim=1),
            token_modality,
        )
        predicted_frames = functional.normalize(
            self.predict(token_states.frame_states[:, :frame_count]), dim=-1
        )
        return MaskedOutput(predicted_frames, self.match(token_states.clip_state)[:, 0])

    def compute_logits(self, predicted_frames: Tensor, candidate_vectors: Tensor) -> Tensor:
        """Score predictions (M, D) against candidates (N, D); return logits (M, N)."""
        return (
            self.sharpness.exp().clamp(max=MAX_LOGIT_SCALE) * predicted_frames @ candidate_vectors.T
        )

    def to_weights(self, metadata: Mapping[str, Any]) -> NetworkWeights:
        """Return all parameters, with `metadata`."""
        named_arrays = {
            array_name: parameter_tensor.detach().cpu().numpy()
            for array_name, parameter_tensor in self.state_dict().items()
        }
        return NetworkWeights(NETWORK_KIND, self.network_config, named_arrays, metadata)

    @classmethod
    def build_seeded(
        cls, network_config: TransformerConfig, visual_words: Matrix | None, random_seed: int
    ) -> Self:
        """Build a network with seeded initial weights."""
        torch.manual_seed(random_seed)
        return cls(network_config, visual_words)

    @classmethod
    def from_weights(cls, network_weights: NetworkWeights) -> Self:
        """Build a network from saved weights."""
        model = cls(network_weights.network_config, network_weights.weight_arrays.get("vocabulary"))
        model.load_state_dict(
            {
                array_name: torch.tensor(array)
                for array_name, array in network_weights.weight_arrays.items()
            }
        )
        return model.eval()


def load_pretrained(transformer: VideoTransformer, pretrained_weights: NetworkWeights) -> None:
    """Load pretrained weights into a Transformer; heads are not loaded.

    Args:
        transformer: Network to change.
        pretrained_weights: Weights that `vsearch train pretrain` made.

    Raises:
        SpaceMismatchError: If the shapes differ; `dropout` and `num_classes` may.
    """
    config_fields = ("features", "hidden", "layers", "heads", "mlp", "positions")
    own_shape, pretrained_shape = (
        [getattr(network_config, array_name) for array_name in config_fields]
        for network_config in (transformer.network_config, pretrained_weights.network_config)
    )
    if own_shape != pretrained_shape:
        differences = ", ".join(
            f"{field_name} {pretrained_value} instead of {own_value}"
            for field_name, own_value, pretrained_value in zip(
                config_fields, own_shape, pretrained_shape, strict=True
            )
            if own_value != pretrained_value
        )
        raise SpaceMismatchError(
            f"the pretrained Transformer has {differences}: use the preset and the model that it "
            "was pretrained with"
        )
    name_prefix = "transformer."
    transformer.load_state_dict(
        {
            array_name.removeprefix(name_prefix): torch.tensor(array)
            for array_name, array in pretrained_weights.weight_arrays.items()
            if array_name.startswith(name_prefix)
        }
    )


@dataclass(frozen=True, slots=True)
class DeviceBatch:
    """A `ClipBatch` as tensors on a device."""

    frame_vectors: Tensor  # (B, T, D)
    frame_times: Tensor  # (B, T) seconds since the first frame
    frame_mask: Tensor  # bool (B, T)
    text_vectors: Tensor  # (B, S, D)
    text_positions: Tensor  # (B, S) in [0, 1]
    text_mask: Tensor  # bool (B, S)

    @classmethod
    def from_clips(
        cls, clip_batch: ClipBatch, target_device: torch.device | str, caption_rows: Ids
    ) -> Self:
        """Copy a batch to a device.

        Args:
            clip_batch: The batch.
            target_device: Device of the tensors.
            caption_rows: Index of the clip whose captions each clip gets, int64 (B,).

        Returns:
            The tensors.
        """
        batch_arrays = (
            clip_batch.frame_vectors,
            clip_batch.frame_times,
            clip_batch.frame_mask,
            clip_batch.text_vectors[caption_rows],
            clip_batch.text_positions[caption_rows],
            clip_batch.text_mask[caption_rows],
        )
        return cls(
            *(torch.from_numpy(batch_array).to(target_device) for batch_array in batch_arrays)
        )


def find_duplicate_frames(frame_vectors: Tensor, own_rows: Tensor) -> Tensor:
    """Return which other frames look the same as the given ones.

    Args:
        frame_vectors: All frames, (N, D).
        own_rows: Indices of M of them.

    Returns:
        Mask, bool (M, N), false for the frames themselves.
    """
    unit_vectors = functional.normalize(frame_vectors, dim=-1)
    duplicate_mask = unit_vectors[own_rows] @ unit_vectors.T >= DUPLICATE_SIMILARITY
    duplicate_mask[torch.arange(len(own_rows), device=own_rows.device), own_rows] = False
    return duplicate_mask


@dataclass(frozen=True, slots=True)
class MaskedTargets:
    """Masked frames of a batch and their candidates."""

    hidden_mask: Tensor  # bool (B, T)
    candidate_vectors: Tensor  # (N, D): the frames of the batch, or the visual words
    target_rows: Tensor  # int64 (M,): candidate of each masked frame
    ignored_mask: Tensor | None  # bool (M, N): candidates that count neither as right nor wrong


class MaskedFrameTask:
    """A `TrainingTask`: predict masked frames, and whether captions belong to a clip."""

    def __init__(
        self,
        model: MaskedFrameModel,
        sample_batch: Callable[[int], ClipBatch],
        validation_batches: Callable[[], Iterable[ClipBatch]],
        *,
        data_digest: str,
        random_seed: int = 0,
    ) -> None:
        """Use a model with its data.

        Args:
            model: Network to train.
            sample_batch: Returns the training batch of a step.
            validation_batches: Returns the validation batches, always the same ones.
            data_digest: String that identifies the data.
            random_seed: Seed of the masks.
        """
        self.model, self.digest = model, data_digest
        self._sample_batch, self._validation_batches, self._random_seed = (
            sample_batch,
            validation_batches,
            random_seed,
        )

    @property
    def module(self) -> nn.Module:
        """The network."""
        return self.model

    def compute_loss(self, step_index: int) -> Tensor:
        """Return the loss of the masked frames plus that of the captions."""
        clip_batch = self._sample_batch(step_index)
        masking_plan = MaskingPlan.sample_plan(
            clip_batch, np.random.default_rng([self._random_seed, step_index, 1])
        )
        frame_loss, match_loss, _ = self._compute_losses(clip_batch, masking_plan)
        return frame_loss if match_loss is None else frame_loss + match_loss

    def validate(self) -> dict[str, float]:
        """Return mean figures over the validation batches, with the same masks each time.

        Returns:
            "loss" and "accuracy" of the masked frames; "guessed", the loss of a uniform guess;
            "copied", the accuracy of predicting the nearest visible frame; "commonest", the
            accuracy of always predicting the most common visual word; "belongs", the accuracy of
            predicting whether captions belong to a clip.
        """
        figure_batches: dict[str, list[Tensor]] = {}
        for batch_index, clip_batch in enumerate(self._validation_batches()):
            masking_plan = MaskingPlan.sample_plan(
                clip_batch, np.random.default_rng([self._random_seed, batch_index, 2])
            )
            *_, batch_figures = self._compute_losses(clip_batch, masking_plan)
            for figure_name, figure_values in batch_figures.items():
                figure_batches.setdefault(figure_name, []).append(figure_values)
        joined_figures = {
            figure_name: torch.cat(figure_values)
            for figure_name, figure_values in figure_batches.items()
        }
        if (word_ids := joined_figures.pop("words", None)) is not None:
            joined_figures["commonest"] = word_ids == word_ids.mode().values
        mean_figures = {
            figure_name: float(figure_values.double().mean())
            for figure_name, figure_values in joined_figures.items()
        }
        return {
            "score": -mean_figures["loss"] - mean_figures.get("belongs_loss", 0.0),
            **mean_figures,
        }

    def evaluate_on(self, device_name: str) -> dict[str, float]:
        """Move the network to a device and return its figures before any step."""
        self.model.to(device_name).eval()
        with torch.no_grad():
            return self.validate()

    def _compute_losses(
        self, clip_batch: ClipBatch, masking_plan: MaskingPlan
    ) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
        """Return the loss of the frames, of the captions if any, and the values of each figure."""
        model = self.model
        device_batch = DeviceBatch.from_clips(
            clip_batch, model.mask.device, masking_plan.caption_rows
        )
        hidden_mask = torch.from_numpy(masking_plan.hidden_mask).to(
            device_batch.frame_vectors.device
        )
        model_output = model(device_batch, hidden_mask)
        masked_targets = self._build_targets(device_batch, hidden_mask)
        frame_logits = self._score_candidates(
            model_output.predicted_frames[hidden_mask], masked_targets
        )
        frame_losses = functional.cross_entropy(
            frame_logits, masked_targets.target_rows, reduction="none"
        )
        batch_figures = {
            "loss": frame_losses,
            "accuracy": frame_logits.argmax(dim=1) == masked_targets.target_rows,
        }
        batch_figures["guessed"] = frame_logits.isfinite().sum(dim=1).float().log()
        if not model.training:
            batch_figures |= self._compute_baselines(device_batch, masked_targets)
        if not masking_plan.match_mask.any():
            return frame_losses.mean(), None, batch_figures
        match_mask = torch.from_numpy(masking_plan.match_mask).to(device_batch.frame_vectors.device)
        is_own_text = torch.from_numpy(masking_plan.caption_rows == np.arange(len(clip_batch))).to(
            match_mask.device
        )[match_mask]
        match_losses = functional.binary_cross_entropy_with_logits(
            model_output.match_logits[match_mask], is_own_text.float(), reduction="none"
        )
        batch_figures |= {
            "belongs": (model_output.match_logits[match_mask] > 0) == is_own_text,
            "belongs_loss": match_losses,
        }
        return frame_losses.mean(), match_losses.mean(), batch_figures

    def _build_targets(self, device_batch: DeviceBatch, hidden_mask: Tensor) -> MaskedTargets:
        if self.model.network_config.num_classes:
            visual_words = self.model.vocabulary
            return MaskedTargets(
                hidden_mask,
                visual_words,
                (device_batch.frame_vectors[hidden_mask] @ visual_words.T).argmax(dim=1),
                None,
            )
        frame_vectors = functional.normalize(
            device_batch.frame_vectors[device_batch.frame_mask], dim=-1
        )  # (N, D): no padding
        own_rows = hidden_mask[device_batch.frame_mask].nonzero()[:, 0]
        return MaskedTargets(
            hidden_mask, frame_vectors, own_rows, find_duplicate_frames(frame_vectors, own_rows)
        )

    def _score_candidates(self, predicted_frames: Tensor, masked_targets: MaskedTargets) -> Tensor:
        frame_logits = self.model.compute_logits(
            predicted_frames, masked_targets.candidate_vectors
        ).float()
        if masked_targets.ignored_mask is not None:
            return frame_logits.masked_fill(masked_targets.ignored_mask, -math.inf)
        return frame_logits + self.model.bias

    def _compute_baselines(
        self, device_batch: DeviceBatch, masked_targets: MaskedTargets
    ) -> dict[str, Tensor]:
        """Return whether the nearest visible frame would be right, and the visual words."""
        nearest_frames = find_nearest_visible(device_batch, masked_targets.hidden_mask)  # (M, D)
        frame_similarities = nearest_frames @ masked_targets.candidate_vectors.T
        if masked_targets.ignored_mask is None:
            return {
                "copied": frame_similarities.argmax(dim=1) == masked_targets.target_rows,
                "words": masked_targets.target_rows,
            }
        # exclude the copied frame, which is a candidate itself and would always win
        is_same_frame = frame_similarities > 1 - 1e-6
        frame_similarities = frame_similarities.masked_fill(
            masked_targets.ignored_mask | is_same_frame, -math.inf
        )
        return {"copied": frame_similarities.argmax(dim=1) == masked_targets.target_rows}


def find_nearest_visible(device_batch: DeviceBatch, hidden_mask: Tensor) -> Tensor:
    """Return for each masked frame, in order, the visible frame nearest in time, (M, D)."""
    time_distances = (
        device_batch.frame_times[:, :, None] - device_batch.frame_times[:, None, :]
    ).abs()  # (B, T, T)
    visible_mask = device_batch.frame_mask & ~hidden_mask
    nearest_columns = time_distances.masked_fill(~visible_mask[:, None, :], math.inf).argmin(
        dim=2
    )  # (B, T)
    row_indices = torch.arange(len(hidden_mask), device=hidden_mask.device)[:, None]
    return functional.normalize(
        device_batch.frame_vectors[row_indices, nearest_columns][hidden_mask], dim=-1
    )
