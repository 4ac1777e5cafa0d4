"""Pretraining on a library: it learns, ends where an uninterrupted run does, and is judged."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from moving import COUNT, library, said
from vsearch.errors import (
    DamagedLibraryError,
    MissingExtraError,
    NoTextError,
    SettingsError,
    SpaceMismatchError,
)
from vsearch.evaluation.datasets import Dataset, Item
from vsearch.temporal import weights
from vsearch.temporal.weights import TransformerConfig, Weights
from vsearch.training.cues import Cues
from vsearch.training.pretraining import FILE, Plan, load, pretrain
from vsearch.types import Space, Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch import Library
    from vsearch.temporal.training import Progress

SMALL = Plan(steps=12, batch=8, longest=16, rate=3e-3, device="cpu")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preset `small` that takes no time."""
    tiny = TransformerConfig(features=1, hidden=32, layers=2, heads=2, mlp=64)
    monkeypatch.setitem(weights.PRESETS, "small", tiny)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Library]:
    with library(tmp_path) as one:
        yield one


class Killed(BaseException):
    """As if the process had ended."""


def kill_at(step: int) -> object:
    def report(now: Progress) -> None:
        if now.step == step:
            raise Killed

    return report


@pytest.mark.parametrize("form", ["contrastive", "words"])
def test_hidden_frames_of_held_out_videos_are_told_better_than_before(
    made: Library, form: str
) -> None:
    plan = replace(SMALL, form=form, steps=120, rate=1e-2)  # type: ignore[arg-type]
    done = pretrain(made, plan)
    assert done.figures["loss"] < 0.9 * done.figures["guessed"]
    assert done.figures["loss"] < done.first["loss"]
    assert done.figures["accuracy"] > done.first["accuracy"]
    if form == "words":
        assert done.words > 4
        assert done.figures["accuracy"] > done.figures["commonest"]
    assert (done.videos, done.held_videos, done.talking) == (19, 5, 0)


@pytest.mark.parametrize("form", ["contrastive", "words"])
def test_a_killed_run_ends_in_the_same_weights_as_one_that_was_not(
    made: Library, tmp_path: Path, form: str
) -> None:
    plan = replace(SMALL, form=form)  # type: ignore[arg-type]
    whole = pretrain(made, plan, out=tmp_path / "whole")
    with pytest.raises(Killed):
        pretrain(made, plan, out=tmp_path / "halves", report=kill_at(7))  # type: ignore[arg-type]
    assert not (tmp_path / "halves" / FILE).exists()
    steps: list[int] = []
    again = pretrain(made, plan, out=tmp_path / "halves", report=lambda now: steps.append(now.step))
    assert steps == [8, 9, 10, 11, 12]
    assert again.weights.digest == whole.weights.digest
    assert again.figures == whole.figures
    assert pretrain(made, plan).weights.digest == whole.weights.digest
    assert pretrain(made, replace(plan, seed=1)).weights.digest != whole.weights.digest


def test_a_run_that_is_done_is_not_run_again(made: Library, tmp_path: Path) -> None:
    pretrain(made, SMALL, out=tmp_path)
    steps: list[int] = []
    pretrain(made, SMALL, out=tmp_path, report=lambda now: steps.append(now.step))
    assert steps == []
    with (tmp_path / "log.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 12


@pytest.mark.parametrize("other", [{"form": "words"}, {"seed": 1}, {"steps": 13}])
def test_another_run_begins_anew(made: Library, tmp_path: Path, other: dict[str, int]) -> None:
    pretrain(made, SMALL, out=tmp_path)
    plan = replace(SMALL, **other)  # type: ignore[arg-type]
    again = pretrain(made, plan, out=tmp_path)
    assert again.weights.digest == pretrain(made, plan).weights.digest
    assert (tmp_path / "checkpoint.old").exists()


def test_what_is_saved_tells_what_it_is(made: Library, tmp_path: Path) -> None:
    pretrain(made, SMALL, out=tmp_path)
    space = made.space
    assert space is not None
    found = load(tmp_path / FILE, space)
    assert found.config.features == space.dim
    assert found.about["space"] == space.name
    assert (found.about["videos"], found.about["held"]) == (19, 5)
    assert found.about["figures"]["loss"] > 0
    with pytest.raises(SpaceMismatchError, match="was pretrained on fake"):
        load(tmp_path / FILE, Space("other", space.dim, speaks_text=True))
    with pytest.raises(DamagedLibraryError, match="delete it"):
        Weights.load(tmp_path / FILE, "pooler", "delete it")


def test_subtitles_are_learnt_beside_the_frames(made: Library, tmp_path: Path) -> None:
    said(tmp_path)
    done = pretrain(made, SMALL)
    assert done.talking == COUNT
    assert 0 <= done.figures["belongs"] <= 1
    assert done.figures["score"] == pytest.approx(
        -done.figures["loss"] - done.figures["belongs_loss"]
    )


def test_captions_are_learnt_in_place_of_subtitles(made: Library, tmp_path: Path) -> None:
    said(tmp_path)
    items = tuple(Item(tmp_path / f"{number}.mp4", f"all {number}") for number in range(10))
    absent = Item(tmp_path / "elsewhere.mp4", "nothing")
    done = pretrain(made, SMALL, Dataset("rows", (*items, absent), ()))
    assert done.talking == 10
    assert done.left_out == ("videos that are not in the library: 1",)


def test_what_is_said_in_a_clip_is_what_its_time_meets(made: Library, tmp_path: Path) -> None:
    said(tmp_path)
    cues, left_out = Cues.of(made)
    assert left_out == []
    found = cues.within(tmp_path / "0.mp4", Span(2.5, 4.5), 16)
    assert found.places.tolist() == pytest.approx([0.125, 0.875])
    assert found.vectors.shape == (2, 16)
    assert len(cues.within(tmp_path / "0.mp4", Span(5.5, 9), 16).places) == 0
    assert len(cues.within(tmp_path / "none.mp4", Span(0, 9), 16).places) == 0


def test_a_caption_of_no_time_is_said_in_the_middle(made: Library, tmp_path: Path) -> None:
    cues, _ = Cues.of(made, Dataset("rows", (Item(tmp_path / "0.mp4", "red"),), ()))
    assert cues.within(tmp_path / "0.mp4", Span(2, 6), 16).places.tolist() == [0.5]


def test_a_model_that_reads_no_words_learns_without_subtitles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = Space("fake", 16, speaks_text=False)
    monkeypatch.setattr("fakes.FakeEncoder.space", space)
    said(tmp_path)
    with library(tmp_path, space=space) as mute:
        done = pretrain(mute, SMALL)
        assert done.talking == 0
        assert "reads no words" in done.left_out[0]
        with pytest.raises(NoTextError):
            pretrain(mute, SMALL, Dataset("rows", (Item(tmp_path / "0.mp4", "red"),), ()))


def test_captions_for_another_model_are_refused(tmp_path: Path) -> None:
    with (
        library(tmp_path, space=Space("other", 16, speaks_text=True)) as other,
        pytest.raises(SpaceMismatchError, match="not indexed with fake"),
    ):
        pretrain(other, SMALL, Dataset("rows", (Item(tmp_path / "0.mp4", "red"),), ()))


def test_what_makes_no_sense_is_refused(made: Library) -> None:
    with pytest.raises(SettingsError, match="contrastive, words"):
        replace(SMALL, form="both")  # type: ignore[arg-type]
    with pytest.raises(SettingsError):
        replace(SMALL, preset="huge")
    with pytest.raises(SettingsError, match="no device"):
        pretrain(made, replace(SMALL, device="abacus"))


def test_without_torch_it_says_what_to_install(
    made: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vsearch.encoders.device", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vsearch\[models\]'"):
        pretrain(made, SMALL)
