"""Frames that are kept for another model."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from synth import BLUE, GREEN, RED, Scene, frames, make_video
from vsearch.errors import DamagedLibraryError, LibraryError, SettingsError, VSearchError
from vsearch.media import kept
from vsearch.media.kept import FrameStore
from vsearch.media.video import Sampler

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import FrameBatch

SCENES = [Scene(RED, 4), Scene(GREEN, 4), Scene(BLUE, 4)]


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    return FrameStore(tmp_path / "frames")


def keep(
    store: FrameStore, video: Path, *, fps: float = 2, short_side: int = 32, video_id: int = 1
) -> list[FrameBatch]:
    """Keep the frames of a video; what the sampler gave meanwhile."""
    with store.keeping() as keeper:
        sampler = Sampler(video, fps=fps, short_side=short_side, keep=keeper.add)
        batches = list(sampler)
    store.claim(video_id)
    return batches


def times(batches: list[FrameBatch]) -> list[float]:
    return [float(time) for batch in batches for time in batch.times]


def test_frames_come_back_as_they_were_with_their_exact_times(
    tmp_path: Path, store: FrameStore
) -> None:
    shown = [0, 0.1234, 0.51, 1.0041, *np.arange(1.7, 11, 0.3337)]
    video = make_video(tmp_path / "a.mkv", SCENES, size=(320, 240), times=shown, fps=3)
    sampled = keep(store, video, fps=2, short_side=240)
    again = list(store.batches(1))
    assert times(again) == times(sampled)
    assert max(map(len, again)) == kept.BATCH
    for one, other in zip(again, sampled, strict=True):
        assert one.images.shape == other.images.shape
        assert np.abs(one.images.astype(float) - other.images).mean() < 4
    assert store.ids() == {1}
    assert store.damaged() == []


@pytest.mark.parametrize(
    ("size", "kept_size"),
    [
        ((640, 480), (340, 256)),  # 341 × 256, made even
        ((1280, 640), (512, 256)),
        ((64, 48), (64, 48)),
        ((66, 50), (66, 50)),
        ((2, 2), (2, 2)),
    ],
)
def test_a_large_video_is_kept_small_and_a_small_one_as_it_is(
    tmp_path: Path, store: FrameStore, size: tuple[int, int], kept_size: tuple[int, int]
) -> None:
    keep(store, make_video(tmp_path / "a.mp4", [Scene(RED, 1)], size=size), short_side=64)
    [batch] = store.batches(1)
    height, width = batch.images.shape[1:3]
    assert (width, height) == pytest.approx(kept_size, abs=2)


def test_odd_and_turned_pictures_are_kept(tmp_path: Path, store: FrameStore) -> None:
    odd = make_video(tmp_path / "odd.mkv", size=(63, 47), codec="ffv1", pix_fmt="yuv444p")
    keep(store, odd)
    assert next(store.batches(1)).images.shape[1:3] == (48, 64)
    keep(store, make_video(tmp_path / "turned.mp4", size=(64, 48), rotation=90), video_id=2)
    assert next(store.batches(2)).images.shape[1:3] == (64, 48)


def test_pictures_of_several_shapes_are_kept_in_order(store: FrameStore) -> None:
    shapes = [(48, 64), (48, 64), (64, 48), (48, 64)]
    with store.keeping() as keeper:
        for number, (height, width) in enumerate(shapes):
            keeper.add(np.full((height, width, 3), 60 * number, np.uint8), number / 3)
    store.claim(1)
    batches = list(store.batches(1))
    assert [len(batch) for batch in batches] == [2, 1, 1]
    assert times(batches) == [0, 1 / 3, 2 / 3, 1]
    means = [float(image.mean()) for batch in batches for image in batch.images]
    assert means == pytest.approx([0, 60, 120, 180], abs=3)


def test_a_still_scene_takes_next_to_no_room(store: FrameStore) -> None:
    picture = next(frames([Scene(RED, 1)], size=(320, 256)))
    with store.keeping() as keeper:
        for second in range(600):
            keeper.add(picture, float(second))
    store.claim(1)
    assert sum(map(len, store.batches(1))) == 600
    assert (store.folder / "1.frames").stat().st_size < 600 * 100


def test_what_was_not_finished_is_not_there(store: FrameStore) -> None:
    def fail() -> None:
        with store.keeping() as keeper:
            keeper.add(np.zeros((48, 64, 3), np.uint8), 0.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(store.folder.iterdir()) == []


def test_a_sweep_leaves_only_frames_of_known_videos(tmp_path: Path, store: FrameStore) -> None:
    video = make_video(tmp_path / "a.mp4", [Scene(RED, 1)])
    for video_id in (1, 2):
        keep(store, video, video_id=video_id)
    (store.folder / "3.frames.99.part").write_bytes(b"half")
    (store.folder / "next.frames").write_bytes(b"nobody's")
    (store.folder / "notes.frames").touch()
    assert store.sweep({1}) == 3
    assert sorted(path.name for path in store.folder.iterdir()) == ["1.frames", "notes.frames"]
    store.remove(1)
    assert not store.has(1)
    assert store.sweep(set()) == 0


def test_frames_that_are_missing_are_told(store: FrameStore) -> None:
    with pytest.raises(DamagedLibraryError, match=r"1\.frames cannot be read .*decoded again"):
        list(store.batches(1))


HEAD = struct.Struct("<8sQ")
RECORD = struct.Struct("<dII")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        HEAD.pack(b"vsframe1", 0),
        HEAD.pack(b"vsframe1", 1),
        HEAD.pack(b"vsframe1", 2**64 - 1),
        HEAD.pack(b"vsframe2", 1) + RECORD.pack(0, 0, 0),
        HEAD.pack(b"vsframe1", 1) + RECORD.pack(0, 2**32 - 1, 0),
        HEAD.pack(b"vsframe1", 1) + RECORD.pack(float("nan"), 0, 0),
        HEAD.pack(b"vsframe1", 1) + RECORD.pack(-5, 0, 0),
        HEAD.pack(b"vsframe1", 1) + RECORD.pack(0, 0, 0),
        HEAD.pack(b"vsframe1", 2) + 2 * RECORD.pack(0, 0, 0),
    ],
)
def test_a_file_that_holds_no_frames_is_told_as_damage(store: FrameStore, content: bytes) -> None:
    store.folder.mkdir()
    (store.folder / "1.frames").write_bytes(content)
    with pytest.raises(DamagedLibraryError, match=r"1\.frames"):
        list(store.batches(1))


@pytest.mark.parametrize("flip", [0x01, 0x80])
def test_every_damaged_byte_is_noticed(tmp_path: Path, store: FrameStore, flip: int) -> None:
    keep(store, make_video(tmp_path / "a.mp4", [Scene(RED, 1)]), fps=3)
    path = store.folder / "1.frames"
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= flip
        path.write_bytes(damaged)
        assert store.damaged() == [1], place
    path.write_bytes(whole[:-1])
    assert store.damaged() == [1]
    path.write_bytes(whole + b"x")
    assert store.damaged() == [1]


def test_packets_of_something_else_raise_nothing_but_errors_of_vsearch(
    tmp_path: Path, store: FrameStore
) -> None:
    """What has right checksums and is no picture, as somebody might forge."""
    keep(store, make_video(tmp_path / "a.mp4", [Scene(RED, 2)]), fps=3)
    path = store.folder / "1.frames"
    whole = bytearray(path.read_bytes())
    _, length, _ = RECORD.unpack_from(whole, HEAD.size)
    start = HEAD.size + RECORD.size
    chance = np.random.default_rng(0)
    for _ in range(200):
        forged = bytearray(whole)
        for place in chance.integers(start, start + length, 5):
            forged[place] = chance.integers(256)
        time = zlib.crc32(struct.pack("<d", 0.0))
        checksum = zlib.crc32(bytes(forged[start : start + length]), time)
        RECORD.pack_into(forged, HEAD.size, 0.0, length, checksum)
        path.write_bytes(forged)
        try:
            shown = [batch.images.shape for batch in store.batches(1)]
        except VSearchError:
            continue
        assert all(height * width <= 2**19 for _, height, width, _ in shown)


def test_a_full_disk_is_told_with_what_to_do(
    store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept.Keeper, "finish", full)
    with (
        pytest.raises(LibraryError, match=r"No space left on device\)\. Free some space, or index"),
        store.keeping() as keeper,
    ):
        keeper.add(np.zeros((48, 64, 3), np.uint8), 0.0)
    assert list(store.folder.iterdir()) == []


def test_an_av_without_the_encoder_is_told_with_what_to_do(
    store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Without:
        @staticmethod
        def create(name: str, mode: str) -> None:
            raise ValueError(name)

    monkeypatch.setattr("vsearch.media.codec.CodecContext", Without)
    with pytest.raises(SettingsError, match="without --keep-frames"), store.keeping() as keeper:
        keeper.add(np.zeros((48, 64, 3), np.uint8), 0.0)


def test_real_clips_look_the_same(real_clips: Path, store: FrameStore) -> None:
    for name in ("data_bikes.mp4", "media_cat.mp4", "preview_classroom.gif"):
        sampled = keep(store, real_clips / name, fps=1, short_side=64)
        again = list(store.batches(1))
        assert times(again) == times(sampled)
