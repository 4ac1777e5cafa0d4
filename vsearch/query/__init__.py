"""The query language: grammar, parser, formatting and data model."""
