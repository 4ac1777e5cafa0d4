"""The public API over a fake encoder: indexing, searching, maintenance and settings."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.support.fakes import FakeEncoder
from tests.support.old_features import write_old_features
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library, Outcome
from vsearch.encoders.query_adapter import (
    PROBE_TEXTS,
    AdapterInfo,
    QueryAdapter,
    ResidualLinearMap,
)
from vsearch.errors import (
    DamagedLibraryError,
    LibraryError,
    LockedError,
    ModelError,
    NoLibraryError,
    NoTextError,
    QueryError,
    SettingsError,
    SpaceMismatchError,
    UnknownPluginError,
    UnreadableError,
)
from vsearch.pooling.mean import MeanPooler
from vsearch.query.parser import parse_query
from vsearch.types import Space, Span, TextReading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vsearch.progress import IndexResult, Progress
    from vsearch.types import Images, Matrix, Moment


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
def library(tmp_path: Path, encoder: FakeEncoder) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=encoder, create=True) as opened:
        yield opened


def index(library: Library, *paths: Path, force: bool = False) -> dict[str, IndexResult]:
    return {one.path.name: one for one in library.index(paths, force=force)}


def outcomes(library: Library, *paths: Path) -> dict[str, Outcome]:
    return {name: one.outcome for name, one in index(library, *paths).items()}


def names(moments: Iterable[Moment]) -> list[str]:
    return [moment.video.path.name for moment in moments]


# --- indexing


def test_text_finds_the_moment(library: Library, videos_folder: Path) -> None:
    index(library, videos_folder)
    best = library.search("something blue")[0]
    assert best.video.path.name == "red then blue.mp4"
    assert best.span.start == pytest.approx(4, abs=0.2)
    assert best.span.end == pytest.approx(8, abs=0.2)
    assert best.span.start <= best.explanation.peak_time < best.span.end
    assert best.confidence is not None
    assert best.confidence > 0.5
    assert names(library.search("green"))[0] == "green.mp4"


def test_a_text_that_the_model_does_not_read_is_never_denied(
    tmp_path: Path, videos_folder: Path
) -> None:
    class ReadingEncoder(FakeEncoder):
        def read_text(self, text: str) -> TextReading:
            is_supported = "koira" not in text
            return TextReading("English" if is_supported else "Finnish", is_supported)

    with Library.open(tmp_path / "library", encoder=ReadingEncoder()) as library:
        index(library, videos_folder)
        result = library.search("koira rannalla")
        assert len(result)
        assert all(moment.confidence is None for moment in result)
        assert result.has_confident_match is None
        assert "Finnish" in result.hints[0]
        known = library.search("something blue")
        assert known.has_confident_match
        assert known.hints == ()


def test_an_unchanged_video_is_not_decoded_again(
    library: Library, videos_folder: Path, encoder: FakeEncoder
) -> None:
    assert set(outcomes(library, videos_folder).values()) == {Outcome.INDEXED}
    encoded_before = encoder.encoded_count
    assert set(outcomes(library, videos_folder).values()) == {Outcome.UNCHANGED}
    assert encoder.encoded_count == encoded_before


def test_a_run_without_new_files_does_not_load_the_model(
    tmp_path: Path, videos_folder: Path
) -> None:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        index(library, videos_folder)
    with Library.open(tmp_path / "library", model="no such model") as library:
        assert set(outcomes(library, videos_folder).values()) == {Outcome.UNCHANGED}


def test_a_changed_video_is_indexed_again(library: Library, videos_folder: Path) -> None:
    index(library, videos_folder)
    make_video(videos_folder / "green.mp4", [ColorScene(RED, 3)])
    assert outcomes(library, videos_folder)["green.mp4"] is Outcome.UPDATED
    assert library.search("green")[0].score < 0.5
    assert len(library.videos()) == 2
    assert library.doctor() == []


def test_a_touched_video_is_not_indexed_again(
    library: Library, videos_folder: Path, encoder: FakeEncoder
) -> None:
    index(library, videos_folder)
    encoded_before = encoder.encoded_count
    os.utime(videos_folder / "green.mp4", (1, 1))
    assert outcomes(library, videos_folder)["green.mp4"] is Outcome.UNCHANGED
    assert encoder.encoded_count == encoded_before


def test_a_moved_video_is_recognized_by_its_content(
    library: Library, videos_folder: Path, encoder: FakeEncoder
) -> None:
    index(library, videos_folder)
    encoded_before = encoder.encoded_count
    (videos_folder / "new").mkdir()
    shutil.move(videos_folder / "green.mp4", videos_folder / "new" / "grün.mp4")
    assert outcomes(library, videos_folder)["grün.mp4"] is Outcome.MOVED
    assert encoder.encoded_count == encoded_before
    assert names(library.search("green"))[0] == "grün.mp4"
    assert library.missing_videos() == []


def test_a_copy_is_reported_and_not_indexed_twice(library: Library, videos_folder: Path) -> None:
    index(library, videos_folder)
    shutil.copy(videos_folder / "green.mp4", videos_folder / "copy.mp4")
    found = index(library, videos_folder)["copy.mp4"]
    assert found.outcome is Outcome.DUPLICATE
    assert found.video is not None
    assert found.video.path.name == "green.mp4"
    assert len(library.videos()) == 2


def test_a_copy_of_the_former_content_of_a_file_is_indexed(
    library: Library, videos_folder: Path
) -> None:
    index(library, videos_folder)
    shutil.copy(videos_folder / "green.mp4", videos_folder / "copy.mp4")
    shutil.copy(videos_folder / "red then blue.mp4", videos_folder / "green.mp4")
    found = outcomes(library, videos_folder)
    assert found["copy.mp4"] is Outcome.INDEXED
    assert names(library.search("green"))[0] == "copy.mp4"


def test_another_frame_rate_indexes_videos_again(tmp_path: Path, videos_folder: Path) -> None:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        before = index(library, videos_folder)["green.mp4"].video
    with Library.open(tmp_path / "library", encoder=FakeEncoder(), fps=4) as library:
        after = index(library, videos_folder)["green.mp4"]
    assert after.outcome is Outcome.UPDATED
    assert before is not None
    assert after.video is not None
    assert after.video.sampled_frames > 2 * before.sampled_frames


def test_the_frame_rate_of_a_run_is_kept_by_the_next(tmp_path: Path, videos_folder: Path) -> None:
    for fps, outcome in ((None, "indexed"), (2, "updated"), (None, "unchanged")):
        with Library.open(tmp_path / "library", encoder=FakeEncoder(), fps=fps) as library:
            assert set(outcomes(library, videos_folder).values()) == {outcome}


def test_segments_of_two_poolers_do_not_mix(
    tmp_path: Path, videos_folder: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(library, videos_folder / "green.mp4")
    monkeypatch.setattr(MeanPooler, "name", "other")
    with pytest.raises(SpaceMismatchError, match="vsearch rebuild"):
        index(library, videos_folder)
    library.rebuild()
    assert index(library, videos_folder)["red then blue.mp4"].outcome is Outcome.INDEXED


def test_a_bad_file_is_reported_and_stops_nothing(library: Library, videos_folder: Path) -> None:
    (videos_folder / "a broken.mp4").write_bytes(b"no video at all")
    found = index(library, videos_folder, videos_folder / "missing.mp4")
    assert found["a broken.mp4"].outcome is Outcome.FAILED
    assert "a broken.mp4" in (found["a broken.mp4"].error or "")
    assert found["missing.mp4"].outcome is Outcome.FAILED
    assert found["green.mp4"].outcome is Outcome.INDEXED


def test_an_unexpected_error_fails_one_file(tmp_path: Path, videos_folder: Path) -> None:
    class Broken(FakeEncoder):
        def encode_images(self, images: Images) -> Matrix:
            if self.encoded_count == 0:
                self.encoded_count = 1
                raise RuntimeError("out of luck")
            return super().encode_images(images)

    with Library.open(tmp_path / "library", encoder=Broken()) as library:
        found = list(library.index([videos_folder]))
    assert [one.outcome for one in found] == [Outcome.FAILED, Outcome.INDEXED]
    assert "RuntimeError: out of luck" in (found[0].error or "")


def test_progress_is_reported_within_a_file(library: Library, videos_folder: Path) -> None:
    reports: list[Progress] = []
    for _ in library.index([videos_folder], on_progress=reports.append):
        pass
    assert {(one.file_index, one.file_count) for one in reports} == {(0, 2), (1, 2)}
    shares = [one.completed_share for one in reports]
    assert shares == sorted(shares)
    assert 0 == shares[0] < shares[-1] <= 1  # before the model is loaded
    assert any(0 < share < 1 for share in shares)


def test_stopping_between_files_keeps_the_completed_ones(
    library: Library, videos_folder: Path
) -> None:
    run = library.index([videos_folder])
    next(run)
    run.close()
    assert len(library.videos()) == 1
    assert sorted(outcomes(library, videos_folder).values()) == [Outcome.INDEXED, Outcome.UNCHANGED]


def test_a_second_writer_is_refused(library: Library, videos_folder: Path, tmp_path: Path) -> None:
    run = library.index([videos_folder])
    next(run)
    with (
        Library.open(tmp_path / "library", encoder=FakeEncoder()) as other,
        pytest.raises(LockedError, match=str(os.getpid())),
    ):
        other.remove(["green.mp4"])
    run.close()


def test_a_reader_sees_what_another_process_indexed(
    library: Library, videos_folder: Path, tmp_path: Path
) -> None:
    with Library.open(tmp_path / "library", encoder=FakeEncoder(), create=True) as reader:
        assert not reader.search("red")
        index(library, videos_folder / "green.mp4")
        assert names(reader.search("red")) == ["green.mp4"]
        index(library, videos_folder)
        assert names(reader.search("red"))[0] == "red then blue.mp4"


# --- searching


def test_an_image_finds_a_similar_moment(
    library: Library, videos_folder: Path, tmp_path: Path
) -> None:
    index(library, videos_folder)
    Image.new("RGB", (50, 40), BLUE).save(tmp_path / "blue.png")
    best = library.search(image=tmp_path / "blue.png")[0]
    assert (best.video.path.name, round(best.span.start)) == ("red then blue.mp4", 4)


def test_a_clip_of_an_indexed_video_finds_itself_without_decoding(
    library: Library, videos_folder: Path, encoder: FakeEncoder
) -> None:
    index(library, videos_folder)
    encoded_before = encoder.encoded_count
    best = library.search(clip=videos_folder / "red then blue.mp4", span=(5, 7))[0]
    assert (best.video.path.name, best.span) == ("red then blue.mp4", Span(5, 7))
    assert encoder.encoded_count == encoded_before


def test_a_span_after_the_end_of_a_clip_is_refused(
    library: Library, videos_folder: Path, tmp_path: Path
) -> None:
    index(library, videos_folder)
    make_video(tmp_path / "elsewhere.mp4", [ColorScene(GREEN, 2)])
    for clip in (videos_folder / "green.mp4", tmp_path / "elsewhere.mp4"):
        with pytest.raises(QueryError, match="ends after"):
            library.search(clip=clip, span=(500, 600))


def test_a_clip_is_recognized_by_its_indexed_path(
    library: Library, videos_folder: Path, encoder: FakeEncoder, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(videos_folder)
    index(library, tmp_path / "link")
    encoded_before = encoder.encoded_count
    library.search(clip=tmp_path / "videos" / ".." / "link" / "green.mp4")
    assert encoder.encoded_count == encoded_before


def test_an_image_search_does_not_load_the_text_model_to_check_a_query_adapter(
    library: Library, videos_folder: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(library, videos_folder)
    adapter = QueryAdapter(
        ResidualLinearMap.identity(encoder.space.dim),
        encoder.encode_texts(PROBE_TEXTS),
        AdapterInfo(encoder.space.name, "", "rows", 9, 9, 3, 0.5, 0.6),
    )
    library.models.set_query_adapter(adapter)

    def fail(texts: Sequence[str]) -> Matrix:
        raise ModelError("the text model is missing")

    with monkeypatch.context() as patch:
        patch.setattr(encoder, "encode_texts", fail)
        by_clip = library.search(clip=videos_folder / "green.mp4")
    assert by_clip
    assert not by_clip.query_adapted
    assert library.search("green").query_adapted


def test_a_clip_is_encoded_by_the_model_that_was_active_when_the_search_started(
    library: Library, videos_folder: Path, encoder: FakeEncoder, tmp_path: Path
) -> None:
    index(library, videos_folder)
    clip = make_video(tmp_path / "other.mkv", [ColorScene(RED, 2)])
    load_pipeline = library._searcher._query_clips._load_pipeline
    other_encoder = FakeEncoder("other")  # another thread follows a model switch
    library._searcher._query_clips._load_pipeline = lambda: replace(
        load_pipeline(), encoder=other_encoder
    )
    encoded_before = encoder.encoded_count
    assert library.search(clip=clip)
    assert (encoder.encoded_count > encoded_before, other_encoder.encoded_count) == (True, 0)


def test_a_clip_outside_the_library_is_decoded(
    library: Library, videos_folder: Path, tmp_path: Path
) -> None:
    index(library, videos_folder)
    clip = make_video(tmp_path / "other.mkv", [ColorScene(RED, 3), ColorScene(GREEN, 3)])
    assert names(library.search(clip=clip, span=Span(3.5, 6)))[0] == "green.mp4"
    assert names(library.search(clip=clip, span=Span(0, 2.5)))[0] == "red then blue.mp4"


def test_text_and_images_combine(library: Library, videos_folder: Path, tmp_path: Path) -> None:
    index(library, videos_folder)
    Image.new("RGB", (50, 40), BLUE).save(tmp_path / "blue.png")
    assert library.search("blue", image=tmp_path / "blue.png")[0].span.start > 3


def test_a_filter_narrows_the_search(library: Library, videos_folder: Path) -> None:
    index(library, videos_folder)
    assert names(library.search("red", videos=["green*"])) == ["green.mp4"]
    assert not library.search("red", videos=["nothing*"])


def test_results_per_video_are_limited(library: Library, tmp_path: Path) -> None:
    blinking = [ColorScene(color, 3) for _ in range(5) for color in (RED, BLUE)]
    make_video(tmp_path / "long.mp4", blinking)
    for number in range(3):
        scenes = [ColorScene(GREEN, 3 + number / 10)]
        make_video(tmp_path / f"{number}.mp4", scenes)
    index(library, tmp_path)
    found = names(library.search("red", k=5, include_duplicates=True))
    assert found.count("long.mp4") == 3
    assert sorted(
        names(library.search("red", k=5, per_video=1, include_duplicates=True))
    ) == sorted(["long.mp4", "0.mp4", "1.mp4", "2.mp4"])
    assert names(library.search("red", k=5, videos=["long*"])) == ["long.mp4"] * 5
    assert names(library.search("red", k=2)).count("long.mp4") == 1


def test_a_query_object_cannot_be_combined_with_other_arguments(
    library: Library, videos_folder: Path
) -> None:
    index(library, videos_folder)
    arguments: list[dict[str, Any]] = [{"videos": ["*"]}, {"image": "a.png"}, {"clip": "a.mp4"}]
    for more in arguments:
        with pytest.raises(QueryError, match="cannot be combined"):
            library.search(parse_query("red"), **more)


@pytest.mark.parametrize(
    "arguments",
    [
        {"span": (1, 2)},
        {"clip": ""},
        {"clip": "a.mp4", "span": (8, 3)},
        {"clip": "a.mp4", "span": (float("nan"), 3)},
        {"query": "red", "per_video": -1},
    ],
)
def test_an_invalid_query_is_a_query_error(library: Library, arguments: dict[str, Any]) -> None:
    with pytest.raises(QueryError):
        library.search(**arguments)


def test_an_empty_query_and_zero_results_are_refused(library: Library) -> None:
    with pytest.raises(QueryError):
        library.search("red", k=0)
    with pytest.raises(QueryError):
        library.search("")


def test_a_text_query_without_a_text_encoder_suggests_an_image(
    tmp_path: Path, videos_folder: Path
) -> None:
    class ImageOnly(FakeEncoder):
        @property
        def space(self) -> Space:
            return Space("image-only", 16, supports_text=False)

    with Library.open(tmp_path / "library", encoder=ImageOnly()) as library:
        index(library, videos_folder)
        with pytest.raises(NoTextError, match="--image or --clip"):
            library.search("red")
        assert library.search(clip=videos_folder / "green.mp4")


def test_a_missing_query_image_is_named(library: Library, videos_folder: Path) -> None:
    index(library, videos_folder)
    with pytest.raises(UnreadableError, match=r"nowhere\.jpg"):
        library.search(image="nowhere.jpg")


def test_another_model_is_refused_before_decoding(
    tmp_path: Path, videos_folder: Path, library: Library
) -> None:
    index(library, videos_folder)
    with Library.open(tmp_path / "library", encoder=FakeEncoder("other")) as other:
        with pytest.raises(SpaceMismatchError, match="--library"):
            other.search("red")
        with pytest.raises(SpaceMismatchError):
            list(other.index([videos_folder], force=True))
    assert len(library.search("red")) > 0


def test_an_emptied_library_accepts_another_model(
    tmp_path: Path, videos_folder: Path, library: Library
) -> None:
    index(library, videos_folder)
    library.remove(["*"])
    with Library.open(tmp_path / "library", encoder=FakeEncoder("other")) as other:
        index(other, videos_folder)
        assert names(other.search("green"))[0] == "green.mp4"
        assert [known.space.name for known in other.models.list()] == ["fake-other"]


# --- maintenance


def test_removed_videos_are_not_found(library: Library, videos_folder: Path) -> None:
    index(library, videos_folder)
    assert [video.path.name for video in library.remove(["green.mp4"])] == ["green.mp4"]
    assert "green.mp4" not in names(library.search("green"))
    assert (videos_folder / "green.mp4").exists()
    assert library.remove(["green.mp4"]) == []
    assert library.doctor() == []


def test_a_relative_path_removes_only_the_file_in_this_folder(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seconds, place in enumerate(("x", "y", "z/deep"), 1):
        (tmp_path / place).mkdir(parents=True)
        make_video(tmp_path / place / "a.mp4", [ColorScene(RED, seconds)])
    index(library, tmp_path / "x", tmp_path / "y", tmp_path / "z")
    monkeypatch.chdir(tmp_path / "x")

    def removed(*paths: str) -> list[str]:
        return [str(video.path.relative_to(tmp_path)) for video in library.remove(paths)]

    assert removed("./a.mp4") == [str(Path("x/a.mp4"))]
    assert removed("a.mp4") == [], "the file exists, but is not indexed"
    assert removed("../z") == [str(Path("z/deep/a.mp4"))]
    assert removed("y/*.mp4") == [str(Path("y/a.mp4"))]


def test_a_folder_without_permission_is_not_missing(
    library: Library, videos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(library, videos_folder)

    def refused(self: Path, **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", refused)
    assert library.missing_videos() == []


def test_missing_videos_are_reported_and_removed_on_request(
    library: Library, videos_folder: Path
) -> None:
    index(library, videos_folder)
    (videos_folder / "green.mp4").unlink()
    assert [video.path.name for video in library.missing_videos()] == ["green.mp4"]
    assert "remove --missing" in library.doctor()[0]
    library.remove_missing()
    assert library.doctor() == []
    assert len(library.videos()) == 1


def test_rebuild_pools_again_without_decoding(
    library: Library, videos_folder: Path, encoder: FakeEncoder
) -> None:
    index(library, videos_folder)
    before, encoded_before = library.search("blue"), encoder.encoded_count
    assert library.rebuild() == library.info().segment_count
    after = library.search("blue")
    assert [(m.span, m.video) for m in after] == [(m.span, m.video) for m in before]
    assert encoder.encoded_count == encoded_before


@pytest.mark.parametrize("damage", [None, b"junk"])
def test_rebuild_leaves_videos_without_features_as_they_are(
    library: Library, videos_folder: Path, damage: bytes | None
) -> None:
    index(library, videos_folder)
    damaged_video = library.videos()[0]
    before = list(map(library._catalog.segments_of_video, [v.id for v in library.videos()]))
    features_path = library._feature_store.feature_path(damaged_video.id, library.encoder.space)
    if damage is None:
        features_path.unlink()
    else:
        features_path.write_bytes(damage)
    with pytest.raises(DamagedLibraryError, match=f"{damaged_video.path}.*else was rebuilt"):
        library.rebuild()
    after = list(map(library._catalog.segments_of_video, [v.id for v in library.videos()]))
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert library.search("green")
    with pytest.raises(DamagedLibraryError, match=f"{damaged_video.path}: .* index --force"):
        library._feature_store.load(damaged_video.id, library.encoder.space)


def test_rebuild_with_another_pooler_mixes_no_vectors(
    library: Library, videos_folder: Path
) -> None:
    index(library, videos_folder)
    before = [library._catalog.segments_of_video(video.id) for video in library.videos()]
    for video in library.videos():
        library._feature_store.feature_path(video.id, library.encoder.space).unlink()
    with library._catalog.begin() as transaction:
        transaction.set_space(library.encoder.space, "another pooler")
    first_video, second_video = library.videos()
    with pytest.raises(
        DamagedLibraryError, match=f"{first_video.path}.*{second_video.path}.*Nothing was changed"
    ):
        library.rebuild()
    after = [library._catalog.segments_of_video(video.id) for video in library.videos()]
    assert after == before
    assert library.info().pooler == "another pooler"


def test_doctor_names_a_damaged_record_of_folders(library: Library, videos_folder: Path) -> None:
    index(library, videos_folder)
    assert library.doctor() == []
    for content in ("{", '{"a": 1}', '["relative", 3]', '["/a\\u0000b"]', "[" * 100_000):
        (library.path / "indexed_folders.json").write_text(content)
        [problem] = library.doctor()
        assert str(library.path / "indexed_folders.json") in problem


@pytest.mark.parametrize("damage", [b"", b"junk"])
def test_a_damaged_index_is_rebuilt_automatically(
    tmp_path: Path, videos_folder: Path, library: Library, damage: bytes
) -> None:
    index(library, videos_folder)
    for file in (tmp_path / "library" / "index").iterdir():
        file.write_bytes(damage)
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as again:
        assert names(again.search("green"))[0] == "green.mp4"


@pytest.mark.parametrize("kind", ["exact", "faiss"])
def test_both_indexes_give_the_same_results(tmp_path: Path, videos_folder: Path, kind: str) -> None:
    with Library.open(tmp_path / kind, encoder=FakeEncoder(), index=kind) as library:
        index(library, videos_folder)
        assert names(library.search("blue", k=2)) == ["red then blue.mp4", "green.mp4"]
    assert list((tmp_path / kind / "index").glob(f"*.{kind}"))


def test_results_do_not_require_frame_features(library: Library, videos_folder: Path) -> None:
    index(library, videos_folder)
    for file in (library.path / "features").rglob("*.safetensors"):
        file.unlink()
    assert names(library.search("green"))[0] == "green.mp4"
    assert "index it again" in library.doctor()[0]
    assert set(outcomes(library, videos_folder).values()) == {Outcome.UPDATED}
    assert library.doctor() == []
    next((library.path / "features").rglob("*.safetensors")).write_bytes(b"junk")
    assert "--force" in library.doctor()[0]


def test_features_of_an_older_version_are_used_and_replaced(
    library: Library, videos_folder: Path
) -> None:
    index(library, videos_folder)
    before = library.search("green")
    store, space = library._feature_store, FakeEncoder().space
    for video_id in store.video_ids(space):
        path, features = store.feature_path(video_id, space), store.load(video_id, space)
        path.unlink()
        write_old_features(path.with_suffix(".npz"), features)
    with Library.open(library.path, encoder=FakeEncoder()) as again:
        assert again.search("green").moments == before.moments
        assert again.doctor() == []
        assert not list(library.path.rglob("*.safetensors"))
        list(again.index([videos_folder], force=True))
        assert {path.suffix for path in store.folder.rglob("*.*")} == {".safetensors"}
        assert again.doctor() == []


def test_without_create_a_missing_library_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoLibraryError, match="vsearch --library"):
        Library.open(tmp_path / "nowhere", create=False)
    assert not (tmp_path / "nowhere").exists()


def test_a_library_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LibraryError, match="is a file"):
        Library.open(tmp_path / "file")


def test_threads_share_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(FakeEncoder):
        def __init__(self, argument: str = "", *, device: str = "auto") -> None:
            time.sleep(0.05)
            super().__init__(argument, device=device)

    monkeypatch.setattr("vsearch.plugins.resolve_plugin", lambda group, name: Slow)
    with Library.open(tmp_path / "library") as library, ThreadPoolExecutor(4) as pool:
        assert len({id(made) for made in pool.map(lambda _: library.encoder, range(4))}) == 1


def test_searching_an_emptied_library_does_not_write_settings(
    tmp_path: Path, videos_folder: Path, library: Library
) -> None:
    index(library, videos_folder)
    library.remove(["*"])
    (tmp_path / "library" / "vsearch.toml").unlink()
    assert not library.search(clip=videos_folder / "green.mp4")
    assert not (tmp_path / "library" / "vsearch.toml").exists()


def test_settings_come_from_flag_environment_file_and_default_in_that_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fps(flag: float | None = None) -> float:
        with Library.open(tmp_path / "library", create=True, fps=flag) as library:
            return library.settings.fps

    assert fps() == 1.0
    (tmp_path / "library" / "vsearch.toml").write_text("fps = 2.0\n")
    assert fps() == 2.0
    monkeypatch.setenv("VSEARCH_FPS", "3")
    assert fps() == 3.0
    assert fps(4) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [("fps = 'fast'", "fps"), ("spf = 1", "spf"), ("fps = ", "TOML"), ("fps = 1e9", "60")],
)
def test_invalid_settings_are_named(tmp_path: Path, text: str, message: str) -> None:
    Library.open(tmp_path / "library", create=True).close()
    (tmp_path / "library" / "vsearch.toml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        Library.open(tmp_path / "library")


@pytest.mark.usefixtures("fake_model")
def test_a_library_keeps_the_settings_of_its_first_video(
    tmp_path: Path, videos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, model = tmp_path / "library", 'fake:C:\\x"y.pt'
    with Library.open(folder, fps=2, model=model) as library:
        index(library, videos_folder / "green.mp4")
    monkeypatch.delenv("VSEARCH_MODEL")
    with Library.open(folder) as library:
        assert (library.settings.fps, library.settings.model) == (2, model)
    with Library.open(folder, fps=3) as library:
        index(library, videos_folder)
    with Library.open(folder) as library:
        assert library.settings.fps == 2, "a later flag is for that run"


@pytest.mark.usefixtures("fake_model")
def test_model_files_are_saved_absolute_and_the_device_is_not_saved(
    tmp_path: Path, videos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "😀.pt").write_bytes(b"")
    with Library.open("library", model="fake:arch@😀.pt", device="cpu") as library:
        index(library, videos_folder)
    monkeypatch.delenv("VSEARCH_MODEL")
    monkeypatch.chdir(tmp_path.parent)
    with Library.open(tmp_path / "library") as library:
        assert library.settings.model == f"fake:arch@{tmp_path / '😀.pt'}"
        assert library.settings.device == "auto"


@pytest.mark.usefixtures("fake_model")
def test_a_model_name_that_is_not_utf8_is_refused(tmp_path: Path, videos_folder: Path) -> None:
    with (
        Library.open(tmp_path / "library", model="fake:\udcff.pt") as library,
        pytest.raises(SettingsError, match="rename"),
    ):
        index(library, videos_folder)


@pytest.mark.usefixtures("fake_model")
def test_a_model_that_does_not_load_is_not_saved(tmp_path: Path, videos_folder: Path) -> None:
    folder = tmp_path / "library"
    with (
        Library.open(folder, model="builtin:huge") as library,
        pytest.raises(UnknownPluginError, match="huge"),
    ):
        index(library, videos_folder)
    with Library.open(folder) as library:
        index(library, videos_folder)
        assert names(library.search("green"))[0] == "green.mp4"


def test_settings_edited_by_hand_are_not_rewritten(tmp_path: Path, videos_folder: Path) -> None:
    file = tmp_path / "library" / "vsearch.toml"
    file.parent.mkdir()
    file.write_text("fps = 2.0  # my slides change slowly\n")
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        index(library, videos_folder)
    assert file.read_text() == "fps = 2.0  # my slides change slowly\n"
