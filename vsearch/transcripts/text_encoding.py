"""Character encoding detection for subtitle files, which rarely declare their encoding."""

from __future__ import annotations

import codecs
import unicodedata
from itertools import islice, pairwise

SAMPLE_BYTES = 64 * 1024  # of non-ASCII lines that are examined
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, which begins with the same bytes
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_C1_CONTROLS = [chr(code) for code in range(0x80, 0xA0) if code != 0x85]  # 0x85 is a line break
_SYMBOL_CATEGORIES = ("Sm", "Sc", "Sk", "So", "Cc", "Co", "Cn")
_CHARS_PER_FAULT = 50  # fewer letters per fault indicate a wrong encoding, not a damaged byte
_MAX_GUESSES = 8
_MIN_ZERO_SHARE = 0.1  # zero bytes in UTF-16: even Chinese subtitles contain times
_ZERO_RATIO = 10  # between zeros at even and at odd offsets
_WESTERN = "cp1252"
# Windows and later standards extend these by quotation marks, dashes and rare characters.
_SUPERSETS = {
    "iso8859-1": _WESTERN,
    "iso8859-15": _WESTERN,
    "ascii": _WESTERN,
    "big5": "big5hkscs",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
}
# File names contain ISO 639 codes, and also country codes and other abbreviations.
_CYRILLIC = ("cp1251", "koi8-r", "iso8859-5")
_CENTRAL_EUROPEAN = ("cp1250", "iso8859-2")
_SIMPLIFIED_CHINESE = ("gb18030", "big5hkscs")
_TRADITIONAL_CHINESE = ("big5hkscs", "gb18030")
_LEGACY_ENCODINGS = {  # language tags: usual encodings before UTF-8, most likely first
    "ja jpn jp": ("cp932", "euc_jp"),
    "ko kor kr": ("cp949",),
    "zh zho chi cn chs": _SIMPLIFIED_CHINESE,
    "cht tw zh-tw zh-hk zh-hant zh_tw zh_hk zh_hant": _TRADITIONAL_CHINESE,
    "th tha": ("cp874",),
    "vi vie vn": ("cp1258",),
    "ru rus bg bul be bel mk mkd mac": _CYRILLIC,
    "uk ukr ua": ("cp1251", "koi8-u", "iso8859-5"),
    "sr srp": ("cp1250", "cp1251", "iso8859-2"),
    "pl pol cs ces cze cz hu hun sk slk slo sl slv": _CENTRAL_EUROPEAN,
    "hr hrv bs bos ro ron rum sq sqi alb": _CENTRAL_EUROPEAN,
    "lt lit lv lav et est": ("cp1257", "iso8859-13"),
    "el ell gre gr": ("cp1253", "iso8859-7"),
    "tr tur az aze": ("cp1254",),
    "he heb iw": ("cp1255", "iso8859-8"),
    "ar ara fa fas per ur urd": ("cp1256", "iso8859-6"),
    "de deu ger fr fra fre es spa it ita pt por br nl nld dut": (_WESTERN,),
    "sv swe da dan dk no nb nor fi fin is isl ice ca cat": (_WESTERN,),
}
_ENCODINGS_BY_LANGUAGE = {
    name: encodings for names, encodings in _LEGACY_ENCODINGS.items() for name in names.split()
}


def decode_text(content: bytes, language: str | None = None) -> str:
    """Decode text of unknown encoding.

    Tried in order: a byte order mark, UTF-16 by its zero bytes, UTF-8 (with a few damaged bytes),
    the legacy encodings of the language, detection by chardet, and CP1252 with replacement
    characters.

    Args:
        content: The bytes of a text file.
        language: A language tag as used in file names (`pl`, `zh-TW`, `jp`); ignored if the
            content cannot be in one of its encodings.

    Returns:
        The text.
    """
    for byte_order_mark, encoding in _BOMS.items():
        if content.startswith(byte_order_mark):
            return content.decode(encoding, "replace")
    if (utf16_encoding := _detect_utf16(content[:SAMPLE_BYTES])) is not None:
        return content.decode(utf16_encoding, "replace")
    utf8_text = content.decode("utf-8", "replace")
    if not _has_many_faults(utf8_text):
        return utf8_text
    return _decode_legacy(content, (language or "").lower())


def _detect_utf16(sample_bytes: bytes) -> str | None:
    """Return the codec of UTF-16 without a byte order mark; digits have one zero byte there."""
    even_zeros, odd_zeros = sample_bytes[::2].count(0), sample_bytes[1::2].count(0)
    most_zeros = max(even_zeros, odd_zeros)
    if most_zeros < max(1, _MIN_ZERO_SHARE * len(sample_bytes)):
        return None
    if min(even_zeros, odd_zeros) * _ZERO_RATIO > most_zeros:
        return None
    return "utf-16-le" if odd_zeros > even_zeros else "utf-16-be"


def _decode_legacy(content: bytes, language: str) -> str:
    guessed_encodings = _guess_encodings(content)
    base_language = language.replace("_", "-").partition("-")[0]
    language_encodings = _ENCODINGS_BY_LANGUAGE.get(language) or _ENCODINGS_BY_LANGUAGE.get(
        base_language, ()
    )

    def guess_rank(encoding: str) -> int:
        return guessed_encodings.index(encoding) if encoding in guessed_encodings else 99

    # Among equally plausible texts the best guess wins.
    strict_texts = [
        decoded_text
        for encoding in sorted(language_encodings, key=guess_rank)
        if (decoded_text := _decode_strictly(content, encoding)) is not None
    ]
    if strict_texts:
        return min(strict_texts, key=_count_oddities)
    texts = [content.decode(encoding, "replace") for encoding in guessed_encodings]
    return next((text for text in texts if not _has_many_faults(text)), texts[0])


def _decode_strictly(content: bytes, encoding: str) -> str | None:
    try:
        decoded_text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if _count_faults(decoded_text) else decoded_text


def _count_faults(text: str) -> int:
    """Count replacement characters and C1 controls, which real text does not contain."""
    return text.count("\ufffd") + sum(map(text.count, _C1_CONTROLS))


def _has_many_faults(text: str) -> bool:
    return _CHARS_PER_FAULT * _count_faults(text) > len(text) - len(text.encode("ascii", "ignore"))


def _count_oddities(text: str) -> int:
    """Count symbols, half-width letters and capitals after lowercase letters.

    A wrong encoding has many of them: KOI8-R decoded as CP1251 looks like `оПХБЕР`.
    """
    non_ascii_chars = list(
        islice((c for c in text if not c.isascii() or c.isspace()), SAMPLE_BYTES)
    )
    symbol_count = sum(
        unicodedata.category(char) in _SYMBOL_CATEGORIES or char in "¶§" or "｡" <= char <= "ﾟ"
        for char in non_ascii_chars
    )
    return symbol_count + sum(
        previous_char.islower() and next_char.isupper()
        for previous_char, next_char in pairwise(non_ascii_chars)
    )


def _guess_encodings(content: bytes) -> list[str]:
    """Return likely codecs, best first, judged by the lines that are not pure ASCII."""
    from chardet import EncodingEra, detect_all  # deferred: most files are UTF-8

    non_ascii_lines = (line for line in content.splitlines(keepends=True) if not line.isascii())
    sample_bytes = b"".join(islice(non_ascii_lines, SAMPLE_BYTES))[:SAMPLE_BYTES]
    detections = detect_all(
        sample_bytes,
        encoding_era=EncodingEra.MODERN_WEB | EncodingEra.LEGACY_ISO,
        compat_names=False,
    )
    encodings = []
    for detection in detections:
        try:
            encoding = codecs.lookup(detection["encoding"] or _WESTERN).name
        except LookupError:
            continue
        encodings.append(_SUPERSETS.get(encoding, encoding))
    return [*dict.fromkeys([*encodings[:_MAX_GUESSES], _WESTERN])]
