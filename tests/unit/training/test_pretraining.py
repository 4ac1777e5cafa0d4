"""Pretraining on a library: learning, resuming, evaluation."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.moving_scenes import VIDEO_COUNT, make_library, write_subtitles
from vsearch.errors import (
    DamagedLibraryError,
    MissingExtraError,
    NoTextError,
    SettingsError,
    SpaceMismatchError,
)
from vsearch.evaluation.datasets import CaptionDataset, CaptionItem
from vsearch.pooling import weights
from vsearch.pooling.weights import NetworkWeights, TransformerConfig
from vsearch.training.caption_features import CaptionFeatures
from vsearch.training.pretraining import (
    PRETRAINED_FILE,
    PretrainConfig,
    load_pretrained,
    pretrain_transformer,
)
from vsearch.types import Space, Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch import Library
    from vsearch.training.trainer import TrainerState

SMALL = PretrainConfig(steps=12, batch_size=8, max_frames=16, learning_rate=3e-3, device="cpu")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a tiny preset `small`."""
    tiny = TransformerConfig(features=1, hidden=32, layers=2, heads=2, mlp=64)
    monkeypatch.setitem(weights.CONFIG_PRESETS, "small", tiny)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Library]:
    with make_library(tmp_path) as one:
        yield one


class Killed(BaseException):
    """Simulates the end of the process."""


def kill_at(step: int) -> object:
    def report(now: TrainerState) -> None:
        if now.step == step:
            raise Killed

    return report


@pytest.mark.parametrize("form", ["contrastive", "visual-words"])
def test_pretraining_improves_on_held_out_videos(made: Library, form: str) -> None:
    plan = replace(SMALL, objective=form, steps=120, learning_rate=1e-2)  # type: ignore[arg-type]
    done = pretrain_transformer(made, plan)
    assert done.best_figures["loss"] < 0.9 * done.best_figures["guessed"]
    assert done.best_figures["loss"] < done.initial_figures["loss"]
    assert done.best_figures["accuracy"] > done.initial_figures["accuracy"]
    if form == "visual-words":
        assert done.visual_word_count > 4
        assert done.best_figures["accuracy"] > done.best_figures["commonest"]
    assert (done.video_count, done.held_out_videos, done.captioned_videos) == (19, 5, 0)


@pytest.mark.parametrize("form", ["contrastive", "visual-words"])
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(
    made: Library, tmp_path: Path, form: str
) -> None:
    plan = replace(SMALL, objective=form)  # type: ignore[arg-type]
    whole = pretrain_transformer(made, plan, output_folder=tmp_path / "whole")
    with pytest.raises(Killed):
        pretrain_transformer(made, plan, output_folder=tmp_path / "halves", on_progress=kill_at(7))  # type: ignore[arg-type]
    assert not (tmp_path / "halves" / PRETRAINED_FILE).exists()
    steps: list[int] = []
    again = pretrain_transformer(
        made,
        plan,
        output_folder=tmp_path / "halves",
        on_progress=lambda now: steps.append(now.step),
    )
    assert steps == [8, 9, 10, 11, 12]
    assert again.weights.digest == whole.weights.digest
    assert again.best_figures == whole.best_figures
    assert pretrain_transformer(made, plan).weights.digest == whole.weights.digest
    assert pretrain_transformer(made, replace(plan, seed=1)).weights.digest != whole.weights.digest


def test_a_finished_run_is_not_repeated(made: Library, tmp_path: Path) -> None:
    pretrain_transformer(made, SMALL, output_folder=tmp_path)
    steps: list[int] = []
    pretrain_transformer(
        made, SMALL, output_folder=tmp_path, on_progress=lambda now: steps.append(now.step)
    )
    assert steps == []
    with (tmp_path / "log.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 12


@pytest.mark.parametrize("other", [{"objective": "visual-words"}, {"seed": 1}, {"steps": 13}])
def test_a_run_with_other_settings_starts_over(
    made: Library, tmp_path: Path, other: dict[str, int]
) -> None:
    pretrain_transformer(made, SMALL, output_folder=tmp_path)
    plan = replace(SMALL, **other)  # type: ignore[arg-type]
    again = pretrain_transformer(made, plan, output_folder=tmp_path)
    assert again.weights.digest == pretrain_transformer(made, plan).weights.digest
    assert (tmp_path / "checkpoint.old").exists()


def test_saved_weights_have_metadata(made: Library, tmp_path: Path) -> None:
    pretrain_transformer(made, SMALL, output_folder=tmp_path)
    space = made.space
    assert space is not None
    found = load_pretrained(tmp_path / PRETRAINED_FILE, space)
    assert found.network_config.features == space.dim
    assert found.metadata["space"] == space.name
    assert (found.metadata["videos"], found.metadata["held"]) == (19, 5)
    assert found.metadata["figures"]["loss"] > 0
    with pytest.raises(SpaceMismatchError, match="was pretrained in fake"):
        load_pretrained(tmp_path / PRETRAINED_FILE, Space("other", space.dim, supports_text=True))
    with pytest.raises(DamagedLibraryError, match="delete it"):
        NetworkWeights.load(tmp_path / PRETRAINED_FILE, "pooler", "delete it")


def test_subtitles_are_trained_on(made: Library, tmp_path: Path) -> None:
    write_subtitles(tmp_path)
    done = pretrain_transformer(made, SMALL)
    assert done.captioned_videos == VIDEO_COUNT
    assert 0 <= done.best_figures["belongs"] <= 1
    assert done.best_figures["score"] == pytest.approx(
        -done.best_figures["loss"] - done.best_figures["belongs_loss"]
    )


def test_captions_replace_subtitles(made: Library, tmp_path: Path) -> None:
    write_subtitles(tmp_path)
    items = tuple(CaptionItem(tmp_path / f"{number}.mp4", f"all {number}") for number in range(10))
    absent = CaptionItem(tmp_path / "elsewhere.mp4", "nothing")
    done = pretrain_transformer(made, SMALL, CaptionDataset("rows", (*items, absent), ()))
    assert done.captioned_videos == 10
    assert done.skipped_reasons == ("videos that are not in the library: 1",)


def test_captions_of_a_clip_overlap_its_time(made: Library, tmp_path: Path) -> None:
    write_subtitles(tmp_path)
    cues, left_out = CaptionFeatures.from_library(made)
    assert left_out == []
    found = cues.encode_within(tmp_path / "0.mp4", Span(2.5, 4.5), 16)
    assert found.text_positions.tolist() == pytest.approx([0.125, 0.875])
    assert found.text_vectors.shape == (2, 16)
    assert len(cues.encode_within(tmp_path / "0.mp4", Span(5.5, 9), 16).text_positions) == 0
    assert len(cues.encode_within(tmp_path / "none.mp4", Span(0, 9), 16).text_positions) == 0


def test_a_caption_without_times_is_in_the_middle(made: Library, tmp_path: Path) -> None:
    cues, _ = CaptionFeatures.from_library(
        made, CaptionDataset("rows", (CaptionItem(tmp_path / "0.mp4", "red"),), ())
    )
    assert cues.encode_within(tmp_path / "0.mp4", Span(2, 6), 16).text_positions.tolist() == [0.5]


def test_an_image_only_model_trains_without_subtitles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = Space("fake", 16, supports_text=False)
    monkeypatch.setattr("tests.support.fakes.FakeEncoder.space", space)
    write_subtitles(tmp_path)
    with make_library(tmp_path, space=space) as mute:
        done = pretrain_transformer(mute, SMALL)
        assert done.captioned_videos == 0
        assert "reads no words" in done.skipped_reasons[0]
        with pytest.raises(NoTextError):
            pretrain_transformer(
                mute, SMALL, CaptionDataset("rows", (CaptionItem(tmp_path / "0.mp4", "red"),), ())
            )


def test_captions_with_another_model_are_rejected(tmp_path: Path) -> None:
    with (
        make_library(tmp_path, space=Space("other", 16, supports_text=True)) as other,
        pytest.raises(SpaceMismatchError, match="not indexed with fake"),
    ):
        pretrain_transformer(
            other, SMALL, CaptionDataset("rows", (CaptionItem(tmp_path / "0.mp4", "red"),), ())
        )


def test_invalid_settings_are_rejected(made: Library) -> None:
    with pytest.raises(SettingsError, match="contrastive, visual-words"):
        replace(SMALL, objective="both")  # type: ignore[arg-type]
    with pytest.raises(SettingsError):
        replace(SMALL, preset="huge")
    with pytest.raises(SettingsError, match="no device"):
        pretrain_transformer(made, replace(SMALL, device="abacus"))


def test_without_torch_the_error_names_the_extra(
    made: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vsearch.encoders.torch_device", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vsearch\[models\]'"):
        pretrain_transformer(made, SMALL)
