r"""Grammar and tokenizer of the query language.

A query is a sequence of elements separated by blanks (EBNF):

    query    = element , { blank , element } ;
    element  = term | filter | step | saved ;
    term     = [ "-" ] , [ weight , ":" ] , ( text | [ "text:" | "said:" | "shown:" ] , text
             | "image:" , value | "clip:" , value , [ "@" , span ] | "like:#" , results ) ;
    filter   = [ "-" ] , ( ( "path:" | "name:" | "tag:" | "model:" | "camera:" | "codec:" ) , value
             | "has:" , kind | "is:" , trait | flag | "lang:" , language
             | ( "after:" | "before:" ) , date | ( "longer:" | "shorter:" ) , length
             | "at:" , range | "fps:" , rates | "time:" , clocks | "weekday:" , days
             | "near:" , ( area | area , blank , distance ) ) ;
    step     = "then:" , [ [ "<" ] , length ] ;
    saved    = "@" , name ;
    text     = word | phrase ;
    value    = word | phrase ;
    phrase   = '"' , { character } , '"' ;
    word     = character , { character } ;                 (* up to the next blank *)
    weight   = digits , [ "." , [ digits ] ] | "." , digits ;
    results  = number , [ "-" , number ] , { "," , number , [ "-" , number ] } ;
    span     = time , "-" , time ;                         (* 3-8, 0:10:00-0:20:00 *)
    range    = span | time , "-" | "-" , time ;
    length   = "10s" | "1m30s" | "2h" | "90" | "1:30" ;    (* etc. *)
    date     = "2024" | "2024-05" | "2024-05-17" | "2024-05-17T10:30" , [ "Z" ]
             | "yesterday" | "monday" | "last-week" | "7d" ;        (* etc. *)
    kind     = "speech" | "music" | "singing" | "subtitles" | "screen" | "tags" ;
    trait    = "wide" | "vertical" | "square" | "4k" | "photo" | "video" ;
    flag     = "wide:" | "vertical:" | "square:" | "4k:" ;  (* the same as is:wide etc. *)
    language = "de" | "deu" | "german" ;                    (* etc. *)
    rates    = "50" | ">=50" | "<30" | "50-120" ;           (* frames per second *)
    clocks   = "18:00-23:00" | "22-4" | "6pm-11pm" | "evening" ;          (* etc. *)
    days     = "sunday" | "sat-sun" | "weekend" ;           (* etc. *)
    area     = value , [ "," , distance ] ;                 (* 48.1,11.5 or the name of a place *)
    distance = number , ( "km" | "mi" | "m" ) ;
    name     = letters , digits , "_" and "-" ;            (* at most 64 *)

Adjacent words form one text, interpreted by `query/natural_language.py`; each phrase in quotes is a
text of its own. A leading `-` excludes. A backslash escapes `"`, `\`, `:` and blanks, and `-` or
`@` at the start of an element; before other characters it is literal. A colon is literal after a
number if a digit follows (10:30), after a single letter (a:b), before a blank, and before two
slashes (http://x).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from vsearch.errors import QueryError
from vsearch.query.areas import DISTANCE_PATTERN
from vsearch.query.filter_values import FLAG_TRAITS
from vsearch.query.formatting import FIELD_RE, WEIGHT_RE

if TYPE_CHECKING:
    from collections.abc import Iterator

TERM_NAMES = ("text", "said", "shown", "image", "clip", "like")
FILTER_NAMES = (
    "path", "name", "tag", "model", "has", "after", "before", "longer", "shorter", "at", "is",
    *FLAG_TRAITS, "camera", "codec", "fps", "lang", "time", "weekday", "near",
)  # fmt: skip
FIELD_NAMES = (*TERM_NAMES, *FILTER_NAMES, "then")
FIELD_ALIASES = {  # suggested if used as a field name
    "video": "path", "folder": "path", "file": "path", "dir": "path", "since": "after",
    "filename": "name", "title": "name",
    "from": "after", "until": "before", "to": "before", "min": "longer", "max": "shorter",
    "label": "tag", "picture": "image", "photo": "image", "speech": "said", "spoken": "said",
    "screen": "shown", "ocr": "shown", "next": "then", "similar": "like", "clock": "time",
    "hour": "time", "day": "weekday", "place": "near", "location": "near", "gps": "near",
    "where": "near", "language": "lang", "device": "camera", "make": "camera", "framerate": "fps",
    "landscape": "wide", "portrait": "vertical", "uhd": "4k", "orientation": "is", "type": "is",
}  # fmt: skip
_PHRASE_RE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_WORD_RE = re.compile(r"(?:\\[\\\s]|\S)+")
_SAVED_SEARCH_RE = re.compile(r"@([\w-]{1,64})")
_CLIP_SPAN_RE = re.compile(r"@([0-9:.]+-[0-9:.]+)")
_DISTANCE_WORD_RE = re.compile(rf"\s+({DISTANCE_PATTERN})(?!\S)", re.IGNORECASE)
_STEP_TIME_RE = re.compile(r"<.*|[0-9.][0-9.:hmsin]*", re.DOTALL | re.IGNORECASE)
_ESCAPED_RE = re.compile(r'\\(["\\:\s])')
_PHRASE_ESCAPE_RE = re.compile(r'\\(["\\])')


@dataclass(frozen=True, slots=True)
class QueryToken:
    """One element of a query."""

    source_text: str  # as typed
    field_name: str  # before the colon; "" for plain words, "@" for a saved search
    value_text: str
    is_quoted: bool = False
    weight: float | None = None
    is_negative: bool = False
    span_text: str | None = None  # of a clip with a quoted path; radius after the value of near:

    @property
    def is_plain_word(self) -> bool:
        """True for a word without field, quotes, weight or minus."""
        return not (self.field_name or self.is_quoted) and self.signed_weight == 1

    @property
    def signed_weight(self) -> float:
        """Weight, negative if the element is excluded."""
        unsigned_weight = 1.0 if self.weight is None else self.weight
        return -unsigned_weight if self.is_negative else unsigned_weight


def tokenize_query(query_text: str) -> Iterator[QueryToken]:
    """Split a query into its elements, in linear time.

    Args:
        query_text: Query as typed.

    Yields:
        The elements in order.

    Raises:
        QueryError: If an element is malformed.
    """
    position = 0
    while position < len(query_text):
        if query_text[position].isspace():
            position += 1
            continue
        token, position = _read_token(query_text, position)
        yield token


def _read_token(query_text: str, start_position: int) -> tuple[QueryToken, int]:
    """Read the element at a position; return it with its end position."""
    position = start_position + _is_minus_sign(query_text, start_position)
    is_negative = position > start_position
    token_weight: float | None = None
    if field_match := WEIGHT_RE.match(query_text, position):
        token_weight, position = float(field_match[1]), field_match.end()
        if _is_minus_sign(query_text, position):
            raise QueryError(
                f"{field_match[0]}-: the minus goes before the weight, -{field_match[0]}…"
            )
    field_name = ""
    if (field_match := FIELD_RE.match(query_text, position)) and (
        known_name := _resolve_field_name(query_text, start_position, field_match)
    ):
        field_name, position = known_name, field_match.end()
    if not field_name and (
        field_match := _SAVED_SEARCH_RE.fullmatch(
            query_text[position : _word_end(query_text, position)]
        )
    ):
        end_position = position + len(field_match[0])
        return QueryToken(
            query_text[start_position:end_position],
            "@",
            field_match[1],
            False,
            token_weight,
            is_negative,
        ), end_position
    if field_name == "then":
        return _read_step(
            query_text, start_position, position, is_plain=token_weight is None and not is_negative
        )
    if field_name in FLAG_TRAITS:
        _check_flag_end(query_text, start_position, position, field_name)
        return QueryToken(
            query_text[start_position:position], "is", field_name, False, token_weight, is_negative
        ), position
    if is_quoted := query_text.startswith('"', position):
        value_text, span_text, end_position = _read_phrase(query_text, position, field_name)
    else:
        span_text, end_position = None, _word_end(query_text, position)
        value_text = _unescape_word(query_text[position:end_position], field_name)
    typed_text = query_text[start_position:end_position]
    if not value_text.strip():
        raise QueryError(
            f"{typed_text.removesuffix(':')}: a value must follow the colon without a blank"
            if field_name
            else f"{typed_text}: contains only blanks"
        )
    if field_name == "near" and (
        distance_match := _DISTANCE_WORD_RE.match(query_text, end_position)
    ):
        span_text, end_position = distance_match[1], distance_match.end()
        typed_text = query_text[start_position:end_position]
    return QueryToken(
        typed_text, field_name, value_text, is_quoted, token_weight, is_negative, span_text
    ), end_position


def _is_minus_sign(query_text: str, position: int) -> bool:
    """Return True if the character is a minus that excludes, not a dash."""
    next_character = query_text[position + 1 : position + 2]
    return (
        query_text[position : position + 1] == "-"
        and next_character not in ("", "-")
        and not next_character.isspace()
    )


def _resolve_field_name(query_text: str, start_position: int, name_match: re.Match[str]) -> str:
    """Return the field before a colon, "" if it is a word; raise QueryError if it is unknown."""
    field_name = name_match[1].lower()
    if field_name in FIELD_NAMES:
        return field_name
    if name_match.end() == _word_end(query_text, name_match.start()) or query_text.startswith(
        "//", name_match.end()
    ):
        return ""
    close_names = (
        [FIELD_ALIASES[field_name]]
        if field_name in FIELD_ALIASES
        else get_close_matches(field_name, FIELD_NAMES, 1, 0.6)
    )
    name_hint = (
        f"did you mean {close_names[0]}:?"
        if close_names
        else f"known fields: {':, '.join(FIELD_NAMES)}:."
    )
    typed_text = query_text[start_position : _word_end(query_text, name_match.start())]
    raise QueryError(
        f"unknown query field '{field_name}'; {name_hint} To search for the words themselves, "
        f'put them in quotes: "{typed_text}"'
    )


def _check_flag_end(query_text: str, start_position: int, position: int, field_name: str) -> None:
    """Raise QueryError if a flag (`wide:`) has a value."""
    end_position = _word_end(query_text, position)
    if end_position > position:
        raise QueryError(
            f"{query_text[start_position:end_position]}: {field_name}: takes no value; leave a "
            "blank after it"
        )


def _read_step(
    query_text: str, start_position: int, position: int, *, is_plain: bool
) -> tuple[QueryToken, int]:
    """Read `then:` and the duration directly after it, if any."""
    if not is_plain:
        raise QueryError("then: can be neither weighted nor excluded")
    end_position = _word_end(query_text, position)
    time_text = query_text[position:end_position]
    if not _STEP_TIME_RE.fullmatch(time_text):
        time_text, end_position = "", position
    return QueryToken(
        query_text[start_position:end_position], "then", time_text.removeprefix("<")
    ), end_position


def _read_phrase(query_text: str, position: int, field_name: str) -> tuple[str, str | None, int]:
    """Read a phrase; return its text, the span (`@3-8`) of a clip, and the end position."""
    phrase_match = _PHRASE_RE.match(query_text, position)
    if phrase_match is None:
        raise QueryError(
            f"{query_text[position : position + 40]}: the quotes are not closed; "
            'write \\" for a literal quote'
        )
    phrase_text = _PHRASE_ESCAPE_RE.sub(r"\1", phrase_match[1])
    end_position, span_text = phrase_match.end(), None
    if not phrase_text.strip():
        raise QueryError("the phrase in quotes is empty")
    if field_name == "clip" and (span_match := _CLIP_SPAN_RE.match(query_text, end_position)):
        span_text, end_position = span_match[1], span_match.end()
    if end_position < len(query_text) and not query_text[end_position].isspace():
        raise QueryError(
            f"{query_text[position:end_position]}{query_text[end_position]}: "
            "a blank must follow the closing quote; "
            'write \\" for a literal quote'
        )
    return phrase_text, span_text, end_position


def _unescape_word(escaped_word: str, field_name: str) -> str:
    """Remove the escapes from a word."""
    if not field_name and escaped_word.startswith(("\\-", "\\@")):
        return escaped_word[1] + _ESCAPED_RE.sub(r"\1", escaped_word[2:])
    return _ESCAPED_RE.sub(r"\1", escaped_word)


def _word_end(query_text: str, position: int) -> int:
    """Return the end of the word at a position."""
    word_match = _WORD_RE.match(query_text, position)
    return word_match.end() if word_match else position
