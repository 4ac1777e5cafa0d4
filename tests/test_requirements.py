"""What is installed beside vsearch is new enough."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def test_torch_runs_no_code_that_is_in_a_checkpoint() -> None:
    """CVE-2025-32434: before 2.6, `torch.load(weights_only=True)` could be made to."""
    extras = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["optional-dependencies"]
    [least] = [each for each in extras["models"] if each.startswith("torch>=")]
    assert tuple(map(int, re.findall(r"\d+", least))) >= (2, 6)
