from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.cli.doctor import _tell
from vsearch.doctor import Recall

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from running import Vsearch


def test_doctor_measures_what_the_index_finds(vsearch: Vsearch, videos: Path) -> None:
    vsearch("index", videos)
    heading, *rows = vsearch("doctor", "--recall").stdout.splitlines()
    assert heading.split()[:3] == ["recall@10", "index", "exact"]
    assert len(rows) >= 2
    assert all(row.split()[0] == "1.000" for row in rows)


def test_an_index_that_finds_too_little_is_a_problem(capsys: pytest.CaptureFixture[str]) -> None:
    found = [Recall("one", 10, 0.995, 0.001, 0.01), Recall("other", 10, 0.98, 0.001, 0.01)]
    assert _tell(found[:1], 5) == []
    [problem] = _tell(found, 5)
    assert "less than 99 %" in problem
    assert "0.980" in capsys.readouterr().out
    assert _tell([], 0) == ["nothing is indexed, so there is nothing to find"]
