"""`vsearch completion`: completion of commands and options in a shell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from vsearch.cli.messages import print_note
from vsearch.cli.render import format_path
from vsearch.storage.atomic_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping

SHELLS = ("bash", "zsh", "fish")
_COMPLETION_VARIABLE = "_VSEARCH_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.option("--install", is_flag=True, help="Write the script where the shell finds it.")
@click.pass_context
def completion(context: click.Context, shell: str | None, install: bool) -> None:
    """Print the script that completes commands and options in a shell, or install it.

    SHELL is bash, zsh or fish; by default that of the variable SHELL.

    \b
    vsearch completion --install
    """
    shell_name = shell or Path(os.environ.get("SHELL", "")).name
    completion_class = get_completion_class(shell_name)
    if shell_name not in SHELLS or completion_class is None:
        raise click.UsageError(f"name the shell: {', '.join(SHELLS)}")
    root_command = context.find_root().command
    script = completion_class(root_command, {}, "vsearch", _COMPLETION_VARIABLE).source()
    if not install:
        click.echo(script)
        return
    script_path = find_script_path(shell_name, os.environ, Path.home())
    script_path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(script_path, script.encode())
    print_note(f"Written: {format_path(script_path)}")
    if shell_name == "zsh":
        _source_from(Path(os.environ.get("ZDOTDIR") or Path.home()) / ".zshrc", script_path)
    print_note("Open a new shell to use it.")


def find_script_path(shell_name: str, environment: Mapping[str, str], home: Path) -> Path:
    """Return the file from which a shell loads the completion of `vsearch`.

    Args:
        shell_name: bash (with the package bash-completion), zsh or fish.
        environment: Environment variables.
        home: The user's home folder.
    """
    config_folder = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    data_folder = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    if shell_name == "fish":
        return config_folder / "fish" / "completions" / "vsearch.fish"
    if shell_name == "zsh":
        return data_folder / "vsearch" / "completion.zsh"
    return data_folder / "bash-completion" / "completions" / "vsearch"


def _source_from(settings_path: Path, script_path: Path) -> None:
    """Let a shell load a script when it starts; other lines of its settings stay."""
    quoted_path = str(script_path).replace("'", "'\\''")
    line = f"source '{quoted_path}'  # completion of vsearch"
    settings_text = settings_path.read_text("utf-8") if settings_path.exists() else ""
    if line in settings_text.splitlines():
        return
    separator = "" if not settings_text or settings_text.endswith("\n") else "\n"
    with settings_path.open("a", encoding="utf-8") as settings_file:
        settings_file.write(f"{separator}{line}\n")
    print_note(f"Added a line to {format_path(settings_path)}")
