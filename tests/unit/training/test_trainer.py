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


class Line:
    """Learns y = x · w with dropout on x, so that the seed matters."""

    def __init__(self, *, stops_at: int | None = None, breaks_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.Sequential(nn.Dropout(0.1), nn.Linear(4, 1))
        self.stops_at, self.breaks_at = stops_at, breaks_at
        self.digest = "line"
        self.wanted = torch.tensor([1.0, -2.0, 3.0, 0.5])

    def batch(self, seed: int) -> Tensor:
        return torch.randn(16, 4, generator=torch.Generator().manual_seed(seed))

    def compute_loss(self, step_index: int) -> Tensor:
        if step_index == self.stops_at:
            raise KeyboardInterrupt
        x = self.batch(step_index)
        loss: Tensor = ((self.module(x)[:, 0] - x @ self.wanted) ** 2).mean()
        return loss * torch.nan if step_index == self.breaks_at else loss

    def validate(self) -> dict[str, float]:
        x = self.batch(10_000)
        with torch.no_grad():
            error = float(((self.module(x)[:, 0] - x @ self.wanted) ** 2).mean())
        return {"score": -error, "error": error}


def weights(task: Line) -> dict[str, Tensor]:
    return dict(task.module.state_dict())


def same(one: Line, other: Line) -> bool:
    pairs = zip(weights(one).values(), weights(other).values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_it_learns() -> None:
    task = Line()
    before = task.validate()["error"]
    after = train_network(task, replace(CONFIG, steps=400, learning_rate=0.05)).figures["error"]
    assert after < before / 10


def test_the_same_seed_gives_the_same_weights_and_another_one_others() -> None:
    one, other, third = Line(), Line(), Line()
    train_network(one, CONFIG)
    train_network(other, CONFIG)
    train_network(third, replace(CONFIG, seed=1))
    assert same(one, other)
    assert not same(one, third)


@pytest.mark.parametrize("stops_at", [1, 10, 25, 59])
def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, stops_at: int) -> None:
    whole, killed, resumed = Line(), Line(stops_at=stops_at), Line()
    train_network(whole, CONFIG, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_network(killed, CONFIG, tmp_path / "killed")
    steps: list[int] = []
    now = train_network(resumed, CONFIG, tmp_path / "killed", lambda now: steps.append(now.step))
    assert steps[0] == stops_at // 10 * 10 + 1  # what was done is not done again
    assert now.step == 60
    assert same(whole, resumed)
    logs = [(tmp_path / name / LOG_FILENAME).read_text("utf-8") for name in ("whole", "killed")]
    assert logs[0] == logs[1]


def test_a_finished_run_takes_no_steps(tmp_path: Path) -> None:
    first, again = Line(), Line()
    train_network(first, CONFIG, tmp_path)
    steps: list[int] = []
    train_network(again, CONFIG, tmp_path, lambda now: steps.append(now.step))
    assert not steps
    assert same(first, again)


class Scripted(Line):
    """Returns predefined validation scores."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = iter(scores)

    def validate(self) -> dict[str, float]:
        return {"score": next(self.scores)}


def test_it_ends_with_the_weights_of_the_best_validation() -> None:
    task, kept = Scripted([1, 3, 2, 2, 2, 2]), []

    def keep(now: TrainerState) -> None:
        if now.step == 20:
            kept.append([each.clone() for each in weights(task).values()])

    now = train_network(task, CONFIG, on_step=keep)
    assert (now.best, now.best_step, now.step) == (3, 20, 60)
    pairs = zip(kept[0], weights(task).values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_it_stops_early_without_improvement() -> None:
    now = train_network(Scripted([1, 3, 2, 2, 2, 2]), replace(CONFIG, patience=2))
    assert now.step == 40


def test_a_nan_loss_ends_the_run_with_the_best_weights() -> None:
    task = Line(breaks_at=25)
    now = train_network(task, CONFIG)
    assert now.has_diverged
    assert now.step == 26
    assert all(bool(each.isfinite().all()) for each in weights(task).values())


def test_the_log_has_one_row_per_step(tmp_path: Path) -> None:
    train_network(Line(), CONFIG, tmp_path)
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


@pytest.mark.parametrize("other", [{"steps": 61}, {"seed": 1}, {"learning_rate": 0.1}])
def test_other_settings_start_over_and_keep_the_old_checkpoint(
    tmp_path: Path, other: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    train_network(Line(), CONFIG, tmp_path)
    fresh, again = Line(), Line()
    config = replace(CONFIG, **other)  # type: ignore[arg-type]
    train_network(fresh, config)
    train_network(again, config, tmp_path)
    assert same(fresh, again)
    assert (tmp_path / "checkpoint.old").exists()
    assert "starting over" in caplog.text


def test_an_invalid_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT_FILENAME).write_bytes(b"nonsense")
    with pytest.raises(DamagedLibraryError, match=CHECKPOINT_FILENAME):
        train_network(Line(), CONFIG, tmp_path)


def test_checkpoints_cannot_execute_code(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(tmp_path / "harmed"), "w"))  # type: ignore[return-value]

    torch.save({"digest": Harm()}, tmp_path / CHECKPOINT_FILENAME)
    with pytest.raises(DamagedLibraryError):
        train_network(Line(), CONFIG, tmp_path)
    assert not (tmp_path / "harmed").exists()


def test_progress_is_reported_after_every_step() -> None:
    message: list[TrainerState] = []
    train_network(Line(), CONFIG, on_step=message.append)
    assert len(message) == 60


def test_a_config_without_steps_is_rejected() -> None:
    with pytest.raises(SettingsError):
        TrainerConfig(steps=0)
