"""Switching the model of a library while the previous one answers queries."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.old_features import write_old_features
from tests.support.video_factory import (
    GREEN,
    RED,
    VIDEO_COLORS,
    ColorScene,
    make_colored_videos,
    make_video,
)
from vsearch import Library, Outcome, plugins
from vsearch.catalog.lock import WriteLock
from vsearch.errors import LibraryError, LockedError, ModelError, SpaceMismatchError
from vsearch.pooling.mean import MeanPooler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vsearch.progress import IndexResult
    from vsearch.types import Images, Matrix, SpaceInfo


@pytest.fixture(autouse=True)
def _models(fake_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register `fake`, `fake:other` etc.; the environment names no model."""
    monkeypatch.syspath_prepend(str(fake_plugin))


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    return make_colored_videos(tmp_path / "videos")


@pytest.fixture
def library(tmp_path: Path, videos: Path) -> Iterator[Library]:
    """A library indexed with `fake`."""
    with Library.open(tmp_path / "library", model="fake") as opened:
        index(opened, videos)
        yield opened


def index(library: Library, *paths: Path, again: bool = False) -> list[IndexResult]:
    return list(library.index(paths, force=again))


def finds(library: Library, *names: str) -> bool:
    """Return whether each color finds the video of its name first."""
    return all(library.search(name)[0].video.path.stem == name for name in names or VIDEO_COLORS)


def reopened(library: Library) -> Library:
    """Open the library as another process would, with the model in vsearch.toml."""
    return Library.open(library.path)


def known(library: Library, name: str) -> SpaceInfo:
    return next(one for one in library.models.list() if one.space.name == name)


def state(library: Library) -> list[tuple[str, int, bool]]:
    return [(one.space.name, one.video_count, one.is_active) for one in library.models.list()]


class Stopped(FakeEncoder):
    """An encoder that raises in the middle of the video after `last`."""

    def __init__(self, argument: str, last: int, error: BaseException) -> None:
        super().__init__(argument)
        self.last, self.error = last, error

    def encode_images(self, images: Images) -> Matrix:
        if self.encoded_count >= self.last:
            raise self.error
        return super().encode_images(images)


# --- forward


def test_a_switch_embeds_every_video_and_keeps_segments(library: Library) -> None:
    before = [library.segments_with_vectors(video)[0] for video in library.videos()]
    switch = library.models.switch("fake:other")
    assert switch.is_switched
    assert (switch.embedded_count, switch.failed_results) == (3, ())
    assert (switch.previous_space and switch.previous_space.name, switch.space.name) == (
        "fake",
        "fake-other",
    )
    assert [library.segments_with_vectors(video)[0] for video in library.videos()] == before
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


def test_the_previous_model_answers_until_the_switch_is_complete(library: Library) -> None:
    saved = {path: path.read_bytes() for path in (library.path / "index").iterdir()}
    states = []

    def look(one: IndexResult) -> None:
        with reopened(library) as reader:
            assert reader.settings.model == "fake"
            assert finds(reader)
            states.append(state(reader)[1][1:])

    revision = library._catalog.revision()

    def before_switch(one: IndexResult) -> None:
        look(one)
        assert library._catalog.revision() == revision
        assert all(path.read_bytes() == data for path, data in saved.items())

    library.models.switch("fake:other", on_result=before_switch)
    assert states == [(1, False), (2, False), (3, False)]
    assert all(path.read_bytes() == data for path, data in saved.items())


def test_embedded_videos_survive_an_interruption(library: Library) -> None:
    whole = FakeEncoder("other")
    with pytest.raises(KeyboardInterrupt):
        library.models.switch("fake:other", encoder=Stopped("other", 3, KeyboardInterrupt()))
    assert finds(library)
    assert known(library, "fake-other").video_count == 1
    assert library.models.switch("fake:other", encoder=whole).embedded_count == 2
    assert finds(library)
    assert known(library, "fake-other").video_count == 3


def test_a_model_that_fails_stops_the_run_and_changes_nothing(library: Library) -> None:
    with pytest.raises(ModelError, match="no memory"):
        library.models.switch("fake:other", encoder=Stopped("other", 1, ModelError("no memory")))
    assert library.space == FakeEncoder().space
    assert finds(library)


def test_features_without_vectors_are_recomputed(library: Library) -> None:
    """A process may be killed in between; the model of the file is not recorded."""
    with pytest.raises(KeyboardInterrupt):
        library.models.switch("fake:other", encoder=Stopped("other", 3, KeyboardInterrupt()))
    store = library._feature_store
    stray = next(iter(store.video_ids() - store.video_ids(FakeEncoder("other").space)))
    done = store.feature_path(
        next(iter(store.video_ids(FakeEncoder("other").space))), FakeEncoder("other").space
    )
    shutil.copy(done, done.with_stem(str(stray)))
    assert library.models.switch("fake:other").embedded_count == 2
    assert finds(library)


def test_videos_are_sampled_at_their_previous_rate(tmp_path: Path, videos: Path) -> None:
    with Library.open(tmp_path / "library", model="fake", fps=4) as library:
        index(library, videos)
    with Library.open(tmp_path / "library", fps=1) as library:
        library.models.switch("fake:other")
        space = library.space
        assert space is not None
        for video in library.videos():
            times = [
                library._feature_store.load(video.id, one).frame_times
                for one in (space, FakeEncoder().space)
            ]
            assert times[0].tolist() == times[1].tolist()


def test_switching_an_empty_library_only_changes_the_name(tmp_path: Path, videos: Path) -> None:
    with Library.open(tmp_path / "library", create=True, model="fake") as library:
        assert library.models.switch("fake:other").is_switched
    with Library.open(tmp_path / "library") as library:
        index(library, videos)
        assert finds(library)
        assert library.space == FakeEncoder("other").space


def test_a_relative_model_path_is_stored_as_absolute(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.pt").touch()
    monkeypatch.chdir(tmp_path)
    library.models.switch("fake:x@my.pt", encoder=FakeEncoder("x"))
    assert library.settings.model == f"fake:x@{tmp_path / 'my.pt'}"
    assert {video.model for video in library.videos()} == {library.settings.model}
    library.models.switch("fake")
    monkeypatch.chdir("/")
    assert library.models.switch(None, encoder=FakeEncoder("x")).model.endswith(
        str(tmp_path / "my.pt")
    )


# --- missing videos


def test_a_missing_video_prevents_the_switch_and_is_reported(
    library: Library, videos: Path
) -> None:
    (videos / "green.mp4").unlink()
    (videos / "blue.mp4").write_bytes((videos / "red.mp4").read_bytes())
    switch = library.models.switch("fake:other")
    assert not switch.is_switched
    assert [one.path.name for one in switch.failed_results] == ["blue.mp4", "green.mp4"]
    assert "has changed since it was indexed" in (switch.failed_results[0].error or "")
    assert "the file is missing" in (switch.failed_results[1].error or "")
    assert all("\n" not in (one.error or "") for one in switch.failed_results)
    assert library.space == FakeEncoder().space
    assert finds(library)
    with reopened(library) as again:
        assert again.settings.model == "fake"


def test_missing_videos_can_be_skipped_and_come_back(library: Library, videos: Path) -> None:
    away = (videos / "green.mp4").rename(videos / "green.away")
    switch = library.models.switch("fake:other", skip_missing=True)
    assert switch.is_switched
    assert [one.path.name for one in switch.failed_results] == ["green.mp4"]
    assert "green" not in {moment.video.path.stem for moment in library.search("green")}
    assert any("without a vector" in problem for problem in library.doctor())
    away.rename(videos / "green.mp4")
    index(library, videos)
    assert finds(library)
    assert library.doctor() == []


def test_switching_to_the_active_model_embeds_skipped_videos(
    library: Library, videos: Path
) -> None:
    away = (videos / "green.mp4").rename(videos / "green.away")
    library.models.switch("fake:other", skip_missing=True)
    away.rename(videos / "green.mp4")
    with reopened(library) as reader:
        assert len(reader.search("green")) > 0
        assert library.models.switch("fake:other").embedded_count == 1
        assert finds(reader)
    assert library.doctor() == []


def test_a_switch_without_any_embedded_video_is_refused(library: Library, videos: Path) -> None:
    shutil.rmtree(videos)
    assert not library.models.switch("fake:other", skip_missing=True).is_switched
    assert finds(library)


# --- rollback and deletion


def test_rollback_loads_no_model_and_decodes_nothing(
    library: Library, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.models.switch("fake:other")
    shutil.move(videos, videos.with_name("away"))
    with monkeypatch.context() as patch:
        patch.setattr("vsearch.indexing.model_switch.create_encoder", forbidden)
        switch = library.models.switch(None)
    assert (switch.is_switched, switch.embedded_count, switch.model) == (True, 0, "fake")
    assert finds(library)
    assert library.models.switch(None).model == "fake:other"
    assert finds(library)


def forbidden(*_: object) -> FakeEncoder:
    raise AssertionError("a model was loaded")


def test_rollback_embeds_only_videos_indexed_since(library: Library, videos: Path) -> None:
    library.models.switch("fake:other")
    make_video(videos / "white.mp4", [ColorScene((255, 255, 255), 3)])
    index(library, videos)
    encoder = FakeEncoder()
    assert library.models.switch(None, encoder=encoder).embedded_count == 1
    assert encoder.encoded_count <= 3
    assert finds(library, "white", *VIDEO_COLORS)


def test_the_first_model_has_no_rollback(library: Library) -> None:
    with pytest.raises(LibraryError, match="never used another model"):
        library.models.switch(None)


def test_a_model_with_changed_weights_is_not_mixed_with_the_old_one(
    library: Library, videos: Path
) -> None:
    library.models.switch("fake:other")
    make_video(videos / "white.mp4", [ColorScene((255, 255, 255), 3)])
    index(library, videos)
    with pytest.raises(SpaceMismatchError, match="fake now has the space fake-new, not fake:"):
        library.models.switch(None, encoder=FakeEncoder("new"))
    assert finds(library)


def test_an_inactive_model_can_be_deleted(library: Library) -> None:
    library.models.switch("fake:other")
    dropped = library.models.delete("fake")
    assert dropped.size_bytes > 0
    assert state(library) == [("fake-other", 3, True)]
    left = {path.name for path in library.path.rglob("*") if "fake" in path.name}
    assert left == {"fake-other", "fake-other.exact", "fake-other.exact.npz"}
    assert finds(library)
    assert library.doctor() == []
    with pytest.raises(LibraryError, match="never used another model"):
        library.models.switch(None)
    assert library.models.switch("fake").embedded_count == 3
    assert finds(library)


def test_the_active_model_and_unknown_models_cannot_be_deleted(library: Library) -> None:
    with pytest.raises(LibraryError, match="fake is in use"):
        library.models.delete("fake")
    with pytest.raises(LibraryError, match="no model or space 'clippy'; it has fake"):
        library.models.delete("clippy")


def test_an_interrupted_deletion_can_be_repeated(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.models.switch("fake:other")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vsearch.storage.feature_store.FeatureStore.delete_space", killed)
        with pytest.raises(KeyboardInterrupt):
            library.models.delete("fake")
    assert known(library, "fake").video_count == 0
    assert finds(library)
    library.models.delete("fake")
    assert state(library) == [("fake-other", 3, True)]
    assert not (library.path / "features" / "fake").exists()


# --- together with other commands


def test_videos_indexed_during_a_switch_are_embedded_by_the_next_run(
    library: Library, videos: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        library.models.switch("fake:other", encoder=Stopped("other", 3, KeyboardInterrupt()))
    make_video(videos / "white.mp4", [ColorScene((255, 255, 255), 3)])
    assert [one.outcome for one in index(library, videos)].count(Outcome.INDEXED) == 1
    assert known(library, "fake-other").video_count == 1
    assert finds(library, "white", *VIDEO_COLORS)
    assert library.models.switch("fake:other").embedded_count == 3
    assert finds(library, "white", *VIDEO_COLORS)


def test_a_removed_video_leaves_nothing_in_any_space(library: Library) -> None:
    library.models.switch("fake:other")
    gone = library.remove(["green*"])[0]
    assert not list(library.path.rglob(f"{gone.id}.*"))
    assert state(library) == [("fake", 2, False), ("fake-other", 2, True)]
    assert library.models.switch(None).embedded_count == 0
    assert finds(library, "red", "blue")
    assert library.doctor() == []


def test_a_changed_video_is_embedded_again_in_the_other_space(
    library: Library, videos: Path
) -> None:
    library.models.switch("fake:other")
    make_video(videos / "green.mp4", [ColorScene(GREEN, 4), ColorScene((0, 0, 0), 3)])
    index(library, videos)
    assert state(library) == [("fake", 2, False), ("fake-other", 3, True)]
    assert library.models.switch(None).embedded_count == 1
    assert finds(library)
    assert library.doctor() == []


def test_a_rebuild_keeps_the_features_of_other_spaces(
    library: Library, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.models.switch("fake:other")
    library.rebuild()
    assert state(library) == [("fake", 0, False), ("fake-other", 3, True)]
    assert finds(library)
    assert library.doctor() == []
    shutil.move(videos, videos.with_name("away"))
    monkeypatch.setattr("vsearch.indexing.model_switch.create_encoder", forbidden)
    assert library.models.switch(None).embedded_count == 3
    assert finds(library)
    assert {video.model for video in library.videos()} == {"fake"}


def test_rollback_pools_vectors_of_another_pooler_again(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reopened(library) as reader:
        assert finds(reader)  # loads the index of the first space
        library.models.switch("fake:other")
        monkeypatch.setattr(MeanPooler, "name", "last")
        monkeypatch.setattr(MeanPooler, "pool", lambda self, frames, times: frames[-1])
        with pytest.raises(SpaceMismatchError, match="vsearch rebuild"):
            library.models.switch("fake:other")
        assert library.models.switch(None).embedded_count == 3
        assert known(library, "fake").pooler == "last"
        for one in (library, reader):
            video = one.videos()[0]
            segments, vectors = one.segments_with_vectors(video)
            found = one._live_index.take_snapshot()
            assert found is not None
            ids = [segment.id for segment in segments]
            assert found.vector_index.search(vectors[0], 1, allowed_ids=found.segment_ids)[1][
                0
            ] == pytest.approx(1, abs=1e-3)
            assert set(ids) <= set(found.segment_ids.tolist())


class Learned(MeanPooler):
    """A trained pooler: its name contains the weights and is not its registered name."""

    name = "learned-ab12cd34"


def test_a_pooler_is_kept_by_its_registered_name(
    tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poolers = {"learned": Learned}
    whole = plugins.resolve_plugin
    monkeypatch.setattr(
        "vsearch.pooling.selection.resolve_plugin",
        lambda kind, name: poolers.get(name) or whole(kind, name),
    )
    with Library.open(tmp_path / "library", model="fake", pooler="learned") as library:
        index(library, videos)
        assert library.models.switch("fake:other").is_switched
        assert finds(library)
        with reopened(library) as again:
            assert again.settings.pooler == "learned"
            assert finds(again)


def test_a_search_during_a_switch_does_not_revert_it(library: Library) -> None:
    old = library.space
    library.models.switch("fake:other")
    assert old is not None
    with pytest.raises(SpaceMismatchError):
        library._active_model.for_space(old, library._catalog)
    assert library.settings.model == "fake:other"
    assert finds(library)


def test_a_library_can_be_rebuilt_after_skipping_missing_videos(
    library: Library, videos: Path
) -> None:
    (videos / "red.mp4").unlink()
    assert library.models.switch("fake:other", skip_missing=True).is_switched
    library.rebuild()
    assert finds(library, "green", "blue")


def test_one_writer_at_a_time(library: Library) -> None:
    def write(one: IndexResult) -> None:
        with reopened(library) as other, pytest.raises(LockedError, match=str(os.getpid())):
            other.remove(["green*"])

    library.models.switch("fake:other", on_result=write)
    with (
        WriteLock(library.path, command="vsearch index films"),
        pytest.raises(LockedError, match="'vsearch index films'"),
    ):
        library.models.switch("fake")
    assert library.lock_holder() is None


def test_the_lock_holder_is_named_unless_it_was_killed(library: Library) -> None:
    (library.path / "writer.json").write_text(
        '{"command": "vsearch index", "pid": 1, "host": "h", "since": "s"}'
    )
    assert library.lock_holder() is None
    with WriteLock(library.path, command="vsearch model switch x"):
        assert "vsearch model switch x" in (library.lock_holder() or "")


# --- settings


def test_a_kill_before_the_settings_are_written_leaves_the_right_model(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = library.path / "vsearch.toml"
    file.write_text('# mine\nmodel = "fake"  # the quick one\nfps = 1.0\n')

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vsearch.config.update_file", killed)
        with pytest.raises(KeyboardInterrupt):
            library.models.switch("fake:other")
    assert '"fake"' in file.read_text()
    with reopened(library) as again:
        assert again.settings.model == "fake:other"
        assert finds(again)
    assert file.read_text() == '# mine\nmodel = "fake:other"  # the quick one\nfps = 1.0\n'


def test_a_mismatching_model_in_the_settings_is_reported_not_replaced(
    library: Library,
) -> None:
    file = library.path / "vsearch.toml"
    file.write_text('model = "fake:third"\n')
    with (
        reopened(library) as again,
        pytest.raises(SpaceMismatchError, match="vsearch model switch"),
    ):
        again.search("red")
    assert file.read_text() == 'model = "fake:third"\n'


@pytest.mark.parametrize("text", [None, "", "fps = 1.0\n"])
def test_without_settings_the_catalog_knows_the_model(library: Library, text: str | None) -> None:
    file = library.path / "vsearch.toml"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with reopened(library) as again:
        assert finds(again)
    assert (file.read_text() if file.exists() else None) == text, "nobody asked to write it"


def test_an_argument_or_environment_variable_overrides_the_catalog(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.models.switch("fake:other")
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
        library.models.switch("fake:other")
        assert finds(follower)
        assert follower.settings.model == "fake:other"
        with pytest.raises(SpaceMismatchError):
            named.search("red")
        library.models.switch(None)
        assert finds(follower)
        assert finds(named)


def test_a_text_model_is_dropped_with_the_model_it_fits(library: Library) -> None:
    with Library.open(library.path, text_model="fake:other") as opened:
        opened.models.switch("fake:third")
        assert opened.settings.text_model == ""
        assert finds(opened)


# --- two models of one space


def test_two_models_of_one_space_may_be_mixed(library: Library, videos: Path) -> None:
    encoder = FakeEncoder("fast")
    switch = library.models.switch("fake:fast", encoder=encoder)
    assert (switch.is_switched, switch.embedded_count, encoder.encoded_count) == (True, 0, 0)
    assert library.settings.model == "fake:fast"
    assert library.info().model_counts == (("fake", 3),)
    make_video(videos / "white.mp4", [ColorScene((255, 255, 255), 3)])
    with reopened(library) as again:
        index(again, videos)
        assert again.info().model_counts == (("fake", 3), ("fake:fast", 1))
        assert finds(again, "white", *VIDEO_COLORS)
        index(again, videos, again=True)
        assert again.info().model_counts == (("fake:fast", 4),)
        assert len(again.models.list()) == 1


def test_model_counts_survive_a_switch_and_rollback(library: Library, videos: Path) -> None:
    with Library.open(library.path, model="fake:fast") as fast:
        make_video(videos / "white.mp4", [ColorScene((255, 255, 255), 3)])
        index(fast, videos)
    library.models.switch("fake:other")
    assert library.info().model_counts == (("fake:other", 4),)
    assert library.models.switch(None).model == "fake"
    assert library.info().model_counts == (("fake", 3), ("fake:fast", 1))


# --- libraries of older versions


def test_a_library_of_an_older_version_is_switched_without_moving_files(
    library: Library, tmp_path: Path
) -> None:
    make_old(library)
    old = sorted(library.path.glob("features/*.npz"))
    assert len(old) == 3
    with reopened(library) as again:
        assert again.doctor() == []
        assert finds(again)
        assert again.info().model_counts == ((None, 3),)
        again.models.switch("fake:other")
        assert finds(again)
        assert sorted(library.path.glob("features/*.npz")) == old
        assert again.doctor() == []
        assert again.models.switch(None).model == "fake", "it was noted as it was left"
        assert finds(again)
        again.models.switch(None)
        again.models.delete("fake")
        assert not list(library.path.glob("features/*.npz"))
        assert finds(again)
        assert again.doctor() == []


def make_old(library: Library) -> None:
    """Make the library look as if it was indexed when there was only one space."""
    store, space = library._feature_store, FakeEncoder().space
    for video_id in store.video_ids(space):
        path, features = store.feature_path(video_id, space), store.load(video_id, space)
        path.unlink()
        write_old_features(store.folder / f"{video_id}.npz", features)
    with library._catalog.begin() as change:
        change._connection.exec_driver_sql("UPDATE spaces SET model = NULL")
        change._connection.exec_driver_sql("UPDATE frame_features SET model = NULL")


def test_rollback_to_an_unrecorded_model_requires_its_name(library: Library) -> None:
    library.models.switch("fake:other")
    make_old(library)
    expected_text = "was not recorded; specify it"
    with reopened(library) as again, pytest.raises(LibraryError, match=expected_text):
        again.models.switch(None)


def test_doctor_reports_damage_in_an_inactive_space(library: Library) -> None:
    library.models.switch("fake:other")
    next((library.path / "features" / "fake").iterdir()).write_bytes(b"junk")
    [problem] = library.doctor()
    assert problem.startswith("1 feature files of the inactive space fake are damaged")


# --- frame cache


@pytest.fixture
def kept(tmp_path: Path, videos: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", model="fake", keep_frames=True) as opened:
        index(opened, videos)
        yield opened


def test_cached_frames_replace_missing_videos(kept: Library, videos: Path) -> None:
    assert {path.suffix for path in (kept.path / "frame_cache").iterdir()} == {".frames"}
    shutil.rmtree(videos)
    switch = kept.models.switch("fake:other")
    assert (switch.is_switched, switch.failed_results) == (True, ())
    assert finds(kept)
    space = kept.space
    assert space is not None
    for video in kept.videos():
        mine, theirs = (
            kept._feature_store.load(video.id, one) for one in (space, FakeEncoder().space)
        )
        assert mine.frame_times.tolist() == theirs.frame_times.tolist()
        assert (mine.frame_vectors * theirs.frame_vectors).sum(axis=1).min() > 0.99


def cut_short(data: bytes) -> bytes:
    return data[:-10]


def another_video(data: bytes) -> bytes:
    return (
        data[:8] + (1).to_bytes(8, "little") + data[16 : 32 + int.from_bytes(data[24:28], "little")]
    )


@pytest.mark.parametrize("damage", [cut_short, another_video, lambda _: b"", lambda _: b"junk"])
def test_damaged_cached_frames_fall_back_to_the_video(
    kept: Library, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    for path in (kept.path / "frame_cache").iterdir():
        path.write_bytes(damage(path.read_bytes()))
    assert kept.models.switch("fake:other").embedded_count == 3
    assert finds(kept)
    assert "frames" in caplog.text


def test_damaged_cached_frames_are_cached_again(kept: Library) -> None:
    video = kept.videos()[0]
    file = kept.path / "frame_cache" / f"{video.id}.frames"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert any(str(video.path) in line for line in kept.doctor())
    assert kept.models.switch("fake:other").is_switched
    assert kept.doctor() == []


def test_frames_are_cached_when_videos_are_decoded_for_a_switch(
    library: Library, videos: Path
) -> None:
    assert not (library.path / "frame_cache").exists()
    with Library.open(library.path, keep_frames=True) as keeping:
        keeping.models.switch("fake:other")
    assert len(list((library.path / "frame_cache").iterdir())) == 3
    shutil.rmtree(videos)
    assert library.models.switch("fake:third").is_switched
    assert finds(library)


def test_cached_frames_are_removed_with_their_video(kept: Library, videos: Path) -> None:
    names = {path.name for path in (kept.path / "frame_cache").iterdir()}
    kept.remove(["green*"])
    make_video(videos / "red.mp4", [ColorScene(RED, 4)])
    index(kept, videos / "red.mp4")
    ids = {video.id for video in kept.videos()}
    assert {path.name for path in (kept.path / "frame_cache").iterdir()} == {
        f"{id_}.frames" for id_ in ids
    }
    assert len(names & {f"{id_}.frames" for id_ in ids}) == 1
    (kept.path / "frame_cache" / "999.frames").touch()
    (kept.path / "frame_cache" / "next.frames").touch()
    assert "1 frame files belong to no indexed video" in kept.doctor()[0]
    kept.rebuild()
    assert kept.doctor() == []
    assert len(list((kept.path / "frame_cache").iterdir())) == 2


def test_doctor_names_the_video_of_damaged_frames(kept: Library) -> None:
    video = kept.videos()[0]
    file = kept.path / "frame_cache" / f"{video.id}.frames"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    [problem] = kept.doctor()
    assert problem.startswith(f"{video.path}: cached frames are damaged")


def test_a_library_caches_frames_from_its_first_video_on(kept: Library, videos: Path) -> None:
    make_video(videos / "white.mp4", [ColorScene((255, 255, 255), 3)])
    with reopened(kept) as again:
        assert again.settings.keep_frames
        index(again, videos)
    assert len(list((kept.path / "frame_cache").iterdir())) == 4
