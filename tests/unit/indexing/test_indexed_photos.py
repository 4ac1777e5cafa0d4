"""Photos in a library, from their files to results and exports."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.support.fakes import FakeEncoder
from tests.support.photo_factory import make_exif, make_photo
from tests.support.speech_samples import FakeRecognizer
from tests.support.subtitle_factory import make_subtitled_video
from tests.support.video_factory import BLUE, GREEN, RED, YELLOW, ColorScene, make_video
from vsearch import Library, Outcome
from vsearch.export.exporter import build_excerpts, check_targets, rank_results, write_exports
from vsearch.search.serialization import video_from_dict, video_to_dict
from vsearch.types import Location

if TYPE_CHECKING:
    from pathlib import Path

MUNICH = (48.1375, 11.5755)


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    """A folder of two photos, a film and a damaged photo."""
    folder = tmp_path / "camera"
    folder.mkdir()
    exif = make_exif("2024:05:17 12:30:00", "+02:00", gps=MUNICH, camera=("Canon", "EOS R5"))
    make_photo(folder / "red.jpg", RED, exif=exif)
    make_photo(folder / "green.png", GREEN)
    make_video(folder / "blue.mp4", [ColorScene(BLUE, 4)])
    (folder / "broken.jpg").write_bytes((folder / "red.jpg").read_bytes()[:400])
    return folder


def opened(tmp_path: Path, **settings: Any) -> Library:
    return Library.open(tmp_path / "library", encoder=FakeEncoder(), **settings)


def outcomes(library: Library, *paths: Path, **how: Any) -> dict[str, Outcome]:
    return {one.path.name: one.outcome for one in library.index(paths, **how)}


def test_photos_are_found_like_videos(tmp_path: Path, camera: Path) -> None:
    with opened(tmp_path) as library:
        assert outcomes(library, camera) == {
            "red.jpg": Outcome.INDEXED,
            "green.png": Outcome.INDEXED,
            "blue.mp4": Outcome.INDEXED,
            "broken.jpg": Outcome.FAILED,
        }
        moment = library.search("red")[0]
        assert (moment.video.path.name, moment.video.is_photo) == ("red.jpg", True)
        assert 0 == moment.span.start < moment.span.end < 0.1
        assert library.search("blue")[0].video.is_photo is False
        assert [one.video.path.name for one in library.search("is:photo")] == [
            "green.png",
            "red.jpg",
        ]
        assert [one.video.path.name for one in library.search("is:video")] == ["blue.mp4"]
        assert [one.video.path.name for one in library.search("shorter:10s")] == ["blue.mp4"]
        assert library.doctor() == []


def test_the_recording_of_a_photo_is_kept(tmp_path: Path, camera: Path) -> None:
    with opened(tmp_path) as library:
        outcomes(library, camera)
        red, green = (library.videos([str(camera / name)])[0] for name in ("red.jpg", "green.png"))
    assert red.recorded_at == datetime(2024, 5, 17, 10, 30, tzinfo=UTC)
    assert (red.utc_offset_minutes, red.camera) == (120, "Canon EOS R5")
    assert red.location is not None
    assert red.location.latitude == pytest.approx(MUNICH[0], abs=1e-4)
    assert (red.width, red.height, red.codec, red.fps) == (160, 120, "jpeg", 0)
    assert (green.recorded_at, green.location, green.camera) == (None, None, None)
    for video in (red, green):
        assert video_from_dict(video_to_dict(video)) == video


def test_sampling_settings_do_not_concern_photos(tmp_path: Path, camera: Path) -> None:
    (camera / "broken.jpg").unlink()
    with opened(tmp_path, keyframes_only=True) as library:
        outcomes(library, camera)
        assert [video.keyframes_only for video in library.videos() if video.is_photo] == [False] * 2
    with opened(tmp_path, fps=2.0) as library:
        assert outcomes(library, camera) == {
            "blue.mp4": Outcome.REFINED,
            "red.jpg": Outcome.UNCHANGED,
            "green.png": Outcome.UNCHANGED,
        }
    with opened(tmp_path) as library:
        progressive = list(library.index([camera / "red.jpg"], progressive=True, force=True))
        assert [one.outcome for one in progressive] == [Outcome.UPDATED]


def test_photos_may_be_left_out_of_folders(tmp_path: Path, camera: Path) -> None:
    with opened(tmp_path, photos=False) as library:
        assert outcomes(library, camera) == {"blue.mp4": Outcome.INDEXED}
        assert [one.path.name for one in library.preview_index([camera])] == ["blue.mp4"]
        assert outcomes(library, camera / "red.jpg") == {"red.jpg": Outcome.INDEXED}


def test_speech_of_photos_is_not_transcribed(tmp_path: Path, camera: Path) -> None:
    with opened(tmp_path) as library:
        outcomes(library, camera)
        results = list(library.transcripts.transcribe(recognizer=FakeRecognizer()))
        assert [one.video.path.name for one in results] == ["blue.mp4"]


def test_another_model_encodes_photos(tmp_path: Path, camera: Path) -> None:
    with opened(tmp_path, keep_frames=True) as library:
        outcomes(library, camera)
    with opened(tmp_path) as library:
        result = library.models.switch("other", encoder=FakeEncoder("other"))
        assert (result.embedded_count, result.failed_results) == (3, ())
        assert library.search("red")[0].video.path.name == "red.jpg"


def test_a_burst_is_one_result(tmp_path: Path) -> None:
    folder = tmp_path / "camera"
    folder.mkdir()
    for number in range(8):
        exif = make_exif("2024:05:17 12:30:00", "+02:00", fraction=str(number))
        make_photo(folder / f"IMG_{number}.jpg", (200 + 5 * number, 30, 30), exif=exif, noise=20)
    make_photo(folder / "IMG_20.jpg", YELLOW)
    with opened(tmp_path) as library:
        outcomes(library, folder)
        first = library.search("red")[0]
        assert first.explanation.duplicates_hidden == 7
        names = [one.video.path.name for one in library.search("red", include_duplicates=True)]
        assert len([name for name in names if name != "IMG_20.jpg"]) == 8


def test_a_long_burst_does_not_displace_other_results(tmp_path: Path) -> None:
    folder = tmp_path / "camera"
    folder.mkdir()
    for number in range(30):
        exif = make_exif(f"2024:05:17 12:30:{number:02}", "+02:00")
        make_photo(folder / f"IMG_{number}.jpg", (220, 30, 30), (64, 64), exif=exif, noise=20)
    make_photo(folder / "weaker.jpg", (200, 120, 30))
    make_photo(folder / "weakest.jpg", (200, 160, 120))
    with opened(tmp_path) as library:
        outcomes(library, folder)
        burst, *others = library.search("red", k=3)
        assert burst.explanation.duplicates_hidden == 29
        assert [one.video.path.name for one in others] == ["weaker.jpg", "weakest.jpg"]


def test_an_image_query_finds_the_rotated_photo(tmp_path: Path, camera: Path) -> None:
    halves = Image.new("RGB", (120, 160), RED)
    halves.paste(BLUE, (0, 80, 120, 160))
    halves.save(camera / "halves.png")
    rotated = halves.transpose(Image.Transpose.ROTATE_90)
    rotated.save(tmp_path / "query.avif", exif=make_exif(orientation=6))
    with opened(tmp_path) as library:
        outcomes(library, camera)
        found = library.search(f"image:{tmp_path / 'query.avif'}")
        assert found[0].video.path.name == "halves.png"
        assert found[0].score > 0.99


def test_photos_are_exported_as_files(tmp_path: Path, camera: Path) -> None:
    with opened(tmp_path) as library:
        outcomes(library, camera)
        moments = [library.search(name)[0] for name in ("red", "blue")]
    excerpts, skipped = build_excerpts(rank_results(moments))
    assert not skipped
    targets = {
        "clips": tmp_path / "clips",
        "supercut": tmp_path / "film.mp4",
        "edl": tmp_path / "film.edl",
        "csv": tmp_path / "list.csv",
    }
    check_targets(targets, excerpts)
    results = {one.output_path.name: one for one in write_exports(excerpts, targets, "colors")}
    assert {one.error for one in results.values()} == {None}
    assert (tmp_path / "clips" / "01_red.jpg").read_bytes() == (camera / "red.jpg").read_bytes()
    assert results["film.mp4"].left_out_photos == (camera / "red.jpg",)
    assert results["film.edl"].left_out_photos == (camera / "red.jpg",)
    assert not results["list.csv"].left_out_photos
    assert "red.jpg" in (tmp_path / "list.csv").read_text("utf-8")
    assert "red" not in (tmp_path / "film.edl").read_text("utf-8")


def test_photos_alone_make_no_film(tmp_path: Path, camera: Path) -> None:
    with opened(tmp_path) as library:
        outcomes(library, camera / "red.jpg")
        excerpts, _ = build_excerpts(rank_results(library.search("red")))
    [result] = write_exports(excerpts, {"edl": tmp_path / "film.edl"}, "red")
    assert result.error is not None
    assert "photos are exported as clips or CSV" in result.error
    assert not (tmp_path / "film.edl").exists()


def test_the_subtitles_of_a_drone_have_its_place(tmp_path: Path) -> None:
    text = "[iso : 110] [latitude: 48.1375] [longtitude: 11.5755] [abs_alt: 530.1]"
    path = make_subtitled_video(tmp_path / "DJI_1.mp4", [("mov_text", "eng", [(0, 1, text)])])
    with opened(tmp_path) as library:
        outcomes(library, path)
        assert library.videos()[0].location == Location(*MUNICH)


def test_a_photo_has_a_thumbnail_and_similar_moments(tmp_path: Path, camera: Path) -> None:
    with opened(tmp_path) as library:
        outcomes(library, camera)
        red = library.videos([str(camera / "red.jpg")])[0]
        pixels = np.asarray(Image.open(BytesIO(library.thumbnail(red, 0.0))))
        assert np.abs(pixels[5, 5].astype(int) - RED).max() < 25
        assert {one.video.path.name for one in library.similar(red.path)} == {
            "green.png", "blue.mp4"
        }  # fmt: skip
