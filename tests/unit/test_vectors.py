"""Vectors and features for other programs, and short representations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.support.fakes import FakeEncoder
from vsearch import Library
from vsearch.errors import LibraryError, MediaError, QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.types import Vector


@pytest.fixture
def library(tmp_path: Path, videos_folder: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        assert not [result for result in opened.index([videos_folder]) if result.error]
        yield opened


def test_all_vectors_are_those_of_the_segments(library: Library) -> None:
    ids, vectors = library.vectors()
    assert ids.dtype == np.int64
    assert vectors.dtype == np.float32
    expected: dict[int, Vector] = {}
    for video in library.videos():
        segments, rows = library.segments_with_vectors(video)
        expected |= {segment.id: row for segment, row in zip(segments, rows, strict=True)}
    assert ids.tolist() == sorted(expected)
    for segment_id, row in zip(ids.tolist(), vectors, strict=True):
        assert np.array_equal(row, expected[segment_id])
    assert [segment.id for segment in library.segments(ids[::-1])] == ids[::-1].tolist()
    assert library.segments([10**9]) == []


def test_features_have_the_times_of_the_sampled_frames(library: Library) -> None:
    [video] = library.videos(["green.mp4"])
    features = library.features(video)
    assert features.frame_vectors.shape == (video.sampled_frames, library.space.dim)  # type: ignore[union-attr]
    assert np.all(np.diff(features.frame_times) > 0)
    assert np.allclose(np.linalg.norm(features.frame_vectors, axis=1), 1, atol=1e-3)
    with pytest.raises(LibraryError):
        library.features("no such video.mp4")


def test_texts_and_images_share_the_space_of_the_library(library: Library, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), "blue").save(tmp_path / "blue.png")
    texts = library.encode_text(["a blue wall", "a red wall"])
    assert np.array_equal(library.encode_text("a blue wall"), texts[:1])
    from_file = library.encode_image(tmp_path / "blue.png")
    array = np.zeros((32, 32, 3), np.uint8)
    array[..., 2] = 255
    assert np.array_equal(library.encode_image(array), from_file)
    assert library.encode_image([tmp_path / "blue.png", array]).shape == (2, texts.shape[1])
    similarities = (from_file @ texts.T)[0]
    assert similarities[0] > similarities[1]


@pytest.mark.parametrize("image", [3, np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3))])
def test_other_images_are_refused(library: Library, image: Any) -> None:
    with pytest.raises(QueryError, match="image"):
        library.encode_image([image])
    with pytest.raises(MediaError):
        library.encode_image("no such image.png")
    with pytest.raises(QueryError, match="a text"):
        library.encode_text([3])  # type: ignore[list-item]


def test_an_empty_library_has_no_vectors(tmp_path: Path) -> None:
    with Library.open(tmp_path / "empty", create=True, encoder=FakeEncoder()) as library:
        ids, vectors = library.vectors()
        assert len(ids) == len(vectors) == 0


def test_representations_are_short(library: Library) -> None:
    result = library.search("a blue wall", k=2)
    assert repr(result).startswith("SearchResult('a blue wall', 2 moments, best Moment(")
    assert repr(result[0]).startswith("Moment('red then blue.mp4', ")
    assert repr(result[0].video).startswith(f"Video({result[0].video.id}, ")
    assert len(repr(result)) < 200
