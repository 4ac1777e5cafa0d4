"""`vsearch config`: effective settings and their sources."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from vsearch.config import resolve_library_path

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.support.processes import CommandRunner


def test_each_setting_has_its_source(
    run_vsearch: CommandRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSEARCH_FPS", "2")
    monkeypatch.delenv("VSEARCH_MODEL", raising=False)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "vsearch.toml").write_text("fps = 5\nocr = true\n")
    output = json.loads(run_vsearch("config", "--json", "--library", tmp_path / "lib").stdout)
    assert output["library"] == str(tmp_path / "lib")
    assert output["settings"]["fps"] == {"value": 2.0, "source": "VSEARCH_FPS"}
    assert output["settings"]["ocr"] == {"value": True, "source": "vsearch.toml"}
    assert output["settings"]["model"] == {"value": "builtin", "source": "default"}
    rows = [line.split() for line in run_vsearch("config", "--library", "lib").stdout.splitlines()]
    assert ["fps", "2.0", "VSEARCH_FPS"] in rows
    assert ["ocr", "true", "vsearch.toml"] in rows
    assert ["text_model", "none", "default"] in rows


def test_invalid_values_are_reported(run_vsearch: CommandRunner, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "vsearch.toml").write_text("ocr = true\nfps = 1000\n")
    result = run_vsearch("config", "--library", "lib", exit_code=1)
    assert "vsearch.toml, line 2: fps must be a number" in result.stderr
    assert ["fps", "1.0", "default"] in [line.split() for line in result.stdout.splitlines()]


def test_no_library_is_created(run_vsearch: CommandRunner, tmp_path: Path) -> None:
    assert "default" in run_vsearch("config").stdout
    assert not resolve_library_path().exists()
