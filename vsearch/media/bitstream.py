"""What the packets of a codec say of themselves, read from their first bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_IDR, _SLICES = 5, range(1, 6)  # H.264: types of units
_RANDOM_ACCESS = range(16, 22)  # HEVC: pictures at which decoding may begin
_HIGHEST_SLICE = 31


class Bitstream:
    """A codec whose packets may be left out, and what is to be known of each.

    Only H.264 and HEVC tell more than the container does. Raises KeyError for a codec of which
    it was not verified.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        if codec not in _CODECS:
            raise KeyError(codec)
        self._codec = codec
        self._kind = codec if codec in ("h264", "hevc") else ""
        self.disposes = codec in _DISPOSING  # whether frames that none refers to can be left out
        self._length = _length_size(extradata or b"", 4 if self._avc else 21) if self._kind else 0

    @property
    def _avc(self) -> bool:
        return self._kind == "h264"

    def begins(self, packet: memoryview) -> bool:
        """Whether nothing from this key frame on refers to what came before, leading frames aside.

        H.264 promises that of IDR pictures only; other key frames may merely start a refresh.
        """
        if self._codec == "vp9":  # of a frame that is neither a repeated nor a dependent one
            return packet[0] & 0b110000 == 0b110000 or not packet[0] & 0b1100
        if not self._kind:
            return True
        types = {kind for kind, _ in self._units(packet)}
        return _IDR in types if self._avc else not types.isdisjoint(_RANDOM_ACCESS)

    def sets(self, packet: memoryview) -> bool:
        """Whether it brings parameters that frames after it may need."""
        if not self._kind:
            return False
        wanted = (7, 8, 13, 15) if self._avc else (32, 33, 34)
        return any(kind in wanted for kind, _ in self._units(packet))

    def layer(self, packet: memoryview) -> int:
        """The temporal layer of an HEVC picture, 0 for others.

        Pictures to which no other of their layer refers may be referred to by those above.
        """
        if self._kind != "hevc":
            return 0
        return max((layer for _, layer in self._units(packet)), default=0)

    def _units(self, packet: memoryview) -> Iterator[tuple[int, int]]:
        """Type and temporal layer of each unit up to the first slice, that included."""
        at = self._next(packet, 0)
        while at is not None and at + 1 < len(packet):
            head = packet[at]
            kind = head & 31 if self._avc else head >> 1 & 63
            yield kind, 0 if self._avc else (packet[at + 1] & 7) - 1
            if kind in _SLICES if self._avc else kind <= _HIGHEST_SLICE:
                return
            at = self._next(packet, at)

    def _next(self, packet: memoryview, at: int) -> int | None:
        """Where the next unit begins, after the one at `at`; 0 asks for the first."""
        if not self._length:
            found = bytes(packet[at : at + 4096]).find(b"\0\0\1")
            return None if found < 0 else at + found + 3
        if at:
            at += int.from_bytes(packet[at - self._length : at], "big")
        return at + self._length


def _length_size(extradata: bytes, at: int) -> int:
    """Bytes before each unit that tell its length; 0 where start codes part them."""
    return 1 + (extradata[at] & 3) if len(extradata) > at and extradata[0] == 1 else 0


# Those of which it was verified; the decoder of VP8 hides damage, which then shows elsewhere.
_DISPOSING = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"})
_CODECS = frozenset(
    "h264 hevc av1 vp9 mpeg1video mpeg2video mpeg4 mjpeg prores".split()  # noqa: SIM905
)
