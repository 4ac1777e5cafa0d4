"""Transcription of one of several audio tracks, and of sound that lasts longer than the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from av.stream import Disposition

from tests.support.fakes import FakeEncoder
from tests.support.speech_samples import FakeRecognizer
from tests.support.track_factory import ToneTrack, make_tracks_video
from vsearch import Library, Span
from vsearch.errors import SettingsError
from vsearch.indexing.track_ranking import rank_tracks
from vsearch.media.audio import list_audio_tracks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vsearch.progress import TranscriptResult
    from vsearch.transcripts.speech import MonoSamples

SILENT = ToneTrack(language="eng", disposition=Disposition.default.value)
SPOKEN = ToneTrack([(1, 2)], language="deu")
LATER = ToneTrack([(3, 4)], language="fra", tone_hz=900)


class DetectingRecognizer(FakeRecognizer):
    """A recognizer that takes only tones above 600 Hz for speech."""

    def measure_speech(self, samples: MonoSamples) -> float:
        loud = samples[np.abs(samples) > 0.01]
        crossings = np.count_nonzero(np.diff(np.signbit(loud)))
        return 2.0 if crossings > 0.075 * len(loud) > 0 else 0.0


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        yield opened


def transcribe(
    library: Library,
    path: Path,
    tracks: Sequence[ToneTrack],
    picture_seconds: float = 6,
    **more: object,
) -> TranscriptResult:
    make_tracks_video(path, tracks, picture_seconds=picture_seconds)
    [indexed] = library.index([path])
    assert indexed.error is None
    more = {"recognizer": FakeRecognizer(), **more}
    [result] = library.transcripts.transcribe([path], **more)  # type: ignore[arg-type]
    return result


def source_name(library: Library) -> str:
    [video] = library.videos()
    transcripts = library.transcripts.list(video)
    return next(one.source_name for one in transcripts if one.source == "speech")


def test_the_first_track_in_which_somebody_speaks_is_transcribed(
    library: Library, tmp_path: Path
) -> None:
    result = transcribe(library, tmp_path / "a.mkv", [SILENT, SPOKEN, LATER])
    assert (result.outcome, result.audio_track) == ("words", "audio track 2 (de)")
    assert result.cues[0].span.start == pytest.approx(1, abs=0.15)
    assert source_name(library) == "fake, audio track 2 (de)"
    [again] = library.transcripts.transcribe(recognizer=FakeRecognizer())
    assert again.outcome == "known"


def test_a_single_track_is_not_named(library: Library, tmp_path: Path) -> None:
    result = transcribe(library, tmp_path / "a.mkv", [SPOKEN])
    assert (result.outcome, result.audio_track, source_name(library)) == ("words", None, "fake")


def test_no_track_with_speech_is_no_speech(library: Library, tmp_path: Path) -> None:
    result = transcribe(library, tmp_path / "a.mkv", [SILENT, SILENT])
    assert (result.outcome, result.error, source_name(library)) == ("nothing", None, "fake")


def test_commentaries_come_last_and_the_default_track_first(
    library: Library, tmp_path: Path
) -> None:
    commentary = ToneTrack([(1, 2)], title="Commentary by the director", tone_hz=900)
    default = ToneTrack([(4, 5)], disposition=Disposition.default.value)
    result = transcribe(library, tmp_path / "a.mkv", [commentary, LATER, default])
    assert result.audio_track == "audio track 3"


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [("3", "audio track 3 (fr)"), ("fre", "audio track 3 (fr)"), (2, "audio track 2 (de)")],
)
def test_a_track_is_selected_by_number_or_language(
    library: Library, tmp_path: Path, selection: str | int, chosen: str
) -> None:
    path = tmp_path / "a.mkv"
    result = transcribe(library, path, [SILENT, SPOKEN, LATER], audio_track=selection)
    assert result.audio_track == chosen
    [again] = library.transcripts.transcribe(recognizer=FakeRecognizer(), audio_track=selection)
    assert again.outcome == "known"
    [other] = library.transcripts.transcribe(recognizer=FakeRecognizer(), audio_track=1)
    assert (other.outcome, other.audio_track) == ("nothing", "audio track 1 (en)")


def test_a_missing_track_fails_its_video_and_an_invalid_selection_the_run(
    library: Library, tmp_path: Path
) -> None:
    result = transcribe(library, tmp_path / "a.mkv", [SILENT, SPOKEN], audio_track="3")
    assert result.outcome == "failed"
    assert "a.mkv: has no audio track 3; its tracks are 1 (en), 2 (de)" in (result.error or "")
    for invalid in ("0", "second", "auto2", ""):
        with pytest.raises(SettingsError, match="audio_track must be auto, a number"):
            list(library.transcripts.transcribe(recognizer=FakeRecognizer(), audio_track=invalid))


def test_the_setting_selects_the_track(tmp_path: Path) -> None:
    with Library.open(tmp_path / "lib", encoder=FakeEncoder(), audio_track="fra") as library:
        result = transcribe(library, tmp_path / "a.mkv", [SPOKEN, LATER])
    assert result.audio_track == "audio track 2 (fr)"
    assert 'audio_track = "fra"' in (tmp_path / "lib" / "vsearch.toml").read_text()


def test_the_language_that_the_file_states_replaces_an_uncertain_one(
    library: Library, tmp_path: Path
) -> None:
    unsure = FakeRecognizer(language="cy", certainty=0.2)
    result = transcribe(library, tmp_path / "a.mkv", [SILENT, SPOKEN], recognizer=unsure)
    assert result.language == "de"


def test_speech_is_detected_in_samples_of_long_videos(tmp_path: Path) -> None:
    tracks = [ToneTrack([(0, 6)]), LATER, SILENT, ToneTrack([(3, 4)], tone_hz=900)]
    path = make_tracks_video(tmp_path / "a.mkv", tracks)
    found = list_audio_tracks(path)
    ranked = rank_tracks(path, found, 6.0, DetectingRecognizer())
    assert [track.number for track in ranked] == [2, 1, 3, 4]
    assert rank_tracks(path, found[:1], 6.0, FakeRecognizer()) == found[:1]


def test_words_after_the_last_picture_are_found(library: Library, tmp_path: Path) -> None:
    track = ToneTrack([(1, 1.5), (7, 8)], seconds=9)
    result = transcribe(library, tmp_path / "a.mkv", [track], picture_seconds=2)
    assert [cue.span.start for cue in result.cues] == pytest.approx([1, 7], abs=0.15)
    for query in ("said:loud", "loud", 'said:"loud" path:a.mkv'):
        found = {round(moment.span.start) for moment in library.search(query, per_video=5)}
        assert 7 in found, query
    last = max(library.search("said:loud"), key=lambda moment: moment.span)
    assert last.span.end == pytest.approx(8, abs=0.15)
    assert isinstance(last.span, Span)


@pytest.mark.parametrize("start", [0.5, 2.0])
def test_words_of_late_sound_are_at_their_time(
    library: Library, tmp_path: Path, start: float
) -> None:
    track = ToneTrack([(3, 4)], start=start, gaps=[(2.2, 2.8)])
    result = transcribe(library, tmp_path / "a.mp4", [track])
    assert result.cues[0].span.start == pytest.approx(3, abs=0.1)
