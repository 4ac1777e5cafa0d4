"""Bytes to text, whatever wrote them: subtitle files seldom say which encoding they are in."""

from __future__ import annotations

import codecs
import unicodedata
from itertools import islice, pairwise

LOOKED_AT = 64 * 1024  # bytes without ASCII lines: enough for any guess

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_CONTROLS = [chr(code) for code in range(0x80, 0xA0) if code != 0x85]  # 0x85 is a line's end
_SYMBOLS = ("Sm", "Sc", "Sk", "So", "Cc", "Co", "Cn")
_FAULTS = 50  # letters for each fault: a damaged byte in a long file is no wrong encoding
_TRIED = 8  # guesses
_WEST = "cp1252"
# what Windows and later standards added to them: quotation marks, dashes, rare signs
_WIDER = {
    "iso8859-1": _WEST,
    "iso8859-15": _WEST,
    "ascii": _WEST,
    "big5": "big5hkscs",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
}

# what people write into names, besides ISO 639: the same language, or a country that speaks it
_CYRILLIC = ("cp1251", "koi8-r", "iso8859-5")
_CENTRAL = ("cp1250", "iso8859-2")
_CHINESE = ("gb18030", "big5hkscs")
_TAIWAN = ("big5hkscs", "gb18030")
_WRITTEN = {  # languages: what they were written in before UTF-8, most likely first
    "ja jpn jp": ("cp932", "euc_jp"),
    "ko kor kr": ("cp949",),
    "zh zho chi cn chs": _CHINESE,
    "cht tw zh-tw zh-hk zh-hant zh_tw zh_hk zh_hant": _TAIWAN,
    "th tha": ("cp874",),
    "vi vie vn": ("cp1258",),
    "ru rus bg bul be bel mk mkd mac": _CYRILLIC,
    "uk ukr ua": ("cp1251", "koi8-u", "iso8859-5"),
    "sr srp": ("cp1250", "cp1251", "iso8859-2"),
    "pl pol cs ces cze cz hu hun sk slk slo sl slv hr hrv bs bos ro ron rum sq sqi alb": _CENTRAL,
    "lt lit lv lav et est": ("cp1257", "iso8859-13"),
    "el ell gre gr": ("cp1253", "iso8859-7"),
    "tr tur az aze": ("cp1254",),
    "he heb iw": ("cp1255", "iso8859-8"),
    "ar ara fa fas per ur urd": ("cp1256", "iso8859-6"),
    "de deu ger fr fra fre es spa it ita pt por br nl nld dut": (_WEST,),
    "sv swe da dan dk no nb nor fi fin is isl ice ca cat": (_WEST,),
}
_OF = {name: encodings for names, encodings in _WRITTEN.items() for name in names.split()}


def decoded(content: bytes, language: str | None = None) -> str:
    """Text by its mark, else UTF-8, else as its language was written, else by its letters.

    `language` is a tag as files have it in their names (`pl`, `zh-TW`, `jp`); one that cannot have
    been written so is passed over. What fits no encoding is read as what Windows wrote in the West.
    """
    for mark, encoding in _BOMS.items():
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _legacy(content, (language or "").lower())


def _legacy(content: bytes, language: str) -> str:
    guesses = _guessed(content)
    known = _OF.get(language) or _OF.get(language.replace("_", "-").partition("-")[0], ())
    # of a language's own encodings the guessed one comes first; letters in their places decide
    likely = sorted(known, key=lambda name: guesses.index(name) if name in guesses else 99)
    texts = [text for name in likely if (text := _strictly(content, name)) is not None]
    if texts:
        return min(texts, key=_odd)
    texts = [content.decode(name, "replace") for name in guesses]
    return next((text for text in texts if not _is_faulty(text)), texts[0])


def _strictly(content: bytes, name: str) -> str | None:
    try:
        text = content.decode(name)
    except UnicodeDecodeError:
        return None
    return None if _faults(text) else text


def _faults(text: str) -> int:
    """Characters that nobody writes: those of a wrong encoding, and C1 controls."""
    return text.count("\ufffd") + sum(map(text.count, _CONTROLS))


def _is_faulty(text: str) -> bool:
    return _FAULTS * _faults(text) > len(text) - len(text.encode("ascii", "ignore"))


def _odd(text: str) -> int:
    """Symbols, half-width letters and capitals after small ones: they are many where it is wrong.

    So KOI8-R looks like `оПХБЕР` in CP1251.
    """
    telling = list(islice((c for c in text if not c.isascii() or c.isspace()), LOOKED_AT))
    symbols = sum(
        unicodedata.category(char) in _SYMBOLS or char in "¶§" or "｡" <= char <= "ﾟ"
        for char in telling
    )
    return symbols + sum(a.islower() and b.isupper() for a, b in pairwise(telling))


def _guessed(content: bytes) -> list[str]:
    """Names of codecs, the most likely first.

    Times and numbers tell nothing: only lines with other letters count.
    """
    from chardet import EncodingEra, detect_all  # deferred: most files are UTF-8

    telling = (line for line in content.splitlines(keepends=True) if not line.isascii())
    text = b"".join(islice(telling, LOOKED_AT))[:LOOKED_AT]
    found = detect_all(
        text,
        encoding_era=EncodingEra.MODERN_WEB | EncodingEra.LEGACY_ISO,
        compat_names=False,
    )
    names = []
    for each in found:
        try:
            name = codecs.lookup(each["encoding"] or _WEST).name
        except LookupError:
            continue
        names.append(_WIDER.get(name, name))
    return [*dict.fromkeys([*names[:_TRIED], _WEST])]
