"""How browsers can be given a video."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sounding import Sounding, make_film
from synth import RED, Scene, make_video
from vsearch.media.playback import Playback, playback

if TYPE_CHECKING:
    from pathlib import Path

SCENES = [Scene(RED, 1)]
MP4, WEBM = Playback("direct", "video/mp4"), Playback("direct", "video/webm")


def test_what_every_browser_plays_is_given_as_it_is(tmp_path: Path) -> None:
    assert playback(make_video(tmp_path / "a.mp4", SCENES)) == MP4
    assert playback(make_video(tmp_path / "turned.mp4", SCENES, rotation=90)) == MP4
    assert playback(make_film(tmp_path / "sound.mp4", [Sounding(SCENES[0], 440)])) == MP4
    vp9 = make_video(tmp_path / "a.webm", SCENES, codec="libvpx-vp9")
    assert playback(vp9) == WEBM


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.avi", "a.flv", "a.mov"])
def test_packets_in_other_containers_are_copied(tmp_path: Path, name: str) -> None:
    assert playback(make_video(tmp_path / name, SCENES)) == Playback("remux", "video/mp4")


@pytest.mark.parametrize(
    ("name", "codec", "layout"),
    [
        ("a.mp4", "mpeg4", "yuv420p"),
        ("deep.mp4", "libx264", "yuv420p10le"),
        ("fine.mp4", "libx264", "yuv444p"),
        ("a.mkv", "libvpx", "yuv420p"),
        ("a.avi", "mjpeg", "yuvj420p"),
    ],
)
def test_the_rest_is_encoded_anew(tmp_path: Path, name: str, codec: str, layout: str) -> None:
    path = make_video(tmp_path / name, SCENES, codec=codec, pix_fmt=layout)
    assert playback(path) == Playback("transcode", "video/mp4")


def test_sound_that_browsers_lack_is_a_reason_to_convert(tmp_path: Path) -> None:
    path = make_film(tmp_path / "a.mp4", [Sounding(SCENES[0], 440)], codec="ac3")
    assert playback(path).how == "remux"


def test_the_name_of_a_file_says_nothing(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", SCENES).rename(tmp_path / "page.html")
    assert playback(path) == MP4
    (tmp_path / "secret.mp4").write_text("root:x:0:0:root:/root:/bin/bash\n" * 100)
    assert playback(tmp_path / "secret.mp4").how == "none"


def test_what_is_gone_or_no_file_is_not_given(tmp_path: Path) -> None:
    assert playback(tmp_path / "gone.mp4").how == "none"
    assert playback(tmp_path).how == "none"
    assert playback(tmp_path / "nul\0.mp4").how == "none"


def test_a_file_that_changed_is_looked_at_again(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", SCENES)
    assert playback(path) == MP4
    path.write_text("no video any more")
    assert playback(path).how == "none"
    path.unlink()
    assert playback(path).how == "none"


def test_odd_files_are_told_about_without_an_error(broken_media: Path) -> None:
    found = {path.name: playback(path).how for path in sorted(broken_media.iterdir())}
    assert set(found.values()) == {"direct", "remux", "transcode", "none"}
    assert found["encrypted_cenc.mp4"] == "none"
    assert found["audio_only_or_flac.mp4"] == "none"
    assert found["hdr_10bit_4k.mp4"] == "transcode"
    assert found["mp4_first_pts_14s.mp4"] == "remux"  # its 0:00 is not a browser's
