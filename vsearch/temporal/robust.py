"""What a pooler learns: that a clip mixed with junk is the clean clip, and what its caption says.

The loss is 1 − cosine to the mean of the frames that belong, plus InfoNCE (CLIP, Radford et al.
2021) of clips against captions, or against each other's clean means where there are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch.nn import functional

from vsearch.temporal.masked import initialise
from vsearch.temporal.mixing import Clip, mixed
from vsearch.temporal.transformer import TransformerPooling
from vsearch.temporal.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from torch import Tensor, nn

    from vsearch.temporal.mixing import Random
    from vsearch.temporal.weights import TransformerConfig
    from vsearch.types import Matrix, Vector

BATCH, GROUP = 64, 16  # clips, and how many of them are padded to one length
OPEN = 1.0  # the gate at the first step: at 0 what is behind it would get no gradient
CLEAN = 0.3  # share of the clips that are left as they are
SHARES = (0.1, 0.5)  # of junk in the others
SHARPNESS = 20.0  # 1 / temperature of InfoNCE
WEIGHT = 0.1  # of InfoNCE beside the cosine


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A clip and what is said of it, if anything is."""

    clip: Clip  # clean
    text: Vector | None  # float32 (D,)
    number: int  # of what it shows: equal numbers are no negatives of each other


class Source(Protocol):
    """Where clips come from."""

    @property
    def digest(self) -> str:
        """Names the data."""

    @property
    def junk(self) -> Matrix:
        """Pictures of nothing, float32 (M, D)."""

    def draw(self, random: Random) -> Example:
        """A clip to learn from."""

    def held(self) -> Sequence[Example]:
        """Clips to validate with, always the same ones."""


class RobustPooling:
    """A `training.Lesson`."""

    def __init__(
        self, config: TransformerConfig, source: Source, seed: int, start: Weights | None = None
    ) -> None:
        """`start` are pretrained weights of the Transformer."""
        torch.manual_seed(seed)
        self._module = TransformerPooling(config)
        if start is not None:
            initialise(self._module.transformer, start)
        torch.nn.init.constant_(self._module.gate, OPEN)
        self._source, self._seed, self._start = source, seed, start
        self._checks = self._held()

    @property
    def module(self) -> nn.Module:
        """The pooling."""
        return self._module

    @property
    def digest(self) -> str:
        """Names the data and the shape of the module."""
        start = self._start.digest if self._start is not None else None
        return f"pooler {self._module.config} {self._source.digest} {start}"

    def loss(self, step: int) -> Tensor:
        """The loss of one batch of clips, most of them mixed with junk."""
        random = np.random.default_rng([self._seed, step])
        examples = [self._source.draw(random) for _ in range(BATCH)]
        clips = [
            _spoil(each.clip, examples[place - 1].clip, self._source.junk, random)
            for place, each in enumerate(examples)
        ]
        found = self._pooled(clips)
        targets = self._tensor(np.stack([each.clip.target for each in examples]))
        near: Tensor = 1 - (found * targets).sum(dim=1).mean()
        return near + WEIGHT * self._told_apart(found, targets, examples)

    def weights(self, about: Mapping[str, Any]) -> Weights:
        """What has been learnt."""
        state = self._module.state_dict().items()
        arrays = {name: each.detach().float().cpu().numpy() for name, each in state}
        return Weights("pooler", self._module.config, arrays, about)

    def validate(self) -> dict[str, float]:
        """Cosine to the clean clip of held-out ones, mixed and as they are."""
        figures = {}
        for name, (clips, targets) in self._checks.items():
            parts = [self._pooled(clips[i : i + BATCH]) for i in range(0, len(clips), BATCH)]
            figures[name] = float((torch.cat(parts).cpu() * targets).sum(dim=1).mean())
        return figures | {"score": figures["clean"] + figures["mixed"]}

    def _held(self) -> dict[str, tuple[list[Clip], Tensor]]:
        random, held = np.random.default_rng([self._seed, 1 << 40]), self._source.held()
        clean = [each.clip for each in held]
        targets = torch.from_numpy(np.stack([clip.target for clip in clean]))
        junk = self._source.junk
        share = random.uniform(0.3, 0.5, len(clean))
        spoilt = [
            mixed(clip, clean[place - 1].frames, junk, float(share[place]), random)
            for place, clip in enumerate(clean)
        ]
        return {"clean": (clean, targets), "mixed": (spoilt, targets)}

    def _told_apart(self, found: Tensor, targets: Tensor, examples: Sequence[Example]) -> Tensor:
        """InfoNCE, of captions where there are some."""
        texts = [each.text for each in examples]
        told = [place for place, text in enumerate(texts) if text is not None]
        if len(told) > 1:
            of = self._tensor(np.stack([text for text in texts if text is not None]))
            found, examples = found[told], [examples[place] for place in told]
        else:
            of = targets
        numbers = torch.tensor([each.number for each in examples], device=found.device)
        alike = (numbers[:, None] == numbers) & ~torch.eye(
            len(numbers), dtype=torch.bool, device=found.device
        )
        scores = (SHARPNESS * found @ of.T).masked_fill(alike, -torch.inf)
        right = torch.arange(len(scores), device=found.device)
        one = functional.cross_entropy(scores, right)
        return (one + functional.cross_entropy(scores.T, right)) / 2

    def _pooled(self, clips: Sequence[Clip]) -> Tensor:
        """(B, D), whatever their lengths; those of like length together, to pad little."""
        order = np.argsort([len(clip.times) for clip in clips], kind="stable")
        groups = [order[start : start + GROUP] for start in range(0, len(order), GROUP)]
        found = torch.cat([self._padded([clips[place] for place in group]) for group in groups])
        return found[torch.from_numpy(np.argsort(order)).to(found.device)]

    def _padded(self, clips: Sequence[Clip]) -> Tensor:
        longest = max(len(clip.times) for clip in clips)
        dim = clips[0].frames.shape[1]
        frames = np.zeros((len(clips), longest, dim), np.float32)
        times = np.zeros((len(clips), longest), np.float32)
        mask = np.zeros((len(clips), longest), np.bool_)
        for row, clip in enumerate(clips):
            length = len(clip.times)
            frames[row, :length], mask[row, :length] = clip.frames, True
            times[row, :length] = clip.times - clip.times[0]
        found: Tensor = self._module(*map(self._tensor, (frames, times, mask))).clips
        return found

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._module.gate.device)


def _spoil(clip: Clip, other: Clip, junk: Matrix, random: Random) -> Clip:
    if random.random() < CLEAN:
        return clip
    return mixed(clip, other.frames, junk, float(random.uniform(*SHARES)), random)
