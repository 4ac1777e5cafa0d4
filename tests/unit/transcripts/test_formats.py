from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vsearch.transcripts.formats import TRANSCRIPT_FORMATS
from vsearch.transcripts.subtitles import read_subtitles
from vsearch.types import Cue, Span, Word

if TYPE_CHECKING:
    from pathlib import Path

CUES = [
    Cue(Span(0, 1.25), "Hello <there> & {you}"[:17]),
    Cue(Span(61.5, 62), "42"),
    Cue(Span(4000, 4000), "Grüße --> &lt;犬"),
]


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
def test_output_is_readable_by_vsearch_and_ffmpeg(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"film{suffix}"
    path.write_text(TRANSCRIPT_FORMATS[suffix](CUES))
    found = read_subtitles(path)
    assert [cue.text for cue in found] == [cue.text for cue in CUES]
    assert [cue.span for cue in found] == [CUES[0].span, CUES[1].span, Span(4000, 4000.001)]
    with closing(av.open(str(path))) as file:
        packets = [packet for packet in file.demux() if packet.size]
    assert [packet.pts for packet in packets] == [0, 61_500, 4_000_000]


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(texts=st.lists(st.text(alphabet="aé<>&;-1 \n\r\0\u2028\ud800WEBVTT")))
def test_any_text_gives_a_valid_file(suffix: str, texts: list[str], tmp_path: Path) -> None:
    cues = [Cue(Span(2 * at, 2 * at + 1), f"{at}x{text}") for at, text in enumerate(texts)]
    path = tmp_path / f"film{suffix}"
    path.write_bytes(TRANSCRIPT_FORMATS[suffix](cues).encode())
    assert [cue.span for cue in read_subtitles(path)] == [cue.span for cue in cues]


def test_no_cues_give_empty_files(tmp_path: Path) -> None:
    assert [TRANSCRIPT_FORMATS[suffix]([]) for suffix in (".srt", ".txt")] == ["", ""]
    assert TRANSCRIPT_FORMATS[".vtt"]([]) == "WEBVTT\n"
    assert json.loads(TRANSCRIPT_FORMATS[".json"]([])) == []


def test_json_has_the_times_of_words() -> None:
    cue = Cue(Span(1, 2), "oh", "speech", (Word("oh", Span(1.2345678, 1.5)),))
    assert json.loads(TRANSCRIPT_FORMATS[".json"]([cue])) == [
        {"start": 1, "end": 2, "text": "oh", "source": "speech", "words": [[1.235, 1.5, "oh"]]}
    ]
    assert TRANSCRIPT_FORMATS[".txt"]([cue]) == "oh\n"
