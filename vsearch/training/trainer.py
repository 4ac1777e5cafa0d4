"""Training loop with checkpoints from which an interrupted run resumes exactly.

The batch of a step depends only on the seed and the step number, so a run that was killed and
resumed ends with the same weights as an uninterrupted one (bit for bit on a CPU).
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
from vsearch.storage.atomic_files import atomic_write, damage_as_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from torch import Tensor, nn

log = logging.getLogger(__name__)
CHECKPOINT_FILENAME, LOG_FILENAME = "checkpoint.pt", "log.csv"
LOG_COLUMNS = ("step", "loss", "rate", "norm", "validation", "figures")


@dataclass(frozen=True, slots=True)
class TrainerConfig:
    """Optimizer settings and schedule.

    Raises:
        SettingsError: If a value is out of range.
    """

    steps: int = 1_000
    learning_rate: float = 3e-4  # peak, of AdamW
    warmup_share: float = 0.05  # of the steps; followed by cosine decay
    weight_decay: float = 0.05  # of matrices only, not of biases, norms and gates
    max_grad_norm: float = 1.0
    seed: int = 0
    eval_interval: int = 50  # steps between validations, each of which writes a checkpoint
    patience: int = 0  # validations without improvement before stopping; 0: never stop
    device: str = "cpu"
    half: bool = False  # bfloat16 autocast: mixed precision

    def __post_init__(self) -> None:
        if self.steps < 1 or self.eval_interval < 1 or self.patience < 0 or self.learning_rate <= 0:
            raise SettingsError(f"steps, learning rate or patience out of range: {self}")

    def compute_learning_rate(self, step_index: int) -> float:
        """Return the learning rate of a step, from 0: linear warmup, then cosine decay."""
        warmup_steps = max(1, round(self.warmup_share * self.steps))
        if step_index < warmup_steps:
            return self.learning_rate * (step_index + 1) / warmup_steps
        decay_progress = (step_index - warmup_steps) / max(1, self.steps - warmup_steps)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * decay_progress)))


class TrainingTask(Protocol):
    """Network, data and loss of a training run."""

    @property
    def module(self) -> nn.Module:
        """The network with all trained parameters."""

    @property
    def digest(self) -> str:
        """String that identifies the data and the network; runs only resume with an equal one."""

    def compute_loss(self, step_index: int) -> Tensor:
        """Return the loss of the batch of a step, which depends on `step_index` alone."""

    def validate(self) -> dict[str, float]:
        """Return figures on held-out data; the weights with the highest "score" are kept."""


@dataclass(slots=True)
class TrainerState:
    """Progress of a run, saved in the checkpoint."""

    step: int = 0  # finished steps
    best: float = -math.inf  # highest score
    best_step: int = 0
    since: int = 0  # validations since the best one
    figures: dict[str, float] = field(default_factory=dict)  # of the best validation
    history: list[dict[str, Any]] = field(default_factory=list)  # rows of the log

    @property
    def has_diverged(self) -> bool:
        """Return whether the last loss is not finite."""
        return bool(self.history) and not math.isfinite(self.history[-1]["loss"])


def train_network(
    training_task: TrainingTask,
    trainer_config: TrainerConfig,
    run_folder: Path | None = None,
    on_step: Callable[[TrainerState], None] = lambda _: None,
) -> TrainerState:
    """Train a network and leave it with the weights of its best validation.

    Args:
        training_task: Network, data and loss; the network is trained in place.
        trainer_config: Optimizer settings and schedule.
        run_folder: Folder of the checkpoint and a CSV log, written at every validation. A run that
            was interrupted resumes from its checkpoint; the checkpoint of another run is renamed
            to `.old`. Nothing is saved if None.
        on_step: Called after every step.

    Returns:
        The final state.

    Raises:
        DamagedLibraryError: If the checkpoint cannot be loaded.
    """
    network = training_task.module.to(trainer_config.device)
    optimizer = torch.optim.AdamW(
        _group_parameters(network, trainer_config.weight_decay), lr=trainer_config.learning_rate
    )
    trainer = _Trainer(training_task, trainer_config, optimizer, run_folder)
    trainer_state = trainer.restore_checkpoint()
    while trainer_state.step < trainer_config.steps and not (
        trainer_config.patience and trainer_state.since >= trainer_config.patience
    ):
        torch.manual_seed(trainer_config.seed * 1_000_003 + trainer_state.step)  # for dropout
        network.train()
        step_loss, gradient_norm = trainer.run_step(trainer_state.step)
        trainer_state.step += 1
        log_row = {
            "step": trainer_state.step,
            "loss": step_loss,
            "rate": trainer_config.compute_learning_rate(trainer_state.step - 1),
            "norm": gradient_norm,
        }
        trainer_state.history.append(log_row)
        if (
            trainer_state.step % trainer_config.eval_interval == 0
            or trainer_state.step == trainer_config.steps
            or trainer_state.has_diverged
        ):
            trainer.validate_network(trainer_state)
            trainer.save_checkpoint(trainer_state)
        on_step(trainer_state)
        if trainer_state.has_diverged:
            break
    network.load_state_dict(trainer.best_weights)
    network.eval()
    return trainer_state


class _Trainer:
    """Optimizer and network of one run."""

    def __init__(
        self,
        training_task: TrainingTask,
        trainer_config: TrainerConfig,
        optimizer: torch.optim.Optimizer,
        run_folder: Path | None,
    ) -> None:
        self.training_task, self.trainer_config, self.optimizer, self.run_folder = (
            training_task,
            trainer_config,
            optimizer,
            run_folder,
        )
        self.best_weights = _copy_weights(training_task.module)

    def run_step(self, step_index: int) -> tuple[float, float]:
        """Take one optimizer step; return its loss and gradient norm."""
        for parameter_group in self.optimizer.param_groups:
            parameter_group["lr"] = self.trainer_config.compute_learning_rate(step_index)
        with _open_autocast(self.trainer_config):
            step_loss = self.training_task.compute_loss(step_index)
        self.optimizer.zero_grad(set_to_none=True)
        step_loss.backward()  # type: ignore[no-untyped-call]
        parameters = self.training_task.module.parameters()
        gradient_norm = torch.nn.utils.clip_grad_norm_(
            parameters, self.trainer_config.max_grad_norm
        )
        if bool(gradient_norm.isfinite()):
            self.optimizer.step()
        return float(step_loss.detach()), float(gradient_norm)

    def validate_network(self, trainer_state: TrainerState) -> None:
        """Record the validation figures, and the weights if they are the best."""
        self.training_task.module.eval()
        with torch.no_grad(), _open_autocast(self.trainer_config):
            validation_figures = self.training_task.validate()
        trainer_state.history[-1] |= {
            "validation": validation_figures["score"],
            "figures": validation_figures,
        }
        trainer_state.since += 1
        if validation_figures["score"] > trainer_state.best:
            trainer_state.best, trainer_state.best_step, trainer_state.since = (
                validation_figures["score"],
                trainer_state.step,
                0,
            )
            trainer_state.figures = validation_figures
            self.best_weights = _copy_weights(self.training_task.module)

    def save_checkpoint(self, trainer_state: TrainerState) -> None:
        """Write the checkpoint atomically, then the log."""
        if self.run_folder is None:
            return
        checkpoint_state = {
            "digest": self._compute_run_digest(),
            "now": json.dumps(asdict(trainer_state)),
            "module": self.training_task.module.state_dict(),
            "best": self.best_weights,
            "optimiser": self.optimizer.state_dict(),
        }
        with atomic_write(self.run_folder / CHECKPOINT_FILENAME) as output_file:
            torch.save(checkpoint_state, output_file)
        write_log(self.run_folder / LOG_FILENAME, trainer_state)

    def restore_checkpoint(self) -> TrainerState:
        """Restore the checkpoint in the run folder, if there is one."""
        if (
            self.run_folder is None
            or not (checkpoint_path := self.run_folder / CHECKPOINT_FILENAME).exists()
        ):
            return TrainerState()
        remedy_hint = "delete it to start over, or choose another folder"
        with damage_as_error(checkpoint_path, remedy_hint):
            checkpoint_state = torch.load(
                checkpoint_path, map_location=self.trainer_config.device, weights_only=True
            )
            saved_digest = str(checkpoint_state["digest"])
        if saved_digest != self._compute_run_digest():
            renamed_path = checkpoint_path.replace(checkpoint_path.with_suffix(".old"))
            log.warning(
                "%s is the checkpoint of a run with other data or settings: starting over",
                renamed_path,
            )
            return TrainerState()
        with damage_as_error(checkpoint_path, remedy_hint):
            trainer_state = TrainerState(**json.loads(checkpoint_state["now"]))
            self.training_task.module.load_state_dict(checkpoint_state["best"])
            self.training_task.module.load_state_dict(checkpoint_state["module"])
            self.optimizer.load_state_dict(checkpoint_state["optimiser"])
            self.best_weights = checkpoint_state["best"]
        return trainer_state

    def _compute_run_digest(self) -> str:
        """Return a string that identifies the run; the device may change on resume."""
        config_fields = asdict(self.trainer_config)
        for field_name in ("device", "half"):
            del config_fields[field_name]
        return json.dumps([self.training_task.digest, config_fields])


def write_log(log_path: Path, trainer_state: TrainerState) -> None:
    """Write a CSV log with one row per step.

    Args:
        log_path: File to write.
        trainer_state: Its history; validation figures are JSON in the last column.
    """
    log_rows = [
        {**log_row, "figures": json.dumps(log_row.get("figures", {}))}
        for log_row in trainer_state.history
    ]
    partial_path = log_path.with_name(f"{log_path.name}.part")
    with partial_path.open("w", newline="", encoding="utf-8") as output_file:
        csv_writer = csv.DictWriter(output_file, LOG_COLUMNS, restval="")
        csv_writer.writeheader()
        csv_writer.writerows(log_rows)
    partial_path.replace(log_path)


def _group_parameters(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Apply weight decay to matrices, not to vectors and gates."""
    trained_parameters = [
        parameter for parameter in network.parameters() if parameter.requires_grad
    ]
    return [
        {
            "params": [parameter for parameter in trained_parameters if parameter.ndim > 1],
            "weight_decay": weight_decay,
        },
        {
            "params": [parameter for parameter in trained_parameters if parameter.ndim < 2],
            "weight_decay": 0.0,
        },
    ]


def _copy_weights(network: nn.Module) -> dict[str, Tensor]:
    return {
        parameter_name: parameter_value.detach().clone()
        for parameter_name, parameter_value in network.state_dict().items()
    }


def _open_autocast(trainer_config: TrainerConfig) -> AbstractContextManager[Any]:
    if not trainer_config.half:
        return nullcontext()
    return torch.autocast(torch.device(trainer_config.device).type, torch.bfloat16)
