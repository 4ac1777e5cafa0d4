"""Full-text search in the names of files and folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.catalog.fts import fts_expression
from vsearch.catalog.rows import split_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from vsearch.catalog.catalog import Catalog

NAMED_SQL = "id IN (SELECT rowid FROM names_fts WHERE names_fts MATCH ?)"


def match_name_words(name_text: str) -> str:
    """Return an FTS5 expression for names that contain all words of a text.

    Args:
        name_text: Words such as `beach` or `IMG_20`, with a letter or digit; the last one may be
            the start of a longer word.
    """
    *words, last_word = split_name(name_text) or [name_text]
    return fts_expression([*([word] for word in words), [f"{last_word}*"]])


def find_named(catalog: Catalog, word_forms: Collection[str]) -> list[int]:
    """Return the ids of the videos whose name contains any form of a word, without order.

    Args:
        catalog: The catalog.
        word_forms: Forms of one word, such as `dog` and `dogs`.
    """
    return catalog.select_video_ids(NAMED_SQL, [fts_expression([word_forms])])
