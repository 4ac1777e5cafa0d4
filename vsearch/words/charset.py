"""Bytes to text, whatever wrote them: subtitle files seldom say which encoding they are in."""

from __future__ import annotations

import codecs
from itertools import islice

LOOKED_AT = 64 * 1024  # bytes without ASCII lines: enough for any guess

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_WEST = "cp1252"
# what Windows and later standards added to them: quotation marks, dashes, rare signs
_WIDER = {
    "iso8859-1": _WEST,
    "iso8859-15": _WEST,
    "ascii": _WEST,
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
}


def decoded(content: bytes) -> str:
    """Text by its mark, else UTF-8, else by how often letters follow each other in languages.

    What fits no encoding is read as what Windows wrote in the West.
    """
    for mark, encoding in _BOMS.items():
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode(_guessed(content), "replace")


def _guessed(content: bytes) -> str:
    """The name of a codec. Times and numbers tell nothing: only lines with other letters count."""
    from chardet import EncodingEra, detect  # deferred: most files are UTF-8

    telling = (line for line in content.splitlines(keepends=True) if not line.isascii())
    text = b"".join(islice(telling, LOOKED_AT))[:LOOKED_AT]
    found = detect(
        text,
        encoding_era=EncodingEra.MODERN_WEB | EncodingEra.LEGACY_ISO,
        compat_names=False,
    )["encoding"]
    try:
        name = codecs.lookup(found or _WEST).name
    except LookupError:
        return _WEST
    return _WIDER.get(name, name)
