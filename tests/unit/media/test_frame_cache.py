"""The frame cache."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video, render_frames
from vsearch.errors import DamagedLibraryError, LibraryError, SettingsError, VSearchError
from vsearch.media import frame_cache
from vsearch.media.frame_cache import FrameStore
from vsearch.media.sampler import Sampler

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import FrameBatch

SCENES = [ColorScene(RED, 4), ColorScene(GREEN, 4), ColorScene(BLUE, 4)]


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    return FrameStore(tmp_path / "frames")


def keep(
    store: FrameStore, video: Path, *, fps: float = 2, short_side: int = 32, video_id: int = 1
) -> list[FrameBatch]:
    """Cache the frames of a video, and return what the sampler yields."""
    with store.open_writer() as keeper:
        sampler = Sampler(video, fps=fps, short_side=short_side, on_kept_frame=keeper.add_frame)
        batches = list(sampler)
    store.assign_frames(video_id)
    return batches


def times(batches: list[FrameBatch]) -> list[float]:
    return [float(time) for batch in batches for time in batch.frame_times]


def test_cached_frames_come_back_with_their_exact_times(tmp_path: Path, store: FrameStore) -> None:
    shown = [0, 0.1234, 0.51, 1.0041, *np.arange(1.7, 11, 0.3337)]
    video = make_video(tmp_path / "a.mkv", SCENES, frame_size=(320, 240), frame_times=shown, fps=3)
    sampled = keep(store, video, fps=2, short_side=240)
    again = list(store.iter_batches(1))
    assert times(again) == times(sampled)
    assert max(map(len, again)) == frame_cache.FRAMES_PER_BATCH
    for one, other in zip(again, sampled, strict=True):
        assert one.images.shape == other.images.shape
        assert np.abs(one.images.astype(float) - other.images).mean() < 4
    assert store.list_video_ids() == {1}
    assert store.find_damaged() == []


@pytest.mark.parametrize(
    ("size", "kept_size"),
    [
        ((640, 480), (340, 256)),  # 341 × 256, rounded to even
        ((1280, 640), (512, 256)),
        ((64, 48), (64, 48)),
        ((66, 50), (66, 50)),
        ((2, 2), (2, 2)),
    ],
)
def test_large_frames_are_scaled_down_and_small_ones_kept(
    tmp_path: Path, store: FrameStore, size: tuple[int, int], kept_size: tuple[int, int]
) -> None:
    keep(
        store, make_video(tmp_path / "a.mp4", [ColorScene(RED, 1)], frame_size=size), short_side=64
    )
    [batch] = store.iter_batches(1)
    height, width = batch.images.shape[1:3]
    assert (width, height) == pytest.approx(kept_size, abs=2)


def test_odd_sized_and_rotated_frames_are_cached(tmp_path: Path, store: FrameStore) -> None:
    odd = make_video(tmp_path / "odd.mkv", frame_size=(63, 47), codec="ffv1", pix_fmt="yuv444p")
    keep(store, odd)
    assert next(store.iter_batches(1)).images.shape[1:3] == (48, 64)
    keep(store, make_video(tmp_path / "turned.mp4", frame_size=(64, 48), rotation=90), video_id=2)
    assert next(store.iter_batches(2)).images.shape[1:3] == (64, 48)


def test_frames_of_several_shapes_are_cached_in_order(store: FrameStore) -> None:
    shapes = [(48, 64), (48, 64), (64, 48), (48, 64)]
    with store.open_writer() as keeper:
        for number, (height, width) in enumerate(shapes):
            keeper.add_frame(np.full((height, width, 3), 60 * number, np.uint8), number / 3)
    store.assign_frames(1)
    batches = list(store.iter_batches(1))
    assert [len(batch) for batch in batches] == [2, 1, 1]
    assert times(batches) == [0, 1 / 3, 2 / 3, 1]
    means = [float(image.mean()) for batch in batches for image in batch.images]
    assert means == pytest.approx([0, 60, 120, 180], abs=3)


def test_a_still_scene_takes_little_space(store: FrameStore) -> None:
    picture = next(render_frames([ColorScene(RED, 1)], frame_size=(320, 256)))
    with store.open_writer() as keeper:
        for second in range(600):
            keeper.add_frame(picture, float(second))
    store.assign_frames(1)
    assert sum(map(len, store.iter_batches(1))) == 600
    assert (store.folder / "1.frames").stat().st_size < 600 * 100


def test_an_unfinished_file_is_not_visible(store: FrameStore) -> None:
    def fail() -> None:
        with store.open_writer() as keeper:
            keeper.add_frame(np.zeros((48, 64, 3), np.uint8), 0.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(store.folder.iterdir()) == []


def test_clean_up_keeps_frames_of_known_videos_only(tmp_path: Path, store: FrameStore) -> None:
    video = make_video(tmp_path / "a.mp4", [ColorScene(RED, 1)])
    for video_id in (1, 2):
        keep(store, video, video_id=video_id)
    (store.folder / "3.frames.99.part").write_bytes(b"half")
    (store.folder / "next.frames").write_bytes(b"nobody's")
    (store.folder / "notes.frames").touch()
    assert store.remove_stale_files({1}) == 3
    assert sorted(path.name for path in store.folder.iterdir()) == ["1.frames", "notes.frames"]
    store.remove_frames(1)
    assert not store.has_frames(1)
    assert store.remove_stale_files(set()) == 0


def test_missing_frames_are_reported(store: FrameStore) -> None:
    with pytest.raises(DamagedLibraryError, match=r"1\.frames cannot be read .*decoded again"):
        list(store.iter_batches(1))


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
def test_a_file_without_frames_is_damaged(store: FrameStore, content: bytes) -> None:
    store.folder.mkdir()
    (store.folder / "1.frames").write_bytes(content)
    with pytest.raises(DamagedLibraryError, match=r"1\.frames"):
        list(store.iter_batches(1))


@pytest.mark.parametrize("flip", [0x01, 0x80])
def test_every_damaged_byte_is_noticed(tmp_path: Path, store: FrameStore, flip: int) -> None:
    keep(store, make_video(tmp_path / "a.mp4", [ColorScene(RED, 1)]), fps=3)
    path = store.folder / "1.frames"
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= flip
        path.write_bytes(damaged)
        assert store.find_damaged() == [1], place
    path.write_bytes(whole[:-1])
    assert store.find_damaged() == [1]
    path.write_bytes(whole + b"x")
    assert store.find_damaged() == [1]


def test_foreign_packets_raise_only_vsearch_errors(tmp_path: Path, store: FrameStore) -> None:
    """What has right checksums and is no picture, as somebody might forge."""
    keep(store, make_video(tmp_path / "a.mp4", [ColorScene(RED, 2)]), fps=3)
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
            shown = [batch.images.shape for batch in store.iter_batches(1)]
        except VSearchError:
            continue
        assert all(height * width <= 2**19 for _, height, width, _ in shown)


def test_a_full_disk_is_reported_with_a_remedy(
    store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frame_cache.FrameWriter, "finish_file", full)
    with (
        pytest.raises(LibraryError, match=r"No space left on device\)\. Free some space, or index"),
        store.open_writer() as keeper,
    ):
        keeper.add_frame(np.zeros((48, 64, 3), np.uint8), 0.0)
    assert list(store.folder.iterdir()) == []


def test_a_missing_encoder_is_reported_with_a_remedy(
    store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Without:
        @staticmethod
        def create(name: str, mode: str) -> None:
            raise ValueError(name)

    monkeypatch.setattr("vsearch.media.frame_codec.CodecContext", Without)
    with pytest.raises(SettingsError, match="without --keep-frames"), store.open_writer() as keeper:
        keeper.add_frame(np.zeros((48, 64, 3), np.uint8), 0.0)


def test_real_clips_survive_the_cache(real_clips: Path, store: FrameStore) -> None:
    for name in ("data_bikes.mp4", "media_cat.mp4", "preview_classroom.gif"):
        sampled = keep(store, real_clips / name, fps=1, short_side=64)
        again = list(store.iter_batches(1))
        assert times(again) == times(sampled)
