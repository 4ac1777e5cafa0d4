"""`vsearch doctor --recall`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.cli.doctor import _print_recall
from vsearch.doctor import IndexRecall

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.support.processes import CommandRunner


def test_doctor_measures_recall(run_vsearch: CommandRunner, videos_folder: Path) -> None:
    run_vsearch("index", videos_folder)
    heading, *rows = run_vsearch("doctor", "--recall").stdout.splitlines()
    assert heading.split()[:3] == ["recall@10", "index", "exact"]
    assert len(rows) >= 2
    assert all(row.split()[0] == "1.000" for row in rows)


def test_low_recall_is_a_problem(capsys: pytest.CaptureFixture[str]) -> None:
    found = [
        IndexRecall("one", 10, 0.995, 0.001, 0.01),
        IndexRecall("other", 10, 0.98, 0.001, 0.01),
    ]
    assert _print_recall(found[:1], 5) == []
    [problem] = _print_recall(found, 5)
    assert "less than 99 %" in problem
    assert "0.980" in capsys.readouterr().out
    assert _print_recall([], 0) == ["nothing is indexed, so recall cannot be measured"]
