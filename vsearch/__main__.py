"""Run the command line with `python -m vsearch`."""

from __future__ import annotations

from vsearch.cli.main import main

main()
