"""A pooler for a library: learnt, judged, installed, used, taken away; killed on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fakes import FakeEncoder
from moving import library as moving_library
from vsearch import Library
from vsearch.errors import DamagedLibraryError, DatasetError, SpaceMismatchError
from vsearch.evaluation.datasets import Dataset, Item
from vsearch.pooler import own
from vsearch.temporal.learned import TransformerPooler
from vsearch.temporal.training import CHECKPOINT, LOG
from vsearch.temporal.weights import PRESETS, TransformerConfig, Weights, shapes
from vsearch.training.pooler import install, train_pooler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.evaluation.gate import Gate
    from vsearch.training.pooler import PoolerTraining


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A smaller network, fewer clips and pictures: what is tested here does not depend on it."""
    tiny = TransformerConfig(hidden=16, layers=1, heads=2, mlp=32, dropout=0.1)
    monkeypatch.setitem(PRESETS, "small", tiny)
    monkeypatch.setattr("vsearch.temporal.robust.BATCH", 4)
    monkeypatch.setattr("vsearch.training.pooler.JUNK", 14)
    monkeypatch.setattr("vsearch.evaluation.gate.PICTURES", 14)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with moving_library(tmp_path, count=48) as made:
        yield made


def learnt(library: Library, folder: Path, steps: int = 2) -> PoolerTraining:
    return train_pooler(library, folder=folder, steps=steps, anyway=True)


@pytest.fixture
def training(library: Library, tmp_path: Path) -> PoolerTraining:
    return learnt(library, tmp_path / "run")


def vectors(library: Library) -> dict[str, object]:
    return {
        video.path.name: library.segments(video)[1].round(3).tolist() for video in library.videos()
    }


def test_it_tells_what_it_learnt_from_and_how_good_it_is(
    training: PoolerTraining, tmp_path: Path
) -> None:
    assert training.steps == 2
    assert training.videos == 37
    assert training.gate.clips == 11
    assert training.weights.about["space"] == "fake"
    assert (tmp_path / "run" / LOG).exists()


def test_the_same_seed_learns_the_same(library: Library, tmp_path: Path) -> None:
    one, other = learnt(library, tmp_path / "a"), learnt(library, tmp_path / "b")
    assert one.weights.digest == other.weights.digest
    assert one.gate == other.gate


def test_a_run_that_was_killed_goes_on(library: Library, tmp_path: Path) -> None:
    whole = learnt(library, tmp_path / "whole", 3)

    def kill(done: int, steps: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_pooler(library, folder=tmp_path / "cut", steps=3, anyway=True, progress=kill)
    assert (tmp_path / "cut" / CHECKPOINT).exists()
    assert learnt(library, tmp_path / "cut", 3).weights.digest == whole.weights.digest


def test_what_does_not_pass_is_not_installed(library: Library, training: PoolerTraining) -> None:
    bad = replace(training, gate=worse(training))
    before = vectors(library)
    assert not install(library, bad)
    assert library.own_pooler is None
    assert vectors(library) == before


def worse(training: PoolerTraining) -> Gate:
    """A gate that nothing is gained in."""
    return replace(training.gate, mixed=training.gate.mean_mixed)


def test_by_force_every_segment_is_pooled_by_it_and_by_the_mean_again_without_it(
    library: Library, training: PoolerTraining
) -> None:
    library.rebuild()
    before = vectors(library)
    opened = dict(training.weights.arrays, gate=np.array(2.0, np.float32))
    opened["project.bias"] = opened["project.bias"] + 0.5  # so that something changes
    forced = replace(
        training, weights=replace(training.weights, arrays=opened), gate=worse(training)
    )
    assert install(library, forced, force=True)
    name = TransformerPooler.of(forced.weights).name
    assert library.info().pooler == name
    after = vectors(library)
    assert after != before
    with Library.open(library.path, encoder=FakeEncoder()) as again:  # it is remembered
        assert again.search("red", k=1)[0].why.heeded
        assert again.doctor() == []
        again.rebuild()
        assert again.info().pooler == name
    assert vectors(library) == after
    assert library.use_pooler(None) == "mean"
    assert library.own_pooler is None
    assert vectors(library) == before
    assert library.search("red", k=1)[0].why.heeded == ()


def test_a_pooler_of_another_space_is_refused(library: Library, training: PoolerTraining) -> None:
    other = replace(training.weights, about={"space": "another"})
    with pytest.raises(SpaceMismatchError, match="train pooler"):
        library.use_pooler(other)
    assert library.own_pooler is None


def test_without_its_file_what_pooled_is_named_and_rebuild_mends_it(
    library: Library, training: PoolerTraining
) -> None:
    install(library, training, force=True)
    name = library.info().pooler
    own(library.path)[0].unlink()
    with pytest.raises(SpaceMismatchError, match=f"{name}.*vsearch rebuild"):
        list(library.index([library.path.parent / "0.mp4"], again=True))
    library.rebuild()
    assert library.info().pooler == "mean"


def test_captions_of_held_out_videos_judge_it(library: Library, tmp_path: Path) -> None:
    names = ("red", "green", "blue", "white")
    items = tuple(
        Item(video.path, f"{names[int(video.path.stem) % 4]} number {n}")
        for video in library.videos()
        for n in range(3)
    )
    found = train_pooler(
        library, Dataset("said", items, ()), folder=tmp_path / "run", steps=1, anyway=True
    )
    assert found.gate.queries == 33  # three of each held-out video


def test_too_few_videos_are_told(tmp_path: Path) -> None:
    with (
        moving_library(tmp_path, count=4) as few,
        pytest.raises(DatasetError, match="10 are the least"),
    ):
        learnt(few, tmp_path / "run")


def test_clips_too_short_to_judge_by_are_told(tmp_path: Path) -> None:
    with (
        moving_library(tmp_path, count=48, frames=3) as short,
        pytest.raises(DatasetError, match="too few to judge"),
    ):
        learnt(short, tmp_path / "run")


def test_pretrained_weights_make_another_run(library: Library, tmp_path: Path) -> None:
    config = replace(PRESETS["small"], features=16)
    random = np.random.default_rng(0)
    arrays = {
        name: random.normal(size=shape).astype(np.float32)
        for name, shape in shapes(config, "pretrained").items()
    }
    start = Weights("pretrained", config, arrays, {"space": "fake"})
    plain = learnt(library, tmp_path / "run", 1)
    begun = train_pooler(library, folder=tmp_path / "run", steps=1, anyway=True, start=start)
    assert begun.weights.digest != plain.weights.digest


def test_what_cannot_be_pooled_leaves_the_library_as_it_was(
    library: Library, training: PoolerTraining
) -> None:
    install(library, training, force=True)
    before, name = vectors(library), library.info().pooler
    video = library.videos()[0]
    path = library._features.path(video.id, library.encoder.space)
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    other = dict(training.weights.arrays, gate=np.array(0.5, np.float32))
    changed = replace(training, weights=replace(training.weights, arrays=other))
    for weights in (changed.weights, None):
        with pytest.raises(DamagedLibraryError, match="--again"):
            library.use_pooler(weights)
        assert (library.info().pooler, vectors(library)) == (name, before)
        assert [path.stem for path in own(library.path)] == [f"pooler-{(name or '')[-8:]}"]
    path.write_bytes(whole)
    assert library.use_pooler(None) == "mean"
    assert own(library.path) == []
