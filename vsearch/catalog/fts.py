"""Full-text queries, and the words of texts: FTS5 in SQLite, the same words in PostgreSQL.

PostgreSQL's own parsers split and stem differently, so SQLite's tokenizer makes the words for both.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from vsearch.catalog.dialect import to_postgresql

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sqlalchemy import Connection

_CREATE_TOKENIZER_SQL = (
    """CREATE VIRTUAL TABLE texts USING fts5(text, content='', columnsize=0,
        tokenize='unicode61 remove_diacritics 2')""",
    "CREATE VIRTUAL TABLE tokens USING fts5vocab(texts, instance)",
)
# limits of tsvector; cues have at most 1,000 characters
_MAX_LEXEME_BYTES = 1_900  # before a digest; of 2,046
_MAX_POSITION = 16_382  # PostgreSQL would change a higher one to 16,383
_MAX_VECTOR_BYTES = 500_000  # of 1 MiB; further words are left out
_NO_LEXEME = "'!'"  # never in a text
_INDEX_BATCH = 10_000  # texts


class FtsExpression(str):
    """An FTS5 expression with the phrases of which it was made, for PostgreSQL."""

    __slots__ = ("phrase_groups",)
    phrase_groups: tuple[tuple[str, ...], ...]

    def to_tsquery(self) -> str:
        """Return the query in the syntax of tsquery."""
        phrases = [phrase for phrase_group in self.phrase_groups for phrase in phrase_group]
        tokenized_phrases = iter(tokenize([_clean_phrase(phrase) for phrase in phrases]))
        return " & ".join(
            f"({' | '.join(_join_phrase(next(tokenized_phrases), phrase) for phrase in group)})"
            for group in self.phrase_groups
        )


def fts_expression(phrase_groups: Sequence[Collection[str]]) -> FtsExpression:
    """Return an expression for texts that contain a phrase of each group."""
    expression = FtsExpression(
        " AND ".join(
            f"({' OR '.join(map(_quote_phrase, phrase_group))})" for phrase_group in phrase_groups
        )
    )
    expression.phrase_groups = tuple(map(tuple, phrase_groups))
    return expression


def tokenize(texts: Sequence[str]) -> list[list[str]]:
    """Split texts into words as SQLite's full-text index does: folded and without diacritics.

    Args:
        texts: N texts.

    Returns:
        The words of each text in order.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.text_factory = lambda word: word.decode("utf-8", "replace")  # may be cut
        for statement in _CREATE_TOKENIZER_SQL:
            connection.execute(statement)
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", enumerate(texts))
        words_by_text: list[list[str]] = [[] for _ in texts]
        for text_index, word in connection.execute(
            "SELECT doc, term FROM tokens ORDER BY doc, offset"
        ):
            words_by_text[text_index].append(word)
    return words_by_text


def to_tsvector(words: Sequence[str]) -> str:
    """Return the words of a text, in order, in the syntax of tsvector, with their positions."""
    positions_by_lexeme: dict[str, list[int]] = {}
    vector_bytes = 0
    for position, word in enumerate(words, start=1):
        lexeme = _to_lexeme(word)
        if lexeme not in positions_by_lexeme:
            vector_bytes += len(lexeme.encode()) + 8
            if vector_bytes > _MAX_VECTOR_BYTES:
                break
        positions = positions_by_lexeme.setdefault(lexeme, [])
        if position <= _MAX_POSITION:
            positions.append(position)
    return " ".join(
        f"{lexeme}:{','.join(map(str, positions))}" if positions else lexeme
        for lexeme, positions in positions_by_lexeme.items()
    )


def index_cues(connection: Connection, video_id: int) -> None:
    """Add the cues of a video that are missing from the full-text index of PostgreSQL."""
    _index_texts(connection, "SELECT id, text FROM cues", "cues_fts", "id", video_id)


def index_names(connection: Connection, video_id: int) -> None:
    """Add the name of a video, if it is missing, to the full-text index of PostgreSQL."""
    _index_texts(
        connection, "SELECT video_id, words FROM video_names", "names_fts", "video_id", video_id
    )


def rebuild_indexes(connection: Connection) -> None:
    """Rebuild the full-text indexes of PostgreSQL from all cues and names."""
    for fts_table in ("cues_fts", "names_fts"):
        connection.exec_driver_sql(f"DELETE FROM {fts_table}")  # noqa: S608
    _index_texts(connection, "SELECT id, text FROM cues", "cues_fts", "id")
    _index_texts(connection, "SELECT video_id, words FROM video_names", "names_fts", "video_id")


def _index_texts(
    connection: Connection,
    select_sql: str,
    fts_table: str,
    id_column: str,
    video_id: int | None = None,
) -> None:
    for text_rows in _iter_unindexed(connection, select_sql, fts_table, id_column, video_id):
        token_rows = [
            (text_id, to_tsvector(words))
            for (text_id, _), words in zip(
                text_rows, tokenize([text for _, text in text_rows]), strict=True
            )
        ]
        insert_sql = f"INSERT INTO {fts_table} (rowid, tokens) VALUES (?, ?)"  # noqa: S608
        connection.exec_driver_sql(to_postgresql(insert_sql), token_rows)


def _iter_unindexed(
    connection: Connection, select_sql: str, fts_table: str, id_column: str, video_id: int | None
) -> Iterator[list[tuple[int, str]]]:
    """Yield batches of ids and texts."""
    video_clause = "" if video_id is None else "AND video_id = ?"
    batch_sql = f"""{select_sql} WHERE {id_column} > ? {video_clause}
        AND NOT EXISTS (SELECT 1 FROM {fts_table} WHERE rowid = {id_column})
        ORDER BY {id_column} LIMIT {_INDEX_BATCH}"""  # noqa: S608
    last_id = 0
    while True:
        sql_values = (last_id,) if video_id is None else (last_id, video_id)
        text_rows = connection.exec_driver_sql(to_postgresql(batch_sql), sql_values).all()
        if not text_rows:
            return
        yield [(int(text_id), str(text)) for text_id, text in text_rows]
        last_id = int(text_rows[-1][0])


def _clean_phrase(phrase: str) -> str:
    return phrase.removesuffix("*").replace("\0", "").encode("utf-8", "ignore").decode()


def _quote_phrase(phrase: str) -> str:
    quoted_phrase = '"' + _clean_phrase(phrase).replace('"', '""') + '"'
    return f"{quoted_phrase}*" if phrase.endswith("*") else quoted_phrase


def _join_phrase(words: Sequence[str], phrase: str) -> str:
    """Return a phrase in the syntax of tsquery; one without words matches nothing, as in FTS5."""
    if not words:
        return _NO_LEXEME
    if not phrase.endswith("*"):
        return " <-> ".join(map(_to_lexeme, words))
    return " <-> ".join([*map(_to_lexeme, words[:-1]), f"{_to_prefix(words[-1])}:*"])


def _to_lexeme(word: str) -> str:
    """Return a word in quotes; of one that is too long, the beginning and a digest."""
    if len(encoded_word := word.encode()) > _MAX_LEXEME_BYTES:
        digest = hashlib.sha256(encoded_word).hexdigest()
        return f"'{_cut_word(encoded_word)}#{digest}'"
    return f"'{word}'"  # letters and digits only


def _to_prefix(word: str) -> str:
    return f"'{_cut_word(word.encode())}'"


def _cut_word(encoded_word: bytes) -> str:
    return encoded_word[:_MAX_LEXEME_BYTES].decode("utf-8", "ignore")
