"""What a classifier is taught: cross-entropy over batches of clips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from vsearch.temporal.masked import initialise
from vsearch.temporal.transformer import Classifier
from vsearch.temporal.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor, nn

    from vsearch.temporal.clips import Clips
    from vsearch.temporal.weights import TransformerConfig
    from vsearch.types import Ids, Matrix, Vector

KIND = "classifier"


class Lesson:
    """Clips and their classes: what `training.train` is given."""

    def __init__(
        self,
        network: Classifier,
        draw: Callable[[int], tuple[Clips, Ids]],
        held: Callable[[], Iterable[tuple[Clips, Ids]]],
        *,
        weights: Vector,
        smoothing: float,
        digest: str,
    ) -> None:
        """`draw` gives the batch of a step, `held` what is judged by; `weights` (K,) of classes."""
        self.network, self.digest = network, digest
        self._draw, self._held = draw, held
        self._weights, self._smoothing = torch.from_numpy(weights), smoothing

    @property
    def module(self) -> nn.Module:
        """What is trained."""
        return self.network

    def loss(self, step: int) -> Tensor:
        """Of one batch."""
        clips, right = self._draw(step)
        logits = logits_of(self.network, clips)
        return functional.cross_entropy(
            logits,
            torch.from_numpy(right).to(logits.device),
            self._weights.to(logits.device),
            label_smoothing=self._smoothing,
        )

    def validate(self) -> dict[str, float]:
        """Cross-entropy and accuracy; classes count as they do in the loss."""
        losses, hits, weights = [], [], []
        for clips, right in self._held():
            logits = logits_of(self.network, clips).float().cpu()
            target = torch.from_numpy(right)
            losses.append(functional.cross_entropy(logits, target, reduction="none"))
            hits.append((logits.argmax(dim=1) == target).double())
            weights.append(self._weights[target].double())
        weight = torch.cat(weights)
        loss = float((torch.cat(losses).double() * weight).sum() / weight.sum())
        return {"score": -loss, "loss": loss, "accuracy": float(torch.cat(hits).mean())}


def begun(config: TransformerConfig, seed: int, pretrained: Weights | None) -> Classifier:
    """A new one, the same for the same seed. Raises SpaceMismatchError for a wrong beginning."""
    torch.manual_seed(seed)
    network = Classifier(config)
    if pretrained is not None:
        initialise(network.transformer, pretrained)
    return network


def told(network: Classifier, about: Mapping[str, Any]) -> Weights:
    """What is to be saved, rounded as in a file; the network has these numbers from then on."""
    arrays = {name: each.detach().cpu().numpy() for name, each in network.state_dict().items()}
    weights = Weights(KIND, network.config, arrays, about).half
    network.load_state_dict({name: torch.tensor(each) for name, each in weights.arrays.items()})
    return weights


def judged(network: Classifier, batches: Iterable[tuple[Clips, Ids]]) -> tuple[Matrix, Ids]:
    """Logits, float32 (N, K), and the right classes, int64 (N,)."""
    network.eval()
    logits, rights = [], []
    with torch.no_grad():
        for clips, right in batches:
            logits.append(logits_of(network, clips).float().cpu().numpy())
            rights.append(right)
    return np.concatenate(logits), np.concatenate(rights)


def logits_of(network: Classifier, clips: Clips) -> Tensor:
    """(B, K)."""
    device = network.head.weight.device
    arrays = (clips.frames, clips.times, clips.mask)
    found: Tensor = network(*(torch.from_numpy(each).to(device) for each in arrays))
    return found
