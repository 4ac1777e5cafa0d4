"""Minimum versions of the dependencies."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def test_torch_is_new_enough_to_load_checkpoints_safely() -> None:
    """CVE-2025-32434: before 2.6, `torch.load(weights_only=True)` could execute code."""
    extras = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["optional-dependencies"]
    [requirement] = [each for each in extras["models"] if each.startswith("torch>=")]
    assert tuple(map(int, re.findall(r"\d+", requirement))) >= (2, 6)
