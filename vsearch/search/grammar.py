r"""The language in which people ask, read into parts.

A query is parts with blanks between them; this is all there is (EBNF):

    query    = part , { blank , part } ;
    part     = term | filter | step | saved ;
    term     = [ "-" ] , [ weight , ":" ] , ( text | [ "text:" | "said:" | "shown:" ] , text
             | "image:" , value | "clip:" , value , [ "@" , span ] | "like:#" , results ) ;
    filter   = [ "-" ] , ( ( "path:" | "tag:" | "model:" ) , value | "has:" , kind
             | ( "after:" | "before:" ) , date | ( "longer:" | "shorter:" ) , length
             | "at:" , span ) ;
    step     = "then:" , [ [ "<" ] , length ] ;
    saved    = "@" , name ;
    text     = word | phrase ;
    value    = word | phrase ;
    phrase   = '"' , { character } , '"' ;
    word     = character , { character } ;                 (* up to the next blank *)
    weight   = digits , [ "." , [ digits ] ] | "." , digits ;
    results  = number , [ "-" , number ] , { "," , number , [ "-" , number ] } ;
    span     = time , "-" , time ;                         (* 3-8, 0:10:00-0:20:00 *)
    length   = "10s" | "1m30s" | "2h" | "90" | "1:30" ;    (* and the like *)
    date     = "2024" | "2024-05" | "2024-05-17" | "2024-05-17T10:30" , [ "Z" ] ;
    kind     = "speech" | "subtitles" | "screen" | "tags" ;
    name     = letters , digits , "_" and "-" ;            (* at most 64 *)

Words that follow each other are one text, and a phrase in quotes is a text of its own. `-` is not
wanted. Before `"`, `\`, `:` and a blank, and before `-` or `@` where a part begins, `\` takes the
meaning from what follows; elsewhere it is a character like others. A number and a colon before a
digit (10:30), a name that has no more than one letter (a:b), or nothing behind its colon, or two
slashes (http://x), mean themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from vsearch.errors import QueryError
from vsearch.notation import NAME, WEIGHT

if TYPE_CHECKING:
    from collections.abc import Iterator

TERMS = ("text", "said", "shown", "image", "clip", "like")
FILTERS = ("path", "tag", "model", "has", "after", "before", "longer", "shorter", "at")
NAMES = (*TERMS, *FILTERS, "then")
MEANT = {  # what else people may call them
    "video": "path", "folder": "path", "file": "path", "dir": "path", "since": "after",
    "from": "after", "until": "before", "to": "before", "min": "longer", "max": "shorter",
    "label": "tag", "picture": "image", "photo": "image", "speech": "said", "spoken": "said",
    "screen": "shown", "ocr": "shown", "time": "at", "next": "then", "similar": "like",
}  # fmt: skip

_PHRASE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_WORD = re.compile(r"(?:\\[\\\s]|\S)+")
_SAVED = re.compile(r"@([\w-]{1,64})")
_SPAN = re.compile(r"@([0-9:.]+-[0-9:.]+)")
_TIMED = re.compile(r"<.*|[0-9.][0-9.:hmsin]*", re.DOTALL | re.IGNORECASE)
_ESCAPED = re.compile(r'\\(["\\:\s])')
_IN_PHRASE = re.compile(r'\\(["\\])')


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a query."""

    text: str  # as it was typed
    name: str  # before the colon; "" for words, "@" for a saved search
    value: str
    quoted: bool = False
    weight: float | None = None
    negative: bool = False
    span: str | None = None  # behind a phrase

    @property
    def signed(self) -> float:
        """The weight, below 0 for what is not wanted."""
        weight = 1.0 if self.weight is None else self.weight
        return -weight if self.negative else weight


def parts(text: str) -> Iterator[Part]:
    """The parts of a query, in time linear in its length. Raises QueryError."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        part, at = _part(text, at)
        yield part


def _part(text: str, begin: int) -> tuple[Part, int]:
    """The part that begins there, and where it ends."""
    at = begin + _is_sign(text, begin)
    negative = at > begin
    weight: float | None = None
    if match := WEIGHT.match(text, at):
        weight, at = float(match[1]), match.end()
        if _is_sign(text, at):
            raise QueryError(f"{match[0]}-: the minus goes before the weight, -{match[0]}…")
    name = ""
    if (match := NAME.match(text, at)) and (known := _known(text, begin, match)):
        name, at = known, match.end()
    if not name and (match := _SAVED.fullmatch(text[at : _end(text, at)])):
        end = at + len(match[0])
        return Part(text[begin:end], "@", match[1], False, weight, negative), end
    if name == "then":
        return _step(text, begin, at, plain=weight is None and not negative)
    if quoted := text.startswith('"', at):
        value, span, end = _phrase(text, at, name)
    else:
        span, end = None, _end(text, at)
        value = _plain(text[at:end], name)
    typed = text[begin:end]
    if not value.strip():
        what = "follow the colon at once, without a blank" if name else "be there beside blanks"
        raise QueryError(f"{typed.removesuffix(':')}: something must {what}")
    return Part(typed, name, value, quoted, weight, negative, span), end


def _is_sign(text: str, at: int) -> bool:
    """Whether a minus there means that something is not wanted; else it is a dash."""
    after = text[at + 1 : at + 2]
    return text[at : at + 1] == "-" and after not in ("", "-") and not after.isspace()


def _known(text: str, begin: int, match: re.Match[str]) -> str:
    """The name before a colon; "" if it is a word. QueryError for one that there is not."""
    name = match[1].lower()
    if name in NAMES:
        return name
    if match.end() == _end(text, match.start()) or text.startswith("//", match.end()):
        return ""
    near = [MEANT[name]] if name in MEANT else get_close_matches(name, NAMES, 1, 0.6)
    hint = f"did you mean {near[0]}:?" if near else f"there are {':, '.join(NAMES)}:."
    typed = text[begin : _end(text, match.start())]
    raise QueryError(
        f"{name}: is nothing that can be asked for; {hint} To look for these very words, "
        f'put them in quotes: "{typed}"'
    )


def _step(text: str, begin: int, at: int, *, plain: bool) -> tuple[Part, int]:
    """`then:` with its time, if one follows at once; what else follows is the next part."""
    if not plain:
        raise QueryError("then: can be neither weighted nor left out")
    end = _end(text, at)
    value = text[at:end]
    if not _TIMED.fullmatch(value):
        value, end = "", at
    return Part(text[begin:end], "then", value.removeprefix("<")), end


def _phrase(text: str, at: int, name: str) -> tuple[str, str | None, int]:
    """What is in quotes, the `@3-8` behind it if it is a clip, and where that ends."""
    match = _PHRASE.match(text, at)
    if match is None:
        raise QueryError(
            f'{text[at : at + 40]}: the quotes are not closed; write \\" for the character itself'
        )
    value, end, span = _IN_PHRASE.sub(r"\1", match[1]), match.end(), None
    if not value.strip():
        raise QueryError("there is nothing between the quotes")
    if name == "clip" and (behind := _SPAN.match(text, end)):
        span, end = behind[1], behind.end()
    if end < len(text) and not text[end].isspace():
        raise QueryError(
            f"{text[at:end]}{text[end]}: a blank must follow the closing quote; "
            'write \\" for the character itself'
        )
    return value, span, end


def _plain(word: str, name: str) -> str:
    """A word less what takes the meaning from others."""
    if not name and word.startswith(("\\-", "\\@")):
        return word[1] + _ESCAPED.sub(r"\1", word[2:])
    return _ESCAPED.sub(r"\1", word)


def _end(text: str, at: int) -> int:
    """Where the word that begins there ends."""
    match = _WORD.match(text, at)
    return match.end() if match else at
