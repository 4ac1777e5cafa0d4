"""The README tells what the committed results of the benchmarks say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from benchmarks.table import RESULTS, ROOT, rendered, replaced

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted(RESULTS.glob("*.json"))


def test_the_table_of_speed_is_what_the_results_render_to() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert replaced(readme, rendered()) == readme, "run `python -m tests.benchmarks.table`"


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_result_names_no_machine_and_holds_a_table(file: Path) -> None:
    text = file.read_text("utf-8")
    assert not any(path in text for path in ("/tmp/", "/home/", "/work/", "/root/"))
    found = json.loads(text)
    assert found["name"] == file.stem
    assert found["rows"]
    assert all(claim["what"] and claim["found"] and claim["how"] for claim in found["claims"])


@pytest.mark.parametrize("how", ["ask", "`ask`"])
def test_a_claim_becomes_a_line_with_its_command(tmp_path: Path, how: str) -> None:
    claim = {"what": "a query", "found": "3 ms", "how": how}
    (tmp_path / "a.json").write_text(json.dumps({"claims": [claim]}), "utf-8")
    assert rendered(tmp_path).endswith("|---|---|---|\n| a query | 3 ms | `ask` |\n")
