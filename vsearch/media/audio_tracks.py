"""Audio tracks of a file, and the order in which they are searched for speech."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

AUTO_TRACK = "auto"  # the first track in which somebody speaks
MAX_AUDIO_TRACKS = 16  # per file
_LANGUAGE_RE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
SECONDARY_TITLE_RE = re.compile(
    r"comment|kommentar|descri[bp]|beschreibung|karaoke|music and effects", re.IGNORECASE
)
# ISO 639-1, and the codes of ISO 639-2 and 639-3 for the same language
_CODE_GROUPS = (
    "ar ara|bg bul|bn ben|bs bos|ca cat|cs ces cze|da dan|de deu ger|el ell gre|en eng|es spa|"
    "et est|"
    "eu eus baq|fa fas per|fi fin|fr fra fre|ga gle|gl glg|gu guj|he heb iw|hi hin|hr hrv|hu hun|"
    "hy hye arm|id ind|is isl ice|it ita|ja jpn|ka kat geo|kk kaz|km khm|kn kan|ko kor|lo lao|"
    "lt lit|"
    "lv lav|mk mkd mac|ml mal|mn mon|mr mar|ms msa may|my mya bur|ne nep|nl nld dut|"
    "no nor nob nb nno nn|pa pan|pl pol|pt por|ro ron rum|ru rus|si sin|sk slk slo|sl slv|"
    "sq sqi alb|sr srp|sv swe|sw swa|ta tam|te tel|th tha|tl tgl fil|tr tur|uk ukr|ur urd|uz uzb|"
    "vi vie|zh zho chi cmn"
)
_SHORT_CODES = {
    code: codes.split()[0] for codes in _CODE_GROUPS.split("|") for code in codes.split()
}


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """An audio track that can be decoded."""

    number: int  # from 1, counting the audio tracks of the file
    language: str | None  # as the file states it, ISO 639-1 where one exists
    is_default: bool
    is_secondary: bool  # a commentary, a description for blind people, or music

    @property
    def label(self) -> str:
        """The number and the language, e.g. "audio track 2 (en)"."""
        language_text = f" ({self.language})" if self.language else ""
        return f"audio track {self.number}{language_text}"


def select_tracks(
    video_path: Path, tracks: Sequence[AudioTrack], selection: str
) -> list[AudioTrack]:
    """Return the tracks that a selection allows, the most likely one first.

    Args:
        video_path: The file, for the error message.
        tracks: Its tracks.
        selection: "auto", a number from 1, or a language code.

    Returns:
        The default track first; commentaries and descriptions last.

    Raises:
        UnreadableError: The file has no such track.
    """
    if selection == AUTO_TRACK:
        selected_tracks = list(tracks)
    elif selection.isdecimal():
        selected_tracks = [track for track in tracks if track.number == int(selection)]
    else:
        language = shorten_language(selection)
        selected_tracks = [track for track in tracks if track.language == language]
    if not selected_tracks and selection != AUTO_TRACK:
        known_tracks = ", ".join(track.label.removeprefix("audio track ") for track in tracks)
        raise UnreadableError(
            f"{video_path}: has no audio track {selection}; "
            f"{f'its tracks are {known_tracks}' if tracks else 'it has no audio'}"
        )
    return sorted(
        selected_tracks, key=lambda track: (track.is_secondary, not track.is_default, track.number)
    )


def parse_stated_language(stated_language: str | None) -> str | None:
    """Return the language in a file's metadata, ISO 639-1 where one exists; None if unknown."""
    language_tag = (stated_language or "").strip()
    is_known = _LANGUAGE_RE.fullmatch(language_tag) and language_tag.lower() != "und"
    return shorten_language(language_tag) if is_known else None


def shorten_language(language_tag: str) -> str:
    """Return the ISO 639-1 code of a language tag (`eng`, `pt-BR`) where there is one."""
    base_code = re.split(r"[-_]", language_tag.lower())[0]
    return _SHORT_CODES.get(base_code, base_code)
