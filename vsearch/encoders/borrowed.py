"""ONNX graphs that borrow arrays from another file, made whole in memory.

ONNX Runtime takes lent arrays from memory, OpenVINO only from a folder, where nobody would check
them. So this writes them into the graph, which is a message of protobuf: fields, each a number, a
kind and, mostly, bytes with their length in front.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GRAPH, INITIALIZER = 7, 5  # field of a ModelProto, of its GraphProto
RAW, EXTERNAL, LOCATION = 9, 13, 14  # fields of a TensorProto
VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5  # kinds of a field

Field = tuple[int, memoryview, memoryview]  # its number, the whole of it, what is in it


def whole(graph: bytes, lenders: Mapping[str, bytes]) -> bytes:
    """`graph`, an ONNX model, with what it borrows from `lenders`, by file name, written into it.

    Raises KeyError for a file that is not there and ValueError for what is no such graph.
    """
    parts: list[bytes | memoryview] = []
    for number, field, body in _fields(memoryview(graph)):
        parts += _wrapped(GRAPH, _graph(body, lenders)) if number == GRAPH else [field]
    return b"".join(parts)


def _graph(data: memoryview, lenders: Mapping[str, bytes]) -> list[bytes | memoryview]:
    parts: list[bytes | memoryview] = []
    for number, field, body in _fields(data):
        lent = _tensor(body, lenders) if number == INITIALIZER else None
        parts += [field] if lent is None else _wrapped(INITIALIZER, lent)
    return parts


def _tensor(data: memoryview, lenders: Mapping[str, bytes]) -> list[bytes | memoryview] | None:
    """A tensor with its own bytes; None if it borrows none."""
    fields = list(_fields(data))
    place = dict(_entry(body) for number, _, body in fields if number == EXTERNAL)
    if not place:
        return None
    start, length = int(place["offset"]), int(place["length"])
    raw = memoryview(lenders[place["location"]])[start : start + length]
    if len(raw) != length:
        raise ValueError(f"{place['location']} ends before what is borrowed from it")
    kept = [field for number, field, _ in fields if number not in (EXTERNAL, LOCATION)]
    return [*kept, *_wrapped(RAW, [raw])]


def _entry(data: memoryview) -> tuple[str, str]:
    """A StringStringEntryProto."""
    texts = {number: bytes(body).decode() for number, _, body in _fields(data)}
    return texts[1], texts[2]


def _wrapped(number: int, parts: list[bytes | memoryview]) -> list[bytes | memoryview]:
    """A field of bytes that holds `parts`."""
    size = sum(len(part) for part in parts)
    return [_as_varint(number << 3 | BYTES) + _as_varint(size), *parts]


def _fields(data: memoryview) -> Iterator[Field]:
    end = 0
    while end < len(data):
        start = end
        tag, at = _varint(data, start)
        kind = tag & 7
        if kind == VARINT:
            _, end = _varint(data, at)
        elif kind == BYTES:
            size, at = _varint(data, at)
            end = at + size
        elif kind in (EIGHT, FOUR):
            end = at + (8 if kind == EIGHT else 4)
        else:
            raise ValueError(f"no field of protobuf has the kind {kind}")
        if end > len(data):
            raise ValueError("a field of protobuf ends too early")
        yield tag >> 3, data[start:end], data[at:end]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A whole number of 7 bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
    raise ValueError("a number of protobuf ends too early")


def _as_varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
