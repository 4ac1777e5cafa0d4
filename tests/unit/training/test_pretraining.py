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
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vsearch import Library
    from vsearch.training.trainer import TrainerState

SMALL = PretrainConfig(steps=12, batch_size=8, max_frames=16, learning_rate=3e-3, device="cpu")


@pytest.fixture(autouse=True)
def _tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a tiny preset `small`."""
    tiny = TransformerConfig(features=1, hidden=32, layers=2, heads=2, mlp=64)
    monkeypatch.setitem(weights.CONFIG_PRESETS, "small", tiny)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with make_library(tmp_path) as library:
        yield library


class Killed(BaseException):
    """Simulates the end of the process."""


def kill_at(step: int) -> Callable[[TrainerState], None]:
    def raise_killed(state: TrainerState) -> None:
        if state.step == step:
            raise Killed

    return raise_killed


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["contrastive", "visual-words"])
def test_pretraining_improves_on_held_out_videos(library: Library, objective: str) -> None:
    config = replace(SMALL, objective=objective, steps=120, learning_rate=1e-2)  # type: ignore[arg-type]
    result = pretrain_transformer(library, config)
    assert result.best_figures["loss"] < 0.9 * result.best_figures["guessed"]
    assert result.best_figures["loss"] < result.initial_figures["loss"]
    assert result.best_figures["accuracy"] > result.initial_figures["accuracy"]
    if objective == "visual-words":
        assert result.visual_word_count > 4
        assert result.best_figures["accuracy"] > result.best_figures["commonest"]
    assert (result.video_count, result.held_out_videos, result.captioned_videos) == (19, 5, 0)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["contrastive", "visual-words"])
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(
    library: Library, tmp_path: Path, objective: str
) -> None:
    config = replace(SMALL, objective=objective)  # type: ignore[arg-type]
    whole = pretrain_transformer(library, config, output_folder=tmp_path / "whole")
    with pytest.raises(Killed):
        pretrain_transformer(
            library, config, output_folder=tmp_path / "halves", on_progress=kill_at(7)
        )
    assert not (tmp_path / "halves" / PRETRAINED_FILE).exists()
    steps: list[int] = []
    resumed = pretrain_transformer(
        library,
        config,
        output_folder=tmp_path / "halves",
        on_progress=lambda state: steps.append(state.step),
    )
    assert steps == [8, 9, 10, 11, 12]
    assert resumed.weights.digest == whole.weights.digest
    assert resumed.best_figures == whole.best_figures
    assert pretrain_transformer(library, config).weights.digest == whole.weights.digest
    assert (
        pretrain_transformer(library, replace(config, seed=1)).weights.digest
        != whole.weights.digest
    )


def test_a_finished_run_is_not_repeated(library: Library, tmp_path: Path) -> None:
    pretrain_transformer(library, SMALL, output_folder=tmp_path)
    steps: list[int] = []
    pretrain_transformer(
        library, SMALL, output_folder=tmp_path, on_progress=lambda state: steps.append(state.step)
    )
    assert steps == []
    with (tmp_path / "log.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 12


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed_settings", [{"objective": "visual-words"}, {"seed": 1}, {"steps": 13}]
)
def test_a_run_with_other_settings_starts_over(
    library: Library, tmp_path: Path, changed_settings: dict[str, int]
) -> None:
    pretrain_transformer(library, SMALL, output_folder=tmp_path)
    config = replace(SMALL, **changed_settings)  # type: ignore[arg-type]
    resumed = pretrain_transformer(library, config, output_folder=tmp_path)
    assert resumed.weights.digest == pretrain_transformer(library, config).weights.digest
    assert (tmp_path / "checkpoint.old").exists()


def test_saved_weights_have_metadata(library: Library, tmp_path: Path) -> None:
    pretrain_transformer(library, SMALL, output_folder=tmp_path)
    space = library.space
    assert space is not None
    loaded = load_pretrained(tmp_path / PRETRAINED_FILE, space)
    assert loaded.network_config.features == space.dim
    assert loaded.metadata["space"] == space.name
    assert (loaded.metadata["videos"], loaded.metadata["held"]) == (19, 5)
    assert loaded.metadata["figures"]["loss"] > 0
    with pytest.raises(SpaceMismatchError, match="was pretrained in fake"):
        load_pretrained(tmp_path / PRETRAINED_FILE, Space("other", space.dim, supports_text=True))
    with pytest.raises(DamagedLibraryError, match="delete it"):
        NetworkWeights.load(tmp_path / PRETRAINED_FILE, "pooler", "delete it")


def test_subtitles_are_trained_on(library: Library, tmp_path: Path) -> None:
    write_subtitles(tmp_path)
    result = pretrain_transformer(library, SMALL)
    assert result.captioned_videos == VIDEO_COUNT
    assert 0 <= result.best_figures["belongs"] <= 1
    assert result.best_figures["score"] == pytest.approx(
        -result.best_figures["loss"] - result.best_figures["belongs_loss"]
    )


def test_captions_replace_subtitles(library: Library, tmp_path: Path) -> None:
    write_subtitles(tmp_path)
    items = tuple(CaptionItem(tmp_path / f"{number}.mp4", f"all {number}") for number in range(10))
    absent = CaptionItem(tmp_path / "elsewhere.mp4", "nothing")
    result = pretrain_transformer(library, SMALL, CaptionDataset("rows", (*items, absent), ()))
    assert result.captioned_videos == 10
    assert result.skipped_reasons == ("videos not in the library: 1",)


def test_captions_of_a_clip_overlap_its_time(library: Library, tmp_path: Path) -> None:
    write_subtitles(tmp_path)
    features, skipped_reasons = CaptionFeatures.from_library(library)
    assert skipped_reasons == []
    captions = features.encode_within(tmp_path / "0.mp4", Span(2.5, 4.5), 16)
    assert captions.text_positions.tolist() == pytest.approx([0.125, 0.875])
    assert captions.text_vectors.shape == (2, 16)
    assert len(features.encode_within(tmp_path / "0.mp4", Span(5.5, 9), 16).text_positions) == 0
    assert len(features.encode_within(tmp_path / "none.mp4", Span(0, 9), 16).text_positions) == 0


def test_a_caption_without_times_is_in_the_middle(library: Library, tmp_path: Path) -> None:
    features, _ = CaptionFeatures.from_library(
        library, CaptionDataset("rows", (CaptionItem(tmp_path / "0.mp4", "red"),), ())
    )
    assert features.encode_within(tmp_path / "0.mp4", Span(2, 6), 16).text_positions.tolist() == [
        0.5
    ]


def test_an_image_only_model_trains_without_subtitles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = Space("fake", 16, supports_text=False)
    monkeypatch.setattr("tests.support.fakes.FakeEncoder.space", space)
    write_subtitles(tmp_path)
    with make_library(tmp_path, space=space) as image_only_library:
        result = pretrain_transformer(image_only_library, SMALL)
        assert result.captioned_videos == 0
        assert "does not encode text" in result.skipped_reasons[0]
        with pytest.raises(NoTextError):
            pretrain_transformer(
                image_only_library,
                SMALL,
                CaptionDataset("rows", (CaptionItem(tmp_path / "0.mp4", "red"),), ()),
            )


def test_captions_with_another_model_are_rejected(tmp_path: Path) -> None:
    with (
        make_library(tmp_path, space=Space("other", 16, supports_text=True)) as other_library,
        pytest.raises(SpaceMismatchError, match="not indexed with fake"),
    ):
        pretrain_transformer(
            other_library,
            SMALL,
            CaptionDataset("rows", (CaptionItem(tmp_path / "0.mp4", "red"),), ()),
        )


def test_invalid_settings_are_rejected(library: Library) -> None:
    with pytest.raises(SettingsError, match="contrastive, visual-words"):
        replace(SMALL, objective="both")  # type: ignore[arg-type]
    with pytest.raises(SettingsError):
        replace(SMALL, preset="huge")
    with pytest.raises(SettingsError, match="no device"):
        pretrain_transformer(library, replace(SMALL, device="abacus"))


def test_without_torch_the_error_names_the_extra(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vsearch.encoders.torch_device", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vsearch\[models\]'"):
        pretrain_transformer(library, SMALL)
