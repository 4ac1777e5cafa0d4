"""Files of labels: what videos are to be told apart by, one label a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NONE = "none of these"  # the outcome that no label fits
MOST = 1_000  # labels: each is a few texts for the model to read
PHRASES = 20  # of one label
LONGEST = 200  # characters of a label or a phrase
SIZE = 1_000_000  # bytes of a file


@dataclass(frozen=True, slots=True)
class Label:
    """A name, and the words that say what it looks like; without any, the name says it."""

    name: str
    phrases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for words in (self.name, *self.phrases):
            if not words.strip() or not words.isprintable():
                raise ValueError(f"{words!r} is no label: it must be words that can be printed")
            if len(words) > LONGEST:
                raise ValueError(f"{words[:40]!r}… is longer than {LONGEST} characters")
        if len(self.phrases) > PHRASES:
            raise ValueError(f"{self.name!r} has {len(self.phrases)} phrases; {PHRASES} may be")
        if self.name.casefold() == NONE:
            raise ValueError(f"{NONE!r} is what is said when no label fits, and cannot be one")


def read(path: Path) -> list[Label]:
    """The labels of a UTF-8 file: `label`, or `label: phrase; other phrase`, one a line.

    Blank lines and those that begin with `#` do not count. Raises DatasetError, with the line.
    """
    found: dict[str, int] = {}  # the line of each
    labels = []
    for number, line in _lines(path):
        try:
            label = _label(line)
        except ValueError as error:
            raise DatasetError(f"{path}:{number}: {error}") from error
        if (first := found.setdefault(label.name.casefold(), number)) != number:
            raise DatasetError(f"{path}:{number}: {label.name!r} is in line {first}, too")
        labels.append(label)
    if not labels:
        raise DatasetError(f"{path}: holds no label; write one a line")
    if len(labels) > MOST:
        raise DatasetError(f"{path}: holds {len(labels)} labels, and {MOST} may be")
    return labels


def named(labels: Sequence[str | Label]) -> list[Label]:
    """The same from a list in a program. Raises DatasetError."""
    try:
        made = [each if isinstance(each, Label) else Label(each) for each in labels]
    except ValueError as error:
        raise DatasetError(str(error)) from error
    names = [label.name.casefold() for label in made]
    if not 0 < len(names) <= MOST or len(set(names)) < len(names):
        raise DatasetError(f"labels must be 1 to {MOST}, each another one")
    return made


def _label(line: str) -> Label:
    name, colon, phrases = line.partition(":")
    words = tuple(phrase.strip() for phrase in phrases.split(";") if phrase.strip())
    if colon and not words:
        raise ValueError(f"after {name.strip()!r} and the colon there are no words")
    return Label(name.strip(), words)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers, from 1, and what is in those lines that count."""
    try:
        with path.open("rb") as file:
            data = file.read(SIZE + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is no text in UTF-8 ({error})") from error
    if len(data) > SIZE:
        raise DatasetError(f"{path}: is larger than {SIZE:,} bytes, so it is no list of labels")
    for number, line in enumerate(text.split("\n"), 1):
        if (bare := line.strip()) and not bare.startswith("#"):
            yield number, bare
