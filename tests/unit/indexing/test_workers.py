"""Concurrent indexing, keyframes only or first, and timings."""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, YELLOW, ColorScene, make_video
from vsearch import Library, Outcome, Timings
from vsearch.config import load_file
from vsearch.errors import LibraryError, SettingsError
from vsearch.indexing.video_workers import resolve_worker_count
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.progress import IndexResult, Progress
    from vsearch.types import Images, Matrix

COLOURS = {"red": RED, "green": GREEN, "blue": BLUE, "yellow": YELLOW}


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """A folder of four videos of 6 s with two scenes each and a keyframe every 2.4 s."""
    folder = tmp_path / "four"
    folder.mkdir()
    for name, colour in COLOURS.items():
        scenes = [ColorScene(colour, 3), ColorScene((90, 90, 90), 3)]
        make_video(folder / f"{name}.mp4", scenes, gop_size=24)
    return folder


def opened(tmp_path: Path, encoder: FakeEncoder | None = None, **settings: Any) -> Library:
    return Library.open(tmp_path / "library", encoder=encoder or FakeEncoder(), **settings)


def outcomes(library: Library, *paths: Path, **how: Any) -> list[tuple[str, Outcome]]:
    return [(one.path.name, one.outcome) for one in library.index(paths, **how)]


def threads() -> set[str]:
    return {one.name.split("_")[0] for one in threading.enumerate()} & {"see", "encode", "decode"}


# --- concurrency


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_result_does_not_depend_on_the_number_of_workers(
    tmp_path: Path, four: Path, count: int
) -> None:
    with opened(tmp_path, workers=count) as library:
        assert dict(outcomes(library, four)) == dict.fromkeys(
            (f"{name}.mp4" for name in COLOURS), Outcome.INDEXED
        )
        for name in COLOURS:
            assert library.search(name)[0].video.path.stem == name
        assert [video.sampled_frames for video in library.videos()] == [6] * 4
        assert library.doctor() == []
    assert not threads()


def test_a_bad_file_does_not_stop_the_others(tmp_path: Path, four: Path) -> None:
    (four / "broken.mp4").write_bytes(b"no video at all")
    (four / "empty.mp4").touch()
    with opened(tmp_path, workers=2) as library:
        found = dict(outcomes(library, four, four / "nowhere.mp4"))
    assert sorted(name for name, one in found.items() if one is Outcome.FAILED) == [
        "broken.mp4", "empty.mp4", "nowhere.mp4"
    ]  # fmt: skip
    assert sum(one is Outcome.INDEXED for one in found.values()) == 4


def test_identical_files_are_decoded_once(tmp_path: Path, four: Path) -> None:
    for number in range(5):
        shutil.copy(four / "red.mp4", four / f"copy {number}.mp4")
    encoder = FakeEncoder()
    with opened(tmp_path, encoder, workers=4) as library:
        found = [one for _, one in outcomes(library, four)]
        assert (found.count(Outcome.INDEXED), found.count(Outcome.DUPLICATE)) == (4, 5)
        assert len(library.videos()) == 4
    assert encoder.encoded_count <= 4 * 6


class Waiting(FakeEncoder):
    """An encoder that blocks from the second image on, until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.asked = threading.Event(), threading.Event()

    def encode_images(self, images: Images) -> Matrix:
        self.asked.set()
        self.go.wait(30)
        return super().encode_images(images)


def test_closing_the_iterator_cancels_files_in_progress(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path, workers=2) as library:
        run = library.index([four])
        next(run)
        run.close()
        assert not threads()
        left = [one for _, one in outcomes(library, four)]
        assert (left.count(Outcome.UNCHANGED), left.count(Outcome.INDEXED)) == (1, 3)
        assert library.doctor() == []


def test_ctrl_c_cancels_files_in_progress(tmp_path: Path, four: Path) -> None:
    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with opened(tmp_path, workers=2) as library:
        with pytest.raises(KeyboardInterrupt):
            list(library.index([four], on_progress=interrupt))
        assert not threads()
        assert dict(outcomes(library, four)).keys() == {f"{name}.mp4" for name in COLOURS}
        assert library.doctor() == []


def test_at_most_one_more_file_than_workers_is_in_progress(tmp_path: Path, four: Path) -> None:
    encoder = FakeEncoder()
    for number in range(6):
        make_video(four / f"{number}.mp4", [ColorScene(RED, 2 + number)])
    with opened(tmp_path, encoder, workers=2) as library:
        run = library.index([four])
        next(run)  # no result is requested after this
        deadline, seen = time.monotonic() + 10, -1
        while seen != encoder.encoded_count and time.monotonic() < deadline:
            seen = encoder.encoded_count
            time.sleep(0.3)
        assert len(library.videos()) == 1
        assert encoder.encoded_count <= 4 * 8
        run.close()


def test_an_error_that_affects_every_file_is_raised(
    tmp_path: Path, four: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise LibraryError("the disk is full")

    with opened(tmp_path, workers=2) as library:
        monkeypatch.setattr("vsearch.storage.feature_store.FeatureStore.save", full)
        with pytest.raises(LibraryError, match="the disk is full"):
            list(library.index([four]))
        assert library.videos() == []
    assert not threads()


def test_an_encoder_error_is_reported_for_each_file(tmp_path: Path, four: Path) -> None:
    class Faulty(FakeEncoder):
        def encode_images(self, images: Images) -> Matrix:
            raise RuntimeError("out of luck")

    with opened(tmp_path, Faulty(), workers=2) as library:
        found = list(library.index([four]))
    assert all("RuntimeError: out of luck" in (one.error or "") for one in found)
    assert len(found) == 4


def test_progress_of_concurrent_files_is_monotonic(tmp_path: Path, four: Path) -> None:
    progress_reports: list[Progress] = []
    with opened(tmp_path, workers=3) as library:
        list(library.index([four], on_progress=progress_reports.append))
    shares = [one.completed_share for one in progress_reports]
    assert shares == pytest.approx(sorted(shares))
    assert {one.file_index for one in progress_reports} == {0, 1, 2, 3}
    assert shares[0] == 0 < shares[-1] <= 1  # the first before the model is loaded


def test_cached_frames_of_concurrent_files_are_separate(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path, workers=3, keep_frames=True) as library:
        list(library.index([four]))
        with_frames = {path.name for path in (tmp_path / "library" / "frame_cache").iterdir()}
        assert with_frames == {f"{video.id}.frames" for video in library.videos()}
        assert library.doctor() == []
        switch = library.models.switch("other", encoder=FakeEncoder("other"))
        assert (switch.is_switched, switch.embedded_count) == (True, 4)


def test_the_default_is_half_the_cpu_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, count in ((1, 1), (2, 1), (8, 4), (64, 8)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert resolve_worker_count(0) == count
    assert resolve_worker_count(3) == 3


# --- keyframes only, and keyframes first


def test_keyframes_only_is_recorded(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path, keyframes_only=True) as library:
        assert {one for _, one in outcomes(library, four)} == {Outcome.INDEXED}
        for video in library.videos():
            assert video.keyframes_only
            assert video.warning is None
            assert video.max_keyframe_gap == pytest.approx(2.4, abs=0.5)
        assert library.search("blue")[0].video.path.stem == "blue"
        assert {one for _, one in outcomes(library, four)} == {Outcome.UNCHANGED}
        assert library.doctor() == []


def test_a_video_indexed_by_keyframes_is_refined(tmp_path: Path, four: Path) -> None:
    (four / "red.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nhello there\n")
    with opened(tmp_path, keyframes_only=True) as library:
        list(library.index([four]))
        library.tags.add(four / "red.mp4", "grandma", Span(0, 2))
        library.feedback.add("red", library.search("red", k=1))
        library.saved_searches.add("reds", "red")
    with opened(tmp_path) as library:
        assert {one for _, one in outcomes(library, four)} == {Outcome.REFINED}
        assert [video.keyframes_only for video in library.videos()] == [False] * 4
        assert [video.warning for video in library.videos()] == [None] * 4
        assert [tag.label for tag in library.tags.list()] == ["grandma"]
        assert len(library.feedback.list("red")) == 1
        assert [cue.text for cue in library.transcripts.get(four / "red.mp4").cues] == [
            "hello there"
        ]
        assert {one for _, one in outcomes(library, four)} == {Outcome.UNCHANGED}
        assert library.doctor() == []


def test_keyframes_only_skips_fully_indexed_videos(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path) as library:
        list(library.index([four]))
    encoder = FakeEncoder()
    with opened(tmp_path, encoder, keyframes_only=True, fps=2) as library:
        assert {one for _, one in outcomes(library, four)} == {Outcome.UNCHANGED}
        assert not any(video.keyframes_only for video in library.videos())
    assert not encoder.encoded_count


def test_a_moved_video_is_refined_at_its_new_path(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path, keyframes_only=True) as library:
        list(library.index([four]))
        library.tags.add(four / "red.mp4", "grandma")
    (four / "red.mp4").rename(four / "rouge.mp4")
    with opened(tmp_path) as library:
        assert dict(outcomes(library, four))["rouge.mp4"] is Outcome.REFINED
        assert len(library.videos()) == 4
        assert [tag.label for tag in library.tags.list([four / "rouge.mp4"])] == ["grandma"]
        assert library.missing_videos() == []


def test_keyframes_only_is_not_stored_as_a_setting(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path, keyframes_only=True, workers=3) as library:
        list(library.index([four]))
    settings = load_file(tmp_path / "library")
    assert (settings.keyframes_only, settings.workers, settings.hwaccel) == (False, 0, "")


def test_keyframes_only_in_the_settings_file_is_kept(tmp_path: Path, four: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "vsearch.toml").write_text("fast = true\nworkers = 2\n")
    with opened(tmp_path, keyframes_only=False) as library:
        list(library.index([four]))
        assert not any(video.keyframes_only for video in library.videos())
    settings = load_file(tmp_path / "library")
    assert (settings.keyframes_only, settings.workers) == (True, 2)


def test_progressive_indexing_takes_keyframes_of_all_files_first(
    tmp_path: Path, four: Path
) -> None:
    progress_reports: list[Progress] = []
    with opened(tmp_path, workers=1) as library:
        found: list[IndexResult] = []
        for one in library.index([four], progressive=True, on_progress=progress_reports.append):
            found.append(one)
            assert one.video is not None
            assert (
                library.search(one.path.stem)[0].video.path == one.path
            )  # found by its keyframes already
        assert [one.outcome for one in found] == [Outcome.INDEXED] * 4 + [Outcome.REFINED] * 4
        assert not any(video.keyframes_only for video in library.videos())
        assert library.doctor() == []
    shares = [one.completed_share for one in progress_reports]
    assert shares == pytest.approx(sorted(shares))
    assert shares[-1] <= 1
    assert {(one.pass_number, one.pass_count) for one in progress_reports} == {(1, 2), (2, 2)}


def test_progressive_indexing_continues_after_an_interruption(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path, workers=2) as library:
        run = library.index([four], progressive=True)
        for one in run:
            if one.outcome is Outcome.REFINED:
                break
        run.close()
        coarse = sum(video.keyframes_only for video in library.videos())
        assert (len(library.videos()), coarse) == (4, 3)
        found = [one for _, one in outcomes(library, four, progressive=True)]
        assert found == [Outcome.UNCHANGED] * 4 + [Outcome.REFINED] * 3
        assert not any(video.keyframes_only for video in library.videos())


def test_a_model_switch_samples_keyframes_only_where_indexing_did(
    tmp_path: Path, four: Path
) -> None:
    with opened(tmp_path, keyframes_only=True) as library:
        list(library.index([four]))
        frames = [video.sampled_frames for video in library.videos()]
        encoder = FakeEncoder("other")
        assert library.models.switch("other", encoder=encoder).is_switched
        assert encoder.encoded_count <= sum(frames)


def test_an_unknown_hardware_decoder_is_reported_at_once(tmp_path: Path, four: Path) -> None:
    with (
        opened(tmp_path, hwaccel="abacus", workers=2) as library,
        pytest.raises(SettingsError, match="abacus"),
    ):
        list(library.index([four]))


# --- timings


def test_each_step_is_timed(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path, workers=2) as library:
        found = list(library.index([four]))
        known = list(library.index([four]))
    for one in found:
        assert one.timings is not None
        assert min(one.timings.decode, one.timings.encode, one.timings.store) > 0
        assert one.timings.total_seconds <= 5 * one.elapsed_seconds + 1
    assert [one.timings for one in known] == [None] * 4


def test_timings_add_up() -> None:
    both = Timings(1, 2, 3, 4, 5) + Timings(10, 20, 30, 40, 50)
    assert both == Timings(11, 22, 33, 44, 55)
    assert both.total_seconds == 165
