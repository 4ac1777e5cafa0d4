"""Fixtures that every test has: an isolated home, environment and random state."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def _isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's home, settings or random state."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    for name in [name for name in os.environ if name.startswith("VSEARCH_")]:
        monkeypatch.delenv(name)
    random.seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """A folder of real clips, where there is one beside the checkout."""
    clips = SHARED / "media" / "clips"
    if not clips.is_dir():
        pytest.skip("needs the development clips")
    return clips


@pytest.fixture(scope="session")
def broken_media() -> Path:
    """A folder of broken and odd media files, where there is one beside the checkout."""
    bad = SHARED / "media" / "bad"
    if not bad.is_dir():
        pytest.skip("needs the collection of broken files")
    return bad
