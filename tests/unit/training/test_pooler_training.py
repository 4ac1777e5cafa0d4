"""Training, evaluation, installation and removal of a pooler; resuming."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from tests.support.moving_scenes import make_library as moving_library
from vsearch import Library
from vsearch.errors import DamagedLibraryError, DatasetError, SpaceMismatchError
from vsearch.evaluation.datasets import CaptionDataset, CaptionItem
from vsearch.pooling.selection import trained_pooler_files
from vsearch.pooling.transformer import TransformerPooler
from vsearch.pooling.weights import (
    CONFIG_PRESETS,
    NetworkWeights,
    TransformerConfig,
    compute_array_shapes,
)
from vsearch.training.pooler import (
    LibraryClips,
    build_gate_case,
    install_pooler,
    train_pooler,
)
from vsearch.training.trainer import CHECKPOINT_FILENAME, LOG_FILENAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.evaluation.pooler_gate import GateResult
    from vsearch.training.pooler import PoolerTrainingResult


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a tiny network, and fewer clips and images."""
    tiny = TransformerConfig(hidden=16, layers=1, heads=2, mlp=32, dropout=0.1)
    monkeypatch.setitem(CONFIG_PRESETS, "small", tiny)
    monkeypatch.setattr("vsearch.training.denoising_task.BATCH_CLIPS", 4)
    monkeypatch.setattr("vsearch.training.pooler.DISTRACTOR_COUNT", 14)
    monkeypatch.setattr("vsearch.evaluation.pooler_gate.DISTRACTOR_COUNT", 14)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with moving_library(tmp_path, video_count=48) as library:
        yield library


def train(library: Library, folder: Path, steps: int = 2) -> PoolerTrainingResult:
    return train_pooler(library, checkpoint_folder=folder, step_count=steps, force=True)


@pytest.fixture
def training(library: Library, tmp_path: Path) -> PoolerTrainingResult:
    return train(library, tmp_path / "run")


def stored_vectors(library: Library) -> dict[str, object]:
    return {
        video.path.name: library.segments_with_vectors(video)[1].round(3).tolist()
        for video in library.videos()
    }


def test_the_result_has_the_training_data_and_the_gate(
    training: PoolerTrainingResult, tmp_path: Path
) -> None:
    assert training.step_count == 2
    assert training.video_count == 37
    assert training.gate_result.clip_count == 11
    assert training.weights.metadata["space"] == "fake"
    assert (tmp_path / "run" / LOG_FILENAME).exists()


def test_the_same_seed_gives_the_same_pooler(library: Library, tmp_path: Path) -> None:
    first, second = train(library, tmp_path / "a"), train(library, tmp_path / "b")
    assert first.weights.digest == second.weights.digest
    assert first.gate_result == second.gate_result


def test_a_killed_run_resumes(library: Library, tmp_path: Path) -> None:
    whole = train(library, tmp_path / "whole", 3)

    def interrupt(step: int, steps: int) -> None:
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_pooler(
            library,
            checkpoint_folder=tmp_path / "killed",
            step_count=3,
            force=True,
            on_progress=interrupt,
        )
    assert (tmp_path / "killed" / CHECKPOINT_FILENAME).exists()
    assert train(library, tmp_path / "killed", 3).weights.digest == whole.weights.digest


def test_a_pooler_that_fails_the_gate_is_not_installed(
    library: Library, training: PoolerTrainingResult
) -> None:
    failed = replace(training, gate_result=without_gain(training))
    before = stored_vectors(library)
    assert not install_pooler(library, failed)
    assert library.models.trained_pooler is None
    assert stored_vectors(library) == before


def without_gain(training: PoolerTrainingResult) -> GateResult:
    """Return a gate result without gain."""
    return replace(training.gate_result, mixed_metrics=training.gate_result.mean_mixed_metrics)


def test_a_forced_pooler_pools_all_segments_until_it_is_removed(
    library: Library, training: PoolerTrainingResult
) -> None:
    library.rebuild()
    before = stored_vectors(library)
    arrays = dict(training.weights.weight_arrays, gate=np.array(2.0, np.float32))
    arrays["project.bias"] = arrays["project.bias"] + 0.5  # so that something changes
    forced = replace(
        training,
        weights=replace(training.weights, weight_arrays=arrays),
        gate_result=without_gain(training),
    )
    assert install_pooler(library, forced, force=True)
    name = TransformerPooler.from_weights(forced.weights).name
    assert library.info().pooler == name
    after = stored_vectors(library)
    assert after != before
    with Library.open(library.path, encoder=FakeEncoder()) as again:  # the library stores it
        assert again.search("red", k=1)[0].explanation.frame_weights
        assert again.doctor() == []
        again.rebuild()
        assert again.info().pooler == name
    assert stored_vectors(library) == after
    assert library.models.install_pooler(None) == "mean"
    assert library.models.trained_pooler is None
    assert stored_vectors(library) == before
    assert library.search("red", k=1)[0].explanation.frame_weights == ()


def test_a_pooler_of_another_space_is_rejected(
    library: Library, training: PoolerTrainingResult
) -> None:
    weights = replace(training.weights, metadata={"space": "another"})
    with pytest.raises(SpaceMismatchError, match="train pooler"):
        library.models.install_pooler(weights)
    assert library.models.trained_pooler is None


def test_a_missing_pooler_is_named_and_rebuild_falls_back_to_the_mean(
    library: Library, training: PoolerTrainingResult
) -> None:
    install_pooler(library, training, force=True)
    name = library.info().pooler
    trained_pooler_files(library.path)[0].unlink()
    with pytest.raises(SpaceMismatchError, match=f"{name}.*vsearch rebuild"):
        list(library.index([library.path.parent / "0.mp4"], force=True))
    library.rebuild()
    assert library.info().pooler == "mean"


def test_captions_of_held_out_videos_are_the_gate_queries(library: Library, tmp_path: Path) -> None:
    names = ("red", "green", "blue", "white")
    items = tuple(
        CaptionItem(video.path, f"{names[int(video.path.stem) % 4]} number {n}")
        for video in library.videos()
        for n in range(3)
    )
    result = train_pooler(
        library,
        CaptionDataset("captions", items, ()),
        checkpoint_folder=tmp_path / "run",
        step_count=1,
        force=True,
    )
    assert result.gate_result.query_count == 33  # three of each held-out video


def test_equal_captions_are_relevant_to_each_other_in_the_gate(library: Library) -> None:
    items = tuple(
        CaptionItem(video.path, ("Red", "green", " red")[int(video.path.stem) % 3])
        for video in library.videos()
    )
    clips = LibraryClips(library, library.encoder, CaptionDataset("captions", items, ()), 0)
    relevance = build_gate_case(clips, library.encoder).relevance_matrix
    is_green = np.array([item.caption == "green" for item, _ in clips.load_held_out_captions()])
    assert 0 < is_green.sum() < len(is_green)
    assert (relevance == (is_green[:, None] == is_green)).all()


def test_too_few_videos_are_rejected(tmp_path: Path) -> None:
    with (
        moving_library(tmp_path, video_count=4) as small_library,
        pytest.raises(DatasetError, match="at least 10"),
    ):
        train(small_library, tmp_path / "run")


def test_clips_too_short_to_evaluate_are_rejected(tmp_path: Path) -> None:
    with (
        moving_library(tmp_path, video_count=48, frame_count=3) as library_of_short_videos,
        pytest.raises(DatasetError, match="too few to evaluate"),
    ):
        train(library_of_short_videos, tmp_path / "run")


def test_pretrained_weights_start_another_run(library: Library, tmp_path: Path) -> None:
    config = replace(CONFIG_PRESETS["small"], features=16)
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in compute_array_shapes(config, "pretrained").items()
    }
    initial_weights = NetworkWeights("pretrained", config, arrays, {"space": "fake"})
    untrained_start = train(library, tmp_path / "run", 1)
    pretrained_start = train_pooler(
        library,
        checkpoint_folder=tmp_path / "run",
        step_count=1,
        force=True,
        initial_weights=initial_weights,
    )
    assert pretrained_start.weights.digest != untrained_start.weights.digest


def test_a_failed_installation_leaves_the_library_unchanged(
    library: Library, training: PoolerTrainingResult
) -> None:
    install_pooler(library, training, force=True)
    before, name = stored_vectors(library), library.info().pooler
    video = library.videos()[0]
    path = library._feature_store.feature_path(video.id, library.encoder.space)
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    changed_arrays = dict(training.weights.weight_arrays, gate=np.array(0.5, np.float32))
    changed = replace(training, weights=replace(training.weights, weight_arrays=changed_arrays))
    for weights in (changed.weights, None):
        with pytest.raises(DamagedLibraryError, match="--force"):
            library.models.install_pooler(weights)
        assert (library.info().pooler, stored_vectors(library)) == (name, before)
        assert [path.stem for path in trained_pooler_files(library.path)] == [
            f"pooler-{(name or '')[-8:]}"
        ]
    path.write_bytes(whole)
    assert library.models.install_pooler(None) == "mean"
    assert trained_pooler_files(library.path) == []
