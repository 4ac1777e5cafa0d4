from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from fakes import FakeEncoder
from synth import BLUE, GREEN, RED, Scene, make_video
from vsearch import Library, Outcome
from vsearch.errors import (
    LibraryError,
    LockedError,
    NoLibraryError,
    NoTextError,
    QueryError,
    SettingsError,
    SpaceMismatchError,
    UnknownPluginError,
    UnreadableError,
)
from vsearch.search.query import parse
from vsearch.temporal.pooling import MeanPooler
from vsearch.types import Space, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.types import Images, Ingested, Matrix, Moment, Progress


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
def library(tmp_path: Path, encoder: FakeEncoder) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=encoder) as opened:
        yield opened


def index(library: Library, *paths: Path, again: bool = False) -> dict[str, Ingested]:
    return {one.path.name: one for one in library.index(paths, again=again)}


def outcomes(library: Library, *paths: Path) -> dict[str, Outcome]:
    return {name: one.outcome for name, one in index(library, *paths).items()}


def names(moments: list[Moment]) -> list[str]:
    return [moment.video.path.name for moment in moments]


# --- indexing


def test_words_find_the_moment_in_the_video(library: Library, videos: Path) -> None:
    index(library, videos)
    best = library.search("something blue")[0]
    assert best.video.path.name == "red then blue.mp4"
    assert best.span.start == pytest.approx(4, abs=0.2)
    assert best.span.end == pytest.approx(8, abs=0.2)
    assert best.span.start <= best.why.peak < best.span.end
    assert best.confidence is not None
    assert best.confidence > 0.5
    assert names(library.search("green"))[0] == "green.mp4"


def test_what_is_known_is_not_decoded_again(
    library: Library, videos: Path, encoder: FakeEncoder
) -> None:
    assert set(outcomes(library, videos).values()) == {Outcome.INDEXED}
    seen = encoder.seen
    assert set(outcomes(library, videos).values()) == {Outcome.UNCHANGED}
    assert encoder.seen == seen


def test_a_run_that_finds_nothing_new_loads_no_model(tmp_path: Path, videos: Path) -> None:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        index(library, videos)
    with Library.open(tmp_path / "library", model="no such model") as library:
        assert set(outcomes(library, videos).values()) == {Outcome.UNCHANGED}


def test_a_changed_video_is_indexed_anew(library: Library, videos: Path) -> None:
    index(library, videos)
    make_video(videos / "green.mp4", [Scene(RED, 3)])
    assert outcomes(library, videos)["green.mp4"] is Outcome.UPDATED
    assert library.search("green")[0].score < 0.5
    assert len(library.videos()) == 2
    assert library.doctor() == []


def test_a_touched_video_is_not_indexed_anew(
    library: Library, videos: Path, encoder: FakeEncoder
) -> None:
    index(library, videos)
    seen = encoder.seen
    os.utime(videos / "green.mp4", (1, 1))
    assert outcomes(library, videos)["green.mp4"] is Outcome.UNCHANGED
    assert encoder.seen == seen


def test_a_moved_video_is_found_by_its_content(
    library: Library, videos: Path, encoder: FakeEncoder
) -> None:
    index(library, videos)
    seen = encoder.seen
    (videos / "new").mkdir()
    shutil.move(videos / "green.mp4", videos / "new" / "grün.mp4")
    assert outcomes(library, videos)["grün.mp4"] is Outcome.MOVED
    assert encoder.seen == seen
    assert names(library.search("green"))[0] == "grün.mp4"
    assert library.missing() == []


def test_a_copy_is_told_and_not_indexed_twice(library: Library, videos: Path) -> None:
    index(library, videos)
    shutil.copy(videos / "green.mp4", videos / "copy.mp4")
    found = index(library, videos)["copy.mp4"]
    assert found.outcome is Outcome.DUPLICATE
    assert found.video is not None
    assert found.video.path.name == "green.mp4"
    assert len(library.videos()) == 2


def test_a_copy_of_what_a_file_was_before_is_indexed_itself(library: Library, videos: Path) -> None:
    index(library, videos)
    shutil.copy(videos / "green.mp4", videos / "copy.mp4")
    shutil.copy(videos / "red then blue.mp4", videos / "green.mp4")
    found = outcomes(library, videos)
    assert found["copy.mp4"] is Outcome.INDEXED
    assert names(library.search("green"))[0] == "copy.mp4"


def test_another_frame_rate_indexes_again(tmp_path: Path, videos: Path) -> None:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        before = index(library, videos)["green.mp4"].video
    with Library.open(tmp_path / "library", encoder=FakeEncoder(), fps=4) as library:
        after = index(library, videos)["green.mp4"]
    assert after.outcome is Outcome.UPDATED
    assert before is not None
    assert after.video is not None
    assert after.video.frames > 2 * before.frames


def test_a_frame_rate_of_one_run_is_not_undone_by_the_next(tmp_path: Path, videos: Path) -> None:
    for fps, outcome in ((None, "indexed"), (2, "updated"), (None, "unchanged")):
        with Library.open(tmp_path / "library", encoder=FakeEncoder(), fps=fps) as library:
            assert set(outcomes(library, videos).values()) == {outcome}


def test_segments_of_two_poolers_do_not_mix(
    tmp_path: Path, videos: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(library, videos / "green.mp4")
    monkeypatch.setattr(MeanPooler, "name", "other")
    with pytest.raises(SpaceMismatchError, match="vsearch rebuild"):
        index(library, videos)
    library.rebuild()
    assert index(library, videos)["red then blue.mp4"].outcome is Outcome.INDEXED


def test_one_bad_file_stops_nothing_and_is_told(library: Library, videos: Path) -> None:
    (videos / "a broken.mp4").write_bytes(b"no video at all")
    found = index(library, videos, videos / "missing.mp4")
    assert found["a broken.mp4"].outcome is Outcome.FAILED
    assert "a broken.mp4" in (found["a broken.mp4"].error or "")
    assert found["missing.mp4"].outcome is Outcome.FAILED
    assert found["green.mp4"].outcome is Outcome.INDEXED


def test_an_error_nobody_foresaw_is_one_failed_file(tmp_path: Path, videos: Path) -> None:
    class Broken(FakeEncoder):
        def encode_images(self, images: Images) -> Matrix:
            if self.seen == 0:
                self.seen = 1
                raise RuntimeError("out of luck")
            return super().encode_images(images)

    with Library.open(tmp_path / "library", encoder=Broken()) as library:
        found = list(library.index([videos]))
    assert [one.outcome for one in found] == [Outcome.FAILED, Outcome.INDEXED]
    assert "RuntimeError: out of luck" in (found[0].error or "")


def test_progress_is_told_within_a_file(library: Library, videos: Path) -> None:
    told: list[Progress] = []
    for _ in library.index([videos], progress=told.append):
        pass
    assert {(one.number, one.files) for one in told} == {(0, 2), (1, 2)}
    assert [one.share for one in told] == sorted(one.share for one in told)
    assert 0 < told[0].share < told[-1].share <= 1


def test_stopping_between_files_keeps_what_is_done(library: Library, videos: Path) -> None:
    run = library.index([videos])
    next(run)
    run.close()
    assert len(library.videos()) == 1
    assert sorted(outcomes(library, videos).values()) == [Outcome.INDEXED, Outcome.UNCHANGED]


def test_two_writers_do_not_meet(library: Library, videos: Path, tmp_path: Path) -> None:
    run = library.index([videos])
    next(run)
    with (
        Library.open(tmp_path / "library", encoder=FakeEncoder()) as other,
        pytest.raises(LockedError, match=str(os.getpid())),
    ):
        other.remove(["green.mp4"])
    run.close()


def test_a_reader_sees_what_another_process_indexed(
    library: Library, videos: Path, tmp_path: Path
) -> None:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as reader:
        assert reader.search("red") == []
        index(library, videos / "green.mp4")
        assert names(reader.search("red")) == ["green.mp4"]
        index(library, videos)
        assert names(reader.search("red"))[0] == "red then blue.mp4"


# --- searching


def test_a_picture_finds_what_looks_like_it(library: Library, videos: Path, tmp_path: Path) -> None:
    index(library, videos)
    Image.new("RGB", (50, 40), BLUE).save(tmp_path / "blue.png")
    best = library.search(image=tmp_path / "blue.png")[0]
    assert (best.video.path.name, round(best.span.start)) == ("red then blue.mp4", 4)


def test_a_clip_of_an_indexed_video_finds_itself_without_decoding(
    library: Library, videos: Path, encoder: FakeEncoder
) -> None:
    index(library, videos)
    seen = encoder.seen
    best = library.search(clip=videos / "red then blue.mp4", span=(5, 7))[0]
    assert (best.video.path.name, round(best.span.start)) == ("red then blue.mp4", 4)
    assert encoder.seen == seen


def test_a_part_that_a_clip_does_not_have_is_told(
    library: Library, videos: Path, tmp_path: Path
) -> None:
    index(library, videos)
    make_video(tmp_path / "elsewhere.mp4", [Scene(GREEN, 2)])
    for clip in (videos / "green.mp4", tmp_path / "elsewhere.mp4"):
        with pytest.raises(QueryError, match="ends after"):
            library.search(clip=clip, span=(500, 600))


def test_a_clip_is_known_by_the_path_it_was_indexed_under(
    library: Library, videos: Path, encoder: FakeEncoder, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(videos)
    index(library, tmp_path / "link")
    seen = encoder.seen
    library.search(clip=tmp_path / "videos" / ".." / "link" / "green.mp4")
    assert encoder.seen == seen


def test_a_clip_from_elsewhere_is_decoded(library: Library, videos: Path, tmp_path: Path) -> None:
    index(library, videos)
    clip = make_video(tmp_path / "other.mkv", [Scene(RED, 3), Scene(GREEN, 3)])
    assert names(library.search(clip=clip, span=Span(3.5, 6)))[0] == "green.mp4"
    assert names(library.search(clip=clip, span=Span(0, 2.5)))[0] == "red then blue.mp4"


def test_words_and_pictures_go_together(library: Library, videos: Path, tmp_path: Path) -> None:
    index(library, videos)
    Image.new("RGB", (50, 40), BLUE).save(tmp_path / "blue.png")
    assert library.search("blue", image=tmp_path / "blue.png")[0].span.start > 3


def test_a_filter_narrows_the_search(library: Library, videos: Path) -> None:
    index(library, videos)
    assert names(library.search("red", videos=["green*"])) == ["green.mp4"]
    assert library.search("red", videos=["nothing*"]) == []


def test_one_video_does_not_fill_the_results(library: Library, tmp_path: Path) -> None:
    blinking = [Scene(colour, 3) for _ in range(5) for colour in (RED, BLUE)]
    make_video(tmp_path / "long.mp4", blinking)
    for number in range(3):
        scenes = [Scene(GREEN, 3 + number / 10)]
        make_video(tmp_path / f"{number}.mp4", scenes)
    index(library, tmp_path)
    found = names(library.search("red", k=5, alike=True))
    assert found.count("long.mp4") == 3
    assert sorted(names(library.search("red", k=5, per_video=1, alike=True))) == sorted(
        ["long.mp4", "0.mp4", "1.mp4", "2.mp4"]
    )
    assert names(library.search("red", k=5, videos=["long*"])) == ["long.mp4"] * 5
    assert names(library.search("red", k=2)).count("long.mp4") == 1


def test_a_query_that_is_complete_takes_nothing_beside_it(library: Library, videos: Path) -> None:
    index(library, videos)
    asked: list[dict[str, Any]] = [{"videos": ["*"]}, {"image": "a.png"}, {"clip": "a.mp4"}]
    for more in asked:
        with pytest.raises(QueryError, match="alone"):
            library.search(parse("red"), **more)


@pytest.mark.parametrize(
    "asked",
    [
        {"span": (1, 2)},
        {"clip": ""},
        {"clip": "a.mp4", "span": (8, 3)},
        {"clip": "a.mp4", "span": (float("nan"), 3)},
        {"query": "red", "per_video": -1},
    ],
)
def test_a_senseless_query_is_a_query_error(library: Library, asked: dict[str, Any]) -> None:
    with pytest.raises(QueryError):
        library.search(**asked)


def test_asking_for_too_little_is_refused(library: Library) -> None:
    with pytest.raises(QueryError):
        library.search("red", k=0)
    with pytest.raises(QueryError):
        library.search("")


def test_words_in_a_library_of_pictures_only_say_what_to_do(tmp_path: Path, videos: Path) -> None:
    class Mute(FakeEncoder):
        @property
        def space(self) -> Space:
            return Space("mute", 16, speaks_text=False)

    with Library.open(tmp_path / "library", encoder=Mute()) as library:
        index(library, videos)
        with pytest.raises(NoTextError, match="--image or --clip"):
            library.search("red")
        assert library.search(clip=videos / "green.mp4")


def test_a_query_picture_that_is_missing_is_named(library: Library, videos: Path) -> None:
    index(library, videos)
    with pytest.raises(UnreadableError, match=r"nowhere\.jpg"):
        library.search(image="nowhere.jpg")


def test_another_model_is_refused_before_anything_is_decoded(
    tmp_path: Path, videos: Path, library: Library
) -> None:
    index(library, videos)
    with Library.open(tmp_path / "library", encoder=FakeEncoder("other")) as other:
        with pytest.raises(SpaceMismatchError, match="--library"):
            other.search("red")
        with pytest.raises(SpaceMismatchError):
            list(other.index([videos], again=True))
    assert len(library.search("red")) > 0


def test_an_emptied_library_takes_another_model(
    tmp_path: Path, videos: Path, library: Library
) -> None:
    index(library, videos)
    library.remove(["*"])
    with Library.open(tmp_path / "library", encoder=FakeEncoder("other")) as other:
        index(other, videos)
        assert names(other.search("green"))[0] == "green.mp4"
        assert [known.space.name for known in other.spaces()] == ["fake-other"]


# --- keeping


def test_removed_videos_are_never_found_again(library: Library, videos: Path) -> None:
    index(library, videos)
    assert [video.path.name for video in library.remove(["green.mp4"])] == ["green.mp4"]
    assert "green.mp4" not in names(library.search("green"))
    assert (videos / "green.mp4").exists()
    assert library.remove(["green.mp4"]) == []
    assert library.doctor() == []


def test_removing_means_the_file_here_not_one_of_that_name_elsewhere(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seconds, place in enumerate(("x", "y", "z/deep"), 1):
        (tmp_path / place).mkdir(parents=True)
        make_video(tmp_path / place / "a.mp4", [Scene(RED, seconds)])
    index(library, tmp_path / "x", tmp_path / "y", tmp_path / "z")
    monkeypatch.chdir(tmp_path / "x")

    def removed(*paths: str) -> list[str]:
        return [str(video.path.relative_to(tmp_path)) for video in library.remove(paths)]

    assert removed("./a.mp4") == [str(Path("x/a.mp4"))]
    assert removed("a.mp4") == [], "it is here, but was not indexed"
    assert removed("../z") == [str(Path("z/deep/a.mp4"))]
    assert removed("y/*.mp4") == [str(Path("y/a.mp4"))]


def test_a_folder_that_may_not_be_entered_is_not_taken_for_gone(
    library: Library, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(library, videos)

    def refused(self: Path, **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", refused)
    assert library.missing() == []


def test_missing_videos_are_told_and_forgotten_on_request(library: Library, videos: Path) -> None:
    index(library, videos)
    (videos / "green.mp4").unlink()
    assert [video.path.name for video in library.missing()] == ["green.mp4"]
    assert "remove --missing" in library.doctor()[0]
    library.forget_missing()
    assert library.doctor() == []
    assert len(library.videos()) == 1


def test_rebuild_pools_anew_without_decoding(
    library: Library, videos: Path, encoder: FakeEncoder
) -> None:
    index(library, videos)
    before, seen = library.search("blue"), encoder.seen
    assert library.rebuild() == library.info().segments
    after = library.search("blue")
    assert [(m.span, m.video) for m in after] == [(m.span, m.video) for m in before]
    assert encoder.seen == seen


@pytest.mark.parametrize("damage", [b"", b"junk"])
def test_a_damaged_index_is_rebuilt_unasked(
    tmp_path: Path, videos: Path, library: Library, damage: bytes
) -> None:
    index(library, videos)
    for file in (tmp_path / "library" / "vectors").iterdir():
        file.write_bytes(damage)
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as again:
        assert names(again.search("green"))[0] == "green.mp4"


@pytest.mark.parametrize("kind", ["exact", "faiss"])
def test_both_indexes_give_the_same_results(tmp_path: Path, videos: Path, kind: str) -> None:
    with Library.open(tmp_path / kind, encoder=FakeEncoder(), index=kind) as library:
        index(library, videos)
        assert names(library.search("blue", k=2)) == ["red then blue.mp4", "green.mp4"]
    assert list((tmp_path / kind / "vectors").glob(f"*.{kind}"))


def test_lost_features_cost_the_explanation_not_the_result(library: Library, videos: Path) -> None:
    index(library, videos)
    for file in (library.path / "features").rglob("*.npz"):
        file.unlink()
    assert names(library.search("green"))[0] == "green.mp4"
    assert "index it again" in library.doctor()[0]
    assert set(outcomes(library, videos).values()) == {Outcome.UPDATED}
    assert library.doctor() == []
    next((library.path / "features").rglob("*.npz")).write_bytes(b"junk")
    assert "--again" in library.doctor()[0]


def test_a_library_that_must_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NoLibraryError, match="vsearch --library"):
        Library.open(tmp_path / "nowhere", create=False)
    assert not (tmp_path / "nowhere").exists()


def test_a_library_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LibraryError, match="is a file"):
        Library.open(tmp_path / "file")


def test_several_threads_share_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(FakeEncoder):
        def __init__(self, argument: str = "", *, device: str = "auto") -> None:
            time.sleep(0.05)
            super().__init__(argument, device=device)

    monkeypatch.setattr("vsearch.plugins.resolve", lambda group, name: Slow)
    with Library.open(tmp_path / "library") as library, ThreadPoolExecutor(4) as pool:
        assert len({id(made) for made in pool.map(lambda _: library.encoder, range(4))}) == 1


def test_searching_an_emptied_library_leaves_its_settings_alone(
    tmp_path: Path, videos: Path, library: Library
) -> None:
    index(library, videos)
    library.remove(["*"])
    (tmp_path / "library" / "vsearch.toml").unlink()
    assert library.search(clip=videos / "green.mp4") == []
    assert not (tmp_path / "library" / "vsearch.toml").exists()


def test_settings_come_from_flag_environment_file_and_default_in_that_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fps(flag: float | None = None) -> float:
        with Library.open(tmp_path / "library", fps=flag) as library:
            return library.settings.fps

    assert fps() == 1.0
    (tmp_path / "library" / "vsearch.toml").write_text("fps = 2.0\n")
    assert fps() == 2.0
    monkeypatch.setenv("VSEARCH_FPS", "3")
    assert fps() == 3.0
    assert fps(4) == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [("fps = 'fast'", "fps"), ("spf = 1", "spf"), ("fps = ", "TOML"), ("fps = 1e9", "60")],
)
def test_senseless_settings_are_named(tmp_path: Path, text: str, told: str) -> None:
    with Library.open(tmp_path / "library"):
        pass
    (tmp_path / "library" / "vsearch.toml").write_text(text)
    with pytest.raises(SettingsError, match=told):
        Library.open(tmp_path / "library")


@pytest.mark.usefixtures("fake_model")
def test_a_library_keeps_the_settings_of_its_first_video(
    tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, model = tmp_path / "library", 'fake:C:\\x"y.pt'
    with Library.open(folder, fps=2, model=model) as library:
        index(library, videos / "green.mp4")
    monkeypatch.delenv("VSEARCH_MODEL")
    with Library.open(folder) as library:
        assert (library.settings.fps, library.settings.model) == (2, model)
    with Library.open(folder, fps=3) as library:
        index(library, videos)
    with Library.open(folder) as library:
        assert library.settings.fps == 2, "a later flag is for that run"


@pytest.mark.usefixtures("fake_model")
def test_files_of_a_model_are_kept_whole_and_the_device_is_not(
    tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "😀.pt").write_bytes(b"")
    with Library.open("library", model="fake:arch@😀.pt", device="cpu") as library:
        index(library, videos)
    monkeypatch.delenv("VSEARCH_MODEL")
    monkeypatch.chdir(tmp_path.parent)
    with Library.open(tmp_path / "library") as library:
        assert library.settings.model == f"fake:arch@{tmp_path / '😀.pt'}"
        assert library.settings.device == "auto"


@pytest.mark.usefixtures("fake_model")
def test_a_model_whose_name_no_file_can_hold_is_told(tmp_path: Path, videos: Path) -> None:
    with (
        Library.open(tmp_path / "library", model="fake:\udcff.pt") as library,
        pytest.raises(SettingsError, match="rename"),
    ):
        index(library, videos)


@pytest.mark.usefixtures("fake_model")
def test_a_model_that_does_not_load_leaves_no_mark(tmp_path: Path, videos: Path) -> None:
    folder = tmp_path / "library"
    with (
        Library.open(folder, model="builtin:huge") as library,
        pytest.raises(UnknownPluginError, match="huge"),
    ):
        index(library, videos)
    with Library.open(folder) as library:
        index(library, videos)
        assert names(library.search("green"))[0] == "green.mp4"


def test_settings_written_by_hand_stay_as_they_are(tmp_path: Path, videos: Path) -> None:
    file = tmp_path / "library" / "vsearch.toml"
    file.parent.mkdir()
    file.write_text("fps = 2.0  # my slides change slowly\n")
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        index(library, videos)
    assert file.read_text() == "fps = 2.0  # my slides change slowly\n"
