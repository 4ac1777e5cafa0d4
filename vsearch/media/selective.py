"""Decoding only what is needed for the frames that are wanted: the same pictures and times.

Packets are read up to the next key frame, so that their timestamps tell what is shown when, before
anything is decoded. Frames that nothing refers to are left out unless they are wanted, and so is
what follows the last wanted one up to the next key frame, unless that is watched. Whatever is not
as planned raises `Unsure`: the film then decodes everything.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from vsearch.media.timestamps import LEAP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vsearch.media.bitstream import Bitstream
    from vsearch.media.instants import Instants
    from vsearch.media.timestamps import Timestamps

MOST = 1500  # packets from one key frame to the next
LARGEST = 2**25  # bytes of them
APART = 30  # seconds between key frames beyond which they don't stand for what is between
_LEAST = Fraction(1, 10_000)  # seconds between two frames; less is a broken timestamp
_TRIED = 24  # frames at the beginning that are all to come out as planned


class Unsure(Exception):  # noqa: N818
    """What was planned did not come, or nothing could be planned; `remark` for the user, if any."""

    def __init__(self, remark: str = "") -> None:
        super().__init__(remark)
        self.remark = remark


@dataclass(frozen=True, slots=True)
class Slot:
    """When a frame is shown, in seconds."""

    time: Fraction
    until: Fraction | None  # None: of the last one


@dataclass(slots=True)
class _Piece:
    """Packets from a key frame up to the next one."""

    packets: list[Packet[VideoStream]]
    stamps: list[int]  # of the frames that are shown, in that order
    times: list[Fraction]  # seconds, of the same
    begins: bool  # whether decoding may begin here
    slots: dict[int, Slot] = field(default_factory=dict)  # by timestamp
    wanted: set[int] = field(default_factory=set)
    over: bool = False  # whether the last of them is the first after the end

    def led(self) -> bool:
        """Whether a frame is wanted that is shown before the key frame, and may need others."""
        key = self.packets[0].pts
        return any(stamp < key for stamp in self.wanted)  # type: ignore[operator]


class Selection:
    """The frames of one pass over a stream, chosen from its packets."""

    def __init__(
        self,
        codec: VideoCodecContext,
        bitstream: Bitstream,
        times: Timestamps,
        wants: Instants,
        *,
        base: Fraction,
        keyframes: bool,
    ) -> None:
        self._codec, self._bitstream, self._times, self._wants = codec, bitstream, times, wants
        self._base, self._keyframes = base, keyframes
        self._tried = 0 if keyframes else _TRIED
        self._first = True
        self._busy = False  # whether the decoder may hold frames
        self._last: int | None = None  # timestamp of the last planned frame
        self._reached = 0  # timestamp at which the last packet ceases to be shown
        self._layers = 0
        self._out = 0  # timestamp of the last frame that came out
        self._slots: dict[int, Slot] = {}  # of frames that may come out
        self._due: deque[int] = deque()  # those that have to

    def frames(
        self,
        packets: Iterable[Packet[VideoStream] | None],
        decode: Callable[[Packet[VideoStream] | None], list[VideoFrame]],
    ) -> Iterator[tuple[VideoFrame, Slot]]:
        """Each frame that comes out, among them all that are wanted. Raises Unsure."""
        for piece, following in self._planned(packets):
            closed = following is None or (following.begins and not following.led())
            closed = closed and not self._wants.through
            for packet in self._fed(piece, following, closed=closed or self._keyframes):
                for picture in decode(packet):
                    yield picture, self._slot(picture)
                if packet is None:
                    self._codec.flush_buffers()
                    if self._due:
                        raise Unsure
                    self._slots.clear()
        if self._due:
            raise Unsure

    def reached(self) -> Fraction:
        """Seconds, by the container's count, at which the last packet ceases to be shown."""
        return self._reached * self._base

    def _fed(
        self, piece: _Piece, following: _Piece | None, *, closed: bool
    ) -> Iterator[Packet[VideoStream] | None]:
        """The packets to be decoded, each with what is to be skipped set; None at a stop."""
        self._slots = {pts: slot for pts, slot in self._slots.items() if pts > self._out}
        self._slots |= piece.slots
        needed = self._needed(piece, following) if closed else len(piece.packets)
        sure = 1 if self._bitstream.disposes else needed  # of these packets it is known
        due = piece.wanted | {packet.pts for packet in piece.packets[: min(sure, needed)]}
        self._due.extend(stamp for stamp in piece.stamps if stamp in due)
        for packet in piece.packets[:needed]:
            self._codec.skip_frame = self._skipped(packet, piece.wanted)
            yield packet
        self._codec.skip_frame = "DEFAULT"
        self._busy = self._busy or needed > 0
        ends = following is None or needed < len(piece.packets) or self._keyframes
        if self._busy and ends:
            yield None
            self._busy = False

    def _needed(self, piece: _Piece, following: _Piece | None) -> int:
        """How many packets lead up to the last that is wanted, or sets what is not set anew."""
        sets = self._bitstream.sets
        anew = following is None or sets(memoryview(following.packets[0]))
        return 1 + max(
            (
                number
                for number, packet in enumerate(piece.packets)
                if packet.pts in piece.wanted
                or (sets(memoryview(packet)) and not (anew and number == 0))
            ),
            default=-1,
        )

    def _skipped(
        self, packet: Packet[VideoStream], wanted: set[int]
    ) -> Literal["DEFAULT", "NONREF"]:
        if packet.pts in wanted or not self._bitstream.disposes:
            return "DEFAULT"
        return "NONREF" if self._bitstream.layer(memoryview(packet)) >= self._layers else "DEFAULT"

    def _slot(self, picture: VideoFrame) -> Slot:
        """Where a picture that came out belongs; those that are due come in order."""
        stamp = picture.pts
        slot = None if stamp is None else self._slots.pop(stamp, None)
        if stamp is None or slot is None or (self._due and stamp > self._due[0]):
            raise Unsure
        self._out = stamp
        if self._due and stamp == self._due[0]:
            self._due.popleft()
        return slot

    def _planned(
        self, packets: Iterable[Packet[VideoStream] | None]
    ) -> Iterator[tuple[_Piece, _Piece | None]]:
        """Each piece with the one that follows, when it is known what is wanted of both."""
        before: _Piece | None = None
        for group in self._groups(packets):
            if self._wants.stopped.is_set():
                return
            piece = self._piece(group)
            if before:
                self._place(before, piece.times[0])
            self._plan(piece)
            if before:
                yield before, piece
            before = piece
            if piece.over:
                break
        if before:
            if not before.over:
                stamp, time = before.stamps[-1], before.times[-1]
                before.slots[stamp] = Slot(time, None)
                before.wanted.add(stamp)
            yield before, None

    def _plan(self, piece: _Piece) -> None:
        """Decide on every frame but the last one, which needs to know what follows."""
        if self._tried:
            piece.wanted.update(piece.stamps[: self._tried])
            self._tried = 0
        for number, (time, until) in enumerate(pairwise([*piece.times, piece.times[-1]])):
            stamp = piece.stamps[number]
            if self._wants.over(time):
                del piece.stamps[number + 1 :], piece.times[number + 1 :]
                piece.slots[stamp] = Slot(time, None)
                piece.wanted &= set(piece.stamps)
                piece.wanted.add(stamp)
                piece.over = True
                return
            if number + 1 < len(piece.stamps):
                piece.slots[stamp] = Slot(time, until)
                if self._wants.takes(time, until):
                    piece.wanted.add(stamp)

    def _place(self, piece: _Piece, until: Fraction) -> None:
        """Decide on the last frame of a piece."""
        piece.slots[piece.stamps[-1]] = Slot(piece.times[-1], until)
        if self._wants.takes(piece.times[-1], until):
            piece.wanted.add(piece.stamps[-1])

    def _piece(self, packets: list[Packet[VideoStream]]) -> _Piece:
        """Packets with the times of their frames. Raises Unsure where these are not plain."""
        stamps = self._stamps(packets)
        begins = self._bitstream.begins(memoryview(packets[0]))
        if self._first:
            if not begins and not self._keyframes:
                raise Unsure
            stamps = [stamp for stamp in stamps if stamp >= packets[0].pts]  # type: ignore[operator]
        if not stamps:
            raise Unsure
        behind = stamps if self._last is None else [self._last, *stamps]
        least, most = _LEAST / self._base, LEAP / self._base
        if not all(least < after - now < most for now, after in pairwise(behind)):
            raise Unsure
        self._last = stamps[-1]
        piece = _Piece(packets, stamps, [self._times.read(stamp) for stamp in stamps], begins)
        if self._first:  # a film that was sought must tell whether it is early enough
            piece.wanted.add(stamps[0])
        self._first = False
        return piece

    def _stamps(self, packets: list[Packet[VideoStream]]) -> list[int]:
        """The timestamps of what is shown, ascending."""
        stamps = []
        for packet in packets:
            if packet.pts is None or packet.is_corrupt or packet.has_sidedata("new_extradata"):
                raise Unsure
            self._layers = max(self._layers, self._bitstream.layer(memoryview(packet)))
            if not packet.is_discard:
                stamps.append(packet.pts)
        return sorted(stamps)

    def _groups(
        self, packets: Iterable[Packet[VideoStream] | None]
    ) -> Iterator[list[Packet[VideoStream]]]:
        """The packets from one key frame up to the next; of key frames, each by itself."""
        held: list[Packet[VideoStream]] = []
        size, ended = 0, False
        for packet in packets:
            if ended or (packet and packet.has_sidedata("encryption_info")):
                raise Unsure
            if packet is None or not packet.size:
                ended = True
                continue
            if packet.is_keyframe and held:
                yield held
                held, size = [], 0
            self._reached = max(self._reached, (packet.pts or 0) + (packet.duration or 0))
            if held and self._keyframes:
                self._check_gap(held[0], packet)
            else:
                held.append(packet)
                size += packet.size
            if not held[0].is_keyframe or len(held) > MOST or size > LARGEST:
                raise Unsure
        if held:
            yield held

    def _check_gap(self, key: Packet[VideoStream], packet: Packet[VideoStream]) -> None:
        began = key.pts if key.pts is not None else key.dts
        now = packet.pts if packet.pts is not None else packet.dts
        if began is not None and now is not None and (now - began) * self._base > APART:
            raise Unsure(f"its key frames are over {APART} s apart, so others were decoded, too,")
