"""The training loop: steps that can be stopped at any time and go on as if nothing had happened.

What a step sees depends on the seed and its number alone, so that a run that was killed and resumed
ends in the same weights, bit for bit on a CPU, as one that was not.
"""

from __future__ import annotations

import csv
import json
import logging
import math
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch

from vsearch.errors import SettingsError
from vsearch.files import replaced, usable

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from torch import Tensor, nn

log = logging.getLogger(__name__)

CHECKPOINT, LOG = "checkpoint.pt", "log.csv"
COLUMNS = ("step", "loss", "rate", "norm", "validation", "figures")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train."""

    steps: int = 1_000
    rate: float = 3e-4  # of AdamW, at its highest
    warm_up: float = 0.05  # share of the steps in which the rate rises; then it falls as a cosine
    decay: float = 0.05  # of weights of matrices; biases, norms and gates are left alone
    clip: float = 1.0  # longest gradient
    seed: int = 0
    every: int = 50  # steps from one validation and checkpoint to the next
    patience: int = 0  # validations without a better one, then stop; 0: never
    device: str = "cpu"
    half: bool = False  # bfloat16 autocast: mixed precision

    def __post_init__(self) -> None:
        if self.steps < 1 or self.every < 1 or self.patience < 0 or self.rate <= 0:
            raise SettingsError(f"steps, rate and patience make no sense: {self}")

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        rise = max(1, round(self.warm_up * self.steps))
        if step < rise:
            return self.rate * (step + 1) / rise
        along = (step - rise) / max(1, self.steps - rise)
        return self.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * along)))


class Lesson(Protocol):
    """What is to be learnt."""

    @property
    def module(self) -> nn.Module:
        """What is trained, everything that has parameters."""

    @property
    def digest(self) -> str:
        """Names the data and the shape of the module: a run of another one is begun anew."""

    def loss(self, step: int) -> Tensor:
        """The loss of one batch, which depends on `step` alone."""

    def validate(self) -> dict[str, float]:
        """Figures on what is held out; "score" decides which weights are best: more is better."""


@dataclass(slots=True)
class Progress:
    """Where a run stands; the whole of it is in the checkpoint."""

    step: int = 0  # done
    best: float = -math.inf  # score
    best_step: int = 0
    since: int = 0  # validations since then
    figures: dict[str, float] = field(default_factory=dict)  # of the best
    history: list[dict[str, Any]] = field(default_factory=list)  # rows of the log

    @property
    def stopped(self) -> bool:
        """Not a number any more: the loss, and so all that could follow."""
        return bool(self.history) and not math.isfinite(self.history[-1]["loss"])


def train(
    lesson: Lesson,
    recipe: Recipe,
    folder: Path | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Train, and leave the module with the weights of its best validation.

    With a `folder` there are a checkpoint and a CSV log in it every `recipe.every` steps, and a run
    that was stopped goes on from there; a checkpoint of something else is kept as `.old`. `report`
    is told after every step. Raises DamagedLibraryError for a checkpoint that does not load.
    """
    module = lesson.module.to(recipe.device)
    optimiser = torch.optim.AdamW(_groups(module, recipe.decay), lr=recipe.rate)
    run = _Run(lesson, recipe, optimiser, folder)
    now = run.resumed()
    while now.step < recipe.steps and not (recipe.patience and now.since >= recipe.patience):
        torch.manual_seed(recipe.seed * 1_000_003 + now.step)  # of dropout
        module.train()
        loss, norm = run.step(now.step)
        now.step += 1
        row = {"step": now.step, "loss": loss, "rate": recipe.rate_at(now.step - 1), "norm": norm}
        now.history.append(row)
        if now.step % recipe.every == 0 or now.step == recipe.steps or now.stopped:
            run.validate(now)
            run.save(now)
        report(now)
        if now.stopped:
            break
    module.load_state_dict(run.best)
    module.eval()
    return now


class _Run:
    """The moving parts of one run."""

    def __init__(
        self,
        lesson: Lesson,
        recipe: Recipe,
        optimiser: torch.optim.Optimizer,
        folder: Path | None,
    ) -> None:
        self.lesson, self.recipe, self.optimiser, self.folder = lesson, recipe, optimiser, folder
        self.best = _copy(lesson.module)

    def step(self, number: int) -> tuple[float, float]:
        """One step of gradient descent: its loss and the length of the gradient."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate_at(number)
        with _precision(self.recipe):
            loss = self.lesson.loss(number)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = self.lesson.module.parameters()
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.recipe.clip)
        if bool(norm.isfinite()):
            self.optimiser.step()
        return float(loss.detach()), float(norm)

    def validate(self, now: Progress) -> None:
        """Note how well it does on what is held out, and the weights if they are the best."""
        self.lesson.module.eval()
        with torch.no_grad(), _precision(self.recipe):
            figures = self.lesson.validate()
        now.history[-1] |= {"validation": figures["score"], "figures": figures}
        now.since += 1
        if figures["score"] > now.best:
            now.best, now.best_step, now.since = figures["score"], now.step, 0
            now.figures = figures
            self.best = _copy(self.lesson.module)

    def save(self, now: Progress) -> None:
        """Write the checkpoint, whole or not at all, then the log."""
        if self.folder is None:
            return
        state = {
            "digest": self._digest(),
            "now": json.dumps(asdict(now)),
            "module": self.lesson.module.state_dict(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
        }
        with replaced(self.folder / CHECKPOINT) as file:
            torch.save(state, file)
        write_log(self.folder / LOG, now)

    def resumed(self) -> Progress:
        """What the checkpoint in the folder says, if there is one, put in place."""
        if self.folder is None or not (path := self.folder / CHECKPOINT).exists():
            return Progress()
        remedy = "delete it to start anew, or name another folder"
        with usable(path, remedy):
            state = torch.load(path, map_location=self.recipe.device, weights_only=True)
            digest, now = str(state["digest"]), Progress(**json.loads(state["now"]))
        if digest != self._digest():
            old = path.replace(path.with_suffix(".old"))
            log.warning("%s was of a run with other data or another recipe: begun anew", old)
            return Progress()
        with usable(path, remedy):
            self.lesson.module.load_state_dict(state["best"])
            self.lesson.module.load_state_dict(state["module"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.best = state["best"]
        return now

    def _digest(self) -> str:
        """Names the run: where it computes may change from one start to the next."""
        recipe = asdict(self.recipe)
        for name in ("device", "half"):
            del recipe[name]
        return json.dumps([self.lesson.digest, recipe])


def write_log(path: Path, now: Progress) -> None:
    """One row of CSV a step; figures of a validation as JSON in the last column."""
    rows = [{**row, "figures": json.dumps(row.get("figures", {}))} for row in now.history]
    part = path.with_name(f"{path.name}.part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def _groups(module: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Matrices decay, vectors and gates do not."""
    trained = [each for each in module.parameters() if each.requires_grad]
    return [
        {"params": [each for each in trained if each.ndim > 1], "weight_decay": decay},
        {"params": [each for each in trained if each.ndim < 2], "weight_decay": 0.0},
    ]


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def _precision(recipe: Recipe) -> AbstractContextManager[Any]:
    if not recipe.half:
        return nullcontext()
    return torch.autocast(torch.device(recipe.device).type, torch.bfloat16)
