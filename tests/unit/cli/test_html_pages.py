"""HTML pages: galleries and contact sheets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vsearch.cli.html.contact_sheet import SheetSection, write_contact_sheet
from vsearch.cli.html.gallery import write_gallery
from vsearch.errors import UnreadableError
from vsearch.export.excerpts import ExportExcerpt, SourceVideo
from vsearch.types import Explanation, Moment, Quote, Span, Video

QUOTE = Quote("speech", Span(61, 62.5), "<b>thank</b> you & all", 0.75)
QUOTE_HTML = "said at 0:01:01: “&lt;b&gt;thank&lt;/b&gt; you &amp; all”"


def gallery(folder: Path, *found: ExportExcerpt) -> str:
    write_gallery(folder / "a.html", found, "dog")
    return (folder / "a.html").read_text("utf-8")


def excerpt(name: str = "gone.mp4", start: float = 3.6, end: float = 6.58) -> ExportExcerpt:
    return ExportExcerpt(SourceVideo(Path("/films") / name, 60.0), Span(start, end), 1, 0.5, 0.9)


def test_card_shows_escaped_quote(tmp_path: Path) -> None:
    assert QUOTE_HTML in gallery(tmp_path, replace(excerpt(), quote=QUOTE))
    assert '<div class="quote">' not in gallery(tmp_path, excerpt())
    long = replace(QUOTE, text="you " * 100_000)
    assert len(gallery(tmp_path, replace(excerpt(), quote=long))) < 20_000


@pytest.mark.parametrize(
    ("start", "end", "times", "lasts"),
    [
        (3.6, 6.58, "0:00:03.6 – 0:00:06.6", "3.0 s"),
        (59.96, 61.04, "0:01:00.0 – 0:01:01.0", "1.0 s"),
        (0.04, 0.16, "0:00:00.0 – 0:00:00.2", "0.2 s"),
    ],
)
def test_times_and_duration_of_a_card_agree(
    tmp_path: Path, start: float, end: float, times: str, lasts: str
) -> None:
    page = gallery(tmp_path, excerpt(start=start, end=end))
    assert f">{times}<" in page
    assert f"<span>{lasts}</span>" in page


def test_long_name_loses_its_middle(tmp_path: Path) -> None:
    name = '<span class="head">dogs &amp; cats at t</span>he sea.mp4</div>'
    assert name in gallery(tmp_path, excerpt("dogs & cats at the sea.mp4"))
    assert '<span class="head"></span>a.mp4</div>' in gallery(tmp_path, excerpt("a.mp4"))


class NoPictures:
    """A library whose video files are missing."""

    def thumbnail(self, video: Video, frame_time: float, *, width: int = 320) -> bytes:
        raise UnreadableError(f"{video.path}: is gone")


def test_contact_sheet_shows_what_the_table_shows(tmp_path: Path) -> None:
    video = Video(1, Path("/films/a.mp4"), "aa", 1, 1, 60.0, 25.0, 64, 36, "h264", 60)
    sure = Moment(video, Span(61, 75), 0.5, 0.9, Explanation(61.0, 0.25, 1, quotes=(QUOTE,)))
    weak, unknown = (
        replace(sure, confidence=0.1),
        replace(sure, confidence=None, explanation=Explanation(0, 0, 1)),
    )
    section = SheetSection("dog", [sure, weak, unknown])
    write_contact_sheet(tmp_path / "a.html", NoPictures(), [section])
    page = (tmp_path / "a.html").read_text("utf-8")
    assert page.count(QUOTE_HTML) == 2
    for output in (">90 %<", ">weak 10 %<", ">0.500 · peak", ">0.500<"):
        assert output in page
