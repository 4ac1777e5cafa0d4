"""`python -m vsearch`."""

from vsearch.cli.main import main

main()
