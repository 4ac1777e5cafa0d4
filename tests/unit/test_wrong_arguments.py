"""Wrong types and closed libraries raise errors of vsearch, not of the standard library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import RED, ColorScene, make_video
from vsearch import Library, LibraryError, QueryError, VSearchError, connect

if TYPE_CHECKING:
    from collections.abc import Callable

ANY_CONNECT: Any = connect
WRONG_VALUES = (None, 3.5, True, b"x", object(), [None], {"a": 1})
CALLS: dict[str, Callable[[Any, Any], object]] = {
    "query": lambda library, value: library.search(value),
    "k": lambda library, value: library.search("red", k=value),
    "per_video": lambda library, value: library.search("red", per_video=value or 0),
    "image": lambda library, value: library.search("red", image=value or 1),
    "clip": lambda library, value: library.search("red", clip=value or 1),
    "span": lambda library, value: library.search("red", clip="a.mp4", span=value or 1),
    "videos": lambda library, value: library.search("red", videos=value),
    "tags": lambda library, value: library.search("red", tags=value),
    "images": lambda library, value: library.query("red", images=value),
    "clips": lambda library, value: library.query("red", clips=value),
    "curve": lambda library, value: library.similarity_curve(value, library.videos()[0]),
    "curve video": lambda library, value: library.similarity_curve("red", value),
    "labels": lambda library, value: list(library.classify(value, store=False)),
    "threshold": lambda library, value: list(
        library.classify(["red"], threshold=value if isinstance(value, bytes) else "x", store=False)
    ),
    "summary": lambda library, value: library.summarize(library.videos()[0].path, length=value),
    "similar k": lambda library, value: library.similar(library.videos()[0].path, k=value),
    "duplicates": lambda library, value: list(library.duplicates(value)),
    "thumbnail": lambda library, value: library.thumbnail(value, 0),
    "thumbnail time": lambda library, value: library.thumbnail(library.videos()[0], value or "x"),
    "video": lambda library, value: library.video(value),
    "segments": lambda library, value: library.segments_with_vectors(value),
    "index": lambda library, value: list(library.index(value)),
    "remove": lambda library, value: library.remove(value),
    "check_files": lambda library, value: library.check_files(value),
    "tag": lambda library, value: library.tags.add(library.videos()[0].path, value),
    "backup": lambda library, value: library.backup(value),
    "restore": lambda library, value: library.restore(value, library.path / "new"),
    "restored": lambda library, value: library.restore(library.path / "backup", value or 1),
    "saved": lambda library, value: library.saved_searches.get(value),
    "save": lambda library, value: library.saved_searches.add("name", value),
    "feedback": lambda library, value: library.feedback.add("red", value or 1, relevant=True),
    "transcripts": lambda library, value: library.transcripts.list(value),
    "transcript": lambda library, value: library.transcripts.get(value),
    "transcript source": lambda library, value: library.transcripts.get("red.mp4", value or 1),
    "transcribe": lambda library, value: list(library.transcripts.transcribe(value)),
    "ocr": lambda library, value: list(library.transcripts.ocr(value)),
    "ocr fps": lambda library, value: list(library.transcripts.ocr(fps=value)),
    "segment ids": lambda library, value: library.segments(value),
    "video ids": lambda library, value: library.videos_by_id(value),
    "features": lambda library, value: library.features(value),
    "segment count": lambda library, value: library.segment_count(value),
    "encode text": lambda library, value: library.encode_text(value),
    "encode image": lambda library, value: library.encode_image(value),
    "relocate": lambda library, value: library.relocate(value, "new", dry_run=True),
    "relocate to": lambda library, value: library.relocate("/", value, dry_run=True),
    "preview": lambda library, value: list(library.preview_index(value)),
    "preview excludes": lambda library, value: list(library.preview_index(["x"], excludes=value)),
    "excludes": lambda library, value: list(library.index(["x"], excludes=value)),
    "roots": lambda library, value: list(library.index(["x"], roots=value)),
    "remove_missing": lambda library, value: library.remove_missing(value),
    "missing": lambda library, value: library.missing_videos(value),
    "summary video": lambda library, value: library.summarize(value),
    "classify paths": lambda library, value: list(library.classify(["red"], value, store=False)),
    "classify source": lambda library, value: list(
        library.classify(["red"], source_name=value, store=False)
    ),
    "checkpoint": lambda library, value: list(library.classify(checkpoint=value or 1, store=False)),
    "similar": lambda library, value: library.similar(value),
    "similar span": lambda library, value: library.similar(library.videos()[0].path, value or 1),
    "width": lambda library, value: library.thumbnail(library.videos()[0], 0, width=value),
    "tags list": lambda library, value: library.tags.list(value),
    "tags remove": lambda library, value: library.tags.remove(value, label="none"),
    "tags label": lambda library, value: library.tags.remove(label=value or 1),
    "tags source": lambda library, value: library.tags.remove(source=value or 1),
    "tagged video": lambda library, value: library.tags.add(value, "x"),
    "tag span": lambda library, value: library.tags.add("red.mp4", "x", value or 1),
    "feedback query": lambda library, value: library.feedback.clear(value),
    "saved name": lambda library, value: library.saved_searches.add(value, "red"),
    "saved remove": lambda library, value: library.saved_searches.remove(value),
    "model": lambda library, value: library.models.switch(value or 1),
    "model delete": lambda library, value: library.models.delete(value),
    "adapter": lambda library, value: library.models.set_query_adapter(value or 1),
    "pooler": lambda library, value: library.models.install_pooler(value or 1),
    "min_confidence": lambda library, value: library.search("red").with_confidence(value),
    "open": lambda library, value: library.open(value or 1, create=False),
    "open model": lambda library, value: library.open(library.path, model=value or 1),
    "open fps": lambda library, value: library.open(library.path, fps=value or "x"),
    "open workers": lambda library, value: library.open(library.path, workers=value or "x"),
    "connect": lambda _, value: connect(value),
    "connect token": lambda _, value: ANY_CONNECT("http://127.0.0.1:9", token=value or 1),
    "connect timeout": lambda _, value: connect("http://127.0.0.1:9", timeout=value),
}
CALLS_AFTER_CLOSE: dict[str, Callable[[Any], object]] = {
    "search": lambda library: library.search("red"),
    "videos": lambda library: library.videos(),
    "video": lambda library: library.video(1),
    "info": lambda library: library.info(),
    "doctor": lambda library: library.doctor(),
    "index": lambda library: list(library.index(["videos"])),
    "remove": lambda library: library.remove(["videos"]),
    "tags": lambda library: library.tags.list(),
    "saved": lambda library: library.saved_searches.list(),
    "vectors": lambda library: library.vectors(),
    "segments": lambda library: library.segments([1]),
    "features": lambda library: library.features("red.mp4"),
    "transcripts": lambda library: library.transcripts.get("red.mp4"),
    "relocate": lambda library: library.relocate("/", "/new"),
    "missing": lambda library: library.missing_videos(),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Library of one short video."""
    folder = tmp_path_factory.mktemp("wrong")
    make_video(folder / "red.mp4", [ColorScene(RED, 2)])
    opened = Library.open(folder / "library", create=True, encoder=FakeEncoder())
    list(opened.index([folder / "red.mp4"]))
    return opened


# valid lists of nothing, and numbers
ACCEPTED = {
    *(
        (name, "dict")
        for name in (
            *("videos", "images", "clips", "tags", "labels", "duplicates", "index", "remove"),
            *("transcribe", "ocr", "encode text", "preview", "preview excludes", "excludes"),
            *("roots", "remove_missing", "missing", "classify paths"),
        )
    ),
    *(
        (name, "float")
        for name in ("summary", "thumbnail time", "min_confidence", "open fps", "ocr fps")
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_wrong_types_raise_errors_of_vsearch(library: Library, name: str) -> None:
    for value in WRONG_VALUES:
        if (name, type(value).__name__) in ACCEPTED:
            continue
        with pytest.raises(VSearchError):
            CALLS[name](library, value)


def test_harmless_types_are_accepted(library: Any) -> None:
    [video] = library.videos()
    assert library.search("red", k=np.int64(1))
    assert library.videos(video.path) == library.videos(str(video.path)) == [video]
    assert len(library.similarity_curve("red", str(video.path)).scores)
    assert library.search("red", videos=Path(video.path))
    assert library.segments(np.array([1])) == library.segments(iter([1]))
    assert library.transcripts.transcribe(video.path)
    assert library.thumbnail(video, 0, width=2**62)
    assert library.encode_text(iter(["red"])).shape == (1, 16)
    with pytest.raises(QueryError, match="null character"):
        library.videos(["a\0b"])
    with pytest.raises(QueryError, match="at most"):
        library.segments([2**63])
    with pytest.raises(QueryError, match="k must be a whole number of at least 1, not '3'"):
        library.search("red", k="3")


@pytest.mark.parametrize("name", CALLS_AFTER_CLOSE)
def test_a_closed_library_says_so(tmp_path: Path, name: str) -> None:
    with Library.open(tmp_path / "library", create=True, encoder=FakeEncoder()) as closed:
        assert closed.videos() == []
    with pytest.raises(LibraryError, match="was closed"):
        CALLS_AFTER_CLOSE[name](closed)
    closed.close()  # again, which is harmless


def test_results_can_be_read_after_the_library_is_closed(tmp_path: Path) -> None:
    video_path = make_video(tmp_path / "red.mp4", [ColorScene(RED, 2)])
    with Library.open(tmp_path / "library", create=True, encoder=FakeEncoder()) as closed:
        list(closed.index([video_path]))
        [moment] = closed.search("red")
    assert list(moment.explanation.frame_weights) == []  # the pooler of a new space has none
