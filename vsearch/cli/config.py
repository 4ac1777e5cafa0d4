"""`vsearch config`: the effective settings, and where each comes from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from vsearch.cli.log_options import list_log_settings
from vsearch.cli.messages import print_problem
from vsearch.cli.options import library_path_option
from vsearch.cli.render import escape_unprintable, print_json, print_table

if TYPE_CHECKING:
    from vsearch.cli.options import CommonOptions


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_path_option
@click.pass_context
def config(context: click.Context, as_json: bool) -> None:
    """Show the effective settings, and where each comes from.

    A flag of a command overrides a variable VSEARCH_*, which overrides vsearch.toml in the library
    (for a library in a database: the catalog), which overrides the default. Invalid values are
    reported; they exit with code 1.
    """
    from vsearch import config as settings_module  # deferred: --help needs none of it
    from vsearch.library_opening import open_settings

    options: CommonOptions = context.obj
    with open_settings(options.library) as (library_name, library_source, settings_source):
        sourced_settings = settings_module.list_sources(settings_source)
        problem_texts = settings_module.find_problems(settings_source)
    folders = {
        "library": library_name,
        "cache": str(settings_module.cache_folder().absolute()),
    }
    log_settings = list_log_settings(context)
    if as_json:
        print_json(
            {
                **folders,
                "library_source": library_source,
                "settings": {
                    setting.name: {"value": setting.value, "source": setting.source}
                    for setting in sourced_settings
                },
                "messages": {
                    name: {"value": value, "source": source}
                    for name, (value, source) in log_settings.items()
                },
                "problems": problem_texts,
            }
        )
    else:
        for folder_name, folder_path in folders.items():
            source_text = f"  ({library_source})" if folder_name == "library" else ""
            click.echo(f"{folder_name:8} {escape_unprintable(folder_path)}{source_text}")
        click.echo()
        print_table(
            [
                ("setting", "value", "source"),
                *(
                    (setting.name, _format_value(setting.value), setting.source)
                    for setting in sourced_settings
                ),
                *(
                    (name, _format_value(value), source)
                    for name, (value, source) in log_settings.items()
                ),
            ],
            shrink_column=1,
        )
    for problem_text in problem_texts:
        print_problem(escape_unprintable(problem_text))
    if problem_texts:
        sys.exit(1)


def _format_value(setting_value: object) -> str:
    """Return a value as in vsearch.toml, without quotes."""
    if isinstance(setting_value, bool):
        return str(setting_value).lower()
    return escape_unprintable(str(setting_value)) or "none"
