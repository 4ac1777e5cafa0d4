"""Oddities of subtitle files, as FFmpeg, vtt.js, pysubs2, srt and webvtt-py read them."""

from __future__ import annotations

import pytest

from vsearch.transcripts.subtitle_parsing import UNTIMED_CUE_SECONDS, parse_subtitles
from vsearch.transcripts.subtitles import build_cues
from vsearch.transcripts.text_encoding import decode_text

ASS_HEADER = "[Script Info]\nScriptType: v4.00+\n\n[Events]\n"
ASS_FORMAT = "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"

ASS_START = f"{ASS_FORMAT}Dialogue: 0,0:00:01.00,0:00:02.00"
TimedTexts = list[tuple[float, float, str]]


def read(content: str) -> TimedTexts:
    found = build_cues(parse_subtitles(content))
    return [(round(cue.span.start, 4), round(cue.span.end, 4), cue.text) for cue in found]


def texts(content: str) -> list[str]:
    return [text for _, _, text in read(content)]


@pytest.mark.parametrize(
    ("timing", "start", "end"),
    [
        ("00:00:01,0000 --> 00:00:02,5000", 1, 2.5),
        ("00:00:01,123456789 --> 00:00:02,1234567890", 1.1235, 2.1235),
        ("00:00:01,5 --> 00:00:02.25", 1.5, 2.25),
        ("00:00:01 --> 00:00:02", 1, 2),
        ("00:00:01:250 --> 00:00:02:500", 1.25, 2.5),
        ("00:01,000 --> 00:02,000", 1, 2),
        ("0:0:1.0 --> 0:0:2.570", 1, 2.57),
        ("100:00:01,000 --> 1000:00:02,000", 360_001, 3_600_002),
        ("00:90:01,000 --> 00:90:02,000", 5401, 5402),
        ("00: 00: 01, 000 --> 00: 00: 02, 000", 1, 2),
        ("  00:00:01,000\t-->\t00:00:02,000  ", 1, 2),
        ("00:00:01,000-->00:00:02,000", 1, 2),
        ("00:00:01,000 -> 00:00:02,000", 1, 2),
        ("00:00:01,000 - > 00:00:02,000", 1, 2),
        ("00:00:01,000 ---> 00:00:02,000", 1, 2),
        ("00:00:01,000 –> 00:00:02,000", 1, 2),
        ("00:00:01,000 → 00:00:02,000", 1, 2),
        ("00:00:01,000 --&gt; 00:00:02,000", 1, 2),
        ("00:00:01,000 --> 00:00:02,000 X1:100 X2:200 Y1:3 Y2:4", 1, 2),
        ("00:00:01,000 --> 00:00:02,000X1:100", 1, 2),
        ("7 00:00:01,000 --> 00:00:02,000", 1, 2),
        ("-00:00:01,000 --> 00:00:02,000", 0, 2),
        ("00:00:03,000 --> 00:00:02,000", 3, 3 + UNTIMED_CUE_SECONDS),
        ("00:00:03,000 --> 00:00:03,000", 3, 3 + UNTIMED_CUE_SECONDS),
    ],
)
def test_subrip_times_of_any_notation_are_read(timing: str, start: float, end: float) -> None:
    later = "9\n02:00:00,000 --> 02:00:01,000\nlater\n"
    found = read(f"8\n{timing}\nsaid\n\n{later}")
    assert (start, end, "said") in found
    assert (7200, 7201, "later") in found
    assert len(found) == 2


@pytest.mark.parametrize(
    ("timing", "start", "end"),
    [
        ("00:00.000 --> 00:01.000line:40% size:40%", 0, 1),
        ("00:00.000 --> 00:01.000 line:40%", 0, 1),
        ("00:00.000-->00:01.000", 0, 1),
        ("000:02.000 --> 00:03.000", 2, 3),
        ("120:00.000 --> 120:10.000", 7200, 7210),
        ("00:00:00.000000 --> 00:00:01.50000", 0, 1.5),
        ("00:00.000 -->\t00:01.000\talign:start", 0, 1),
        ("1:00:00.000 --> 1:00:01.000", 3600, 3601),
    ],
)
def test_webvtt_times_of_any_notation_are_read(timing: str, start: float, end: float) -> None:
    assert read(f"WEBVTT\n\n{timing}\nsaid\n") == [(start, end, "said")]


def test_webvtt_blocks_that_are_not_cues_are_skipped() -> None:
    content = (
        "WEBVTT Kind: captions; Language: en\n"
        "X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n"
        'STYLE\n::cue(v[voice="A"]) { color: red }\n\n'
        "REGION\nid:fred\nwidth:40%\n\n"
        "NOTE a cue that was commented out\n00:00.000 --> 00:01.000\nnot this\n\n"
        "intro --\n00:01.000 --> 00:02.000 region:fred\nfirst\n\n"
        "text without a time\n\n"
        "00:02.000 --> 00:03.000\nsecond\n00:03.000 --> 00:04.000\nthird\n\n"
        "NOTE\n\n00:04.000 --> 00:05.000\nfourth --> fifth"
    )
    assert texts(content) == ["first", "second", "third", "fourth --> fifth"]


def test_webvtt_markup_is_removed() -> None:
    content = (
        "WEBVTT\n\n1\n00:00.000 --> 00:01.000\n"
        "<v.loud Mary Ann>Hi <00:00:00.500><c.yellow.bg_blue>there</c></v> "
        "<lang en-GB>R&amp;D</lang> "
        "<ruby>漢<rt>kan</rt></ruby> 1 < 2&lt;3 <i.x>it</i><b>!\n"
    )
    assert texts(content) == ["Hi there R&D 漢kan 1 < 2<3 it!"]


def test_a_webvtt_line_with_a_space_does_not_end_the_cue() -> None:
    assert texts("WEBVTT\n\n00:00.000 --> 00:01.000 align:start\n \nsaid\n") == ["said"]


def test_the_text_of_a_webvtt_header_is_no_cue_and_the_first_cue_may_follow_it() -> None:
    assert texts("WEBVTT\n00:00.000 --> 00:01.000\nsaid\n") == ["said"]
    assert texts("\nWEBVTT\n\n00:00.000 --> 00:01.000\nsaid\n\n2\n") == ["said"]


def cue(number: str, second: int, *lines: str) -> str:
    timing = f"00:00:{second:02},000 --> 00:00:{second:02},900"
    return "\n".join([*([number] if number else []), timing, *lines])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (cue("1", 1, "a") + "\n\n" + cue("", 2, "b"), ["a", "b"]),
        (cue("", 1, "1984") + "\n\n" + cue("", 2, "b"), ["1984", "b"]),
        (cue("", 1, "a", "1984") + "\n" + cue("", 2, "b"), ["a 1984", "b"]),
        (cue("1", 1, "1984") + "\n\n" + cue("2", 2, "b"), ["1984", "b"]),
        (cue("1", 1, "a", "1984") + "\n\n" + cue("", 2, "b"), ["a 1984", "b"]),
        (cue("1", 1, "a") + "\n" + cue("2", 2, "b"), ["a", "b"]),
        (cue("", 1, "a") + "\n\n" + cue("7", 2, "b"), ["a", "b"]),
        (cue("1", 1, "a", "", "", "c") + "\n\n\n" + cue("2", 2, "b"), ["a c", "b"]),
        (cue("1", 1) + "\n\n" + cue("2", 2, "b"), ["b"]),
        (cue("-1", 1, "a") + "\n\n" + cue("-2", 2, "b", "2015"), ["a", "b 2015"]),
        (cue("1", 1, "12 men", "5", "x") + "\n\n" + cue("9", 2, "b"), ["12 men 5 x", "b"]),
        (cue("1", 1, "a --> b", "1:30 -> 2"), ["a --> b 1:30 -> 2"]),
        (cue("1", 1, "a") + "\n\n2\n00:00:02,0 --> soon\nlost\n\n" + cue("3", 3, "b"), ["a", "b"]),
        (cue("2", 5, "b") + "\n\n" + cue("1", 1, "a"), ["a", "b"]),
    ],
)  # fmt: skip
def test_subrip_numbers_and_blank_lines_may_be_missing_or_wrong(
    content: str, expected: list[str]
) -> None:
    assert texts(content) == expected


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("signature", ["", "WEBVTT\n\n"])
def test_any_line_break_is_read(line_break: str, signature: str) -> None:
    content = signature + cue("1", 1, "a", "b") + "\n\n" + cue("2", 2, "c") + "\n"
    assert texts("\ufeff" + content.replace("\n", line_break)) == ["a b", "c"]
    assert texts(content.replace("\n", line_break, 4) + "\0") == ["a b", "c"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{\\an8}Top <i>it</i> a < b & c &amp; d", "Top it a < b & c & d"),
        ("{laughs} Yes {y:i}really{Y:b,u}!", "{laughs} Yes really!"),
        ("<font color=\"red\" size=10>red</font> < u>line</ u><BR/>next", "red line next"),
        ("<<That's OK, >> he said. <<< TEAM 7 >>>", "<<That's OK, >> he said. <<< TEAM 7 >>>"),
        ("<www.example.org> <me@example.org>", "<www.example.org> <me@example.org>"),
        ("5 > 3 and 2 <3 <laughs softly> <xyz>ok</xyz>", "5 > 3 and 2 <3 <laughs softly> ok"),
        ("{\\p1}m 0 0 l 9 9{\\p0}after", "after"),
        ("&quot;it&#39;s&quot;&nbsp;&hellip;", "\"it's\" …"),
    ],
)  # fmt: skip
def test_subrip_markup_is_removed_and_text_is_kept(line: str, expected: str) -> None:
    assert texts(cue("1", 1, line)) == [expected]


def test_overlapping_cues_are_all_read() -> None:
    content = "00:00:01,000 --> 00:00:09,000\na\n\n00:00:02,000 --> 00:00:03,000\nb\n"
    assert read(content) == [(1, 9, "a"), (2, 3, "b")]


def test_a_line_said_again_after_a_pause_is_another_cue() -> None:
    content = "\n\n".join(
        f"{number}\n00:00:{number:02},000 --> 00:00:{number:02},{end}\n{text}"
        for number, (text, end) in enumerate(
            [("No.", 500), ("No.", 900), ("Who?", 800), ("No.", 900)], 1
        )
    )
    assert texts(content) == ["No.", "No.", "Who?", "No."]


def test_captions_that_roll_up_are_merged() -> None:
    """The form of YouTube's automatic captions."""
    content = (
        "WEBVTT\nKind: captions\n\n"
        "00:00.000 --> 00:02.000\n \nso<00:00.500><c> today</c>\n\n"
        "00:02.000 --> 00:02.010\nso today\n \n\n"
        "00:02.010 --> 00:04.000\nso today\nwe<00:03.000><c> learn</c>\n\n"
        "00:04.000 --> 00:04.010\nwe learn\n \n\n"
        "00:04.010 --> 00:06.000\nwe learn\nwe learn\n\n"
    )
    assert texts(content) == ["so today", "we learn", "we learn"]


def test_a_text_that_stays_on_screen_is_one_cue() -> None:
    content = "".join(
        f"00:00:0{second},000 --> 00:00:0{second + 1},000\nEXIT\n\n" for second in range(1, 5)
    )
    assert read(content) == [(1, 5, "EXIT")]


def test_lines_at_other_places_of_touching_cues_are_kept() -> None:
    content = (
        "00:01.000 --> 00:02.000\n- No.\n- Yes.\n\n00:02.000 --> 00:03.000\n- Really?\n- No.\n"
    )
    assert texts(content) == ["- No. - Yes.", "- Really? - No."]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (ASS_START + ",D,,0,0,0,,a, b\\Nc\\nd\\he", "a, b c d e"),
        ("Dialogue: Marked=0,0:00:01.00,0:00:02.00,D,,0,0,0,,a, b", "a, b"),
        ("Format: Start,End,Text\nDialogue:0:00:01.00,0:00:02.00,a, b", "a, b"),
        ("format : text, start, end\nDialogue: 0,0:00:01.00,0:00:02.00,D,,0,0,0,,a", "a"),
        (ASS_START + ",D,,0,0,0,Banner;5,{\\k20}so{\\k30} it", "so it"),
        (ASS_START + ",D,,0,0,0,,{\\an7\\p1}m 0 0{\\p0}{note}x", "x"),
        (ASS_START + ",D,,0,0,0,,{\\pos(1,2)\\pbo3}a{b} {open", "a {open"),
        (ASS_FORMAT + "DIALOGUE: 0,0:00:01.0,0:00:02,D,,0,0,0,,a <b>", "a"),
    ],
)  # fmt: skip
def test_substation_oddities_are_read(events: str, expected: str) -> None:
    broken = "\nDialogue: 0,0:00:01.00,0:00:02.00,too few\nDialogue: 0,x,y,D,,0,0,0,,no time\n"
    assert read(f"{ASS_HEADER}{events}{broken}") == [(1, 2, expected)]


def test_a_subrip_text_does_not_make_a_file_substation() -> None:
    assert texts(cue("1", 1, "[Events]") + "\n\n" + cue("2", 2, "b")) == ["[Events]", "b"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_unicode_without_or_with_a_byte_order_mark_is_read(encoding: str) -> None:
    content = "".join(f"{cue(str(n), n, '彼は', 'ここだ')}\n\n" for n in range(1, 9))
    assert texts(decode_text(content.encode(encoding))) == ["彼は ここだ"] * 8


def test_a_damaged_byte_does_not_spoil_utf8() -> None:
    content = cue("1", 1, "Grüße aus Köln über Zürich, schön für Bären " * 9)
    damaged = content.encode().replace("ß".encode(), b"\xc3", 1)
    assert "Grüße aus Köln" in texts(decode_text(damaged))[0]


@pytest.mark.parametrize(
    "text",
    ["<a =", "<a " + "=" * 50, "{\\p1", "<b ", "< ", "00:00:00:", "1 ", "--> ", "-", "{y:", "&gt;",
     "\r", "0:0 --> ", "\\N", "→ "],
)  # fmt: skip
def test_hostile_text_takes_linear_time(text: str) -> None:
    repeated = text * (1_000_000 // len(text))  # quadratic time would take hours
    for content in (repeated, cue("1", 1, repeated), f"WEBVTT\n\n{cue('', 1, repeated)}"):
        assert all(text for text in texts(content))
    assert isinstance(texts(f"{ASS_HEADER}Dialogue: 0,0:0:1,0:0:2,,,,,,,{repeated}"), list)
