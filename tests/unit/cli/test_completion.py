"""Completion of commands and options in shells."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from vsearch.cli.completion import find_script_path

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home o'user"))
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "home o'user").mkdir()
    return tmp_path / "home o'user"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed_or_installed(
    run_vsearch: CommandRunner, home: Path, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    script = run_vsearch("completion").stdout
    assert "_VSEARCH_COMPLETE" in script
    assert not list(home.iterdir())
    for _ in range(2):
        run_vsearch("completion", "--install")
    installed = find_script_path(shell, {}, home)
    assert installed.read_text().strip() == script.strip()
    if shell == "zsh":
        assert (home / ".zshrc").read_text().count("source") == 1
        if zsh := shutil.which("zsh"):
            subprocess.run([zsh, "-n", str(home / ".zshrc")], check=True)
    if shell == "bash" and (bash := shutil.which("bash")):
        subprocess.run([bash, "-n", str(installed)], check=True)


def test_other_lines_of_the_shell_settings_stay(run_vsearch: CommandRunner, home: Path) -> None:
    (home / ".zshrc").write_text("alias ll='ls -l'")
    run_vsearch("completion", "zsh", "--install")
    lines = (home / ".zshrc").read_text().splitlines()
    assert lines[0] == "alias ll='ls -l'"
    assert len(lines) == 2


def test_an_unknown_shell_is_refused(
    run_vsearch: CommandRunner, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert "bash, zsh, fish" in run_vsearch("completion", exit_code=2).stderr


def test_the_folders_of_the_environment_are_used(tmp_path: Path) -> None:
    environment = {"XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "/config"}
    assert find_script_path("bash", environment, tmp_path).is_relative_to("/data")
    assert find_script_path("fish", environment, tmp_path).is_relative_to("/config")
