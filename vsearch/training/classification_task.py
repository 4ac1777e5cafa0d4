"""Training task of a classifier: cross-entropy over batches of clips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from vsearch.pooling.weights import NetworkWeights
from vsearch.training.masked_frames import load_pretrained
from vsearch.training.transformer import ClipClassifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor, nn

    from vsearch.pooling.weights import TransformerConfig
    from vsearch.training.clip_batches import ClipBatch
    from vsearch.types import Ids, Matrix, Vector

NETWORK_KIND = "classifier"


class ClassificationTask:
    """A `TrainingTask` that trains a `ClipClassifier`."""

    def __init__(
        self,
        classifier: ClipClassifier,
        sample_batch: Callable[[int], tuple[ClipBatch, Ids]],
        validation_batches: Callable[[], Iterable[tuple[ClipBatch, Ids]]],
        *,
        class_weights: Vector,
        label_smoothing: float,
        data_digest: str,
    ) -> None:
        """Use a classifier with its data.

        Args:
            classifier: Network to train.
            sample_batch: Returns the training batch and the class ids of a step.
            validation_batches: Returns the validation batches.
            class_weights: Weight of each class in the loss, float32 (K,).
            label_smoothing: Share of the target spread over all classes.
            data_digest: String that identifies the data.
        """
        self.classifier, self.digest = classifier, data_digest
        self._sample_batch, self._validation_batches = sample_batch, validation_batches
        self._class_weights, self._label_smoothing = (
            torch.from_numpy(class_weights),
            label_smoothing,
        )

    @property
    def module(self) -> nn.Module:
        """The classifier."""
        return self.classifier

    def compute_loss(self, step_index: int) -> Tensor:
        """Return the cross-entropy of the batch of a step."""
        clip_batch, class_ids = self._sample_batch(step_index)
        logits = compute_logits(self.classifier, clip_batch)
        return functional.cross_entropy(
            logits,
            torch.from_numpy(class_ids).to(logits.device),
            self._class_weights.to(logits.device),
            label_smoothing=self._label_smoothing,
        )

    def validate(self) -> dict[str, float]:
        """Return cross-entropy, weighted by class as in the loss, and accuracy."""
        loss_batches, hit_batches, weight_batches = [], [], []
        for clip_batch, class_ids in self._validation_batches():
            logits = compute_logits(self.classifier, clip_batch).float().cpu()
            target_classes = torch.from_numpy(class_ids)
            loss_batches.append(functional.cross_entropy(logits, target_classes, reduction="none"))
            hit_batches.append((logits.argmax(dim=1) == target_classes).double())
            weight_batches.append(self._class_weights[target_classes].double())
        sample_weights = torch.cat(weight_batches)
        mean_loss = float(
            (torch.cat(loss_batches).double() * sample_weights).sum() / sample_weights.sum()
        )
        return {
            "score": -mean_loss,
            "loss": mean_loss,
            "accuracy": float(torch.cat(hit_batches).mean()),
        }


def build_classifier(
    network_config: TransformerConfig, random_seed: int, pretrained_weights: NetworkWeights | None
) -> ClipClassifier:
    """Build a classifier with seeded initial weights.

    Args:
        network_config: Shape of the network.
        random_seed: Seed of the initial weights.
        pretrained_weights: Weights of the Transformer to start from.

    Returns:
        The network.

    Raises:
        SpaceMismatchError: If the pretrained Transformer has another shape.
    """
    torch.manual_seed(random_seed)
    classifier = ClipClassifier(network_config)
    if pretrained_weights is not None:
        load_pretrained(classifier.transformer, pretrained_weights)
    return classifier


def to_weights(classifier: ClipClassifier, metadata: Mapping[str, Any]) -> NetworkWeights:
    """Return the weights rounded as in a file, and load them back into the network.

    Args:
        classifier: Network whose parameters are rounded to float16 precision in place.
        metadata: JSON values to store with the weights.

    Returns:
        The rounded weights; the network computes exactly what the saved file will.
    """
    named_arrays = {
        array_name: parameter_array.detach().cpu().numpy()
        for array_name, parameter_array in classifier.state_dict().items()
    }
    network_weights = NetworkWeights(
        NETWORK_KIND, classifier.network_config, named_arrays, metadata
    ).rounded_weights
    classifier.load_state_dict(
        {
            array_name: torch.tensor(parameter_array)
            for array_name, parameter_array in network_weights.weight_arrays.items()
        }
    )
    return network_weights


def predict_logits(
    classifier: ClipClassifier, clip_batches: Iterable[tuple[ClipBatch, Ids]]
) -> tuple[Matrix, Ids]:
    """Classify batches of clips.

    Args:
        classifier: Network, which is switched to evaluation mode.
        clip_batches: Batches with their class ids.

    Returns:
        Logits, float32 (N, K), and the class ids, int64 (N,).
    """
    classifier.eval()
    logit_batches, class_batches = [], []
    with torch.no_grad():
        for clip_batch, class_ids in clip_batches:
            logit_batches.append(compute_logits(classifier, clip_batch).float().cpu().numpy())
            class_batches.append(class_ids)
    return np.concatenate(logit_batches), np.concatenate(class_batches)


def compute_logits(classifier: ClipClassifier, clip_batch: ClipBatch) -> Tensor:
    """Return the logits (B, K) of a batch, on the device of the network."""
    network_device = classifier.head.weight.device
    input_arrays = (clip_batch.frame_vectors, clip_batch.frame_times, clip_batch.frame_mask)
    logits: Tensor = classifier(
        *(torch.from_numpy(input_array).to(network_device) for input_array in input_arrays)
    )
    return logits
