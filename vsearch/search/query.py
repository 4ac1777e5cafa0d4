"""What a person typed, as a Query."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from vsearch.errors import QueryError
from vsearch.notation import number
from vsearch.search.filters import filters
from vsearch.search.grammar import FILTERS, parts
from vsearch.search.times import parse_length, parse_span
from vsearch.types import Filters, Query, Span, Step, Term

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vsearch.results import Result
    from vsearch.search.grammar import Part
    from vsearch.types import TermKind

LONGEST = 2_000  # characters of text
MOST = 16  # terms in one query
FILTERED = 64  # filters in one query
STEPS = 4  # things that are to come after others
WEIGHTS = 0.001, 1_000.0  # least and most

_WORDS: dict[str, TermKind] = {"": "text", "text": "text", "said": "said", "shown": "shown"}
_CLIP = re.compile(r"(?P<path>.+)@(?P<span>[\d:.]+-[\d:.]+)", re.DOTALL)


def _no_name(name: str) -> str:
    raise QueryError(f'@{name}: no searches are saved here; to look for the word, write "@{name}"')


def _no_result(text: str) -> list[Result]:
    raise QueryError(f"like:{text}: there was no search whose results could be meant")


def _named(path: str) -> str:
    if not path.strip() or "\0" in path:
        raise QueryError("a picture or clip needs the name of a file")
    return path


@dataclass(frozen=True, slots=True)
class Names:
    """What stands for something else in a query of one library; each raises QueryError."""

    saved: Callable[[str], str] = _no_name  # `@dogs`: the query that was saved as that
    results: Callable[[str], list[Result]] = _no_result  # `#12`, `#1-3`: of the last search
    file: Callable[[str], str] = _named  # what a picture or clip is called: the path of its file


def parse(
    text: str = "",
    *,
    images: Iterable[str] = (),
    clips: Iterable[Term] = (),
    videos: Iterable[str] = (),
    tags: Iterable[str] = (),
    names: Names | None = None,
) -> Query:
    """A query from text in the language of `grammar`, and picture files, clips, globs and tags.

    `parse(str(query)) == query`, for what fits into 2,000 characters. Raises QueryError.
    """
    if len(text) > LONGEST:
        raise QueryError(f"a query may have {LONGEST} characters, this one has {len(text)}")
    if "\0" in text:
        raise QueryError("a query is text, and this one holds a NUL character")
    draft = _Draft(names or Names())
    draft.read(text)
    draft.add(Term("image", _named(path)) for path in images)
    draft.add(clips)
    given = Filters(videos=tuple(videos), tags=tuple(tags))
    return draft.query(given)


def plain(text: str, videos: Iterable[str] = ()) -> Query:
    """Words as they are, say a caption, which may hold what would mean something in a query.

    Raises QueryError for an empty or oversized text.
    """
    words = " ".join(text.split())
    if not words:
        raise QueryError("nothing to search for: give some words")
    if len(words) > LONGEST:
        raise QueryError(f"a query may have {LONGEST} characters, this one has {len(words)}")
    return Query((Term("text", _text(words)),), filters=Filters(videos=tuple(videos)))


def query_of(
    text: str,
    image: str | os.PathLike[str] | None,
    clip: str | os.PathLike[str] | None,
    span: Span | tuple[float, float] | None,
    videos: Iterable[str],
    tags: Iterable[str] = (),
    names: Names | None = None,
) -> Query:
    """The query that `Library.search`'s plain arguments mean. Raises QueryError."""
    if span is not None and clip is None:
        raise QueryError("a span is a part of a clip: name the clip, too")
    try:
        part = Span(*span) if isinstance(span, tuple) else span
    except (TypeError, ValueError) as error:
        raise QueryError(f"{span} is no part of a clip: {error}") from error
    clips = [] if clip is None else [Term("clip", _named(str(clip)), span=part)]
    images = [] if image is None else [str(image)]
    return parse(text, images=images, clips=clips, videos=videos, tags=tags, names=names)


def parse_clip(clip: str, file: Callable[[str], str] = _named) -> Term:
    """`FILE` or `FILE@START-END`, times as seconds or h:mm:ss. Raises QueryError."""
    match = _CLIP.fullmatch(clip)
    if match:
        return Term("clip", file(match["path"]), span=parse_span(match["span"]))
    if file is _named and re.search(r"@[\d:.-]+$", clip) and not _is_there(clip):
        raise QueryError(f"{clip}: there is no such file; for a part write film.mp4@3-8")
    return Term("clip", file(clip))


def settled(query: Query) -> Query:
    """The same query, whatever the folder it is asked in, and from where."""
    return replace(
        query,
        filters=replace(query.filters, elsewhere=False),
        without=replace(query.without, elsewhere=False),
        terms=tuple(map(_placed, query.terms)),
        then=tuple(Step(tuple(map(_placed, step.terms)), step.within) for step in query.then),
    )


def _placed(term: Term) -> Term:
    if term.kind not in ("image", "clip"):
        return term
    path = os.path.abspath(os.path.expanduser(term.value))  # noqa: PTH100, PTH111 - never raises
    return replace(term, value=path)


@dataclass(slots=True)
class _Draft:
    """A query that is being read."""

    names: Names
    steps: list[list[Term]] = field(default_factory=lambda: [[]])
    within: list[float | None] = field(default_factory=list)  # of each step but the first
    narrowing: list[Part] = field(default_factory=list)  # what is a filter
    words: list[str] = field(default_factory=list)  # that are not a term yet

    def read(self, text: str, *, saved: bool = False) -> None:
        """Take in everything that a text says."""
        for part in parts(text):
            if part.name == "then":
                self.follow(part)
            elif part.name in FILTERS:
                self.narrow(part)
            elif part.name == "@":
                self.recall(part, saved=saved)
            elif part.name or part.quoted or part.signed != 1:
                self.add(_terms(part, Names() if saved else self.names))
            else:
                self.words.append(part.value)
        self.add()

    def add(self, terms: Iterable[Term] = ()) -> None:
        """Add the words so far as one term, then others."""
        if self.words:
            self.steps[-1].append(Term("text", _text(" ".join(self.words))))
            self.words.clear()
        self.steps[-1].extend(terms)
        if (count := sum(map(len, self.steps))) > MOST:
            raise QueryError(f"a query may have {MOST} parts, this one has {count}")

    def follow(self, part: Part) -> None:
        """Begin the next step."""
        self.add()
        if not self.steps[-1]:
            raise QueryError(f"{part.text} needs something before it, and after it")
        within = parse_length(part.value) if part.value else None
        if within == 0:
            raise QueryError(f"{part.text}: nothing comes after another thing within 0 seconds")
        self.steps.append([])
        self.within.append(within)
        if len(self.within) > STEPS:
            raise QueryError(f"no more than {STEPS} things can be asked to come after others")

    def narrow(self, part: Part) -> None:
        """Add a filter."""
        if part.weight is not None:
            raise QueryError(
                f"{part.text}: only what is looked for has a weight, a filter has none"
            )
        if part.name != "path":
            _text(part.value)
        self.narrowing.append(part)
        if len(self.narrowing) > FILTERED:
            raise QueryError(f"a query may have {FILTERED} filters")

    def recall(self, part: Part, *, saved: bool) -> None:
        """Put a saved search in the place of its name."""
        if part.signed != 1:
            raise QueryError(f"{part.text}: a saved search can be neither weighted nor left out")
        if saved:
            raise QueryError(f"{part.text}: a saved search may not name another one")
        self.add()
        self.read(self.names.saved(part.value), saved=True)

    def missing(self, given: Filters) -> str:
        """What is wrong with a query that looks for nothing."""
        if self.within:
            return "then: needs something after it"
        if self.narrowing or given != Filters():
            return (
                "a filter alone asks for nothing: say what to look for in those videos; "
                "`vsearch list` shows videos"
            )
        return "nothing to search for: give some words, --image FILE or --clip FILE"

    def query(self, given: Filters) -> Query:
        """What was read, of the videos that are given besides. Raises QueryError."""
        if not self.steps[-1]:
            raise QueryError(self.missing(given))
        asked = filters(part for part in self.narrowing if not part.negative)
        without = filters((part for part in self.narrowing if part.negative), left_out=True)
        videos, tags = (*asked.videos, *given.videos), (*asked.tags, *given.tags)
        then = map(Step, map(tuple, self.steps[1:]), self.within)
        return Query(
            tuple(self.steps[0]), tuple(then), replace(asked, videos=videos, tags=tags), without
        )


def _terms(part: Part, names: Names) -> list[Term]:
    """What a part of a query looks for."""
    least, most = WEIGHTS
    if not least <= abs(part.signed) <= most:
        raise QueryError(f"{part.text}: a weight is a number from {number(least)} to {most:g}")
    if part.name == "like":
        found = names.results(part.value)
        return [Term("clip", one.path, part.signed, one.span) for one in found]
    if part.name == "clip":
        return [replace(_clip(part, names.file), weight=part.signed)]
    if part.name == "image":
        return [Term("image", names.file(part.value), part.signed)]
    kind = _WORDS[part.name]
    return [Term(kind, _text(part.value), part.signed, exact=part.quoted)]


def _clip(part: Part, file: Callable[[str], str]) -> Term:
    if not part.quoted:
        return parse_clip(part.value, file)
    return Term("clip", file(part.value), span=parse_span(part.span) if part.span else None)


def _text(words: str) -> str:
    """Words, checked: bytes that are not UTF-8 arrive as lone surrogates. Raises QueryError."""
    try:
        words.encode()
    except UnicodeEncodeError as error:
        raise QueryError("these words are not text as this terminal writes it (UTF-8)") from error
    return words


def _is_there(path: str) -> bool:
    """Whether there is such a file; never raises, however odd the name."""
    return os.path.exists(os.path.expanduser(path))  # noqa: PTH110, PTH111
