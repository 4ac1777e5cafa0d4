"""What a video's file name says about it, where it says anything."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from vsearch.evaluation.english import FUNCTION_WORDS, words_in

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LEAST = 2  # words that carry meaning

# Cameras, telephones, screens, messengers, codecs, resolutions, releases, copies.
_NOISE = words_in(
    "img image dsc dscn dscf dsci mvi mov movie vid video vids videos clip clips pxl gopr gopro "
    "gh gx dji mah cam camera rec recording record screen screenshot screencast capture obs zoom "
    "teams whatsapp signal telegram snapchat instagram tiktok youtube facebook reel reels story "
    "wa hd fhd uhd hdr sdr uhdtv blu ray bluray bdrip brrip webrip web dl dvd dvdrip hdtv xvid "
    "divx avc hevc aac mp3 mp4 mkv avi webm flac opus vp av prores h264 h265 x264 x265 fps kbps "
    "mbps dts ac dd proper repack remux uncut extended final edit edited export exported render "
    "rendered draft copy kopie version ver new old tmp temp test tests sample samples example "
    "examples demo file files untitled output out input raw original orig trim trimmed cut "
    "compressed converted proxy low high res resolution full part pt disc vol season episode data "
    "asset assets media"
)
_PIECE = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BRACKETS = re.compile(r"[\[({][^\])}]*[\])}]")  # ids, years, releases
_RELEASE = re.compile(r"[\W_]\d{3,4}[pi](?![^\W_]).*")  # from 1080p on: how it was copied
_VOWEL = re.compile(r"[aeiouyàáâãäåæèéêëìíîïòóôõöøùúûü]", re.I)


def words(path: Path) -> list[str]:
    """The words of a name in their order; numbers, cameras, codecs and codes left out."""
    text = _RELEASE.sub("", _BRACKETS.sub(" ", path.stem))
    pieces = [piece for piece in _PIECE.findall(text) if piece.lower() not in _NOISE]
    found = [part.lower() for piece in pieces for part in _CAMEL.split(piece)]
    return [word for word in found if word in FUNCTION_WORDS or _is_word(word)]


def captions(paths: Iterable[Path]) -> dict[Path, str]:
    """Those names that say something, and not what another one says too, each as a query."""
    said = {path: words(path) for path in paths}
    texts = {
        path: " ".join(found)
        for path, found in said.items()
        if len({word for word in found if _is_word(word)}) >= LEAST
    }
    times = Counter(texts.values())
    return {path: text for path, text in texts.items() if times[text] == 1}


def _is_word(word: str) -> bool:
    """Whether it carries meaning, as far as letters tell."""
    known = word in _NOISE or word in FUNCTION_WORDS
    return len(word) > 2 and word.isalpha() and not known and bool(_VOWEL.search(word))
