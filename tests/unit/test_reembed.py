"""Another model for a library, while the one before answers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fakes import FakeEncoder
from synth import BLUE, GREEN, RED, Scene, make_video
from vsearch import Library, Outcome, plugins
from vsearch.catalog.lock import WriteLock
from vsearch.errors import LibraryError, LockedError, ModelError, SpaceMismatchError
from vsearch.temporal.pooling import MeanPooler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vsearch.types import Images, Ingested, KnownSpace, Matrix

COLOURS = {"red": RED, "green": GREEN, "blue": BLUE}


@pytest.fixture(autouse=True)
def _models(fake_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`fake`, `fake:other` and so on are models; none is named by the environment."""
    monkeypatch.syspath_prepend(str(fake_plugin))


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for name, colour in COLOURS.items():
        make_video(folder / f"{name}.mp4", [Scene(colour, 3), Scene((90, 90, 90), 3)])
    return folder


@pytest.fixture
def library(tmp_path: Path, videos: Path) -> Iterator[Library]:
    """Made by `fake`."""
    with Library.open(tmp_path / "library", model="fake") as opened:
        index(opened, videos)
        yield opened


def index(library: Library, *paths: Path, again: bool = False) -> list[Ingested]:
    return list(library.index(paths, again=again))


def finds(library: Library, *names: str) -> bool:
    """Whether each colour finds the video of its name first."""
    return all(library.search(name)[0].video.path.stem == name for name in names or COLOURS)


def reopened(library: Library) -> Library:
    """As another process would see it; by the model that is kept in vsearch.toml."""
    return Library.open(library.path)


def known(library: Library, name: str) -> KnownSpace:
    return next(one for one in library.spaces() if one.space.name == name)


def state(library: Library) -> list[tuple[str, int, bool]]:
    return [(one.space.name, one.videos, one.in_use) for one in library.spaces()]


class Stopped(FakeEncoder):
    """Raises in the middle of the video after `last`."""

    def __init__(self, argument: str, last: int, error: BaseException) -> None:
        super().__init__(argument)
        self.last, self.error = last, error

    def encode_images(self, images: Images) -> Matrix:
        if self.seen >= self.last:
            raise self.error
        return super().encode_images(images)


# --- forward


def test_another_model_sees_every_video_and_segments_stay(library: Library) -> None:
    before = [library.segments(video)[0] for video in library.videos()]
    switch = library.use_model("fake:other")
    assert switch.done
    assert (switch.embedded, switch.failed) == (3, ())
    assert (switch.before and switch.before.name, switch.space.name) == ("fake", "fake-other")
    assert [library.segments(video)[0] for video in library.videos()] == before
    assert finds(library)
    assert library.encoder.space.name == "fake-other"
    assert {video.model for video in library.videos()} == {"fake:other"}
    assert state(library) == [("fake", 3, False), ("fake-other", 3, True)]
    assert library.doctor() == []
    with reopened(library) as again:
        assert again.settings.model == "fake:other"
        assert finds(again)
        assert {one.outcome for one in again.index([Path(library.videos()[0].path).parent])} == {
            Outcome.UNCHANGED
        }


def test_until_all_is_done_the_old_model_answers_from_its_own_index(library: Library) -> None:
    saved = {path: path.read_bytes() for path in (library.path / "vectors").iterdir()}
    told = []

    def look(one: Ingested) -> None:
        with reopened(library) as reader:
            assert reader.settings.model == "fake"
            assert finds(reader)
            told.append(state(reader)[1][1:])

    revision = library._catalog.revision()

    def before_switch(one: Ingested) -> None:
        look(one)
        assert library._catalog.revision() == revision
        assert all(path.read_bytes() == data for path, data in saved.items())

    library.use_model("fake:other", each=before_switch)
    assert told == [(1, False), (2, False), (3, False)]
    assert all(path.read_bytes() == data for path, data in saved.items())


def test_what_was_embedded_before_a_stop_is_not_embedded_again(library: Library) -> None:
    whole = FakeEncoder("other")
    with pytest.raises(KeyboardInterrupt):
        library.use_model("fake:other", encoder=Stopped("other", 3, KeyboardInterrupt()))
    assert finds(library)
    assert known(library, "fake-other").videos == 1
    assert library.use_model("fake:other", encoder=whole).embedded == 2
    assert finds(library)
    assert known(library, "fake-other").videos == 3


def test_a_model_that_fails_stops_the_run_and_changes_nothing(library: Library) -> None:
    with pytest.raises(ModelError, match="no memory"):
        library.use_model("fake:other", encoder=Stopped("other", 1, ModelError("no memory")))
    assert library.space == FakeEncoder().space
    assert finds(library)


def test_features_without_their_vectors_are_made_anew(library: Library) -> None:
    """A process may be killed between the two; by which model the file is, nobody noted."""
    with pytest.raises(KeyboardInterrupt):
        library.use_model("fake:other", encoder=Stopped("other", 3, KeyboardInterrupt()))
    store = library._features
    stray = next(iter(store.ids() - store.ids(FakeEncoder("other").space)))
    done = store.path(next(iter(store.ids(FakeEncoder("other").space))), FakeEncoder("other").space)
    shutil.copy(done, done.with_name(f"{stray}.npz"))
    assert library.use_model("fake:other").embedded == 2
    assert finds(library)


def test_videos_are_sampled_as_they_were(tmp_path: Path, videos: Path) -> None:
    with Library.open(tmp_path / "library", model="fake", fps=4) as library:
        index(library, videos)
    with Library.open(tmp_path / "library", fps=1) as library:
        library.use_model("fake:other")
        space = library.space
        assert space is not None
        for video in library.videos():
            times = [
                library._features.load(video.id, one).times for one in (space, FakeEncoder().space)
            ]
            assert times[0].tolist() == times[1].tolist()


def test_an_empty_library_only_learns_the_name(tmp_path: Path, videos: Path) -> None:
    with Library.open(tmp_path / "library", model="fake") as library:
        assert library.use_model("fake:other").done
    with Library.open(tmp_path / "library") as library:
        index(library, videos)
        assert finds(library)
        assert library.space == FakeEncoder("other").space


def test_a_relative_file_of_a_model_is_kept_as_an_absolute_one(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.pt").touch()
    monkeypatch.chdir(tmp_path)
    library.use_model("fake:x@my.pt", encoder=FakeEncoder("x"))
    assert library.settings.model == f"fake:x@{tmp_path / 'my.pt'}"
    assert {video.model for video in library.videos()} == {library.settings.model}
    library.use_model("fake")
    monkeypatch.chdir("/")
    assert library.use_model(None, encoder=FakeEncoder("x")).model.endswith(str(tmp_path / "my.pt"))


# --- what cannot be seen any more


def test_a_video_that_is_gone_prevents_the_change_and_is_named(
    library: Library, videos: Path
) -> None:
    (videos / "green.mp4").unlink()
    (videos / "blue.mp4").write_bytes((videos / "red.mp4").read_bytes())
    switch = library.use_model("fake:other")
    assert not switch.done
    assert [one.path.name for one in switch.failed] == ["blue.mp4", "green.mp4"]
    assert "has changed since it was indexed" in (switch.failed[0].error or "")
    assert "the file is gone" in (switch.failed[1].error or "")
    assert all("\n" not in (one.error or "") for one in switch.failed)
    assert library.space == FakeEncoder().space
    assert finds(library)
    with reopened(library) as again:
        assert again.settings.model == "fake"


def test_missing_videos_can_be_skipped_and_come_back(library: Library, videos: Path) -> None:
    away = (videos / "green.mp4").rename(videos / "green.away")
    switch = library.use_model("fake:other", skip_missing=True)
    assert switch.done
    assert [one.path.name for one in switch.failed] == ["green.mp4"]
    assert "green" not in {moment.video.path.stem for moment in library.search("green")}
    assert any("without a vector" in problem for problem in library.doctor())
    away.rename(videos / "green.mp4")
    index(library, videos)
    assert finds(library)
    assert library.doctor() == []


def test_the_gap_is_also_filled_by_using_the_model_again(library: Library, videos: Path) -> None:
    away = (videos / "green.mp4").rename(videos / "green.away")
    library.use_model("fake:other", skip_missing=True)
    away.rename(videos / "green.mp4")
    with reopened(library) as reader:
        assert len(reader.search("green")) > 0
        assert library.use_model("fake:other").embedded == 1
        assert finds(reader)
    assert library.doctor() == []


def test_a_change_that_would_find_nothing_is_no_change(library: Library, videos: Path) -> None:
    shutil.rmtree(videos)
    assert not library.use_model("fake:other", skip_missing=True).done
    assert finds(library)


# --- back, and away with it


def test_going_back_loads_no_model_and_decodes_nothing(
    library: Library, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.use_model("fake:other")
    shutil.move(videos, videos.with_name("away"))
    with monkeypatch.context() as patch:
        patch.setattr("vsearch.reembed.make_encoder", forbidden)
        switch = library.use_model(None)
    assert (switch.done, switch.embedded, switch.model) == (True, 0, "fake")
    assert finds(library)
    assert library.use_model(None).model == "fake:other"
    assert finds(library)


def forbidden(*_: object) -> FakeEncoder:
    raise AssertionError("a model was loaded")


def test_only_what_was_indexed_since_is_embedded_on_the_way_back(
    library: Library, videos: Path
) -> None:
    library.use_model("fake:other")
    make_video(videos / "white.mp4", [Scene((255, 255, 255), 3)])
    index(library, videos)
    encoder = FakeEncoder()
    assert library.use_model(None, encoder=encoder).embedded == 1
    assert encoder.seen <= 3
    assert finds(library, "white", *COLOURS)


def test_there_is_no_way_back_from_the_first_model(library: Library) -> None:
    with pytest.raises(LibraryError, match="had no other model"):
        library.use_model(None)


def test_a_model_whose_weights_changed_is_not_mixed_with_what_it_was(
    library: Library, videos: Path
) -> None:
    library.use_model("fake:other")
    make_video(videos / "white.mp4", [Scene((255, 255, 255), 3)])
    index(library, videos)
    with pytest.raises(SpaceMismatchError, match="fake is now fake-new, not fake as it was"):
        library.use_model(None, encoder=FakeEncoder("new"))
    assert finds(library)


def test_a_model_that_is_not_in_use_can_be_dropped(library: Library) -> None:
    library.use_model("fake:other")
    dropped = library.drop_model("fake")
    assert dropped.size > 0
    assert state(library) == [("fake-other", 3, True)]
    left = {path.name for path in library.path.rglob("*") if "fake" in path.name}
    assert left == {"fake-other", "fake-other.exact", "fake-other.exact.npz"}
    assert finds(library)
    assert library.doctor() == []
    with pytest.raises(LibraryError, match="had no other model"):
        library.use_model(None)
    assert library.use_model("fake").embedded == 3
    assert finds(library)


def test_the_model_in_use_and_one_nobody_knows_cannot_be_dropped(library: Library) -> None:
    with pytest.raises(LibraryError, match="fake is in use"):
        library.drop_model("fake")
    with pytest.raises(LibraryError, match="no model or space 'clippy'; it has fake"):
        library.drop_model("clippy")


def test_a_drop_that_was_killed_can_be_run_again(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.use_model("fake:other")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vsearch.vectors.features.FeatureStore.drop", killed)
        with pytest.raises(KeyboardInterrupt):
            library.drop_model("fake")
    assert known(library, "fake").videos == 0
    assert finds(library)
    library.drop_model("fake")
    assert state(library) == [("fake-other", 3, True)]
    assert not (library.path / "features" / "fake").exists()


# --- beside other commands


def test_what_is_indexed_meanwhile_is_picked_up_by_the_next_run(
    library: Library, videos: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        library.use_model("fake:other", encoder=Stopped("other", 3, KeyboardInterrupt()))
    make_video(videos / "white.mp4", [Scene((255, 255, 255), 3)])
    assert [one.outcome for one in index(library, videos)].count(Outcome.INDEXED) == 1
    assert known(library, "fake-other").videos == 1
    assert finds(library, "white", *COLOURS)
    assert library.use_model("fake:other").embedded == 3
    assert finds(library, "white", *COLOURS)


def test_a_removed_video_leaves_nothing_in_any_space(library: Library) -> None:
    library.use_model("fake:other")
    gone = library.remove(["green*"])[0]
    assert not list(library.path.rglob(f"{gone.id}.npz"))
    assert state(library) == [("fake", 2, False), ("fake-other", 2, True)]
    assert library.use_model(None).embedded == 0
    assert finds(library, "red", "blue")
    assert library.doctor() == []


def test_a_changed_video_is_embedded_anew_in_the_other_space(
    library: Library, videos: Path
) -> None:
    library.use_model("fake:other")
    make_video(videos / "green.mp4", [Scene(GREEN, 4), Scene((0, 0, 0), 3)])
    index(library, videos)
    assert state(library) == [("fake", 2, False), ("fake-other", 3, True)]
    assert library.use_model(None).embedded == 1
    assert finds(library)
    assert library.doctor() == []


def test_rebuilding_leaves_the_other_space_to_be_pooled_not_embedded(
    library: Library, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.use_model("fake:other")
    library.rebuild()
    assert state(library) == [("fake", 0, False), ("fake-other", 3, True)]
    assert finds(library)
    assert library.doctor() == []
    shutil.move(videos, videos.with_name("away"))
    monkeypatch.setattr("vsearch.reembed.make_encoder", forbidden)
    assert library.use_model(None).embedded == 3
    assert finds(library)
    assert {video.model for video in library.videos()} == {"fake"}


def test_vectors_of_another_pooler_are_pooled_anew_on_the_way_back(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reopened(library) as reader:
        assert finds(reader)  # holds the index of the first space
        library.use_model("fake:other")
        monkeypatch.setattr(MeanPooler, "name", "last")
        monkeypatch.setattr(MeanPooler, "pool", lambda self, frames, times: frames[-1])
        with pytest.raises(SpaceMismatchError, match="vsearch rebuild"):
            library.use_model("fake:other")
        assert library.use_model(None).embedded == 3
        assert known(library, "fake").pooler == "last"
        for one in (library, reader):
            video = one.videos()[0]
            segments, vectors = one.segments(video)
            found = one._current.get()
            assert found is not None
            ids = [segment.id for segment in segments]
            assert found.index.search(vectors[0], 1, among=found.ids)[1][0] == pytest.approx(
                1, abs=1e-3
            )
            assert set(ids) <= set(found.ids.tolist())


class Learned(MeanPooler):
    """A trained one: its name tells the weights, and is not what it is registered as."""

    name = "learned-ab12cd34"


def test_a_pooler_is_kept_by_what_it_is_registered_as(
    tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poolers = {"learned": Learned}
    whole = plugins.resolve
    monkeypatch.setattr(
        "vsearch.pooler.resolve", lambda kind, name: poolers.get(name) or whole(kind, name)
    )
    with Library.open(tmp_path / "library", model="fake", pooler="learned") as library:
        index(library, videos)
        assert library.use_model("fake:other").done
        assert finds(library)
        with reopened(library) as again:
            assert again.settings.pooler == "learned"
            assert finds(again)


def test_a_search_that_overlaps_a_switch_does_not_turn_it_back(library: Library) -> None:
    old = library.space
    library.use_model("fake:other")
    assert old is not None
    with pytest.raises(SpaceMismatchError):
        library._model.fitting(old, library._catalog)
    assert library.settings.model == "fake:other"
    assert finds(library)


def test_after_leaving_out_what_is_gone_the_rest_can_be_rebuilt(
    library: Library, videos: Path
) -> None:
    (videos / "red.mp4").unlink()
    assert library.use_model("fake:other", skip_missing=True).done
    library.rebuild()
    assert finds(library, "green", "blue")


def test_one_writer_at_a_time(library: Library) -> None:
    def write(one: Ingested) -> None:
        with reopened(library) as other, pytest.raises(LockedError, match=str(os.getpid())):
            other.remove(["green*"])

    library.use_model("fake:other", each=write)
    with (
        WriteLock(library.path, command="vsearch index films"),
        pytest.raises(LockedError, match="'vsearch index films'"),
    ):
        library.use_model("fake")
    assert library.writer() is None


def test_whoever_writes_is_named_and_a_killed_one_is_not(library: Library) -> None:
    (library.path / "writer.json").write_text(
        '{"command": "vsearch index", "pid": 1, "host": "h", "since": "s"}'
    )
    assert library.writer() is None
    with WriteLock(library.path, command="vsearch model use x"):
        assert "vsearch model use x" in (library.writer() or "")


# --- settings


def test_a_kill_before_the_settings_are_written_leaves_the_right_model(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = library.path / "vsearch.toml"
    file.write_text('# mine\nmodel = "fake"  # the quick one\nfps = 1.0\n')

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vsearch.config.change", killed)
        with pytest.raises(KeyboardInterrupt):
            library.use_model("fake:other")
    assert '"fake"' in file.read_text()
    with reopened(library) as again:
        assert again.settings.model == "fake:other"
        assert finds(again)
    assert file.read_text() == '# mine\nmodel = "fake:other"  # the quick one\nfps = 1.0\n'


def test_a_model_that_a_person_wrote_into_the_settings_is_told_not_replaced(
    library: Library,
) -> None:
    file = library.path / "vsearch.toml"
    file.write_text('model = "fake:third"\n')
    with reopened(library) as again, pytest.raises(SpaceMismatchError, match="vsearch model use"):
        again.search("red")
    assert file.read_text() == 'model = "fake:third"\n'


@pytest.mark.parametrize("text", [None, "", "fps = 1.0\n"])
def test_without_settings_the_catalogue_knows_the_model(library: Library, text: str | None) -> None:
    file = library.path / "vsearch.toml"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with reopened(library) as again:
        assert finds(again)
    assert (file.read_text() if file.exists() else None) == text, "nobody asked to write it"


def test_a_flag_or_a_variable_still_wins(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.use_model("fake:other")
    with (
        Library.open(library.path, model="fake") as other,
        pytest.raises(SpaceMismatchError, match="--model"),
    ):
        other.search("red")
    monkeypatch.setenv("VSEARCH_MODEL", "fake")
    with reopened(library) as other, pytest.raises(SpaceMismatchError):
        other.search("red")


def test_an_open_library_follows_a_switch_unless_its_model_was_named(library: Library) -> None:
    with (
        reopened(library) as follower,
        Library.open(library.path, model="fake") as named,
    ):
        assert finds(follower)
        assert finds(named)
        library.use_model("fake:other")
        assert finds(follower)
        assert follower.settings.model == "fake:other"
        with pytest.raises(SpaceMismatchError):
            named.search("red")
        library.use_model(None)
        assert finds(follower)
        assert finds(named)


def test_words_of_another_model_are_let_go_with_the_model_they_fit(library: Library) -> None:
    with Library.open(library.path, text_model="fake:other") as opened:
        opened.use_model("fake:third")
        assert opened.settings.text_model == ""
        assert finds(opened)


# --- two models of one space


def test_two_models_of_one_space_mix_knowingly(library: Library, videos: Path) -> None:
    encoder = FakeEncoder("fast")
    switch = library.use_model("fake:fast", encoder=encoder)
    assert (switch.done, switch.embedded, encoder.seen) == (True, 0, 0)
    assert library.settings.model == "fake:fast"
    assert library.info().models == (("fake", 3),)
    make_video(videos / "white.mp4", [Scene((255, 255, 255), 3)])
    with reopened(library) as again:
        index(again, videos)
        assert again.info().models == (("fake", 3), ("fake:fast", 1))
        assert finds(again, "white", *COLOURS)
        index(again, videos, again=True)
        assert again.info().models == (("fake:fast", 4),)
        assert len(again.spaces()) == 1


def test_which_model_made_what_is_still_known_after_going_there_and_back(
    library: Library, videos: Path
) -> None:
    with Library.open(library.path, model="fake:fast") as fast:
        make_video(videos / "white.mp4", [Scene((255, 255, 255), 3)])
        index(fast, videos)
    library.use_model("fake:other")
    assert library.info().models == (("fake:other", 4),)
    assert library.use_model(None).model == "fake"
    assert library.info().models == (("fake", 3), ("fake:fast", 1))


# --- an older vsearch


def test_a_library_of_an_older_vsearch_is_changed_without_moving_its_files(
    library: Library, tmp_path: Path
) -> None:
    make_old(library)
    old = sorted(library.path.glob("features/*.npz"))
    assert len(old) == 3
    with reopened(library) as again:
        assert again.doctor() == []
        assert finds(again)
        assert again.info().models == ((None, 3),)
        again.use_model("fake:other")
        assert finds(again)
        assert sorted(library.path.glob("features/*.npz")) == old
        assert again.doctor() == []
        assert again.use_model(None).model == "fake", "it was noted as it was left"
        assert finds(again)
        again.use_model(None)
        again.drop_model("fake")
        assert not list(library.path.glob("features/*.npz"))
        assert finds(again)
        assert again.doctor() == []


def make_old(library: Library) -> None:
    """As if it had been indexed when there was one space only."""
    for path in (library.path / "features" / "fake").iterdir():
        path.rename(library.path / "features" / path.name)
    with library._catalog.begin() as change:
        change._connection.exec_driver_sql("UPDATE spaces SET model = NULL")
        change._connection.exec_driver_sql("UPDATE features SET model = NULL")


def test_a_model_that_was_not_noted_has_to_be_named_to_go_back(library: Library) -> None:
    library.use_model("fake:other")
    make_old(library)
    with reopened(library) as again, pytest.raises(LibraryError, match="was not noted: name it"):
        again.use_model(None)


def test_doctor_tells_of_damage_in_a_space_that_is_not_in_use(library: Library) -> None:
    library.use_model("fake:other")
    next((library.path / "features" / "fake").iterdir()).write_bytes(b"junk")
    [problem] = library.doctor()
    assert problem.startswith("1 feature files of fake, which is not in use, are damaged")


# --- kept frames


@pytest.fixture
def kept(tmp_path: Path, videos: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", model="fake", keep_frames=True) as opened:
        index(opened, videos)
        yield opened


def test_kept_frames_stand_in_for_the_videos(kept: Library, videos: Path) -> None:
    assert {path.suffix for path in (kept.path / "frames").iterdir()} == {".frames"}
    shutil.rmtree(videos)
    switch = kept.use_model("fake:other")
    assert (switch.done, switch.failed) == (True, ())
    assert finds(kept)
    space = kept.space
    assert space is not None
    for video in kept.videos():
        mine, theirs = (kept._features.load(video.id, one) for one in (space, FakeEncoder().space))
        assert mine.times.tolist() == theirs.times.tolist()
        assert (mine.matrix * theirs.matrix).sum(axis=1).min() > 0.99


def cut_short(data: bytes) -> bytes:
    return data[:-10]


def another_video(data: bytes) -> bytes:
    return (
        data[:8] + (1).to_bytes(8, "little") + data[16 : 32 + int.from_bytes(data[24:28], "little")]
    )


@pytest.mark.parametrize("damage", [cut_short, another_video, lambda _: b"", lambda _: b"junk"])
def test_damaged_frames_are_passed_over_for_the_video(
    kept: Library, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    for path in (kept.path / "frames").iterdir():
        path.write_bytes(damage(path.read_bytes()))
    assert kept.use_model("fake:other").embedded == 3
    assert finds(kept)
    assert "frames" in caplog.text


def test_damaged_frames_are_kept_anew_where_they_are_wanted(kept: Library) -> None:
    video = kept.videos()[0]
    file = kept.path / "frames" / f"{video.id}.frames"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert any(str(video.path) in line for line in kept.doctor())
    assert kept.use_model("fake:other").done
    assert kept.doctor() == []


def test_frames_are_kept_once_the_videos_are_decoded_anyway(library: Library, videos: Path) -> None:
    assert not (library.path / "frames").exists()
    with Library.open(library.path, keep_frames=True) as keeping:
        keeping.use_model("fake:other")
    assert len(list((library.path / "frames").iterdir())) == 3
    shutil.rmtree(videos)
    assert library.use_model("fake:third").done
    assert finds(library)


def test_kept_frames_go_with_their_video(kept: Library, videos: Path) -> None:
    names = {path.name for path in (kept.path / "frames").iterdir()}
    kept.remove(["green*"])
    make_video(videos / "red.mp4", [Scene(RED, 4)])
    index(kept, videos / "red.mp4")
    ids = {video.id for video in kept.videos()}
    assert {path.name for path in (kept.path / "frames").iterdir()} == {
        f"{id_}.frames" for id_ in ids
    }
    assert len(names & {f"{id_}.frames" for id_ in ids}) == 1
    (kept.path / "frames" / "999.frames").touch()
    (kept.path / "frames" / "next.frames").touch()
    assert "1 frame files belong to no video" in kept.doctor()[0]
    kept.rebuild()
    assert kept.doctor() == []
    assert len(list((kept.path / "frames").iterdir())) == 2


def test_doctor_names_the_video_of_damaged_frames(kept: Library) -> None:
    video = kept.videos()[0]
    file = kept.path / "frames" / f"{video.id}.frames"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    [problem] = kept.doctor()
    assert problem.startswith(f"{video.path}: its kept frames are damaged")


def test_a_library_keeps_frames_from_its_first_video_on(kept: Library, videos: Path) -> None:
    make_video(videos / "white.mp4", [Scene((255, 255, 255), 3)])
    with reopened(kept) as again:
        assert again.settings.keep_frames
        index(again, videos)
    assert len(list((kept.path / "frames").iterdir())) == 4
