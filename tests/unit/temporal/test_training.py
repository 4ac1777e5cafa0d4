"""The training loop: it learns, and a killed run ends where an uninterrupted one does."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from vsearch.errors import DamagedLibraryError, SettingsError
from vsearch.temporal.training import CHECKPOINT, LOG, Progress, Recipe, train

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

RECIPE = Recipe(steps=60, rate=0.02, every=10, decay=0.0)


class Line:
    """Learns y = x · w with dropout on x, so that chance matters."""

    def __init__(self, *, stops_at: int | None = None, breaks_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.Sequential(nn.Dropout(0.1), nn.Linear(4, 1))
        self.stops_at, self.breaks_at = stops_at, breaks_at
        self.digest = "line"
        self.wanted = torch.tensor([1.0, -2.0, 3.0, 0.5])

    def batch(self, seed: int) -> Tensor:
        return torch.randn(16, 4, generator=torch.Generator().manual_seed(seed))

    def loss(self, step: int) -> Tensor:
        if step == self.stops_at:
            raise KeyboardInterrupt
        x = self.batch(step)
        loss: Tensor = ((self.module(x)[:, 0] - x @ self.wanted) ** 2).mean()
        return loss * torch.nan if step == self.breaks_at else loss

    def validate(self) -> dict[str, float]:
        x = self.batch(10_000)
        with torch.no_grad():
            error = float(((self.module(x)[:, 0] - x @ self.wanted) ** 2).mean())
        return {"score": -error, "error": error}


def weights(lesson: Line) -> dict[str, Tensor]:
    return dict(lesson.module.state_dict())


def same(one: Line, other: Line) -> bool:
    pairs = zip(weights(one).values(), weights(other).values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_it_learns() -> None:
    lesson = Line()
    before = lesson.validate()["error"]
    after = train(lesson, replace(RECIPE, steps=400, rate=0.05)).figures["error"]
    assert after < before / 10


def test_the_same_seed_gives_the_same_weights_and_another_one_others() -> None:
    one, other, third = Line(), Line(), Line()
    train(one, RECIPE)
    train(other, RECIPE)
    train(third, replace(RECIPE, seed=1))
    assert same(one, other)
    assert not same(one, third)


@pytest.mark.parametrize("stops_at", [1, 10, 25, 59])
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path, stops_at: int) -> None:
    whole, killed, resumed = Line(), Line(stops_at=stops_at), Line()
    train(whole, RECIPE, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(killed, RECIPE, tmp_path / "killed")
    steps: list[int] = []
    now = train(resumed, RECIPE, tmp_path / "killed", lambda now: steps.append(now.step))
    assert steps[0] == stops_at // 10 * 10 + 1  # what was done is not done again
    assert now.step == 60
    assert same(whole, resumed)
    logs = [(tmp_path / name / LOG).read_text("utf-8") for name in ("whole", "killed")]
    assert logs[0] == logs[1]


def test_a_finished_run_is_finished(tmp_path: Path) -> None:
    first, again = Line(), Line()
    train(first, RECIPE, tmp_path)
    steps: list[int] = []
    train(again, RECIPE, tmp_path, lambda now: steps.append(now.step))
    assert not steps
    assert same(first, again)


class Scripted(Line):
    """Told how good it is."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = iter(scores)

    def validate(self) -> dict[str, float]:
        return {"score": next(self.scores)}


def test_it_ends_with_the_weights_of_the_best_validation() -> None:
    lesson, kept = Scripted([1, 3, 2, 2, 2, 2]), []

    def keep(now: Progress) -> None:
        if now.step == 20:
            kept.append([each.clone() for each in weights(lesson).values()])

    now = train(lesson, RECIPE, report=keep)
    assert (now.best, now.best_step, now.step) == (3, 20, 60)
    pairs = zip(kept[0], weights(lesson).values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_it_stops_when_nothing_gets_better() -> None:
    now = train(Scripted([1, 3, 2, 2, 2, 2]), replace(RECIPE, patience=2))
    assert now.step == 40


def test_a_loss_that_is_no_number_ends_it_with_what_was_good() -> None:
    lesson = Line(breaks_at=25)
    now = train(lesson, RECIPE)
    assert now.stopped
    assert now.step == 26
    assert all(bool(each.isfinite().all()) for each in weights(lesson).values())


def test_the_log_has_a_row_a_step(tmp_path: Path) -> None:
    train(Line(), RECIPE, tmp_path)
    with (tmp_path / LOG).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 61))
    assert sum(bool(row["validation"]) for row in rows) == 6
    assert float(rows[0]["norm"]) > 0


def test_the_rate_rises_and_falls() -> None:
    recipe = Recipe(steps=100, rate=1.0, warm_up=0.1)
    rates = [recipe.rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.05


@pytest.mark.parametrize("other", [{"steps": 61}, {"seed": 1}, {"rate": 0.1}])
def test_another_recipe_begins_anew_and_the_checkpoint_before_is_kept(
    tmp_path: Path, other: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    train(Line(), RECIPE, tmp_path)
    fresh, again = Line(), Line()
    recipe = replace(RECIPE, **other)  # type: ignore[arg-type]
    train(fresh, recipe)
    train(again, recipe, tmp_path)
    assert same(fresh, again)
    assert (tmp_path / "checkpoint.old").exists()
    assert "begun anew" in caplog.text


def test_a_checkpoint_that_is_none_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"nonsense")
    with pytest.raises(DamagedLibraryError, match=CHECKPOINT):
        train(Line(), RECIPE, tmp_path)


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(tmp_path / "harmed"), "w"))  # type: ignore[return-value]

    torch.save({"digest": Harm()}, tmp_path / CHECKPOINT)
    with pytest.raises(DamagedLibraryError):
        train(Line(), RECIPE, tmp_path)
    assert not (tmp_path / "harmed").exists()


def test_progress_is_told_of_every_step() -> None:
    told: list[Progress] = []
    train(Line(), RECIPE, report=told.append)
    assert len(told) == 60


def test_a_recipe_without_steps_is_refused() -> None:
    with pytest.raises(SettingsError):
        Recipe(steps=0)
