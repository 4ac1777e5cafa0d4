from __future__ import annotations

from pathlib import Path

import pytest

from vsearch.config import cache_folder
from vsearch.encoders.model_zoo import CACHE_FILENAME, MeasurementCache


def test_cached_values_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / CACHE_FILENAME
    MeasurementCache(path).put("speed", "a", 1.5)
    MeasurementCache(path).put("speed", "b", [2])
    MeasurementCache(path).put("agreement", "a", 0.5)
    assert MeasurementCache(path).load_topic("speed") == {"a": 1.5, "b": [2]}
    assert MeasurementCache(path).get("agreement", "a") == 0.5
    assert MeasurementCache(path).get("agreement", "b") is None
    assert [file.name for file in path.parent.iterdir()] == [CACHE_FILENAME]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"speed": 3}', "\x00"])
def test_a_damaged_cache_counts_as_empty_and_is_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / CACHE_FILENAME
    path.write_text(text)
    assert MeasurementCache(path).load_topic("speed") == {}
    MeasurementCache(path).put("speed", "a", 1)
    assert MeasurementCache(path).get("speed", "a") == 1


def test_an_unwritable_folder_is_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    notes = MeasurementCache(tmp_path / "file" / CACHE_FILENAME)
    notes.put("speed", "a", 1)
    assert notes.get("speed", "a") is None


def test_the_cache_folder_follows_user_and_system_settings(
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
