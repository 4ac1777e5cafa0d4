from __future__ import annotations

from pathlib import Path

import pytest

from vsearch.config import cache_folder
from vsearch.encoders.notes import FILE, Notes


def test_what_is_noted_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / FILE
    Notes(path).put("speed", "a", 1.5)
    Notes(path).put("speed", "b", [2])
    Notes(path).put("agreement", "a", 0.5)
    assert Notes(path).all("speed") == {"a": 1.5, "b": [2]}
    assert Notes(path).get("agreement", "a") == 0.5
    assert Notes(path).get("agreement", "b") is None
    assert [file.name for file in path.parent.iterdir()] == [FILE]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"speed": 3}', "\x00"])
def test_damaged_notes_are_empty_and_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / FILE
    path.write_text(text)
    assert Notes(path).all("speed") == {}
    Notes(path).put("speed", "a", 1)
    assert Notes(path).get("speed", "a") == 1


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    notes = Notes(tmp_path / "file" / FILE)
    notes.put("speed", "a", 1)
    assert notes.get("speed", "a") is None


def test_the_cache_is_where_the_user_or_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "vsearch"
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "vsearch"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "vsearch"
    monkeypatch.setenv("VSEARCH_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
