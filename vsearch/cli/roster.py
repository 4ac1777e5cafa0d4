"""Which command is where. A file is imported when its command is called, or all are listed."""

from __future__ import annotations

from importlib import import_module

import click

FILES = {
    "alike": ("duplicates", "similar"),
    "classify": ("classify",),
    "demo": ("demo",),
    "doctor": ("doctor",),
    "evaluate": ("evaluate",),
    "export": ("export",),
    "manage": ("index", "info", "list", "rebuild", "remove"),
    "mark": ("mark",),
    "mcp": ("mcp",),
    "model": ("model",),
    "models": ("models",),
    "saved": ("save", "saved"),
    "search": ("search",),
    "serve": ("serve",),
    "summarize": ("summarize",),
    "tags": ("tags",),
    "train": ("train",),
    "transcribe": ("read", "transcribe"),
    "transcript": ("transcript",),
    "watch": ("watch",),
}
NAMES = {name: file for file, names in FILES.items() for name in names}
PYTHON_HAS = {"list": "list_"}  # a function of that name would hide its own


class Roster(click.Group):
    """The commands of `vsearch`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*NAMES, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in NAMES:
            return super().get_command(ctx, cmd_name)
        file = import_module(f"vsearch.cli.{NAMES[cmd_name]}")
        found: click.Command = getattr(file, PYTHON_HAS.get(cmd_name, cmd_name))
        return found
