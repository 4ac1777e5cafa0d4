"""Removal of advice for the command line from messages that programs and the page show."""

from __future__ import annotations

import re

_ADVICE_PATTERN = r"`(?:vsearch|openssl)\b[^`]*`|\bpip install\b|(?<![^\s(])--[a-z][a-z0-9-]+"
_ADVICE_RE = re.compile(_ADVICE_PATTERN)
_ADVICE_IN_BRACKETS_RE = re.compile(rf" ?\([^()]*(?:{_ADVICE_PATTERN})[^()]*\)")
_COMMAND_RE = re.compile(r"`(?:vsearch|openssl)\b[^`]*`")
_COMMAND_MARK = "--command"  # matches `_ADVICE_RE`, and has no separators
_SENTENCE_END_RE = re.compile(r"((?:;|\.)\s+)")
_CLAUSE_END_RE = re.compile(r"[,:]\s+|\s+or\b,?\s+")
_CONDITION_RE = re.compile(r"(?:if|after|or|and)\b", re.IGNORECASE)  # has no meaning without advice
# advice that has a counterpart outside the command line
_REPLACEMENTS = (
    ("Run `vsearch transcribe` to search speech.", "Transcribe the videos to search speech."),
    ("run `vsearch transcribe` to transcribe speech", "index it with transcription"),
    ("Run `vsearch ocr` to search it.", "Read the text of the videos (OCR) to search it."),
    ("run `vsearch ocr` to extract on-screen text", "index it with OCR"),
    ("Run `vsearch sound` to find music and singing.", "Analyze the sound of the videos first."),
    ("search with --image or --clip", "search with a picture or a clip"),
    ("--otio needs", "an OTIO timeline needs"),
    ("need pip install 'vsearch[places]'", "need a package that is not installed"),
)


def remove_shell_advice(message: str) -> str:
    """Return a message without the parts that name commands or options.

    Args:
        message: A message or hint, written for the command line: "PROBLEM; REMEDY" or sentences.

    Returns:
        The same message if it names none. Of a sentence or remedy that names one, only what is
        before it is kept; "see the log of the server" if nothing is left.
    """
    for advice, counterpart in _REPLACEMENTS:
        message = message.replace(advice, counterpart)
    if not _ADVICE_RE.search(message):
        return message
    marked_message = _COMMAND_RE.sub(_COMMAND_MARK, _ADVICE_IN_BRACKETS_RE.sub("", message))
    sentences = _SENTENCE_END_RE.split(marked_message)  # sentence, separator, sentence, …
    kept_text = ""
    for separator, sentence in zip(["", *sentences[1::2]], sentences[::2], strict=True):
        if kept_sentence := _cut_advice(sentence):
            kept_text += separator + kept_sentence if kept_text else kept_sentence
    if not kept_text:
        return "see the log of the server"
    return f"{kept_text}." if message.endswith(".") and not kept_text.endswith(".") else kept_text


def _cut_advice(sentence: str) -> str:
    """Return the clauses of a sentence that are before the first advice."""
    advice = _ADVICE_RE.search(sentence)
    if advice is None:
        return sentence
    separators = list(_CLAUSE_END_RE.finditer(sentence, 0, advice.start()))
    clause_starts = [0, *(separator.end() for separator in separators)]
    for clause_start, separator in reversed(list(zip(clause_starts, separators, strict=False))):
        if not _CONDITION_RE.match(sentence, clause_start):
            return sentence[: separator.start()]
    return ""
