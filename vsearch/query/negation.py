"""Negation in plain words: "a kitchen without people" is `a kitchen -people`.

A *negator* ("without", ", no", "but not", "who is not", …) starts an *object*, which ends at the
next negator, comma or clause. Idioms and quotations are left alone: "not only dogs", "a no smoking
sign", "a sign that says no parking". English only.

The patterns are strings: `re` compiles them on first use, which most queries never reach.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEGATIVE_WORD = r"\b(?:not?|without|except|never|nobody|noone|neither)\b|n['’]t\b"
_NEGATOR_START = (  # decides if the patterns of negators are tried
    r"\b(?:no|(?:can)?not|without|except|never|neither|nobody|noone|minus|exclud|w/o|other\s+than|devoid"
    r"|free\s+of|a(?:part|side)\s+from|instead|rather|lacking|leaving|(?:any|every)thing\s+but)"
    r"|['’]t\b|nt\b"
)
_MAX_WORDS = 32  # longer texts are descriptions, in which a negative word excludes little

# --- negators. The name of a group says what follows: a noun, a phrase, a predicate
_HAS = (
    r"(?:with|having|containing|showing|wear(?:s|ing)?"
    r"|(?:(?:that|which|who)\s+)?(?:has|have|had|contains?)"
    r"|(?:where\s+)?there(?:['’]s|\s+(?:is|are|was|were)))"
)
_HAS_NOT = (
    r"(?:(?:who|that|which)\s+)?(?:do|does|did)(?:\s+not|n['’]?t)\s+(?:have|contain|show|include)"
)
_COMMON_OBJECTS = (  # after a bare "no", which is Portuguese for "in the"
    r"(?:people|persons?|humans?|cars?|traffic|snow|rain|water|clouds?|trees?|animals?|dogs?|cats?"
    r"|birds?|faces?|kids|children|m[ae]n|wom[ae]n|text|subtitles|captions|logos?|watermarks?|music"
    r"|sound|audio|talking|speech|buildings?|lights?|hat|hats|glasses|helmets?|shoes|shirt|clothes"
    r"|hair|beard|hands|leash|furniture|background)\b"
)
_NEGATOR = rf"""(?<![\w'’-])(?:
    (?P<noun>(?:(?:and|but|yet|or)\s+)?(?:
        (?:{_HAS}\s+)+no(?!\s+one\b) | {_HAS_NOT}
        | without|w/o|w/out|minus|devoid\s+of|free\s+of|lacking | (?:(?:with|is|are)\s+)?neither))
    | (?P<no>(?:^|(?<=[,;:]\s)|(?<=\s[-–—]\s)|(?:and|but|yet)\s+)no(?!\s+one\b)
        | no(?=\s+{_COMMON_OBJECTS}))
    | (?P<nobody>(?:^|(?<=[,;:]\s)|(?:(?:and|but|yet)\s+)?(?:{_HAS}\s+)+|(?:and|but|yet)\s+)
        (?:no[\s-]?one|nobody)\b)
    | (?P<phrase>(?:(?:and|but|or)\s+)?(?:excluding|exclude|except(?:ing)?(?:\s+for)?|other\s+than
        |apart\s+from|aside\s+from|instead\s+of|rather\s+than|not\s+including|not\s+counting
        |leaving\s+out|with\s+the\s+exception\s+of
        |(?:i\s+)?(?:do\s+not|don['’]?t)\s+(?:want(?:\s+to\s+see|(?!\s+to\b))|show(?:\s+me)?))
        | (?:any|every)thing\s+but)
    | (?P<relative>(?:who|that|which)\s+(?:(?:is|are|was|were|do|does|did|could|would|has
        |have|had)(?:\s+not|n['’]?t)|can(?:\s*not|['’]?t)|will\s+not|won['’]?t|never)
        | (?:who|that|which)['’]s\s+not)
    | (?P<copula>(?:is|are|was|were)(?:\s+not|n['’]?t))
    | (?P<not>(?:(?:and|but|yet)\s+)?(?:just\s+)?not)
    )(?:\s+|(?<=body)$|(?<=one)$)"""
_IDIOM = r"""(?<![\w'’-])(?:
    not\s+(?:only|just|overly|merely|simply|even|yet|bad|far|quite|really|sure
        |to\s+(?:mention|scale|be)|so|very|much|many|all|every|enough|at\s+all|again|guilty|found
        |responding|too|today|now
        |for\s+sale|in\s+service|allowed|available|always|often|long|necessarily|exactly|least)\b
    | no\s+(?:(?:one|body)\s+but|more|less|fewer|longer|matter|doubts?|problems?|way|idea|wonder
        |big\s+deal|man['’]?s|country|time|good|fun|use|thanks?|comment|limits?|name|show|brainer
        |go|look|pain|gain|woman,?\s+no|justice|risk|worries|offense|joke|luck|place\s+like|such
        |return|surrender|mercy|end|no|yes|sir|please|i|you|he|she|we|they|it)\b
    | no\.?\s*\d | nothing\s+but | (?:yes|or)\s+no\b
    | (?:or|why|if|whether|me|to|be|for|by|of)\s+not\b
    | (?:with\s+(?:or|and)\s+)without\b
    | without\s+(?:doubt|warning|borders|end|limits?|(?:me|you|him|her|us|them|it)(?=$|[\s,.]*$)
        |a\s+(?:trace|doubt|cause)|further\s+ado)\b
    | (?<!who\s)(?<!that\s)(?<!which\s)(?:can|will|would|could)\s+not\b
    | (?:should|must|may|might)\s+not\b | (?:none|no)\s+other\s+than\b
    | (?<!who\s)(?<!that\s)(?<!which\s)(?:do|does|did)\s+not\b
        (?!\s+(?:have|contain|show|include|want)\b)
    | minus\s+(?:\d|one|two|three|four|five|six|seven|eight|nine|ten|sign|symbol|button|key)
    | (?:free\s+of\s+charge|rather\s+than\s+later|other\s+than\s+that|apart\s+from\s+(?:each|one))\b
    # signs and quotations
    | “[^”]*”
    | no\s+(?:[\w-]+ing|entry|exit|access|admittance|vacancy|trespass
        |(?:left\s+|right\s+|u-?)?turns?|[\w\s]{1,20}?allowed)\s+(?:\w+\s+)?
        (?:signs?|symbols?|stickers?|notices?|zones?|posters?|boards?|signals?|areas?|policy
        |placards?|logos?|icons?)\b
    | ^no\s+(?:[\w-]+ing|entry|exit|access|admittance|signal)$ | no\s+[\w\s]{1,20}?\sallowed\b
    | (?:says?|saying|said|reads|shouts?|shouting|yells?|yelling|screams?|screaming|labell?ed|titled
        |called|named|captioned|chants?|chanting|whispers?|whispering)\b[^,;]*?\s
        (?:no|not|never|don['’]?t|nobody)\b[^,;]*
    | (?:reading|texts?|words?|written|signs?|song|caption)\s+["“]?(?:no|not|never|nobody)\b[^,;]*
    )"""
_PRONOUN = r"(?:i|you|he|she|it|we|they|th(?:is|at|ese|ose)|what|who|why|there)"
_WORD_BEFORE_NOT = (  # of a statement
    r"(?:\w+ly|maybe|perhaps|still|also|better|course|or|if|why|whether|than|am|be|been|has|have"
    r"|had|should|must|cannot|\w+['’]\w+)"
)
_ROMANCE_WORD = r"\b(?:uma?|uno?|una|hay|em|na|nas|nos|com|con|está|es|y|che|il|gli|d[oa]s?)\b"

# --- objects
_DETERMINERS = (
    r"(?:(?:any|a\s+single|an?|the|one|some|with|having|have|(?:signs?|traces?|hint)\s+of)\s+)+"
)
_BACK_REFERENCE = (  # to what is searched for: a room without a person in it
    r"\s(?:in|on|at|around|inside|near|over|with)\s+(?:it|them|him|there|her(?!\s\w)|sight|view"
    r"|(?:the\s+)?(?:frame|picture|image|shot|video|scene|photo)|(?:his|her|its|their)\s+\w+)"
    r"|\s(?:around|visible|present|anywhere|at\s+all|whatsoever|inside|there|here|nearby|ones?)$"
    r"|\son(?=$|\s(?:is|are|was|were)\b)"
)
_PLACE = (  # says where the whole scene is
    r"\s(?:in(?!\s+the\s+(?:back|fore)ground)|on|at|near|under|during|by|along|inside|outside"
    r"|through|over|across|behind|beside|between|next\s+to|in\s+front\s+of)\s+"
)
_NEXT_CLAUSE = (
    r"\s(?=(?:while|when|as|who|is|are|was|were|runs?|walks|stands|sits|lies|lays|jumps|plays"
    r"|climbs|holds|rides|eats|drinks|talks|speaks|sleeps|swims|dances|looks|works|flies|drives)\s"
    r"|(?!(?:building|ceiling|clothing|lighting|painting|wedding|something|string|railing|parking"
    r"|writing|drawing|earring|meeting|bedding|flooring)s?\b)"
    r"\w{2,}ing\b)"
)
_BEING = (  # may itself be doing something: without people swimming
    r"(?:people|persons?|m[ae]n|wom[ae]n|kids?|child(?:ren)?|boys?|girls?|dogs?|cats?|birds?|cars?"
    r"|horses?|animals?|(?:any|some)(?:one|body))$"
)
_BOUNDARY = r"[,;]|[.:!?](?=\s|$)|\s(?:but|though|although|yet)\s"
_NEXT_PREDICATE = r"\sand\s(?=(?:is|are|has|have|had|was|were|can|does)\s)"
_NOT_CONTENT = (  # only exclusions: anything except dogs
    r"(?:(?:show|find|give)(?:\s+me)?\s+)?(?:(?:all|any|the|some|every|only)\s+)*"
    r"(?:(?:any|every|some)thing|all|stuff|things?|videos?|clips?|footage|scenes?|moments?|it)"
)


@dataclass(frozen=True, slots=True)
class PlainText:
    """Plain words, split into what is searched for and what is excluded."""

    wanted: str  # "" if the text only excludes, or is empty
    excluded: tuple[str, ...] = ()


def split_negation(text: str) -> PlainText:
    """Split a text at its negators.

    Args:
        text: Plain words without the phrases of a request.

    Returns:
        The parts; `PlainText(text)` if nothing in it is surely excluded.
    """
    if len(text.split()) > _MAX_WORDS or not re.search(_NEGATOR_START, text, re.IGNORECASE):
        return PlainText(text)
    negators = list(_find_negators(text))
    if not negators:
        return PlainText(text)
    wanted_text = text[: negators[0].start()]
    excluded_texts: list[str] = []
    object_ends = [*(negator.start() for negator in negators[1:]), len(text)]
    for negator, object_end in zip(negators, object_ends, strict=True):
        object_text, remainder = _split_object(
            text[negator.end() : object_end],
            str(negator.lastgroup),
            is_first=not _trim(wanted_text),
        )
        alternatives = list(_split_alternatives(object_text))
        if not alternatives:
            return PlainText(text)
        excluded_texts += alternatives
        wanted_text = f"{_trim(wanted_text)} {remainder}".replace(" ,", ",")
    wanted_text = _trim(wanted_text)
    if re.fullmatch(_NOT_CONTENT, wanted_text, re.IGNORECASE):
        wanted_text = ""
    return PlainText(wanted_text, tuple(dict.fromkeys(excluded_texts)))


def has_negative_word(text: str) -> bool:
    """Return True if a text contains "not", "no", "without" or the like."""
    return re.search(_NEGATIVE_WORD, text, re.IGNORECASE) is not None


def _find_negators(text: str) -> Iterator[re.Match[str]]:
    """Yield the negators of a text that exclude something."""
    flags = re.IGNORECASE | re.VERBOSE
    idiom_spans = [idiom_match.span() for idiom_match in re.finditer(_IDIOM, text, flags)]
    for negator in re.finditer(_NEGATOR, text, flags):
        word_before = text[: negator.start()].lower().split()[-1:]
        is_idiom = any(
            idiom_start < negator.end() and negator.start() < idiom_end
            for idiom_start, idiom_end in idiom_spans
        )
        if not is_idiom and _excludes(negator, "".join(word_before).strip(",;:"), text):
            yield negator


def _excludes(negator: re.Match[str], word_before: str, text: str) -> bool:
    """Return False for a negator that belongs to a statement: it is not funny."""
    if "neither" in negator[0].lower():
        return bool(re.search(r"\snor\s", text[negator.end() :], re.IGNORECASE))
    if negator["copula"]:
        return bool(word_before) and not re.fullmatch(_PRONOUN, word_before)
    if negator["not"]:
        return not re.fullmatch(_WORD_BEFORE_NOT, word_before)
    if negator["no"]:
        return not re.search(_ROMANCE_WORD, text, re.IGNORECASE)
    return True


def _split_object(text: str, negator_kind: str, *, is_first: bool) -> tuple[str, str]:
    """Return the object of a negator and the text after it; no object if it is unclear."""
    object_text, remainder = _cut(text, _BOUNDARY)
    if re.fullmatch(r"(?:,\s*[\w'’-]+(?:\s[\w'’-]+)?)*\s+or\s+[\w'’\s-]+", remainder):
        object_text, remainder = text, ""  # no cars, buses or bicycles
    if negator_kind == "nobody":
        place_match = re.match(_PLACE, f" {object_text}", re.IGNORECASE)
        if is_first:
            place_text = f" {object_text}"[place_match.end() :] if place_match else ""
            return ("people", place_text + remainder) if place_text else ("", "")
        object_text = re.sub(_BACK_REFERENCE, "", f" {object_text.strip()}", flags=re.IGNORECASE)
        return f"people{object_text}", remainder
    if negator_kind in ("noun", "no"):
        object_text = re.sub(_BACK_REFERENCE, "", object_text.rstrip(), flags=re.IGNORECASE)
        object_text, rest_text = _cut_noun(object_text, is_first=is_first)
        remainder = f"{rest_text} {remainder}" if rest_text else remainder
    else:
        object_text, rest_text = _cut(object_text, _NEXT_PREDICATE)
        remainder = rest_text + remainder
    return object_text.strip(), remainder


def _cut_noun(text: str, *, is_first: bool) -> tuple[str, str]:
    """Cut a noun phrase before what is said of the whole scene: people | at sunset."""
    head_text, and_text = _cut(text, r"(?<!\bblack)\sand\s")
    tail_text = re.sub(rf"^\sand\s(?:{_DETERMINERS})?", "", and_text, flags=re.IGNORECASE)
    has_article = re.match(r"\sand\s(?:an?|the)\s", and_text, re.IGNORECASE)
    noun_text = tail_text if has_article else _cut(tail_text, _PLACE)[0]
    if len(noun_text.split()) > 2 or re.match(r"(?:with|in|on|is|are|has|\w+ing)\b", tail_text):
        return head_text, and_text  # and a woman in red
    place_match = re.search(_PLACE, text, re.IGNORECASE)
    clause_match = re.search(_NEXT_CLAUSE, text, re.IGNORECASE)
    if clause_match and not (place_match and place_match.start() < clause_match.start()):
        head_text, clause_text = text[: clause_match.start()], text[clause_match.start() :]
        has_actor = re.search(_BEING, head_text, re.IGNORECASE)
        return (text, "") if has_actor else (head_text, clause_text)
    if place_match:
        rest_start = place_match.end() if is_first else place_match.start()
        return text[: place_match.start()], text[rest_start:]
    return text, ""


def _split_alternatives(object_text: str) -> Iterator[str]:
    """Yield the objects of a list without their determiners: a hat or a coat."""
    alternatives = re.split(
        r"\s*,\s*(?:(?:or|nor|and)\s+)?|\s+(?:or|nor)\s+(?:(?:no|not|without)\s+)*"
        r"|(?<!\bblack)\s+and\s+",
        object_text,
        flags=re.IGNORECASE,
    )
    for alternative in alternatives:
        bare_text = re.sub(f"^{_DETERMINERS}", "", alternative.strip(), flags=re.IGNORECASE)
        bare_text = re.sub(r"\s+(?:ones?|please)$", "", bare_text, flags=re.IGNORECASE)
        bare_text = bare_text.strip(" .!?:-–—\"'")
        if any(map(str.isalnum, bare_text)):
            yield bare_text


def _cut(text: str, pattern: str) -> tuple[str, str]:
    """Return the text before the first match, and from it on."""
    boundary_match = re.search(pattern, text, re.IGNORECASE)
    cut_position = boundary_match.start() if boundary_match else len(text)
    return text[:cut_position], text[cut_position:]


def _trim(text: str) -> str:
    """Remove commas, dashes and conjunctions from both ends."""
    edge_words = {"and", "but", "yet", "or", "with", "that", "which", "who", "where", "-", "–", "—"}
    words = text.strip(" ,;:").split()
    while words and words[-1].lower().strip(",;:") in edge_words:
        words.pop()
    while words and words[0].lower() in {"and", "but", "yet", "or", "-", "–", "—"}:
        words.pop(0)
    return " ".join(words).strip(" ,;:")
