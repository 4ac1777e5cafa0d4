"""Conversion of command-line arguments to query text."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsearch.errors import NoLibraryError, QueryError
from vsearch.media.discovery import PHOTO_SUFFIXES, VIDEO_SUFFIXES
from vsearch.query.formatting import quote_phrase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.cli.options import CommonOptions
    from vsearch.client.remote import Remote
    from vsearch.library import Library
    from vsearch.query.model import Query

PHRASE_FIELDS = ("text", "said", "shown", "image", "clip", "path", "name", "tag", "model")
FILE_SUFFIXES = VIDEO_SUFFIXES | PHOTO_SUFFIXES | frozenset((".json", ".srt", ".vtt"))
OPTIONAL_VALUES = {"--preview": "--preview=auto"}  # of flags that do not take the next word
EXCLUDED_WORD_MARK = "\0"  # cannot occur in an argument of a process
_FIELD_PREFIX_RE = re.compile(
    rf"(?:-(?=\S))?(?:[0-9.]+:(?=\S))?(?:(?:{'|'.join(PHRASE_FIELDS)}):)?", re.IGNORECASE
)
_CLIP_RANGE_RE = re.compile(r"(.+)@([0-9:.]+-[0-9:.]+)", re.DOTALL)


class QueryCommand(click.Command):
    """A command whose arguments are a query, in which `-word` excludes a word.

    Short options such as `-k 5` and `-k5`, and everything with two dashes, stay options; `-kitchen`
    is an excluded word.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments after marking excluded words, so that click leaves them alone."""
        value_flags = {
            flag_name
            for param in self.params
            if isinstance(param, click.Option) and not param.is_flag and not param.count
            for flag_name in param.opts
        }
        return super().parse_args(ctx, list(_mark_excluded_words(args, value_flags)))


@dataclass(frozen=True, slots=True)
class QueryArgs:
    """A query as given on the command line: text plus options."""

    query_text: str
    images: Sequence[str] = ()
    clips: Sequence[str] = ()
    videos: Sequence[str] = ()
    tags: Sequence[str] = ()

    def open_library(self, options: CommonOptions) -> Library:
        """Open the library; if there is none, report an invalid query first.

        Raises:
            NoLibraryError: There is no library.
            QueryError: There is no library, and the query is invalid.
        """
        try:
            return options.open_library()
        except NoLibraryError:
            from vsearch.query.parser import (  # deferred: --help needs no numpy
                parse_clip,
                parse_query,
            )

            parse_query(
                self.query_text, image_paths=self.images, clip_terms=map(parse_clip, self.clips)
            )
            raise

    def to_text(self) -> str:
        """Return the query with its options as one line in the query language.

        Raises:
            QueryError: The query is invalid.
        """
        from vsearch.query.model import Filters, Term
        from vsearch.query.parser import parse_clip  # deferred: --help needs no numpy

        query_terms = [
            *(Term("image", image_path) for image_path in self.images),
            *map(parse_clip, self.clips),
        ]
        filter_texts = Filters(path_patterns=tuple(self.videos), tags=tuple(self.tags)).to_text()
        return " ".join(filter(str.strip, [self.query_text, *map(str, query_terms), *filter_texts]))

    def build_query(self, library: Library | Remote) -> Query:
        """Parse the query and resolve its references in a library.

        Raises:
            QueryError: The query is invalid.
        """
        return library.query(
            self.query_text,
            images=self.images,
            clips=self.clips,
            videos=self.videos,
            tags=self.tags,
        )


def _mark_excluded_words(args: Sequence[str], value_flags: set[str]) -> Iterator[str]:
    """Yield the arguments; words that look like short options get a mark in front."""
    remaining_args = iter(args)
    for arg in remaining_args:
        if arg == "--":
            yield arg
            yield from remaining_args
        elif arg in OPTIONAL_VALUES:
            yield OPTIONAL_VALUES[arg]
        elif arg in value_flags:
            yield arg
            yield from _take_next_arg(remaining_args)
        elif re.match(r"-[^-].", arg) and not (
            arg[:2] in value_flags and re.match(r"=?\d", arg[2:])
        ):
            yield EXCLUDED_WORD_MARK + arg
        else:
            yield arg


def _take_next_arg(remaining_args: Iterator[str]) -> Iterator[str]:
    next_arg = next(remaining_args, None)
    if next_arg is not None:
        yield next_arg


def query_from_argv(query_words: Sequence[str], *, allow_file: bool = False) -> str:
    """Join command-line words to one query text.

    A single argument is a query as it stands. Of several arguments, those that contain blanks had
    been quoted; the shell removed the quotes, which are restored.

    Args:
        query_words: The arguments, with marks from `QueryCommand`.
        allow_file: A single argument may be an existing file.

    Returns:
        Text in the query language.

    Raises:
        QueryError: An argument is a file, probably from a pattern that the shell expanded.
    """
    if len(query_words) > 1 or not allow_file:
        _reject_files(query_words)
    typed_words = [query_word.removeprefix(EXCLUDED_WORD_MARK) for query_word in query_words]
    return typed_words[0] if len(typed_words) == 1 else " ".join(map(_restore_quotes, typed_words))


def take_example(
    query_words: Sequence[str],
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Take the only picture or clip out of the words of a query.

    Args:
        query_words: The arguments, with marks from `QueryCommand`.

    Returns:
        The other words, and at most one image file or clip. Several files are left where they are:
        they come from a pattern that the shell expanded.
    """
    examples = [query_word for query_word in query_words if _example_kind(query_word)]
    if len(examples) != 1:
        return tuple(query_words), (), ()
    other_words = tuple(query_word for query_word in query_words if query_word != examples[0])
    is_image = _example_kind(examples[0]) == "image"
    return other_words, *((tuple(examples), ()) if is_image else ((), tuple(examples)))


def _example_kind(query_word: str) -> str | None:
    """Return "image" or "clip" for an existing media file, also one with a time range."""
    range_match = _CLIP_RANGE_RE.fullmatch(query_word)
    has_range = range_match is not None and not os.path.lexists(query_word)
    file_path = Path(range_match[1] if range_match is not None and has_range else query_word)
    suffix = file_path.suffix.lower()
    if suffix not in PHOTO_SUFFIXES | VIDEO_SUFFIXES or not os.path.isfile(file_path):  # noqa: PTH113
        return None
    is_image = suffix in PHOTO_SUFFIXES and not has_range
    return "image" if is_image else "clip"


def _reject_files(query_words: Sequence[str]) -> None:
    """Raise QueryError if a word is an existing file, unless it may as well be a plain word.

    A word with a path separator, or with the suffix of a media file, is not a plain word.
    """
    file_names = [
        query_word
        for query_word in query_words
        if (os.sep in query_word or Path(query_word).suffix.lower() in FILE_SUFFIXES)
        and os.path.lexists(query_word)
    ]
    if not file_names:
        return
    more_text = f" (and {len(file_names) - 1} more)" if len(file_names) > 1 else ""
    raise QueryError(
        f"{file_names[0]}{more_text} is an existing file, not a word to search for: quote a "
        "pattern so that the shell does not expand it, as in --video 'clips/*'; search by a file "
        f"with --clip FILE or --image FILE; or write '\"{file_names[0]}\"' to search for the words"
    )


def _restore_quotes(query_word: str) -> str:
    """Quote the phrase in a word that contains blanks, after its field prefix."""
    if (
        not re.search(r"\s", query_word.strip())
        or '"' in query_word
        or query_word.lower().startswith("then:")
    ):
        return query_word
    prefix_match = _FIELD_PREFIX_RE.match(query_word)
    field_prefix = prefix_match[0] if prefix_match else ""
    phrase_text = query_word[len(field_prefix) :]
    if field_prefix.lower().endswith("clip:") and (
        range_match := _CLIP_RANGE_RE.fullmatch(phrase_text)
    ):
        return f"{field_prefix}{quote_phrase(range_match[1])}@{range_match[2]}"
    return f"{field_prefix}{quote_phrase(phrase_text)}"
