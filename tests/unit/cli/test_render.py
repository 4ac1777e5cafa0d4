from __future__ import annotations

from pathlib import Path

import pytest

from vsearch.cli.render import clock, plural, printable, short, size


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00:00"), (59.99, "0:00:59"), (3661, "1:01:01"), (-1, "0:00:00")]
)
def test_times_are_shown_as_players_do(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_sizes_and_counts_are_for_people() -> None:
    assert [size(n) for n in (5, 1500, 2.5e9)] == ["5 B", "1.5 kB", "2.5 GB"]
    assert [plural(1, "video"), plural(2, "video")] == ["1 video", "2 videos"]


def test_paths_below_here_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert short(tmp_path / "a" / "b.mp4") == str(Path("a/b.mp4"))
    assert short(Path.home() / "c.mp4") == str(Path("~/c.mp4"))
    assert short(Path("/elsewhere/d.mp4").absolute()).endswith("d.mp4")


def test_text_cannot_steer_a_terminal() -> None:
    assert printable("a\x1b[2J\nb\u202ec\udce9 é日本") == "a\\x1b[2J\\nb\\u202ec\\udce9 é日本"
