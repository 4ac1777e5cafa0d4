"""Masked-frame modelling, in the manner of VideoBERT (Sun et al. 2019): learning without labels.

Some frames of a clip are hidden, in spans, and the Transformer says from the others what they are:
either which of the batch's frames it is (`contrastive`: CBT, Sun et al. 2019b; MFM-NCE of HERO, Li
et al. 2020), or which visual word (`words`: VideoBERT; `vectors/visual_words.py` learns them). Both
compare one prediction, a direction in the space of the frames, with candidates. Words that are said
in a clip are read beside its frames, and [CLS] tells whether they belong to it or to another.
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
from vsearch.temporal.task import Task
from vsearch.temporal.transformer import FRAME, WORDS, VideoTransformer
from vsearch.temporal.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

    from vsearch.temporal.clips import Clips
    from vsearch.temporal.weights import TransformerConfig
    from vsearch.types import Ids, Matrix

DUPLICATE = 0.95  # cosine from which two frames are the same thing: neither is wrong for the other
SHARPNESS, SHARPEST = 1 / 0.07, 100.0  # of cosines before a softmax: at first, and at most
KIND = "pretrained"  # of weights


@dataclass(frozen=True, slots=True)
class Reading:
    """What the network makes of a batch."""

    frames: Tensor  # (B, T, D) of unit length: what each frame is, as far as the others tell
    belongs: Tensor  # (B,) logit: what is said belongs to what is seen


class MaskedFrames(nn.Module):
    """The Transformer with what it is pretrained by."""

    vocabulary: Tensor  # (K, D) visual words; only if config.num_classes, which is K

    def __init__(self, config: TransformerConfig, vocabulary: Matrix | None = None) -> None:
        super().__init__()
        if config.num_classes != (0 if vocabulary is None else len(vocabulary)):
            raise ValueError(f"num_classes {config.num_classes} is not the number of words")
        self.config = config
        self.transformer = VideoTransformer(config)
        self.mask = nn.Parameter(torch.randn(config.features) / math.sqrt(config.features))
        self.predict = nn.Linear(config.hidden, config.features)
        self.match = nn.Linear(config.hidden, 1)
        self.sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))
        # content as loud as position, however many numbers a frame has
        nn.init.normal_(self.transformer.embed.weight, std=config.features**-0.5)
        nn.init.normal_(self.match.weight, std=0.02)
        with torch.no_grad():  # back the way that frames came in, so that content finds out again
            self.predict.weight.copy_(self.transformer.embed.weight.T)
        for layer in (self.predict, self.match):
            nn.init.zeros_(layer.bias)
        if vocabulary is not None:
            self.register_buffer("vocabulary", torch.tensor(vocabulary))
            self.bias = nn.Parameter(torch.zeros(len(vocabulary)))

    def forward(self, batch: Batch, hidden: Tensor) -> Reading:
        """`hidden`, bool (B, T), says which frames the network does not see."""
        frames = torch.where(hidden[..., None], self.mask, batch.frames)
        count, length = hidden.shape
        ends = batch.times.amax(dim=1, keepdim=True)
        modality = torch.full((count, length + batch.texts.shape[1]), FRAME, device=frames.device)
        modality[:, length:] = WORDS
        states = self.transformer(
            torch.cat([frames, batch.texts], dim=1),
            torch.cat([batch.times, batch.places * ends], dim=1),
            torch.cat([batch.mask, batch.said], dim=1),
            modality,
        )
        predicted = functional.normalize(self.predict(states.frames[:, :length]), dim=-1)
        return Reading(predicted, self.match(states.clip)[:, 0])

    def scores(self, predicted: Tensor, candidates: Tensor) -> Tensor:
        """Directions (M, D) and candidates (N, D) -> logits (M, N)."""
        return self.sharpness.exp().clamp(max=SHARPEST) * predicted @ candidates.T

    def weights(self, about: Mapping[str, Any]) -> Weights:
        """All of it, to be saved."""
        arrays = {n: each.detach().cpu().numpy() for n, each in self.state_dict().items()}
        return Weights(KIND, self.config, arrays, about)

    @classmethod
    def begun(cls, config: TransformerConfig, vocabulary: Matrix | None, seed: int) -> Self:
        """The same one for the same seed."""
        torch.manual_seed(seed)
        return cls(config, vocabulary)

    @classmethod
    def of(cls, weights: Weights) -> Self:
        """The network that was saved."""
        module = cls(weights.config, weights.arrays.get("vocabulary"))
        module.load_state_dict({n: torch.tensor(each) for n, each in weights.arrays.items()})
        return module.eval()


def initialise(transformer: VideoTransformer, weights: Weights) -> None:
    """Begin with a pretrained Transformer; heads stay as they are.

    Raises SpaceMismatchError if it has another shape: `dropout` and classes do not matter.
    """
    names = ("features", "hidden", "layers", "heads", "mlp", "positions")
    mine, theirs = ([getattr(c, n) for n in names] for c in (transformer.config, weights.config))
    if mine != theirs:
        told = ", ".join(
            f"{name} {there} in place of {here}"
            for name, here, there in zip(names, mine, theirs, strict=True)
            if here != there
        )
        raise SpaceMismatchError(
            f"the pretrained Transformer has {told}: train from the preset and for the model that "
            "it was pretrained with"
        )
    prefix = "transformer."
    transformer.load_state_dict(
        {n.removeprefix(prefix): torch.tensor(each) for n, each in weights.arrays.items()
         if n.startswith(prefix)}
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """`Clips` on a device."""

    frames: Tensor  # (B, T, D)
    times: Tensor  # (B, T) seconds since the first frame
    mask: Tensor  # bool (B, T)
    texts: Tensor  # (B, S, D)
    places: Tensor  # (B, S) in [0, 1]
    said: Tensor  # bool (B, S)

    @classmethod
    def of(cls, clips: Clips, device: torch.device | str, texts_of: Ids) -> Self:
        """`texts_of`, int64 (B,), is the clip whose words each clip is given."""
        arrays = (
            clips.frames, clips.times, clips.mask,
            clips.texts[texts_of], clips.places[texts_of], clips.said[texts_of],
        )  # fmt: skip
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))


def duplicates(frames: Tensor, own: Tensor) -> Tensor:
    """Which frames (N, D) show what frames[own] show and are not those themselves, (M, N)."""
    unit = functional.normalize(frames, dim=-1)
    alike = unit[own] @ unit.T >= DUPLICATE
    alike[torch.arange(len(own), device=own.device), own] = False
    return alike


@dataclass(frozen=True, slots=True)
class Asked:
    """What a batch asks for, and the candidates."""

    hidden: Tensor  # bool (B, T)
    candidates: Tensor  # (N, D): the real frames of the batch, or the visual words
    right: Tensor  # int64 (M,): the candidate that each hidden frame is
    void: Tensor | None  # bool (M, N): candidates that are neither right nor wrong


class Lesson:
    """Masked frames, and whether words belong to them: what `training.train` is given."""

    def __init__(
        self,
        module: MaskedFrames,
        draw: Callable[[int], Clips],
        held: Callable[[], Iterable[Clips]],
        *,
        digest: str,
        seed: int = 0,
    ) -> None:
        """`draw` gives the batch of a step, `held` what is judged by, the same each time."""
        self.network, self.digest = module, digest
        self._draw, self._held, self._seed = draw, held, seed

    @property
    def module(self) -> nn.Module:
        """What is trained."""
        return self.network

    def loss(self, step: int) -> Tensor:
        """Of the hidden frames, and of what is said."""
        clips = self._draw(step)
        task = Task.draw(clips, np.random.default_rng([self._seed, step, 1]))
        frames, belongs, _ = self._losses(clips, task)
        return frames if belongs is None else frames + belongs

    def validate(self) -> dict[str, float]:
        """Means over what is held out, hidden in the same way each time.

        "loss" and "accuracy" are of the hidden frames; "guessed" is the loss of who knows nothing,
        "copied" the accuracy of naming the nearest frame that is seen, "commonest" that of always
        naming the visual word that turns out to be the commonest; "belongs" is the accuracy of
        telling whether words belong to a clip.
        """
        found: dict[str, list[Tensor]] = {}
        for number, clips in enumerate(self._held()):
            task = Task.draw(clips, np.random.default_rng([self._seed, number, 2]))
            *_, figures = self._losses(clips, task)
            for name, values in figures.items():
                found.setdefault(name, []).append(values)
        joined = {name: torch.cat(values) for name, values in found.items()}
        if (words := joined.pop("words", None)) is not None:
            joined["commonest"] = words == words.mode().values
        means = {name: float(values.double().mean()) for name, values in joined.items()}
        return {"score": -means["loss"] - means.get("belongs_loss", 0.0), **means}

    def judged(self, device: str) -> dict[str, float]:
        """What `validate` finds before any step."""
        self.network.to(device).eval()
        with torch.no_grad():
            return self.validate()

    def _losses(self, clips: Clips, task: Task) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
        """Of the frames, and of what is said if that is asked; and the values of each figure."""
        net = self.network
        batch = Batch.of(clips, net.mask.device, task.texts_of)
        hidden = torch.from_numpy(task.hidden).to(batch.frames.device)
        read = net(batch, hidden)
        asked = self._asked(batch, hidden)
        scores = self._scores(read.frames[hidden], asked)
        each = functional.cross_entropy(scores, asked.right, reduction="none")
        figures = {"loss": each, "accuracy": scores.argmax(dim=1) == asked.right}
        figures["guessed"] = scores.isfinite().sum(dim=1).float().log()
        if not net.training:
            figures |= self._baselines(batch, asked)
        if not task.asked.any():
            return each.mean(), None, figures
        chosen = torch.from_numpy(task.asked).to(batch.frames.device)
        own = torch.from_numpy(task.texts_of == np.arange(len(clips))).to(chosen.device)[chosen]
        belongs = functional.binary_cross_entropy_with_logits(
            read.belongs[chosen], own.float(), reduction="none"
        )
        figures |= {"belongs": (read.belongs[chosen] > 0) == own, "belongs_loss": belongs}
        return each.mean(), belongs.mean(), figures

    def _asked(self, batch: Batch, hidden: Tensor) -> Asked:
        if self.network.config.num_classes:
            words = self.network.vocabulary
            return Asked(hidden, words, (batch.frames[hidden] @ words.T).argmax(dim=1), None)
        frames = functional.normalize(batch.frames[batch.mask], dim=-1)  # (N, D): no padding
        own = hidden[batch.mask].nonzero()[:, 0]
        return Asked(hidden, frames, own, duplicates(frames, own))

    def _scores(self, predicted: Tensor, asked: Asked) -> Tensor:
        scores = self.network.scores(predicted, asked.candidates).float()
        if asked.void is not None:
            return scores.masked_fill(asked.void, -math.inf)
        return scores + self.network.bias

    def _baselines(self, batch: Batch, asked: Asked) -> dict[str, Tensor]:
        """Whether the nearest frame that is seen would be right; the words, to be counted."""
        near = nearest_seen(batch, asked.hidden)  # (M, D)
        scores = near @ asked.candidates.T
        if asked.void is None:
            return {"copied": scores.argmax(dim=1) == asked.right, "words": asked.right}
        # the frame that is copied is a candidate itself, and would be named each time
        itself = scores > 1 - 1e-6
        scores = scores.masked_fill(asked.void | itself, -math.inf)
        return {"copied": scores.argmax(dim=1) == asked.right}


def nearest_seen(batch: Batch, hidden: Tensor) -> Tensor:
    """For each hidden frame, in order, the frame nearest in time that is not, (M, D)."""
    apart = (batch.times[:, :, None] - batch.times[:, None, :]).abs()  # (B, T, T)
    seen = batch.mask & ~hidden
    nearest = apart.masked_fill(~seen[:, None, :], math.inf).argmin(dim=2)  # (B, T)
    rows = torch.arange(len(hidden), device=hidden.device)[:, None]
    return functional.normalize(batch.frames[rows, nearest][hidden], dim=-1)
