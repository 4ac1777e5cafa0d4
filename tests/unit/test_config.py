"""Settings in a file that people write, too."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vsearch import config
from vsearch.config import Settings
from vsearch.errors import SettingsError


def changed(folder: Path, text: str | None, **named: str) -> str:
    """What a file holds after a change; it says the new names and nothing else differs."""
    file = folder / config.FILE
    if text is not None:
        file.write_text(text)
    before = config.load_file(folder)
    config.change(folder, named)
    after = config.load_file(folder)
    assert {name: getattr(after, name) for name in named} == named
    for name in Settings.__slots__:
        assert name in named or getattr(before, name) == getattr(after, name)
    return file.read_text() if file.exists() else ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('model = "a"\n', 'model = "b:\\"x\\""\n'),
        (
            "# mine\nmodel='a' # was it\nfps = 2.0\n",
            '# mine\nmodel="b:\\"x\\"" # was it\nfps = 2.0\n',
        ),
        ("fps = 2.0\n", 'model = "b:\\"x\\""\nfps = 2.0\n'),
        ('text_model = "a"\n', 'model = "b:\\"x\\""\ntext_model = "a"\n'),
        ("", 'model = "b:\\"x\\""\n'),
    ],
)
def test_one_name_changes_and_the_rest_stays(tmp_path: Path, text: str, expected: str) -> None:
    assert changed(tmp_path, text, model='b:"x"') == expected


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    assert 'model = "b"' in changed(tmp_path, None, model="b", pooler="auto")


def test_nothing_is_written_where_nothing_changes(tmp_path: Path) -> None:
    assert changed(tmp_path, 'model    =  "b"', model="b", pooler="auto") == 'model    =  "b"'


def test_several_names_change_at_once(tmp_path: Path) -> None:
    text = changed(tmp_path, 'text_model = "w"\nmodel = "a"\n', model="b", text_model="")
    assert text == 'text_model = ""\nmodel = "b"\n'


@pytest.mark.parametrize("text", ['"model" = "a"\n', 'model = """a"""\n', "model = '''a'''\n"])
def test_other_spellings_are_written_anew(tmp_path: Path, text: str) -> None:
    written = changed(tmp_path, f"fps = 2.0\n{text}", model="b")
    assert written.count("model = ") == written.count('\nmodel = "b"\n') == 1


def test_a_file_that_cannot_be_written_is_told_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / config.FILE).write_text('model = "a"\n')
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(SettingsError, match="cannot be written"):
        config.change(tmp_path, {"model": "b"})
    assert [path.name for path in tmp_path.iterdir()] == [config.FILE]
    assert config.load_file(tmp_path).model == "a"


def test_several_may_write_at_once(tmp_path: Path) -> None:
    (tmp_path / config.FILE).write_text('model = "a"\n# a comment\n')

    def write(number: int) -> None:
        config.change(tmp_path, {"model": f"model {number % 7}"})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(200)))
    assert config.load_file(tmp_path).model.startswith("model ")
    assert [path.name for path in tmp_path.iterdir()] == [config.FILE]


def test_a_tier_is_no_file_whatever_lies_in_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fast").mkdir()
    (tmp_path / "resnet50").write_bytes(b"")
    (tmp_path / "mine.pt").write_bytes(b"")
    assert config.absolute("builtin:fast") == "builtin:fast"
    assert config.absolute("cnn:resnet50") == "cnn:resnet50"
    assert config.absolute("plugin:mine.pt") == f"plugin:{tmp_path / 'mine.pt'}"
    assert (
        config.absolute("openclip:ViT-B-32@mine.pt") == f"openclip:ViT-B-32@{tmp_path / 'mine.pt'}"
    )
