"""Audio tracks: their order, their languages, and the times of their sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from av.stream import Disposition

from tests.support.track_factory import ToneTrack, make_tracks_video
from vsearch.errors import UnreadableError
from vsearch.media import audio
from vsearch.media.audio import list_audio_tracks, read_mono
from vsearch.media.audio_tracks import (
    AudioTrack,
    select_tracks,
    shorten_language,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RATE = 16_000


def loud_span(video_path: Path, **more: float) -> tuple[float, float]:
    samples = np.concatenate(list(read_mono(video_path, RATE, **more)))  # type: ignore[arg-type]
    loud = np.flatnonzero(np.abs(samples) > 0.1) / RATE
    return float(loud[0]), float(loud[-1])


def test_tracks_have_their_language_and_purpose(tmp_path: Path) -> None:
    tracks = [
        ToneTrack(language="ger", title="Director's commentary"),
        ToneTrack(language="und", disposition=Disposition.visual_impaired.value),
        ToneTrack(language="eng", disposition=Disposition.default.value),
        ToneTrack(language="fra"),
    ]
    path = make_tracks_video(tmp_path / "a.mkv", tracks)
    found = list_audio_tracks(path)
    assert [(one.number, one.language, one.is_secondary) for one in found] == [
        (1, "de", True), (2, None, True), (3, "en", False), (4, "fr", False)
    ]  # fmt: skip
    assert [one.number for one in select_tracks(path, found, "auto")] == [3, 4, 1, 2]
    assert [one.number for one in select_tracks(path, found, "2")] == [2]
    for language in ("fre", "fr", "FR-ca"):
        assert [one.number for one in select_tracks(path, found, language)] == [4]
    with pytest.raises(
        UnreadableError, match=r"a\.mkv: has no audio track 5; its tracks are 1 \(de\)"
    ):
        select_tracks(path, found, "5")
    with pytest.raises(UnreadableError, match="no audio track ja; it has no audio"):
        select_tracks(path, [], "ja")


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="there is no such file"):
        list_audio_tracks(tmp_path / "none.mp4")


def test_labels_and_languages_are_short() -> None:
    assert AudioTrack(2, "en", False, False).label == "audio track 2 (en)"
    assert shorten_language("pt-BR") == shorten_language("por") == "pt"
    assert shorten_language("yue") == "yue"


def test_each_track_is_read(tmp_path: Path) -> None:
    tracks = [ToneTrack([(1, 2)]), ToneTrack([(3, 4)])]
    path = make_tracks_video(tmp_path / "a.mkv", tracks)
    assert loud_span(path) == pytest.approx((1, 2), abs=0.05)
    assert loud_span(path, track_number=2) == pytest.approx((3, 4), abs=0.05)
    assert loud_span(path, track_number=2, start_time=2.5) == pytest.approx((0.5, 1.5), abs=0.05)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov", "a.ts"])
@pytest.mark.parametrize(
    "track",
    [
        ToneTrack([(3, 4)], start=1.5),
        ToneTrack([(3, 4)], gaps=[(0.5, 2.7), (4.5, 5)]),
        ToneTrack([(3, 4)], seconds=12),
    ],
)
def test_sound_is_at_its_time(tmp_path: Path, name: str, track: ToneTrack) -> None:
    path = make_tracks_video(tmp_path / name, [track])
    assert loud_span(path) == pytest.approx((3, 4), abs=0.1)


def test_sound_after_the_last_picture_is_read(tmp_path: Path) -> None:
    path = make_tracks_video(
        tmp_path / "a.mkv", [ToneTrack([(9, 10)], seconds=11)], picture_seconds=2
    )
    assert loud_span(path, picture_end=2.0) == pytest.approx((9, 10), abs=0.05)


def test_silence_after_the_last_picture_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    track = ToneTrack([(0, 1), (300, 301)], seconds=301, gaps=[(2, 300)])
    path = make_tracks_video(tmp_path / "a.mkv", [track], picture_seconds=2)
    seconds = sum(map(len, read_mono(path, RATE, picture_end=2.0))) / RATE
    assert 2 <= seconds <= 2 + audio.MAX_SILENCE_SECONDS + 2
    assert sum(map(len, read_mono(path, RATE))) / RATE == pytest.approx(301, abs=0.2)
    monkeypatch.setattr(audio, "_MAX_AUDIO_SECONDS", 100)
    assert sum(map(len, read_mono(path, RATE))) / RATE == pytest.approx(100, abs=1)


def test_a_single_damaged_timestamp_moves_no_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_tracks_video(tmp_path / "a.mkv", [ToneTrack([(3, 4)])])
    decode = audio._decode_audio

    def damage(*arguments: Any) -> Iterator[Any]:
        for number, frame in enumerate(decode(*arguments)):
            if number == 50:
                frame.pts = (frame.pts or 0) + 100_000  # milliseconds
            yield frame

    monkeypatch.setattr(audio, "_decode_audio", damage)
    assert loud_span(path) == pytest.approx((3, 4), abs=0.05)
