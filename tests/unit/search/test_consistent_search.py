"""A search answers from one state of the library, whatever happens between two of its reads."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library
from vsearch.catalog.catalog import Catalog
from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.index.cache import copy_index
from vsearch.index.exact import ExactIndex
from vsearch.index.ivf_sq8 import Sq8Index
from vsearch.storage.feature_store import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COLORS = {"red": RED, "green": GREEN, "blue": BLUE}


@pytest.fixture
def videos(tmp_path: Path) -> list[Path]:
    return [
        make_video(tmp_path / f"{name}.mp4", [ColorScene(color, 4.0)])
        for name, color in COLORS.items()
    ]


def open_library(folder: Path) -> Library:
    return Library.open(folder, encoder=FakeEncoder())


@pytest.fixture
def library(tmp_path: Path, videos: list[Path]) -> Iterator[Library]:
    with open_library(tmp_path / "library") as opened:
        assert all(result.error is None for result in opened.index(videos))
        yield opened


@pytest.fixture
def writer(library: Library) -> Iterator[Library]:
    with open_library(library.path) as opened:
        yield opened


def answer(library: Library, query: str = "red", **more: Any) -> list[tuple[Any, ...]]:
    return [
        (moment.video.path.name, moment.span, round(moment.score, 5), moment.confidence)
        for moment in library.search(query, k=10, **more)
    ]


def interrupt(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, act: Callable[[], object]
) -> list[bool]:
    """Call `act` before the first call of a method in the thread of the test."""
    original = getattr(owner, name)
    done: list[bool] = []

    def method(*args: Any, **kwargs: Any) -> Any:
        if not done:
            done.append(True)
            act()
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, method)
    return done


READS = [
    (Catalog, "pooler"),
    (Catalog, "spaces"),
    (Catalog, "vectors"),
    (Catalog, "segment_runs"),
    (Catalog, "videos_by_id"),
    (Catalog, "vectors_at"),
    (FeatureStore, "load_range"),
]


@pytest.mark.parametrize(("owner", "name"), READS)
@pytest.mark.parametrize("change", ["rebuild", "force", "remove"])
def test_a_change_between_two_reads_does_not_mix_states(
    library: Library,
    writer: Library,
    videos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: type,
    name: str,
    change: str,
) -> None:
    before = answer(library)

    def act() -> None:
        if change == "rebuild":
            writer.rebuild()
        elif change == "force":
            list(writer.index(videos, force=True))
        else:
            writer.remove([videos[0]])

    done = interrupt(monkeypatch, owner, name, act)
    with open_library(library.path) as other:  # nothing is loaded yet
        found = answer(other)
        monkeypatch.undo()
        after = answer(other)
    assert done
    assert found in (before, after)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_clip_is_pooled_as_the_stored_segments(library: Library, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", [ColorScene(RED, 2.0), ColorScene(BLUE, 2.0)])
    before = answer(library, "", clip=clip)
    assert before
    recorded_pooler = library.info().pooler
    library._active_model.update_settings(pooler="transformer")  # not applied by `rebuild` yet
    assert library._writer.pooler().name != recorded_pooler
    assert library._writer.query_pooler().name == recorded_pooler
    assert answer(library, "", clip=clip) == before


def test_the_curve_of_a_video_that_was_indexed_again_is_that_of_the_new_one(
    library: Library, writer: Library, videos: list[Path]
) -> None:
    [video] = library.videos([videos[0]])
    query = library.query("red")
    before = library.similarity_curve(query, video)
    list(writer.index(videos, force=True))
    after = library.similarity_curve(query, video)
    np.testing.assert_allclose(before.scores, after.scores)
    writer.remove([videos[0]])
    with pytest.raises(LibraryError, match="no longer in the library"):
        library.similarity_curve(query, video)


def test_lost_features_are_still_reported(
    library: Library, videos: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    [video] = library.videos([videos[0]])
    FeatureStore(library.path / "features").remove_video(video.id)
    assert answer(library)[0][0] == "red.mp4"
    assert "frame features of this video are lost" in caplog.text
    with pytest.raises(DamagedLibraryError, match="are lost"):
        library.similarity_curve(library.query("red"), video)


class PluginIndex(ExactIndex):
    """An index without `copy`, as plugins have."""

    copy = None  # type: ignore[assignment] # not callable, so not a CopyableIndex


@pytest.mark.parametrize("index_class", [ExactIndex, Sq8Index, PluginIndex])
def test_a_copy_of_an_index_does_not_change(index_class: type[ExactIndex]) -> None:
    index = index_class(4)
    vectors = np.eye(4, dtype=np.float32)
    index.upsert(np.arange(3), vectors[:3])
    copied = copy_index(index)
    index.remove(np.array([0, 1]))
    index.upsert(np.array([9]), vectors[3:])
    assert (len(copied), len(index)) == (3, 2)
    assert copied.search(vectors[0], 1)[0].tolist() == [0]
    assert copied.search(vectors[3], 4)[0].tolist() == [0, 1, 2]
