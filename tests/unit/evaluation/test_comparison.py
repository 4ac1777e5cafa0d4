from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library
from vsearch.encoders import model_zoo
from vsearch.errors import DatasetError, NoTextError, SpaceMismatchError, VSearchError
from vsearch.evaluation import comparison
from vsearch.evaluation.comparison import (
    IndexConfiguration,
    check_text_support,
    compare_libraries,
    mark_pareto_front,
    subsample_by_stride,
)
from vsearch.evaluation.datasets import CaptionDataset, CaptionItem
from vsearch.evaluation.metrics import Metric
from vsearch.pooling.mean import MeanPooler
from vsearch.types import Features, Space, Span

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Matrix, Times, Vector


class LastFramePooler:
    """A `Pooler` that returns the last frame."""

    name = "last"

    def pool(self, frame_vectors: Matrix, frame_times: Times) -> Vector:
        last: Vector = frame_vectors[-1]
        return last


class IncompatiblePooler:
    """A `Pooler` for vectors of another space."""

    name = "trained"

    def pool(self, frame_vectors: Matrix, frame_times: Times) -> Vector:
        raise VSearchError("trained for another model")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    for name, color in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        make_video(tmp_path / "videos" / f"{name}.mp4", [ColorScene(color, 5)])
    return index_videos(tmp_path / "library", tmp_path / "videos")


@pytest.fixture(autouse=True)
def _setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "videos").mkdir()
    monkeypatch.setattr(model_zoo, "MEASURE_SECONDS", 0.01)


def index_videos(folder: Path, videos: Path, encoder: FakeEncoder | None = None) -> Library:
    library = Library.open(folder, encoder=encoder or FakeEncoder())
    assert all(each.error is None for each in library.index([videos]))
    return library


def make_dataset(library: Library) -> CaptionDataset:
    items = (CaptionItem(video.path, video.path.stem) for video in library.videos())
    return CaptionDataset("own", tuple(items), ())


def make_configuration(mrr: float, seconds: float, size: float) -> IndexConfiguration:
    metrics = tuple(Metric(name, mrr, mrr, mrr) for name in ("R@1", "R@5", "MRR"))
    return IndexConfiguration("m", "s", 1.0, "mean", metrics, False, 1, seconds, size)


def test_lower_rates_are_evaluated_from_stored_features(library: Library) -> None:
    result = compare_libraries([library], make_dataset(library))
    assert (result.query_count, result.video_count, result.excluded_videos) == (3, 3, 0)
    assert [(each.fps, each.frame_count) for each in result.configurations] == [
        (1, 15),
        (0.5, 9),
        (0.25, 6),
    ]
    assert all(each.metrics[0].value == 1 for each in result.configurations)
    sizes = [each.storage_bytes_per_hour for each in result.configurations]
    assert sizes == sorted(sizes, reverse=True)
    stored_bytes = 15 * (2 * 16 + 8) + 3 * 2 * 16  # of 15 seconds of video
    assert sizes[0] == pytest.approx(stored_bytes * 3600 / 15, rel=0.01)


def test_every_pooler_is_tried_and_unavailable_ones_are_reported(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = {"last": LastFramePooler, "mean": MeanPooler, "trained": IncompatiblePooler}
    monkeypatch.setattr(comparison, "plugin_names", lambda group: list(classes))
    monkeypatch.setattr(comparison, "resolve_plugin", lambda group, name: classes[name])
    result = compare_libraries([library], make_dataset(library))
    assert [each.pooler for each in result.configurations] == ["last", "mean"] * 3
    assert result.skipped_reasons == ("pooler trained on fake: trained for another model",)


def test_libraries_are_compared_on_common_videos(library: Library, tmp_path: Path) -> None:
    (tmp_path / "videos" / "green.mp4").unlink()
    other = index_videos(tmp_path / "other", tmp_path / "videos", FakeEncoder("other"))
    result = compare_libraries([library, other], make_dataset(library))
    assert (result.query_count, result.video_count, result.excluded_videos) == (2, 2, 1)
    assert [each.space for each in result.configurations] == ["fake"] * 3 + ["fake-other"] * 3
    other.remove([tmp_path / "videos"])
    with pytest.raises(DatasetError, match="none of the videos is in every compared library"):
        compare_libraries([library, other], make_dataset(library))


def test_a_decoded_rate_replaces_a_subsampled_one(library: Library, tmp_path: Path) -> None:
    slow = Library.open(tmp_path / "slow", encoder=FakeEncoder(), fps=0.5)
    assert all(each.error is None for each in slow.index([tmp_path / "videos"]))
    result = compare_libraries([library, slow], make_dataset(library)).configurations
    assert [(each.fps, each.is_subsampled) for each in result] == [
        (1, False),
        (0.25, True),
        (0.5, False),
        (0.125, True),
    ]


def test_a_library_without_text_support_is_rejected_early(library: Library) -> None:
    class ImageOnlyEncoder(FakeEncoder):
        @property
        def space(self) -> Space:
            return replace(super().space, supports_text=False)

    check_text_support(library)
    with pytest.raises(NoTextError, match="encodes images only, not text"):
        check_text_support(
            Library.open(library.path / "image-only", create=True, encoder=ImageOnlyEncoder())
        )
    with pytest.raises(SpaceMismatchError, match="was not indexed with fake-other"):
        check_text_support(Library.open(library.path, encoder=FakeEncoder("other")))


def test_dominated_configurations_are_not_marked() -> None:
    configurations = [
        make_configuration(0.9, 10, 10),
        make_configuration(0.8, 10, 10),
        make_configuration(0.7, 5, 20),
        make_configuration(0.9, 11, 9),
        make_configuration(0.7, 5, 20),
    ]
    assert [each.is_pareto_optimal for each in mark_pareto_front(configurations)] == [
        True,
        False,
        True,
        True,
        True,
    ]


def test_subsampling_keeps_a_frame_in_every_segment() -> None:
    times = np.arange(8, dtype=np.float64)
    features = Features(Space("s", 1, supports_text=True), np.ones((8, 1), np.float32), times)
    assert subsample_by_stride(features, Span(0, 8), 2).frame_times.tolist() == [0, 2, 4, 6]
    assert subsample_by_stride(features, Span(1, 4), 4).frame_times.tolist() == [2]
    assert subsample_by_stride(features, Span(3, 6), 4).frame_times.tolist() == [4]
    assert subsample_by_stride(features, Span(0, 8), 1).frame_times.tolist() == times.tolist()
