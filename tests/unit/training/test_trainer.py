"""The training loop: learning, resuming, early stopping."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from vsearch.errors import DamagedLibraryError, SettingsError
from vsearch.training.trainer import (
    CHECKPOINT_FILENAME,
    LOG_FILENAME,
    TrainerConfig,
    TrainerState,
    train_network,
)

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

CONFIG = TrainerConfig(steps=60, learning_rate=0.02, eval_interval=10, weight_decay=0.0)


class LinearTask:
    """Learns y = x · w with dropout on x, so that the seed matters."""

    def __init__(self, *, stops_at: int | None = None, breaks_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.Sequential(nn.Dropout(0.1), nn.Linear(4, 1))
        self.stops_at, self.breaks_at = stops_at, breaks_at
        self.digest = "line"
        self.true_weights = torch.tensor([1.0, -2.0, 3.0, 0.5])

    def batch(self, seed: int) -> Tensor:
        return torch.randn(16, 4, generator=torch.Generator().manual_seed(seed))

    def compute_loss(self, step_index: int) -> Tensor:
        if step_index == self.stops_at:
            raise KeyboardInterrupt
        x = self.batch(step_index)
        loss: Tensor = ((self.module(x)[:, 0] - x @ self.true_weights) ** 2).mean()
        return loss * torch.nan if step_index == self.breaks_at else loss

    def validate(self) -> dict[str, float]:
        x = self.batch(10_000)
        with torch.no_grad():
            error = float(((self.module(x)[:, 0] - x @ self.true_weights) ** 2).mean())
        return {"score": -error, "error": error}


def weights(task: LinearTask) -> dict[str, Tensor]:
    return dict(task.module.state_dict())


def have_same_weights(first: LinearTask, second: LinearTask) -> bool:
    pairs = zip(weights(first).values(), weights(second).values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_it_learns() -> None:
    task = LinearTask()
    before = task.validate()["error"]
    after = train_network(task, replace(CONFIG, steps=400, learning_rate=0.05)).figures["error"]
    assert after < before / 10


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not() -> None:
    first, second, third = LinearTask(), LinearTask(), LinearTask()
    train_network(first, CONFIG)
    train_network(second, CONFIG)
    train_network(third, replace(CONFIG, seed=1))
    assert have_same_weights(first, second)
    assert not have_same_weights(first, third)


@pytest.mark.parametrize("stops_at", [1, 10, 25, 59])
def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, stops_at: int) -> None:
    whole, killed, resumed = LinearTask(), LinearTask(stops_at=stops_at), LinearTask()
    train_network(whole, CONFIG, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_network(killed, CONFIG, tmp_path / "killed")
    steps: list[int] = []
    state = train_network(
        resumed, CONFIG, tmp_path / "killed", lambda state: steps.append(state.step)
    )
    assert steps[0] == stops_at // 10 * 10 + 1  # from the last checkpoint
    assert state.step == 60
    assert have_same_weights(whole, resumed)
    logs = [(tmp_path / name / LOG_FILENAME).read_text("utf-8") for name in ("whole", "killed")]
    assert logs[0] == logs[1]


def test_a_finished_run_takes_no_steps(tmp_path: Path) -> None:
    first, again = LinearTask(), LinearTask()
    train_network(first, CONFIG, tmp_path)
    steps: list[int] = []
    train_network(again, CONFIG, tmp_path, lambda state: steps.append(state.step))
    assert not steps
    assert have_same_weights(first, again)


class Scripted(LinearTask):
    """Returns predefined validation scores."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = iter(scores)

    def validate(self) -> dict[str, float]:
        return {"score": next(self.scores)}


def test_it_ends_with_the_weights_of_the_best_validation() -> None:
    task, best_weights = Scripted([1, 3, 2, 2, 2, 2]), []

    def keep(state: TrainerState) -> None:
        if state.step == 20:
            best_weights.append([tensor.clone() for tensor in weights(task).values()])

    state = train_network(task, CONFIG, on_step=keep)
    assert (state.best, state.best_step, state.step) == (3, 20, 60)
    pairs = zip(best_weights[0], weights(task).values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_it_stops_early_without_improvement() -> None:
    state = train_network(Scripted([1, 3, 2, 2, 2, 2]), replace(CONFIG, patience=2))
    assert state.step == 40


def test_a_nan_loss_ends_the_run_with_the_best_weights() -> None:
    task = LinearTask(breaks_at=25)
    state = train_network(task, CONFIG)
    assert state.has_diverged
    assert state.step == 26
    assert all(bool(tensor.isfinite().all()) for tensor in weights(task).values())


def test_the_log_has_one_row_per_step(tmp_path: Path) -> None:
    train_network(LinearTask(), CONFIG, tmp_path)
    with (tmp_path / LOG_FILENAME).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 61))
    assert sum(bool(row["validation"]) for row in rows) == 6
    assert float(rows[0]["norm"]) > 0


def test_the_learning_rate_warms_up_and_decays() -> None:
    config = TrainerConfig(steps=100, learning_rate=1.0, warmup_share=0.1)
    rates = [config.compute_learning_rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.05


@pytest.mark.parametrize("changed_settings", [{"steps": 61}, {"seed": 1}, {"learning_rate": 0.1}])
def test_other_settings_start_over_and_keep_the_old_checkpoint(
    tmp_path: Path, changed_settings: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    train_network(LinearTask(), CONFIG, tmp_path)
    fresh, again = LinearTask(), LinearTask()
    config = replace(CONFIG, **changed_settings)  # type: ignore[arg-type]
    train_network(fresh, config)
    train_network(again, config, tmp_path)
    assert have_same_weights(fresh, again)
    assert (tmp_path / "checkpoint.old").exists()
    assert "starting over" in caplog.text


def test_an_invalid_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT_FILENAME).write_bytes(b"invalid")
    with pytest.raises(DamagedLibraryError, match=CHECKPOINT_FILENAME):
        train_network(LinearTask(), CONFIG, tmp_path)


def test_checkpoints_cannot_execute_code(tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(tmp_path / "executed"), "w"))  # type: ignore[return-value]

    torch.save({"digest": Malicious()}, tmp_path / CHECKPOINT_FILENAME)
    with pytest.raises(DamagedLibraryError):
        train_network(LinearTask(), CONFIG, tmp_path)
    assert not (tmp_path / "executed").exists()


def test_progress_is_reported_after_every_step() -> None:
    states: list[TrainerState] = []
    train_network(LinearTask(), CONFIG, on_step=states.append)
    assert len(states) == 60


def test_a_config_without_steps_is_rejected() -> None:
    with pytest.raises(SettingsError):
        TrainerConfig(steps=0)
