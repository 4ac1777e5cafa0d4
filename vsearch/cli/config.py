"""`vsearch config`: the effective settings, and where each comes from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from vsearch.cli.options import library_path_option
from vsearch.cli.render import escape_unprintable, print_json, print_table

if TYPE_CHECKING:
    from vsearch.cli.options import CommonOptions


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_path_option
@click.pass_obj
def config(options: CommonOptions, as_json: bool) -> None:
    """Show the effective settings, and where each comes from.

    A flag of a command overrides a variable VSEARCH_*, which overrides vsearch.toml in the library,
    which overrides the default. Invalid values are reported; they exit with code 1.
    """
    from vsearch import config as settings_module  # deferred: --help needs none of it

    library_path = settings_module.resolve_library_path(options.library)
    sourced_settings = settings_module.list_sources(library_path)
    problem_texts = settings_module.find_problems(library_path)
    folders = {
        "library": str(library_path.absolute()),
        "cache": str(settings_module.cache_folder().absolute()),
    }
    if as_json:
        print_json(
            {
                **folders,
                "settings": {
                    setting.name: {"value": setting.value, "source": setting.source}
                    for setting in sourced_settings
                },
                "problems": problem_texts,
            }
        )
    else:
        for folder_name, folder_path in folders.items():
            click.echo(f"{folder_name:8} {escape_unprintable(folder_path)}")
        click.echo()
        print_table(
            [
                ("setting", "value", "source"),
                *(
                    (setting.name, _format_value(setting.value), setting.source)
                    for setting in sourced_settings
                ),
            ],
            shrink_column=1,
        )
    for problem_text in problem_texts:
        click.echo(escape_unprintable(problem_text), err=True)
    if problem_texts:
        sys.exit(1)


def _format_value(setting_value: object) -> str:
    """Return a value as in vsearch.toml, without quotes."""
    if isinstance(setting_value, bool):
        return str(setting_value).lower()
    return escape_unprintable(str(setting_value)) or "none"
