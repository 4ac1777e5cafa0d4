"""docs/benchmarks.md shows the committed results of the benchmarks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from benchmarks.table import BENCHMARKS_PAGE, RESULTS_FOLDER, render_table, replace_table

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted(RESULTS_FOLDER.glob("*.json"))


def test_the_speed_table_is_rendered_from_the_results() -> None:
    page = BENCHMARKS_PAGE.read_text("utf-8")
    assert replace_table(page, render_table()) == page, "run `python -m benchmarks.table`"


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_result_has_no_machine_paths_and_has_a_table(file: Path) -> None:
    text = file.read_text("utf-8")
    assert not any(path in text for path in ("/tmp/", "/home/", "/work/", "/root/"))
    found = json.loads(text)
    assert found["name"] == file.stem
    assert found["rows"]
    assert all(claim["what"] and claim["found"] and claim["how"] for claim in found["claims"])


@pytest.mark.parametrize("how", ["ask", "`ask`"])
def test_a_claim_becomes_a_table_row_with_its_command(tmp_path: Path, how: str) -> None:
    claim = {"what": "a query", "found": "3 ms", "how": how}
    (tmp_path / "a.json").write_text(json.dumps({"claims": [claim]}), "utf-8")
    assert render_table(tmp_path).endswith("|---|---|---|\n| a query | 3 ms | `ask` |\n")
