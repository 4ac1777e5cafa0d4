"""Playback methods of videos in browsers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.audio_factory import SoundScene, make_sound_video
from tests.support.video_factory import RED, ColorScene, make_video
from vsearch.media.playback import Playback, determine_playback

if TYPE_CHECKING:
    from pathlib import Path

SCENES = [ColorScene(RED, 1)]
MP4, WEBM = Playback("direct", "video/mp4"), Playback("direct", "video/webm")


def test_files_every_browser_plays_are_direct(tmp_path: Path) -> None:
    assert determine_playback(make_video(tmp_path / "a.mp4", SCENES)) == MP4
    assert determine_playback(make_video(tmp_path / "turned.mp4", SCENES, rotation=90)) == MP4
    assert (
        determine_playback(make_sound_video(tmp_path / "sound.mp4", [SoundScene(SCENES[0], 440)]))
        == MP4
    )
    vp9 = make_video(tmp_path / "a.webm", SCENES, codec="libvpx-vp9")
    assert determine_playback(vp9) == WEBM


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.avi", "a.flv", "a.mov"])
def test_playable_packets_in_other_containers_are_remuxed(tmp_path: Path, name: str) -> None:
    assert determine_playback(make_video(tmp_path / name, SCENES)) == Playback("remux", "video/mp4")


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
def test_other_codecs_are_transcoded(tmp_path: Path, name: str, codec: str, layout: str) -> None:
    path = make_video(tmp_path / name, SCENES, codec=codec, pix_fmt=layout)
    assert determine_playback(path) == Playback("transcode", "video/mp4")


def test_unplayable_audio_prevents_direct_playback(tmp_path: Path) -> None:
    path = make_sound_video(tmp_path / "a.mp4", [SoundScene(SCENES[0], 440)], codec="ac3")
    assert determine_playback(path).method == "remux"


def test_the_file_name_does_not_matter(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", SCENES).rename(tmp_path / "page.html")
    assert determine_playback(path) == MP4
    (tmp_path / "secret.mp4").write_text("root:x:0:0:root:/root:/bin/bash\n" * 100)
    assert determine_playback(tmp_path / "secret.mp4").method == "none"


def test_missing_files_and_folders_are_not_playable(tmp_path: Path) -> None:
    assert determine_playback(tmp_path / "gone.mp4").method == "none"
    assert determine_playback(tmp_path).method == "none"
    assert determine_playback(tmp_path / "nul\0.mp4").method == "none"


def test_a_changed_file_is_probed_again(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", SCENES)
    assert determine_playback(path) == MP4
    path.write_text("no video any more")
    assert determine_playback(path).method == "none"
    path.unlink()
    assert determine_playback(path).method == "none"


def test_unusual_files_raise_no_error(broken_media: Path) -> None:
    found = {path.name: determine_playback(path).method for path in sorted(broken_media.iterdir())}
    assert set(found.values()) == {"direct", "remux", "transcode", "none"}
    assert found["encrypted_cenc.mp4"] == "none"
    assert found["audio_only_or_flac.mp4"] == "none"
    assert found["hdr_10bit_4k.mp4"] == "transcode"
    assert found["mp4_first_pts_14s.mp4"] == "remux"  # browsers disagree on its 0:00
