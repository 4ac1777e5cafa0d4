"""Several videos side by side, key frames alone or first, and where the time went."""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from fakes import FakeEncoder
from synth import BLUE, GREEN, RED, YELLOW, Scene, make_video
from vsearch import Library, Outcome, Timings
from vsearch.config import load_file
from vsearch.errors import LibraryError, SettingsError
from vsearch.indexing import workers
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Images, Ingested, Matrix, Progress

COLOURS = {"red": RED, "green": GREEN, "blue": BLUE, "yellow": YELLOW}


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """A folder of four videos of 6 seconds, each of two scenes, with a key frame every 2.4 s."""
    folder = tmp_path / "four"
    folder.mkdir()
    for name, colour in COLOURS.items():
        scenes = [Scene(colour, 3), Scene((90, 90, 90), 3)]
        make_video(folder / f"{name}.mp4", scenes, gop=24)
    return folder


def opened(tmp_path: Path, encoder: FakeEncoder | None = None, **settings: Any) -> Library:
    return Library.open(tmp_path / "library", encoder=encoder or FakeEncoder(), **settings)


def outcomes(library: Library, *paths: Path, **how: Any) -> list[tuple[str, Outcome]]:
    return [(one.path.name, one.outcome) for one in library.index(paths, **how)]


def threads() -> set[str]:
    return {one.name.split("_")[0] for one in threading.enumerate()} & {"see", "encode", "decode"}


# --- side by side


@pytest.mark.parametrize("count", [1, 2, 5])
def test_so_many_workers_bring_in_the_same(tmp_path: Path, four: Path, count: int) -> None:
    with opened(tmp_path, workers=count) as library:
        assert dict(outcomes(library, four)) == dict.fromkeys(
            (f"{name}.mp4" for name in COLOURS), Outcome.INDEXED
        )
        for name in COLOURS:
            assert library.search(name)[0].video.path.stem == name
        assert [video.frames for video in library.videos()] == [6] * 4
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


def test_copies_that_come_together_are_decoded_once(tmp_path: Path, four: Path) -> None:
    for number in range(5):
        shutil.copy(four / "red.mp4", four / f"copy {number}.mp4")
    encoder = FakeEncoder()
    with opened(tmp_path, encoder, workers=4) as library:
        found = [one for _, one in outcomes(library, four)]
        assert (found.count(Outcome.INDEXED), found.count(Outcome.DUPLICATE)) == (4, 5)
        assert len(library.videos()) == 4
    assert encoder.seen <= 4 * 6


class Waiting(FakeEncoder):
    """Never comes back from the second picture on, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.asked = threading.Event(), threading.Event()

    def encode_images(self, images: Images) -> Matrix:
        self.asked.set()
        self.go.wait(30)
        return super().encode_images(images)


def test_closing_the_iterator_ends_what_is_in_hand(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path, workers=2) as library:
        run = library.index([four])
        next(run)
        run.close()
        assert not threads()
        left = [one for _, one in outcomes(library, four)]
        assert (left.count(Outcome.UNCHANGED), left.count(Outcome.INDEXED)) == (1, 3)
        assert library.doctor() == []


def test_ctrl_c_ends_what_is_in_hand(tmp_path: Path, four: Path) -> None:
    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with opened(tmp_path, workers=2) as library:
        with pytest.raises(KeyboardInterrupt):
            list(library.index([four], progress=interrupt))
        assert not threads()
        assert dict(outcomes(library, four)).keys() == {f"{name}.mp4" for name in COLOURS}
        assert library.doctor() == []


def test_no_more_is_in_hand_than_workers_and_one_that_waits(tmp_path: Path, four: Path) -> None:
    encoder = FakeEncoder()
    for number in range(6):
        make_video(four / f"{number}.mp4", [Scene(RED, 2 + number)])
    with opened(tmp_path, encoder, workers=2) as library:
        run = library.index([four])
        next(run)  # from here on nobody asks for more
        deadline, seen = time.monotonic() + 10, -1
        while seen != encoder.seen and time.monotonic() < deadline:
            seen = encoder.seen
            time.sleep(0.3)
        assert len(library.videos()) == 1
        assert encoder.seen <= 4 * 8
        run.close()


def test_what_would_stop_every_file_is_raised(
    tmp_path: Path, four: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise LibraryError("the disk is full")

    with opened(tmp_path, workers=2) as library:
        monkeypatch.setattr("vsearch.vectors.features.FeatureStore.save", full)
        with pytest.raises(LibraryError, match="the disk is full"):
            list(library.index([four]))
        assert library.videos() == []
    assert not threads()


def test_a_fault_of_the_model_is_told_of_each_file(tmp_path: Path, four: Path) -> None:
    class Faulty(FakeEncoder):
        def encode_images(self, images: Images) -> Matrix:
            raise RuntimeError("out of luck")

    with opened(tmp_path, Faulty(), workers=2) as library:
        found = list(library.index([four]))
    assert all("RuntimeError: out of luck" in (one.error or "") for one in found)
    assert len(found) == 4


def test_progress_of_several_never_goes_back(tmp_path: Path, four: Path) -> None:
    told: list[Progress] = []
    with opened(tmp_path, workers=3) as library:
        list(library.index([four], progress=told.append))
    shares = [one.share for one in told]
    assert shares == pytest.approx(sorted(shares))
    assert {one.number for one in told} == {0, 1, 2, 3}
    assert 0 < shares[0] < shares[-1] <= 1


def test_frames_of_several_are_kept_apart(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path, workers=3, keep_frames=True) as library:
        list(library.index([four]))
        with_frames = {path.name for path in (tmp_path / "library" / "frames").iterdir()}
        assert with_frames == {f"{video.id}.frames" for video in library.videos()}
        assert library.doctor() == []
        switch = library.use_model("other", encoder=FakeEncoder("other"))
        assert (switch.done, switch.embedded) == (True, 4)


def test_half_of_the_cores_have_a_video_each(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, count in ((1, 1), (2, 1), (8, 4), (64, 8)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert workers(0) == count
    assert workers(3) == 3


# --- key frames alone, and first


def test_key_frames_alone_are_told(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path, fast=True) as library:
        assert {one for _, one in outcomes(library, four)} == {Outcome.INDEXED}
        for video in library.videos():
            assert video.keyframes
            assert (video.note or "").startswith("key frames only, up to 2.")
        assert library.search("blue")[0].video.path.stem == "blue"
        assert {one for _, one in outcomes(library, four)} == {Outcome.UNCHANGED}
        assert library.doctor() == []


def test_what_is_known_by_key_frames_is_filled_in(tmp_path: Path, four: Path) -> None:
    (four / "red.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nhello there\n")
    with opened(tmp_path, fast=True) as library:
        list(library.index([four]))
        library.tag(four / "red.mp4", "grandma", Span(0, 2))
        library.mark("red", library.search("red", k=1))
        library.save("reds", "red")
    with opened(tmp_path) as library:
        assert {one for _, one in outcomes(library, four)} == {Outcome.FILLED}
        assert [video.keyframes for video in library.videos()] == [False] * 4
        assert [video.note for video in library.videos()] == [None] * 4
        assert [tag.label for tag in library.tags()] == ["grandma"]
        assert len(library.marks("red")) == 1
        assert [cue.text for cue in library.transcript(four / "red.mp4").cues] == ["hello there"]
        assert {one for _, one in outcomes(library, four)} == {Outcome.UNCHANGED}
        assert library.doctor() == []


def test_fast_passes_over_what_is_known_exactly(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path) as library:
        list(library.index([four]))
    encoder = FakeEncoder()
    with opened(tmp_path, encoder, fast=True, fps=2) as library:
        assert {one for _, one in outcomes(library, four)} == {Outcome.UNCHANGED}
        assert not any(video.keyframes for video in library.videos())
    assert not encoder.seen


def test_what_moved_is_filled_in_where_it_is_now(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path, fast=True) as library:
        list(library.index([four]))
        library.tag(four / "red.mp4", "grandma")
    (four / "red.mp4").rename(four / "rouge.mp4")
    with opened(tmp_path) as library:
        assert dict(outcomes(library, four))["rouge.mp4"] is Outcome.FILLED
        assert len(library.videos()) == 4
        assert [tag.label for tag in library.tags([four / "rouge.mp4"])] == ["grandma"]
        assert library.missing() == []


def test_fast_this_once_is_not_fast_for_ever(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path, fast=True, workers=3) as library:
        list(library.index([four]))
    settings = load_file(tmp_path / "library")
    assert (settings.fast, settings.workers, settings.hwaccel) == (False, 0, "")


def test_what_the_file_says_of_it_stays(tmp_path: Path, four: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "vsearch.toml").write_text("fast = true\nworkers = 2\n")
    with opened(tmp_path, fast=False) as library:
        list(library.index([four]))
        assert not any(video.keyframes for video in library.videos())
    settings = load_file(tmp_path / "library")
    assert (settings.fast, settings.workers) == (True, 2)


def test_progressive_takes_key_frames_of_all_and_then_fills_them_in(
    tmp_path: Path, four: Path
) -> None:
    told: list[Progress] = []
    with opened(tmp_path, workers=1) as library:
        found: list[Ingested] = []
        for one in library.index([four], progressive=True, progress=told.append):
            found.append(one)
            assert one.video is not None
            assert library.search(one.path.stem)[0].video.path == one.path  # seen at once
        assert [one.outcome for one in found] == [Outcome.INDEXED] * 4 + [Outcome.FILLED] * 4
        assert not any(video.keyframes for video in library.videos())
        assert library.doctor() == []
    shares = [one.share for one in told]
    assert shares == pytest.approx(sorted(shares))
    assert shares[-1] <= 1
    assert {(one.number_of_pass, one.passes) for one in told} == {(1, 2), (2, 2)}


def test_progressive_goes_on_where_it_was_stopped(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path, workers=2) as library:
        run = library.index([four], progressive=True)
        for one in run:
            if one.outcome is Outcome.FILLED:
                break
        run.close()
        coarse = sum(video.keyframes for video in library.videos())
        assert (len(library.videos()), coarse) == (4, 3)
        found = [one for _, one in outcomes(library, four, progressive=True)]
        assert found == [Outcome.UNCHANGED] * 4 + [Outcome.FILLED] * 3
        assert not any(video.keyframes for video in library.videos())


def test_another_model_sees_key_frames_where_they_alone_were_seen(
    tmp_path: Path, four: Path
) -> None:
    with opened(tmp_path, fast=True) as library:
        list(library.index([four]))
        frames = [video.frames for video in library.videos()]
        encoder = FakeEncoder("other")
        assert library.use_model("other", encoder=encoder).done
        assert encoder.seen <= sum(frames)


def test_a_device_that_nobody_knows_is_told_at_once(tmp_path: Path, four: Path) -> None:
    with (
        opened(tmp_path, hwaccel="abacus", workers=2) as library,
        pytest.raises(SettingsError, match="abacus"),
    ):
        list(library.index([four]))


# --- where the time went


def test_timings_of_each_step_are_told(tmp_path: Path, four: Path) -> None:
    with opened(tmp_path, workers=2) as library:
        found = list(library.index([four]))
        known = list(library.index([four]))
    for one in found:
        assert one.timings is not None
        assert min(one.timings.decode, one.timings.encode, one.timings.store) > 0
        assert one.timings.total <= 5 * one.seconds + 1
    assert [one.timings for one in known] == [None] * 4


def test_timings_add_up() -> None:
    both = Timings(1, 2, 3, 4, 5) + Timings(10, 20, 30, 40, 50)
    assert both == Timings(11, 22, 33, 44, 55)
    assert both.total == 165
