"""What was typed behind a command as a query."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from vsearch.errors import NoLibraryError
from vsearch.notation import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.cli.options import Options
    from vsearch.client.remote import Remote
    from vsearch.library import Library
    from vsearch.types import Query

NAMES = ("text", "said", "shown", "image", "clip", "path", "tag", "model")  # before a phrase
MARK = "\0"  # of a word that is no option; no argument of a process can hold it

_LEAD = re.compile(rf"(?:-(?=\S))?(?:[0-9.]+:(?=\S))?(?:(?:{'|'.join(NAMES)}):)?", re.IGNORECASE)
_PART = re.compile(r"(.+)@([0-9:.]+-[0-9:.]+)", re.DOTALL)


class QueryCommand(click.Command):
    """A command with a query: what begins with one dash is a word that is not wanted.

    `-k 5` and `-k5` are options still, and what has two dashes is; `-kitchen` is not.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        valued = {
            name
            for param in self.params
            if isinstance(param, click.Option) and not param.is_flag and not param.count
            for name in param.opts
        }
        return super().parse_args(ctx, list(_marked(args, valued)))


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as a command line puts it: text, and options besides."""

    text: str
    images: Sequence[str] = ()
    clips: Sequence[str] = ()
    videos: Sequence[str] = ()
    tags: Sequence[str] = ()

    def opened(self, options: Options) -> Library:
        """The library; where there is none, what is wrong with the query is told first."""
        try:
            return options.open()
        except NoLibraryError:
            from vsearch.search.query import parse, parse_clip  # deferred: --help needs no numpy

            parse(self.text, images=self.images, clips=map(parse_clip, self.clips))
            raise

    def written(self) -> str:
        """All of it as one text. Raises QueryError."""
        from vsearch.search.query import parse_clip  # deferred: --help needs no numpy
        from vsearch.types import Filters, Term

        terms = [*(Term("image", path) for path in self.images), *map(parse_clip, self.clips)]
        filters = Filters(videos=tuple(self.videos), tags=tuple(self.tags)).written()
        return " ".join(filter(str.strip, [self.text, *map(str, terms), *filters]))

    def query(self, library: Library | Remote) -> Query:
        """What it asks of a library. Raises QueryError."""
        return library.query(
            self.text, images=self.images, clips=self.clips, videos=self.videos, tags=self.tags
        )


def _marked(args: Sequence[str], valued: set[str]) -> Iterator[str]:
    """The arguments, the words among them that look like short options marked."""
    left = iter(args)
    for arg in left:
        if arg == "--":
            yield arg
            yield from left
        elif arg in valued:
            yield arg
            yield from _one(left)
        elif re.match(r"-[^-].", arg) and not (arg[:2] in valued and re.match(r"=?\d", arg[2:])):
            yield MARK + arg
        else:
            yield arg


def _one(left: Iterator[str]) -> Iterator[str]:
    value = next(left, None)
    if value is not None:
        yield value


def text_of(words: Sequence[str]) -> str:
    """The query that words on a command line are.

    One alone is a query as it stands. Of several, those with blanks had been in quotes, which the
    shell took away.
    """
    typed = [word.removeprefix(MARK) for word in words]
    return typed[0] if len(typed) == 1 else " ".join(map(_phrased, typed))


def _phrased(word: str) -> str:
    """A word as it was typed, with the quotes that it had."""
    if not re.search(r"\s", word.strip()) or '"' in word or word.lower().startswith("then:"):
        return word
    lead = _LEAD.match(word)
    name = lead[0] if lead else ""
    rest = word[len(name) :]
    if name.lower().endswith("clip:") and (part := _PART.fullmatch(rest)):
        return f"{name}{quoted(part[1])}@{part[2]}"
    return f"{name}{quoted(rest)}"
