from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes import FakeEncoder
from listening import FakeListener, FakeReader
from sounding import Sounding, make_film
from synth import BLACK, BLUE, GREEN, RED, Scene, make_video
from vsearch import Library
from vsearch.errors import LockedError, SettingsError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.hearing import Worded
    from vsearch.types import Cue, Progress, Transcript
    from vsearch.words.speech import Heard, Mono


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A video in which there is a tone from second 2 to 3, a quiet one, and one without sound."""
    made = tmp_path / "videos"
    made.mkdir()
    tone = [Sounding(Scene(BLACK, 2)), Sounding(Scene(RED, 1), 400), Sounding(Scene(GREEN, 2))]
    make_film(made / "loud.mp4", tone)
    make_film(made / "quiet.mp4", [Sounding(Scene(BLUE, 3))])
    make_video(made / "mute.mp4", [Scene(GREEN, 2)])
    return made


@pytest.fixture
def library(tmp_path: Path, folder: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        assert all(one.outcome == "indexed" for one in opened.index([folder]))
        yield opened


def found(results: Iterator[Worded]) -> dict[str, str]:
    return {one.video.path.name: str(one.found) for one in results}


def cues(library: Library, name: str) -> list[Cue]:
    [video] = library.videos([name])
    return library._catalog.cues(video.id)


def transcripts(library: Library, name: str) -> list[Transcript]:
    [video] = library.videos([name])
    found = library._catalog.transcripts([video.id])
    return [one for one in found if one.source != "subtitles"]  # those are found when indexing


def test_what_is_spoken_is_in_the_catalogue_with_the_times_of_words(library: Library) -> None:
    results = {one.video.path.name: one for one in library.transcribe(listener=FakeListener())}
    assert {name: one.found for name, one in results.items()} == {
        "loud.mp4": "words",
        "quiet.mp4": "nothing",
        "mute.mp4": "nothing",
    }
    [cue] = cues(library, "loud.mp4")
    assert (cue.text, cue.source) == ("loud", "speech")
    assert (cue.span.start, cue.span.end) == pytest.approx((2, 3), abs=0.15)
    assert cue.words[0].span == cue.span
    assert results["loud.mp4"].cues[0].text == "loud"
    assert results["loud.mp4"].language == "en"


def test_a_video_that_was_taken_out_meanwhile_stops_no_other(library: Library) -> None:
    work = library.transcribe(listener=FakeListener())
    library.remove(["loud.mp4"])
    assert found(work) == {"quiet.mp4": "nothing", "mute.mp4": "nothing"}


def test_the_model_and_the_language_are_kept_even_where_nobody_speaks(library: Library) -> None:
    list(library.transcribe(listener=FakeListener("big", "de")))
    [loud], [mute] = transcripts(library, "loud.mp4"), transcripts(library, "mute.mp4")
    assert (loud.origin, loud.language, loud.cues) == ("big", "de", 1)
    assert (mute.origin, mute.language, mute.cues) == ("big", None, 0)


def test_what_is_done_is_passed_over_until_it_is_asked_for_again(library: Library) -> None:
    list(library.transcribe(listener=FakeListener()))
    other = FakeListener("other")
    assert set(found(library.transcribe(listener=other)).values()) == {"known"}
    assert other.asked == []
    assert found(library.transcribe(listener=other, again=True))["loud.mp4"] == "words"
    assert transcripts(library, "loud.mp4")[0].origin == "other"
    assert len(cues(library, "loud.mp4")) == 1


def test_another_language_is_another_transcript(library: Library) -> None:
    list(library.transcribe(listener=FakeListener()))
    again = found(library.transcribe(listener=FakeListener(), language="fr"))
    assert again == {"loud.mp4": "words", "quiet.mp4": "known", "mute.mp4": "known"}
    assert found(library.transcribe(listener=FakeListener(), language="fr"))["loud.mp4"] == "known"


def test_paths_say_which_videos(library: Library) -> None:
    assert found(library.transcribe(["loud*"], listener=FakeListener())) == {"loud.mp4": "words"}
    assert not transcripts(library, "mute.mp4")


def test_a_video_that_is_gone_fails_alone_and_is_tried_again(
    library: Library, folder: Path
) -> None:
    (folder / "loud.mp4").rename(folder / "elsewhere.mp4")
    results = {one.video.path.name: one for one in library.transcribe(listener=FakeListener())}
    assert results["loud.mp4"].found == "failed"
    assert "loud.mp4: there is no such file" in (results["loud.mp4"].error or "")
    assert results["mute.mp4"].found == "nothing"
    (folder / "elsewhere.mp4").rename(folder / "loud.mp4")
    assert found(library.transcribe(listener=FakeListener()))["loud.mp4"] == "words"


def test_what_was_done_before_a_stop_is_kept(library: Library) -> None:
    class Stopped(FakeListener):
        def hear(self, samples: Mono, language: str | None) -> Heard:
            if self.asked:
                raise KeyboardInterrupt
            return super().hear(samples, language)

    with pytest.raises(KeyboardInterrupt):
        list(library.transcribe(listener=Stopped()))
    listener = FakeListener()
    left = found(library.transcribe(listener=listener))
    assert sorted(left.values()).count("known") >= 1
    assert len(left) == 3
    assert "known" not in found(library.transcribe(listener=listener, again=True)).values()


def test_a_model_that_gives_up_stops_the_run(library: Library) -> None:
    class Broken(FakeListener):
        def hear(self, samples: Mono, language: str | None) -> Heard:
            raise WeightsError("the speech model cannot be used")

    with pytest.raises(WeightsError):
        list(library.transcribe(["loud.mp4"], listener=Broken()))
    assert not transcripts(library, "loud.mp4")


def test_progress_tells_the_seconds_of_each_video(library: Library) -> None:
    told: list[Progress] = []
    list(library.transcribe(["loud.mp4"], listener=FakeListener(), progress=told.append))
    assert [one.seconds for one in told] == sorted(one.seconds for one in told)
    assert told[0].seconds == 0
    assert told[-1].seconds == pytest.approx(told[-1].duration, abs=0.2)
    assert {one.files for one in told} == {1}


def test_only_one_process_writes(library: Library) -> None:
    run = library.transcribe(listener=FakeListener())
    next(run)
    with (
        Library.open(library.path, encoder=FakeEncoder()) as other,
        pytest.raises(LockedError),
    ):
        list(other.transcribe(listener=FakeListener()))
    run.close()  # type: ignore[attr-defined] # is a generator


def test_a_video_that_is_removed_takes_its_words_along(library: Library) -> None:
    list(library.transcribe(listener=FakeListener()))
    [video] = library.remove(["loud.mp4"])
    assert library._catalog.cues(video.id) == []


def test_what_is_shown_as_text_is_in_the_catalogue(library: Library) -> None:
    reader = FakeReader()
    assert found(library.read_screen(reader=reader)) == dict.fromkeys(
        ("loud.mp4", "quiet.mp4", "mute.mp4"), "words"
    )
    read = [(cue.text, cue.span.start, cue.span.end) for cue in cues(library, "loud.mp4")]
    assert read == [("STOP here", 2, 3), ("GO there", 3, pytest.approx(5, abs=0.1))]
    assert {cue.source for cue in cues(library, "loud.mp4")} == {"screen"}
    assert transcripts(library, "loud.mp4")[0].origin == "fake"


def test_reading_leaves_what_was_heard(library: Library) -> None:
    list(library.transcribe(listener=FakeListener()))
    list(library.read_screen(reader=FakeReader()))
    assert {cue.source for cue in cues(library, "loud.mp4")} == {"speech", "screen"}
    assert set(found(library.read_screen(reader=FakeReader())).values()) == {"known"}


def test_frames_are_looked_at_as_often_as_asked(library: Library) -> None:
    slow, fast = FakeReader(), FakeReader()
    list(library.read_screen(["loud.mp4"], fps=0.2, reader=slow))
    list(library.read_screen(["loud.mp4"], fps=5, again=True, reader=fast))
    assert slow.read_count == 1
    assert fast.read_count > 2
    with pytest.raises(SettingsError):
        list(library.read_screen(fps=0, reader=slow))
