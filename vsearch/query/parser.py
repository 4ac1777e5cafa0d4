"""Parser of the query language: text to `Query`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from vsearch.buckets.bucket_path import to_absolute
from vsearch.errors import QueryError
from vsearch.query.arguments import check_names, check_path, check_span, check_text
from vsearch.query.filters import parse_filters
from vsearch.query.formatting import format_number
from vsearch.query.grammar import FILTER_NAMES, tokenize_query
from vsearch.query.model import Filters, Query, Step, Term
from vsearch.query.natural_language import (
    IMPLIED_OPERATORS,
    NOT_OPERATOR,
    REFUSED_OPERATORS,
    find_operators,
    interpret_words,
)
from vsearch.query.times import parse_duration, parse_span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vsearch.query.grammar import QueryToken
    from vsearch.query.model import ResultRef
    from vsearch.types import Span, TermKind

MAX_QUERY_CHARS = 2_000
MAX_QUERY_TERMS = 16
MAX_FILTERS = 64
MAX_SEQUENCE_STEPS = 4  # after the first
WEIGHT_RANGE = 0.001, 1_000.0  # minimum and maximum
_TERM_KINDS: dict[str, TermKind] = {"": "text", "text": "text", "said": "said", "shown": "shown"}
_CLIP_RE = re.compile(r"(?P<path>.+)@(?P<span>[\d:.]+-[\d:.]+)", re.DOTALL)


def _reject_saved_search(search_name: str) -> str:
    raise QueryError(
        f"@{search_name}: saved searches are not available here; "
        f'to search for the word, write "@{search_name}"'
    )


def _reject_result_ref(result_text: str) -> list[ResultRef]:
    raise QueryError(f"like:{result_text}: there is no previous search to refer to")


def _require_file_name(file_path: str) -> str:
    if not file_path.strip() or "\0" in file_path:
        raise QueryError("an image or clip requires a file name")
    return file_path


@dataclass(frozen=True, slots=True)
class NameResolver:
    """Resolves references in a query of one library; each function raises QueryError.

    Attributes:
        resolve_saved: Return the query text of a saved search (`@dogs`).
        resolve_results: Return results of the last search by number (`12`, `1-3`).
        resolve_file: Return the path of an image or clip by the name used in the query.
    """

    resolve_saved: Callable[[str], str] = _reject_saved_search
    resolve_results: Callable[[str], list[ResultRef]] = _reject_result_ref
    resolve_file: Callable[[str], str] = _require_file_name


def parse_query(
    query_text: str = "",
    *,
    image_paths: Iterable[str] = (),
    clip_terms: Iterable[Term] = (),
    video_globs: Iterable[str] = (),
    tag_names: Iterable[str] = (),
    name_resolver: NameResolver | None = None,
) -> Query:
    """Parse a query; `parse_query(str(query)) == query` up to `MAX_QUERY_CHARS` characters.

    Args:
        query_text: Text in the language described in `query/grammar.py`.
        image_paths: Further images to search with.
        clip_terms: Further clips to search with, see `parse_clip`.
        video_globs: Further path filters.
        tag_names: Further tag filters.
        name_resolver: Resolves `@name`, `like:#N` and file names.

    Returns:
        The query.

    Raises:
        QueryError: If the query is invalid.
    """
    query_text = check_text(query_text, "the query")
    image_paths = check_names(image_paths, "images")
    if len(query_text) > MAX_QUERY_CHARS:
        raise QueryError(
            f"the query has {len(query_text)} characters; the maximum is {MAX_QUERY_CHARS}"
        )
    if "\0" in query_text:
        raise QueryError("the query contains a NUL character")
    query_builder = _QueryBuilder(name_resolver or NameResolver())
    query_builder.read_text(query_text)
    query_builder.add_terms(
        Term("image", _require_file_name(image_path)) for image_path in image_paths
    )
    query_builder.add_terms(clip_terms)
    given_filters = Filters(
        path_patterns=check_names(video_globs, "videos"), tags=check_names(tag_names, "tags")
    )
    return query_builder.to_query(given_filters)


def text_query(caption_text: str, video_globs: Iterable[str] = ()) -> Query:
    """Create a query from literal text, such as a caption, without interpreting it.

    Args:
        caption_text: Text to search for.
        video_globs: Path filters.

    Returns:
        The query.

    Raises:
        QueryError: If the text is empty or too long.
    """
    query_words = " ".join(check_text(caption_text, "the query").split())
    if not query_words:
        raise QueryError("nothing to search for: add some words")
    if len(query_words) > MAX_QUERY_CHARS:
        raise QueryError(
            f"the query has {len(query_words)} characters; the maximum is {MAX_QUERY_CHARS}"
        )
    return Query(
        (Term("text", _require_utf8(query_words)),),
        filters=Filters(path_patterns=tuple(video_globs)),
    )


def build_query(
    query_text: str,
    image_path: str | os.PathLike[str] | None,
    clip_path: str | os.PathLike[str] | None,
    span: Span | tuple[float, float] | None,
    video_globs: Iterable[str],
    tag_names: Iterable[str] = (),
    name_resolver: NameResolver | None = None,
) -> Query:
    """Create a query from the arguments of `Library.search`.

    Args:
        query_text: Query text; may be empty if an image or clip is given.
        image_path: Image to search with.
        clip_path: Video to search with.
        span: Part of the clip in seconds.
        video_globs: Path filters.
        tag_names: Tag filters.
        name_resolver: Resolves `@name`, `like:#N` and file names.

    Returns:
        The query.

    Raises:
        QueryError: If the arguments are invalid.
    """
    if span is not None and clip_path is None:
        raise QueryError("a span requires a clip")
    clip_span = check_span(span, "the span of a clip")
    clip_terms = (
        []
        if clip_path is None
        else [Term("clip", _require_file_name(check_path(clip_path, "clip")), span=clip_span)]
    )
    image_paths = [] if image_path is None else [check_path(image_path, "image")]
    return parse_query(
        query_text,
        image_paths=image_paths,
        clip_terms=clip_terms,
        video_globs=video_globs,
        tag_names=tag_names,
        name_resolver=name_resolver,
    )


def parse_clip(clip_text: str, resolve_file: Callable[[str], str] = _require_file_name) -> Term:
    """Parse a clip: `FILE` or `FILE@START-END`, times as seconds or h:mm:ss.

    Args:
        clip_text: Clip as typed.
        resolve_file: Maps the file name to a path.

    Returns:
        A clip term.

    Raises:
        QueryError: If the file name or span is invalid.
    """
    clip_match = _CLIP_RE.fullmatch(clip_text)
    if clip_match:
        return Term("clip", resolve_file(clip_match["path"]), span=parse_span(clip_match["span"]))
    if (
        resolve_file is _require_file_name
        and re.search(r"@[\d:.-]+$", clip_text)
        and not _file_exists(clip_text)
    ):
        raise QueryError(f"{clip_text}: no such file; to select a span write film.mp4@3-8")
    return Term("clip", resolve_file(clip_text))


def with_absolute_paths(query: Query) -> Query:
    """Make the paths of images and clips absolute, so that the query can be stored.

    Args:
        query: A query.

    Returns:
        The query, independent of the working directory and of the client.
    """
    return replace(
        query,
        filters=replace(query.filters, remote=False),
        exclude=replace(query.exclude, remote=False),
        terms=tuple(map(_with_absolute_path, query.terms)),
        next_steps=tuple(
            Step(tuple(map(_with_absolute_path, step.terms)), step.max_gap_seconds)
            for step in query.next_steps
        ),
    )


def _with_absolute_path(term: Term) -> Term:
    if term.kind not in ("image", "clip"):
        return term
    absolute_path = to_absolute(os.path.expanduser(term.value))  # noqa: PTH111 - never raises
    return replace(term, value=str(absolute_path))


@dataclass(slots=True)
class _QueryBuilder:
    """Accumulates the elements of a query."""

    name_resolver: NameResolver
    step_terms: list[list[Term]] = field(default_factory=lambda: [[]])
    max_gaps: list[float | None] = field(default_factory=list)  # of each step after the first
    filter_tokens: list[QueryToken] = field(default_factory=list)
    pending_tokens: list[QueryToken] = field(default_factory=list)  # not part of a term yet

    def read_text(self, query_text: str, *, is_saved: bool = False) -> None:
        """Add all elements of a text."""
        operators = find_operators(query_text)
        for token in tokenize_query(query_text):
            if token.is_plain_word:
                self.add_word(token, is_operator=token.source_text in operators)
                continue
            if self.take_not_operator():
                token = replace(token, is_negative=not token.is_negative)
            if token.field_name == "then":
                self.start_step(token)
            elif token.field_name in FILTER_NAMES:
                self.add_filter(token)
            elif token.field_name == "@":
                self.expand_saved_search(token, is_saved=is_saved)
            else:
                self.add_terms(
                    _parse_terms(token, NameResolver() if is_saved else self.name_resolver)
                )
        self.add_terms()

    def add_word(self, token: QueryToken, *, is_operator: bool) -> None:
        """Add a plain word to the pending ones; raise QueryError for OR."""
        if is_operator and token.source_text in REFUSED_OPERATORS:
            raise QueryError(
                f"{token.source_text} is not part of the query language: search for each "
                "alternative separately, or type `or` for the word"
            )
        if not is_operator or token.source_text not in IMPLIED_OPERATORS:
            self.pending_tokens.append(token)

    def take_not_operator(self) -> bool:
        """Remove NOT from the end of the pending words; return True if it was there."""
        if not self.pending_tokens or self.pending_tokens[-1].source_text != NOT_OPERATOR:
            return False
        self.pending_tokens.pop()
        return True

    def add_terms(self, new_terms: Iterable[Term] = ()) -> None:
        """Add the terms of the pending words, then other terms."""
        self.step_terms[-1].extend(_parse_words(self.pending_tokens))
        self.pending_tokens.clear()
        self.step_terms[-1].extend(new_terms)
        if (term_count := sum(map(len, self.step_terms))) > MAX_QUERY_TERMS:
            raise QueryError(f"the query has {term_count} terms; the maximum is {MAX_QUERY_TERMS}")

    def start_step(self, token: QueryToken) -> None:
        """Start the next step."""
        self.add_terms()
        if not self.step_terms[-1]:
            raise QueryError(f"{token.source_text}: a term must come before it and after it")
        max_gap = parse_duration(token.value_text) if token.value_text else None
        if max_gap == 0:
            raise QueryError(f"{token.source_text}: the gap must be longer than 0 seconds")
        self.step_terms.append([])
        self.max_gaps.append(max_gap)
        if len(self.max_gaps) > MAX_SEQUENCE_STEPS:
            raise QueryError(
                f"the query has more than {MAX_SEQUENCE_STEPS} then: steps, which is the maximum"
            )

    def add_filter(self, token: QueryToken) -> None:
        """Add a filter."""
        if token.weight is not None:
            raise QueryError(f"{token.source_text}: a filter cannot be weighted")
        if token.field_name != "path":
            _require_utf8(token.value_text)
        self.filter_tokens.append(token)
        if len(self.filter_tokens) > MAX_FILTERS:
            raise QueryError(f"the query has more than {MAX_FILTERS} filters, which is the maximum")

    def expand_saved_search(self, token: QueryToken, *, is_saved: bool) -> None:
        """Insert a saved search in place of its name."""
        if token.signed_weight != 1:
            raise QueryError(
                f"{token.source_text}: a saved search can be neither weighted nor excluded"
            )
        if is_saved:
            raise QueryError(f"{token.source_text}: a saved search cannot contain another one")
        self.add_terms()
        self.read_text(self.name_resolver.resolve_saved(token.value_text), is_saved=True)

    def to_query(self, given_filters: Filters) -> Query:
        """Return the query with further filters; raise QueryError if a term is missing."""
        if self.max_gaps and not self.step_terms[-1]:
            raise QueryError("then: a term must come after it")
        if not (self.step_terms[-1] or self.filter_tokens or given_filters != Filters()):
            raise QueryError("nothing to search for: add words, a picture, a clip or a filter")
        query_filters = parse_filters(
            token for token in self.filter_tokens if not token.is_negative
        )
        excluded_filters = parse_filters(
            (token for token in self.filter_tokens if token.is_negative), excluded=True
        )
        video_globs, tag_names = (
            (*query_filters.path_patterns, *given_filters.path_patterns),
            (*query_filters.tags, *given_filters.tags),
        )
        later_steps = map(Step, map(tuple, self.step_terms[1:]), self.max_gaps)
        return Query(
            tuple(self.step_terms[0]),
            tuple(later_steps),
            replace(query_filters, path_patterns=video_globs, tags=tag_names),
            excluded_filters,
        )


def _parse_words(word_tokens: Iterable[QueryToken]) -> list[Term]:
    """Return the terms of adjacent plain words; with a backslash, they are one term as typed."""
    tokens = list(word_tokens)
    joined_text = _require_utf8(" ".join(token.value_text for token in tokens))
    if any(token.value_text != token.source_text for token in tokens):
        return [Term("text", joined_text)]
    plain_text = interpret_words(joined_text)
    return [
        *([Term("text", plain_text.wanted)] if plain_text.wanted else []),
        *(Term("text", excluded_text, -1.0) for excluded_text in plain_text.excluded),
    ]


def _parse_terms(token: QueryToken, name_resolver: NameResolver) -> list[Term]:
    """Return the terms of an element."""
    min_weight, max_weight = WEIGHT_RANGE
    if not min_weight <= abs(token.signed_weight) <= max_weight:
        raise QueryError(
            f"{token.source_text}: a weight must be from {format_number(min_weight)} to "
            f"{max_weight:g}"
        )
    if token.field_name == "like":
        result_refs = name_resolver.resolve_results(token.value_text)
        return [
            Term("clip", result_ref.video_path, token.signed_weight, result_ref.span)
            for result_ref in result_refs
        ]
    if token.field_name == "clip":
        return [
            replace(
                _parse_clip_token(token, name_resolver.resolve_file), weight=token.signed_weight
            )
        ]
    if token.field_name == "image":
        return [Term("image", name_resolver.resolve_file(token.value_text), token.signed_weight)]
    term_kind = _TERM_KINDS[token.field_name]
    return [
        Term(
            term_kind,
            _require_utf8(token.value_text),
            token.signed_weight,
            is_phrase=token.is_quoted,
        )
    ]


def _parse_clip_token(token: QueryToken, resolve_file: Callable[[str], str]) -> Term:
    if not token.is_quoted:
        return parse_clip(token.value_text, resolve_file)
    return Term(
        "clip",
        resolve_file(token.value_text),
        span=parse_span(token.span_text) if token.span_text else None,
    )


def _require_utf8(query_words: str) -> str:
    """Return the words; raise QueryError for lone surrogates, which stand for invalid UTF-8."""
    try:
        query_words.encode()
    except UnicodeEncodeError as error:
        raise QueryError("the query is not valid UTF-8") from error
    return query_words


def _file_exists(file_path: str) -> bool:
    """Return True if the file exists; never raise, even for names that the system rejects."""
    return os.path.exists(os.path.expanduser(file_path))  # noqa: PTH110, PTH111
