"""Parse the first bytes of packets: random access points, parameter sets, temporal layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_H264_IDR_TYPE, _H264_SLICE_TYPES = 5, range(1, 6)  # NAL unit types
_HEVC_RANDOM_ACCESS_TYPES = range(16, 22)
_MAX_HEVC_SLICE_TYPE = 31


class Bitstream:
    """Packet parser of a codec whose packets can be skipped.

    Only H.264, HEVC and VP9 packets hold more than the container reports.

    Args:
        codec_name: FFmpeg's name of the codec.
        extradata: The stream's extradata, which holds the size of NAL unit lengths.

    Raises:
        KeyError: Skipping was not verified for this codec.
    """

    def __init__(self, codec_name: str, extradata: bytes | None) -> None:
        if codec_name not in _SKIPPABLE_CODECS:
            raise KeyError(codec_name)
        self._codec_name = codec_name
        self._nal_codec = codec_name if codec_name in ("h264", "hevc") else ""
        self.can_skip_non_reference = codec_name in _NON_REFERENCE_CODECS
        self._nal_length_size = (
            _read_length_size(extradata or b"", 4 if self._is_h264 else 21)
            if self._nal_codec
            else 0
        )

    @property
    def _is_h264(self) -> bool:
        return self._nal_codec == "h264"

    def is_random_access(self, packet_bytes: memoryview) -> bool:
        """Return whether decoding may start at this keyframe, leading frames aside.

        H.264 guarantees that for IDR pictures only; other keyframes may merely start a refresh.
        """
        if self._codec_name == "vp9":  # an intra frame that is not a repeat
            return packet_bytes[0] & 0b110000 == 0b110000 or not packet_bytes[0] & 0b1100
        if not self._nal_codec:
            return True
        unit_types = {unit_type for unit_type, _ in self._iter_nal_units(packet_bytes)}
        return (
            _H264_IDR_TYPE in unit_types
            if self._is_h264
            else not unit_types.isdisjoint(_HEVC_RANDOM_ACCESS_TYPES)
        )

    def has_parameter_sets(self, packet_bytes: memoryview) -> bool:
        """Return whether the packet contains parameter sets that later frames may need."""
        if not self._nal_codec:
            return False
        parameter_set_types = (7, 8, 13, 15) if self._is_h264 else (32, 33, 34)
        return any(
            unit_type in parameter_set_types for unit_type, _ in self._iter_nal_units(packet_bytes)
        )

    def read_temporal_layer(self, packet_bytes: memoryview) -> int:
        """Return the temporal layer of an HEVC picture, 0 for other codecs.

        A picture that no picture of its own layer refers to may still be referred to by higher
        layers.
        """
        if self._nal_codec != "hevc":
            return 0
        return max(
            (temporal_layer for _, temporal_layer in self._iter_nal_units(packet_bytes)), default=0
        )

    def _iter_nal_units(self, packet_bytes: memoryview) -> Iterator[tuple[int, int]]:
        """Yield type and temporal layer of each NAL unit, up to and including the first slice."""
        unit_offset = self._find_next_unit(packet_bytes, 0)
        while unit_offset is not None and unit_offset + 1 < len(packet_bytes):
            header_byte = packet_bytes[unit_offset]
            unit_type = header_byte & 31 if self._is_h264 else header_byte >> 1 & 63
            yield unit_type, 0 if self._is_h264 else (packet_bytes[unit_offset + 1] & 7) - 1
            if (
                unit_type in _H264_SLICE_TYPES
                if self._is_h264
                else unit_type <= _MAX_HEVC_SLICE_TYPE
            ):
                return
            unit_offset = self._find_next_unit(packet_bytes, unit_offset)

    def _find_next_unit(self, packet_bytes: memoryview, unit_offset: int) -> int | None:
        """Return the offset of the NAL unit after `unit_offset`, of the first one if that is 0."""
        if not self._nal_length_size:
            start_code_offset = bytes(packet_bytes[unit_offset : unit_offset + 4096]).find(
                b"\0\0\1"
            )
            return None if start_code_offset < 0 else unit_offset + start_code_offset + 3
        if unit_offset:
            unit_offset += int.from_bytes(
                packet_bytes[unit_offset - self._nal_length_size : unit_offset], "big"
            )
        return unit_offset + self._nal_length_size


def _read_length_size(extradata: bytes, field_offset: int) -> int:
    """Return the bytes of a NAL unit's length prefix; 0 if start codes separate units."""
    return (
        1 + (extradata[field_offset] & 3)
        if len(extradata) > field_offset and extradata[0] == 1
        else 0
    )


# Codecs for which skipping was verified. VP8's decoder conceals damage, which then spreads.
_NON_REFERENCE_CODECS = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"})
_SKIPPABLE_CODECS = frozenset(
    "h264 hevc av1 vp9 mpeg1video mpeg2video mpeg4 mjpeg prores".split()  # noqa: SIM905
)
