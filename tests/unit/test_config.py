"""Reading, changing and writing vsearch.toml."""

from __future__ import annotations

import errno
import os
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from vsearch import config
from vsearch.config import Settings
from vsearch.errors import SettingsError
from vsearch.settings_file import SETTINGS_FILE


def changed(folder: Path, text: str | None, **named: str) -> str:
    """Change settings, check that all others are unchanged, and return the file's text."""
    file = folder / SETTINGS_FILE
    if text is not None:
        file.write_text(text)
    before = config.load_file(folder)
    config.update_file(folder, named)
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
        ("fps = 2.0\n", 'fps = 2.0\nmodel = "b:\\"x\\""\n'),
        ("fps = 2.0", 'fps = 2.0\nmodel = "b:\\"x\\""\n'),
        ('text_model = "a"\n', 'text_model = "a"\nmodel = "b:\\"x\\""\n'),
        ("", 'model = "b:\\"x\\""\n'),
    ],
)
def test_one_setting_changes_and_the_rest_stays(tmp_path: Path, text: str, expected: str) -> None:
    assert changed(tmp_path, text, model='b:"x"') == expected


def test_a_missing_file_is_created(tmp_path: Path) -> None:
    assert 'model = "b"' in changed(tmp_path, None, model="b", pooler="auto")


def test_nothing_is_written_where_nothing_changes(tmp_path: Path) -> None:
    assert changed(tmp_path, 'model    =  "b"', model="b", pooler="auto") == 'model    =  "b"'


def test_several_settings_change_at_once(tmp_path: Path) -> None:
    text = changed(tmp_path, 'text_model = "w"\nmodel = "a"\n', model="b", text_model="")
    assert text == 'text_model = ""\nmodel = "b"\n'


@pytest.mark.parametrize("text", ['"model" = "a"\n', 'model = """a"""\n', "model = '''a'''\n"])
def test_unusual_toml_spellings_are_edited_in_place(tmp_path: Path, text: str) -> None:
    key = text.partition(" =")[0]
    written = changed(tmp_path, f"fps = 2.0 # mine\n{text}ocr = true\n", model="b")
    assert written == f'fps = 2.0 # mine\n{key} = "b"\nocr = true\n'


def test_special_characters_are_escaped(tmp_path: Path) -> None:
    for name in ('C:\\new\\"x"', "del\x7f", "line\nbreak\ttab", "é 🐈", "# no comment"):
        changed(tmp_path, 'model = "a"\n', model=name)
        assert config.read_file(tmp_path)["model"] == name


def test_a_file_that_can_be_read_but_not_edited_is_reported(tmp_path: Path) -> None:
    file = tmp_path / SETTINGS_FILE
    file.write_bytes(b'model = "a"\rfps = 2.0\r')  # line ends of the classic Mac OS
    assert config.load_file(tmp_path).fps == 2.0
    with pytest.raises(SettingsError, match="cannot be edited"):
        config.update_file(tmp_path, {"model": "b"})
    assert file.read_bytes() == b'model = "a"\rfps = 2.0\r'


def test_line_endings_stay(tmp_path: Path) -> None:
    file = tmp_path / SETTINGS_FILE
    file.write_bytes(b'# mine\r\nmodel = "a"\r\nfps = 2.0\r\n')
    config.update_file(tmp_path, {"model": "b"})
    assert file.read_bytes() == b'# mine\r\nmodel = "b"\r\nfps = 2.0\r\n'


def test_saving_keeps_comments_order_and_settings_of_a_single_run(tmp_path: Path) -> None:
    text = '# mine\nocr = true\ndevice = "cpu" # no GPU\n\nfps = 2.0\nworkers = 2\nmodel = "a"\n'
    (tmp_path / SETTINGS_FILE).write_text(text)
    settings = replace(config.load_file(tmp_path), device="cuda", workers=7, ocr=False, index="ivf")
    config.save(tmp_path, settings)
    written = (tmp_path / SETTINGS_FILE).read_text()
    assert written == text.replace("ocr = true", "ocr = false") + 'index = "ivf"\n'


def test_a_name_that_is_not_utf_8_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="as UTF-8; rename the file"):
        config.save(tmp_path, Settings(model="x:\udcff.pt"))
    assert not list(tmp_path.iterdir())


def test_a_write_error_is_reported_and_the_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / SETTINGS_FILE).write_text('model = "a"\n')
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(SettingsError, match="cannot be written"):
        config.update_file(tmp_path, {"model": "b"})
    assert [path.name for path in tmp_path.iterdir()] == [SETTINGS_FILE]
    assert config.load_file(tmp_path).model == "a"


def test_concurrent_writes_are_atomic(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text('model = "a"\n# a comment\n')

    def write(number: int) -> None:
        config.update_file(tmp_path, {"model": f"model {number % 7}"})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(200)))
    assert config.load_file(tmp_path).model.startswith("model ")
    assert [path.name for path in tmp_path.iterdir()] == [SETTINGS_FILE]


def test_setting_names_of_older_versions_are_read_and_replaced_when_written(tmp_path: Path) -> None:
    file = tmp_path / SETTINGS_FILE
    file.write_text('fast = true\nread_text = true\nshots = "other"\n')
    settings = config.load_file(tmp_path)
    assert (settings.keyframes_only, settings.ocr, settings.shot_detector) == (True, True, "other")
    config.save(tmp_path, replace(settings, fps=2.0))
    written = set(tomllib.loads(file.read_text()))
    assert written == {"model", "fps", "keyframes_only", "ocr", "shot_detector"}
    assert config.load_file(tmp_path) == replace(settings, fps=2.0)


def test_old_setting_names_are_replaced_where_they_are(tmp_path: Path) -> None:
    file = tmp_path / SETTINGS_FILE
    file.write_text('# first\nfast = true # quick\n\n# second\nshots = "mine"\n\nmodel = "a"\n')
    config.update_file(tmp_path, {"model": "b"})
    assert file.read_text() == (
        '# first\nkeyframes_only = true # quick\n\n# second\nshot_detector = "mine"\n\n'
        'model = "b"\n'
    )


@pytest.mark.parametrize(
    "text", ["fast = true\nkeyframes_only = false\n", "keyframes_only = false\nfast = true\n"]
)
def test_the_current_name_of_a_setting_takes_precedence(tmp_path: Path, text: str) -> None:
    assert changed(tmp_path, text, model="b") == 'keyframes_only = false\nmodel = "b"\n'
    assert not config.load_file(tmp_path).keyframes_only


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("VSEARCH_FAST", "VSEARCH_KEYFRAMES_ONLY", "yes"),
        ("VSEARCH_READ_TEXT", "VSEARCH_OCR", "yes"),
        ("VSEARCH_SHOTS", "VSEARCH_SHOT_DETECTOR", "content"),
    ],
)
def test_old_environment_variables_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, value: str
) -> None:
    monkeypatch.setenv(old, value)
    with pytest.raises(SettingsError, match=f"{old} is now named {new}; rename"):
        config.load(tmp_path, {})
    monkeypatch.setenv(new, value)  # set for both versions
    config.load(tmp_path, {})
    monkeypatch.delenv(new)
    monkeypatch.setenv(old, "")
    assert config.load(tmp_path, {}) == Settings()


def test_a_tier_is_not_taken_for_a_file_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fast").mkdir()
    (tmp_path / "resnet50").write_bytes(b"")
    (tmp_path / "mine.pt").write_bytes(b"")
    assert config.absolute_model_name("builtin:fast") == "builtin:fast"
    assert config.absolute_model_name("cnn:resnet50") == "cnn:resnet50"
    assert config.absolute_model_name("plugin:mine.pt") == f"plugin:{tmp_path / 'mine.pt'}"
    assert (
        config.absolute_model_name("openclip:ViT-B-32@mine.pt")
        == f"openclip:ViT-B-32@{tmp_path / 'mine.pt'}"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('model = "a"\n\nfps = 0\n', "line 3: fps must be a number from 0.01 to 60, not 0"),
        ("fps = true\n", "line 1: fps must be a number"),
        ("model = 3\n", "line 1: model must be a name"),
        ("fps = 2.0\r\nocr = 'yes'\r\n", "line 2: ocr must be true or false"),
        ("# fps\n  read_text = 1\n", "line 2: ocr must be true or false"),
        ("[fps]\nx = 1\n", "line 1: fps must be a number"),
        ("modle = 'a'\n", "line 1: unknown setting 'modle'; did you mean 'model'?"),
        ("a\0 = 1\n", "not valid TOML"),
        ("fps = \n", r"not valid TOML: Invalid value \(at line 1"),
    ],
)
def test_an_invalid_setting_is_named_with_its_file_and_line(
    tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "vsearch.toml").write_bytes(text.encode())
    with pytest.raises(SettingsError, match=rf"vsearch\.toml(, |: ){reason}"):
        config.load(tmp_path, {})
    [problem] = config.find_problems(tmp_path)
    assert "vsearch.toml" in problem
    assert config.load(tmp_path, {}, ignore_invalid=True).fps in (1.0, 2.0)


def test_valid_settings_beside_an_invalid_one_are_kept(tmp_path: Path) -> None:
    (tmp_path / "vsearch.toml").write_text('model = "a"\nfps = 0\nworkers = -1\n')
    assert len(config.find_problems(tmp_path)) == 2
    settings = config.load(tmp_path, {}, ignore_invalid=True)
    assert (settings.model, settings.fps, settings.workers) == ("a", 1.0, 0)
    assert config.read_model(tmp_path) == "a"


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "vsearch.toml"
    file.write_bytes(b"\xef\xbb\xbffps = 2.0\r\n# mine\r\n")
    assert config.load_file(tmp_path).fps == 2.0
    config.update_file(tmp_path, {"model": "b"})
    assert (config.load_file(tmp_path).fps, config.load_file(tmp_path).model) == (2.0, "b")
    assert b"# mine" in file.read_bytes()


def test_a_file_that_is_not_utf_8_says_so(tmp_path: Path) -> None:
    (tmp_path / "vsearch.toml").write_bytes("fps = 2.0\n".encode("utf-16"))
    with pytest.raises(SettingsError, match=r"vsearch\.toml: is not UTF-8 text; save it as UTF-8"):
        config.load(tmp_path, {})


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "vsearch.toml").mkdir()
    with pytest.raises(SettingsError, match=r"vsearch\.toml: cannot be read"):
        config.load(tmp_path, {})


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    shared = tmp_path / "shared.toml"
    shared.write_text("fps = 2.0\n")
    library = tmp_path / "library"
    library.mkdir()
    (library / "vsearch.toml").symlink_to(shared)
    config.update_file(library, {"model": "b"})
    assert (library / "vsearch.toml").is_symlink()
    assert 'model = "b"' in shared.read_text()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("VSEARCH_FPS", "0", "VSEARCH_FPS must be a number from 0.01 to 60"),
        ("VSEARCH_FPS", "fast", "VSEARCH_FPS must be a number, not 'fast'"),
        ("VSEARCH_FPS", "nan", "VSEARCH_FPS must be a number from"),
        ("VSEARCH_DEVICE", "gpu", "VSEARCH_DEVICE must be auto, cpu, cuda or mps"),
        ("VSEARCH_WORKERS", "-1", "VSEARCH_WORKERS must be a whole number from 0"),
        ("VSEARCH_OCR", "maybe", "VSEARCH_OCR must be yes or no"),
    ],
)
def test_an_invalid_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=reason):
        config.load(tmp_path, {})
    assert config.load(tmp_path, {}, ignore_invalid=True) == Settings()


def test_an_audio_track_may_be_a_number(tmp_path: Path) -> None:
    (tmp_path / "vsearch.toml").write_text("audio_track = 2\n")
    assert config.load(tmp_path, {}).audio_track == "2"
    for value in ("0", '"second"', "true", '""'):
        (tmp_path / "vsearch.toml").write_text(f"audio_track = {value}\n")
        with pytest.raises(SettingsError, match="audio_track must be auto, a number"):
            config.load(tmp_path, {})
