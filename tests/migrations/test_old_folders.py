"""Cache folders of older versions, renamed or removed when a library is first written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, RED, ColorScene, make_video
from vsearch import Library

if TYPE_CHECKING:
    from pathlib import Path


def test_kept_frames_are_renamed_and_other_caches_removed(tmp_path: Path) -> None:
    path = tmp_path / "library"
    for name, color in (("red", RED), ("blue", BLUE)):
        make_video(tmp_path / f"{name}.mp4", [ColorScene(color, 2)])
    with Library.open(path, encoder=FakeEncoder(), keep_frames=True) as library:
        assert len(list(library.index([tmp_path / "red.mp4"]))) == 1
    kept = [file.read_bytes() for file in (path / "frame_cache").iterdir()]
    assert len(kept) == 1
    (path / "frame_cache").rename(path / "frames")
    (path / "index").rename(path / "vectors")
    for name in ("excess", "null"):
        (path / name).mkdir(exist_ok=True)
        (path / name / "cache.npz").write_bytes(b"old")

    with Library.open(path, encoder=FakeEncoder()) as library:
        assert library.search("red")[0].video.path.stem == "red"
        assert (path / "frames").is_dir(), "reading changes nothing"
        assert len(list(library.index([tmp_path / "blue.mp4"]))) == 1
        assert library.search("blue")[0].video.path.stem == "blue"
        assert library.doctor() == []
    folders = {entry.name for entry in path.iterdir() if entry.is_dir()}
    assert folders.isdisjoint({"frames", "vectors", "excess", "null"})
    assert {"frame_cache", "index"} <= folders
    assert kept[0] in [file.read_bytes() for file in (path / "frame_cache").iterdir()]
