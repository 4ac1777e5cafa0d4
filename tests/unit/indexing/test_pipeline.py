"""One video from its file to segments: how often it is opened, and what the sampler reports."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.support.fakes import FakeEncoder
from tests.support.subtitle_factory import make_subtitled_video
from tests.support.video_factory import BLUE, RED, ColorScene, make_video
from vsearch import Library
from vsearch.indexing.pipeline import Pipeline, process_video
from vsearch.media.sampler import Sampler, probe_video
from vsearch.media.shot_detection import ContentDetector
from vsearch.pooling.mean import MeanPooler
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import GrayImages, Spans, Times


@pytest.fixture
def opened_files(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often FFmpeg opens each file, by its name."""
    counts: Counter[str] = Counter()
    open_container = av.open

    def counted(url: str, *args: Any, **options: Any) -> Any:
        counts[url.rpartition("/")[2]] += 1
        return open_container(url, *args, **options)

    monkeypatch.setattr(av, "open", counted)
    return counts


def test_an_ordinary_file_is_opened_once(tmp_path: Path, opened_files: Counter[str]) -> None:
    video = make_video(tmp_path / "a.mp4", [ColorScene(RED, 3), ColorScene(BLUE, 3)])
    opened_files.clear()
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        [found] = library.index([video])
        assert found.error is None
        assert opened_files == {"a.mp4": 1}
        list(library.index([video]))
    assert opened_files == {"a.mp4": 1}


def test_a_file_with_subtitles_is_opened_twice(tmp_path: Path, opened_files: Counter[str]) -> None:
    video = make_subtitled_video(tmp_path / "a.mkv", [("subrip", "eng", [(1, 2, "hello")])])
    opened_files.clear()
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        list(library.index([video]))
        assert [cue.text for cue in library._catalog.cues_of_video(1)] == ["hello"]
    assert opened_files == {"a.mkv": 2}


def test_the_sampler_knows_the_video_from_its_first_frame_on(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", [ColorScene(RED, 40)], frame_size=(96, 64))
    sampler, probed = Sampler(video, fps=1, short_side=32), probe_video(video)
    assert sampler.info is None
    next(iter(sampler))
    assert sampler.info == probed
    assert (probed.width, probed.height) == (96, 64)


def test_an_animation_has_a_duration_once_it_is_decoded(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((48, 64, 3), level, np.uint8)) for level in range(0, 240, 20)]
    path = tmp_path / "a.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=250)
    sampler = Sampler(path, fps=2, short_side=48)
    assert sum(len(batch.images) for batch in sampler) == 6
    assert sampler.info == probe_video(path)
    assert sampler.info.duration == pytest.approx(3)
    assert sampler.info.fps == pytest.approx(4)
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        [found] = library.index([path])
    assert (found.error, found.subtitle_notes) == (None, ())


def test_a_span_is_encoded_but_not_segmented(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", [ColorScene(RED, 5), ColorScene(BLUE, 5)])
    pipeline = Pipeline(FakeEncoder(), MeanPooler(), ContentDetector, 1.0, "fake")
    whole, part = process_video(video, pipeline), process_video(video, pipeline, span=Span(2, 4))
    assert [(span.start, span.end) for span in whole.segment_spans] == [(0, 5), (5, 10)]
    assert len(whole.segment_vectors) == 2
    assert part.features.frame_times.tolist() == [2, 3]
    assert (part.segment_spans, part.segment_vectors.shape) == (
        [], (0, whole.features.space.dim)
    )  # fmt: skip
    assert whole.timings.decode > 0
    assert whole.timings.encode > 0


class CutDetector:
    """A `ShotDetector` without transitions, as plug-ins written for earlier versions are."""

    def process(self, luma_thumbnails: GrayImages, frame_times: Times) -> None:
        pass

    def cuts(self) -> Times:
        return np.array([5.0])


class DissolveDetector(CutDetector):
    def transitions(self) -> Spans:
        return np.array([[4.0, 5.0]])


@pytest.mark.parametrize(
    ("detector_class", "spans"),
    [
        (CutDetector, [Span(0, 5), Span(5, 9)]),
        (DissolveDetector, [Span(0, 4), Span(5, 9)]),
    ],
)
def test_segments_leave_out_the_transitions_that_a_detector_reports(
    tmp_path: Path, detector_class: type[CutDetector], spans: list[Span]
) -> None:
    video = make_video(tmp_path / "a.mp4", [ColorScene(RED, 9)])
    pipeline = Pipeline(FakeEncoder(), MeanPooler(), detector_class, 1, "fake")
    processed = process_video(video, pipeline)
    assert processed.segment_spans == spans
    assert len(processed.segment_vectors) == 2
