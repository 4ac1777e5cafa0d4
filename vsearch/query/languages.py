"""Names and codes of the languages of transcripts, for the filter `lang:`."""

from __future__ import annotations

import re
from difflib import get_close_matches

from vsearch.errors import QueryError

# ISO 639-1, ISO 639-2 (terminology and bibliography, where they differ) and names
_LANGUAGES = """
af afr afrikaans|am amh amharic|ar ara arabic|as asm assamese|az aze azerbaijani|ba bak bashkir
be bel belarusian|bg bul bulgarian|bn ben bengali|bo bod/tib tibetan|br bre breton|bs bos bosnian
ca cat catalan|cs ces/cze czech|cy cym/wel welsh|da dan danish/dansk|de deu/ger german/deutsch
el ell/gre greek|en eng english|es spa spanish/español/espanol/castilian|et est estonian
eu eus/baq basque|fa fas/per persian/farsi|fi fin finnish/suomi|fo fao faroese
fr fra/fre french/français/francais|ga gle irish|gl glg galician|gu guj gujarati|ha hau hausa
he heb hebrew|hi hin hindi|hr hrv croatian|ht hat haitian|hu hun hungarian/magyar
hy hye/arm armenian|id ind indonesian|is isl/ice icelandic|it ita italian/italiano
ja jpn japanese/日本語|jv jav javanese|ka kat/geo georgian|kk kaz kazakh|km khm khmer|kn kan kannada
ko kor korean/한국어|la lat latin|lb ltz luxembourgish|ln lin lingala|lo lao lao|lt lit lithuanian
lv lav latvian|mg mlg malagasy|mi mri/mao maori|mk mkd/mac macedonian|ml mal malayalam
mn mon mongolian|mr mar marathi|ms msa/may malay|mt mlt maltese|my mya/bur burmese|ne nep nepali
nl nld/dut dutch/nederlands|nn nno nynorsk|no nor norwegian/norsk|oc oci occitan|pa pan punjabi
pl pol polish/polski|ps pus pashto|pt por portuguese/português/portugues|ro ron/rum romanian
ru rus russian/русский|sa san sanskrit|sd snd sindhi|si sin sinhala|sk slk/slo slovak
sl slv slovenian|sn sna shona|so som somali|sq sqi/alb albanian|sr srp serbian|su sun sundanese
sv swe swedish/svenska|sw swa swahili|ta tam tamil|te tel telugu|tg tgk tajik|th tha thai
tk tuk turkmen|tl tgl tagalog/filipino|tr tur turkish/türkçe/turkce|tt tat tatar
uk ukr ukrainian|ur urd urdu|uz uzb uzbek|vi vie vietnamese|yi yid yiddish|yo yor yoruba
zh zho/chi chinese/mandarin/中文|yue yue cantonese|haw haw hawaiian
"""
_CODE_RE = re.compile(r"([a-z]{2,3})(?:[-_][a-z0-9]{2,8})*")
_ROWS = [row.split(" ", 2) for row in _LANGUAGES.strip().replace("\n", "|").split("|")]
_CODES = {code: tuple(dict.fromkeys((code, *long.split("/")))) for code, long, _ in _ROWS}
_NAMES = {name: code for code, _, names in _ROWS for name in names.split("/")}
_BASE_CODES = {long: code for code, longs in _CODES.items() for long in longs}


def parse_language(language_text: str) -> str:
    """Return the code of a language: `de` for `german`, `Deutsch`, `ger` or `de-AT`.

    Args:
        language_text: A name, or a code of ISO 639; codes that are not known are kept.

    Returns:
        ISO 639-1 if there is such a code.

    Raises:
        QueryError: There is no language with this name.
    """
    language = language_text.strip().casefold()
    if language in _NAMES:
        return _NAMES[language]
    if code_match := _CODE_RE.fullmatch(language):
        return _BASE_CODES.get(code_match[1], code_match[1])
    close_names = get_close_matches(language[:40], _NAMES, 1, 0.6)
    suggestion = f"did you mean {close_names[0]}?" if close_names else "write a code such as de"
    raise QueryError(f"lang:{language_text[:40]}: is not a known language; {suggestion}")


def language_codes(code: str) -> tuple[str, ...]:
    """Return all codes of a language: `de`, `deu` and `ger`."""
    return _CODES.get(code, (code,))


def language_name(code: str) -> str:
    """Return the English name of a language, or the code if it is not known."""
    base_code = _BASE_CODES.get(code, code)
    return next(
        (name.capitalize() for name, known_code in _NAMES.items() if known_code == base_code), code
    )
