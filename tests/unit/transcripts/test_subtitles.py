from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.errors import MediaError, TooLargeError, UnreadableError
from vsearch.transcripts import subtitles
from vsearch.transcripts.subtitle_parsing import MAX_CUE_CHARS
from vsearch.transcripts.subtitles import (
    MAX_CUES,
    MAX_SUBTITLE_FILE_BYTES,
    Sidecar,
    find_sidecars,
    read_subtitles,
)
from vsearch.types import Cue, Span

SRT = """1
00:00:01,000 --> 00:00:02,500
Hello <i>there</i>,
{\\an8}Tom &amp; Ann.

2
00:01:00,000 --> 00:01:02,000
42

3
01:00:00.5 --> 01:00:01.25
The end
"""
VTT = """WEBVTT - title

NOTE
a remark of the translator

STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.000 align:start position:0%
<v Ann>hello <00:01.200>there <00:01.500>you</v>

NOTE another remark

00:03.000 --> 00:04.000
bye
"""
ASS = """[Script Info]
Title: 0:00:00.00 --> x

[V4+ Styles]
Style: Default,Arial,broken

[Events]
Format: Start, End, Style, Text
Dialogue: 0:00:05.00,0:00:06.00,Default,{\\i1}Later{\\i0}, with a comma\\Nand a line\\hmore
Comment: 0:00:01.00,0:00:02.00,Default,not shown
Dialogue: broken,0:00:02.00,Default,no time
Dialogue: 0:00:01.00,0:00:02.00,Default,First
Dialogue: 0:00:03.00,0:00:04.00,Default,{\\p1}m 0 0 l 1 1{\\p0}
Dialogue: 0:00:07.00
"""


def cues(folder: Path, content: str | bytes, name: str = "film.srt") -> list[Cue]:
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)
    return read_subtitles(folder / name)


def one(text: str, times: str = "00:00:01,000 --> 00:00:02,000") -> str:
    return f"1\n{times}\n{text}\n\n"


def test_subrip_loses_its_markup_and_numbers(tmp_path: Path) -> None:
    assert cues(tmp_path, SRT) == [
        Cue(Span(1, 2.5), "Hello there, Tom & Ann."),
        Cue(Span(60, 62), "42"),
        Cue(Span(3600.5, 3601.25), "The end"),
    ]
    assert cues(tmp_path, SRT.replace("\n", "\r\n")) == cues(tmp_path, SRT)


def test_webvtt_loses_notes_names_styles_and_times_within_a_line(tmp_path: Path) -> None:
    assert cues(tmp_path, VTT, "film.vtt") == [
        Cue(Span(1, 2), "hello there you"),
        Cue(Span(3, 4), "bye"),
    ]


def test_substation_fields_follow_the_format_line(tmp_path: Path) -> None:
    assert cues(tmp_path, ASS, "film.ass") == [
        Cue(Span(1, 2), "First"),
        Cue(Span(5, 6), "Later, with a comma and a line more"),
    ]


def test_the_format_is_detected_from_content_not_the_suffix(tmp_path: Path) -> None:
    assert len(cues(tmp_path, ASS, "film.srt")) == 2
    assert len(cues(tmp_path, SRT, "film.vtt")) == 3


@pytest.mark.parametrize(
    "data",
    [
        one("Müllers Café").encode(),
        codecs.BOM_UTF8 + one("Müllers Café").encode(),
        one("Müllers Café").encode("utf-16"),
        codecs.BOM_UTF16_BE + one("Müllers Café").encode("utf-16-be"),
        one("Müllers Café").encode("cp1252"),
    ],
)
def test_any_usual_encoding_is_read(tmp_path: Path, data: bytes) -> None:
    assert cues(tmp_path, data) == [Cue(Span(1, 2), "Müllers Café")]


def test_roll_up_captions_are_not_repeated(tmp_path: Path) -> None:
    rolling = one("one") + one("one\ntwo", "00:02 --> 00:03") + one("two\nthree", "00:03 --> 00:04")
    assert [cue.text for cue in cues(tmp_path, rolling)] == ["one", "two", "three"]


@pytest.mark.parametrize(
    "times",
    ["-00:00:02,000 --> -00:00:01,000", "00:00:01,000 --> ?", "x --> y", "1 --> 2", "-->"],
)
def test_an_invalid_cue_is_skipped(tmp_path: Path, times: str) -> None:
    found = cues(tmp_path, one("broken", times) + one("fine", "00:00:03,000 --> 00:00:04,000"))
    assert [cue.text for cue in found] == ["fine"]


def test_other_files_have_no_cues(tmp_path: Path) -> None:
    for content in (b"", b"\0" * 100, os.urandom(5_000), b"PK\3\4", b"WEBVTT", b"[Events]"):
        assert cues(tmp_path, content) == []


def test_a_huge_file_is_refused_and_a_huge_cue_truncated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TooLargeError, match=r"film\.srt: larger than"):
        cues(tmp_path, b"\n" * (MAX_SUBTITLE_FILE_BYTES + 1))
    assert len(cues(tmp_path, one("so " * 10_000))[0].text) == MAX_CUE_CHARS
    monkeypatch.setattr(subtitles, "MAX_CUES", 3)
    assert MAX_CUES > 3
    many = "".join(one(f"number {n}", f"00:00:{n:02},000 --> 00:00:{n:02},500") for n in range(9))
    assert len(cues(tmp_path, many)) == 3


def test_a_huge_character_number_is_not_decoded(tmp_path: Path) -> None:
    assert len(cues(tmp_path, one("so &#" + "1" * 50_000 + ";"))[0].text) <= MAX_CUE_CHARS


def test_cues_of_many_lines_are_compared_in_linear_time(tmp_path: Path) -> None:
    lines = "\n".join(f"line {number}" for number in range(60_000))
    found = cues(tmp_path, one(lines) + one(lines.upper(), "00:02 --> 00:03"))
    assert [cue.text[:6] for cue in found] == [
        "line 0",
        "LINE 0",
    ]  # pairwise: hours


@pytest.mark.parametrize("text", ["<a", "{\\", "\n", " ", "&", "1\n", "00:01 --> 00:02\n", "["])
def test_parsing_takes_linear_time(tmp_path: Path, text: str) -> None:
    # a backtracking parser would take hours
    first = cues(tmp_path, one("x" + text * (2_000_000 // len(text)) + "y"))[0]
    assert first.text.startswith("x")
    assert len(first.text) <= MAX_CUE_CHARS


@given(st.text(alphabet="0123456789:,.-> \n<i>{\\p}[]Events\rDialogue:Format,WEBVTT\u0660\u00b2"))
def test_only_documented_errors_are_raised(content: str) -> None:
    assert all(cue.text and cue.span.duration > 0 for cue in _read_text(content))


def _read_text(content: str) -> list[Cue]:
    path = Path(os.environ["HOME"], "film.srt")
    path.write_bytes(content.encode())
    return read_subtitles(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.srt")
    for name in ("gone.srt", "pipe.srt", "."):
        with pytest.raises(UnreadableError, match="cannot be read"):
            read_subtitles(tmp_path / name)
    assert issubclass(UnreadableError, MediaError)


def test_sidecars_belong_to_the_video_their_name_starts_with(tmp_path: Path) -> None:
    for name in (
        "film.srt", "film.en.srt", "film.pt-BR.forced.vtt", "film.SDH.ASS", "film.notes.srt",
        "film.txt", "films.srt", "film.2.srt", "film.2.de.ssa", "alone.srt",
    ):  # fmt: skip
        (tmp_path / name).touch()
    film, second = tmp_path / "film.mp4", tmp_path / "film.2.mkv"
    assert find_sidecars([film, second, tmp_path / "none" / "a.mp4"]) == [
        Sidecar(second, tmp_path / "film.2.de.ssa", "de"),
        Sidecar(second, tmp_path / "film.2.srt", None),
        Sidecar(film, tmp_path / "film.SDH.ASS", None),
        Sidecar(film, tmp_path / "film.en.srt", "en"),
        Sidecar(film, tmp_path / "film.pt-BR.forced.vtt", "pt-br"),
        Sidecar(film, tmp_path / "film.srt", None),
    ]
