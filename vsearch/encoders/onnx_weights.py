"""Assemble ONNX weights in memory: inline external data, and rebuild int8 matrices.

ONNX Runtime accepts external data from memory, but OpenVINO only from a folder, where it would not
be verified. So the data is written into the graph, a protobuf message: fields that consist of a
number, a wire type and, mostly, a length and bytes.

The int8 matrices of a tower are those of `image.onnx` with scaled rows, so that their inputs can be
rounded (see `tools/build_encoder/quantize.py`). Shipping them would double the package; shipping
the scale factors takes 1 MB.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

GRAPH_FIELD, INITIALIZER_FIELD = 7, 5  # of ModelProto and GraphProto
RAW_DATA_FIELD, EXTERNAL_DATA_FIELD, DATA_LOCATION_FIELD = 9, 13, 14  # of TensorProto
VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5  # wire types
ProtobufField = tuple[int, memoryview, memoryview]  # number, whole field, content
GENERATED_FILE = "grown"  # external data file name of the rebuilt matrices in the int8 graphs


def inline_external_data(model_bytes: bytes, external_files: Mapping[str, bytes]) -> bytes:
    """Write the external data of an ONNX model into it.

    Args:
        model_bytes: Serialized ModelProto.
        external_files: Content of the files it refers to, by name.

    Returns:
        The serialized model without external data.

    Raises:
        KeyError: A file is not in `external_files`.
        ValueError: `model_bytes` is malformed, or a file is too short.
    """
    message_parts: list[bytes | memoryview] = []
    for field_number, field_bytes, field_body in _iter_fields(memoryview(model_bytes)):
        message_parts += (
            _encode_field(GRAPH_FIELD, _inline_graph(field_body, external_files))
            if field_number == GRAPH_FIELD
            else [field_bytes]
        )
    return b"".join(message_parts)


def _inline_graph(
    message_bytes: memoryview, external_files: Mapping[str, bytes]
) -> list[bytes | memoryview]:
    message_parts: list[bytes | memoryview] = []
    for field_number, field_bytes, field_body in _iter_fields(message_bytes):
        inlined_tensor = (
            _inline_tensor(field_body, external_files)
            if field_number == INITIALIZER_FIELD
            else None
        )
        message_parts += (
            [field_bytes]
            if inlined_tensor is None
            else _encode_field(INITIALIZER_FIELD, inlined_tensor)
        )
    return message_parts


def _inline_tensor(
    message_bytes: memoryview, external_files: Mapping[str, bytes]
) -> list[bytes | memoryview] | None:
    """Return a tensor with its data inlined; None if it has no external data."""
    tensor_fields = list(_iter_fields(message_bytes))
    external_location = dict(
        _read_entry(field_body)
        for field_number, _, field_body in tensor_fields
        if field_number == EXTERNAL_DATA_FIELD
    )
    if not external_location:
        return None
    data_offset, data_length = int(external_location["offset"]), int(external_location["length"])
    raw_data = memoryview(external_files[external_location["location"]])[
        data_offset : data_offset + data_length
    ]
    if len(raw_data) != data_length:
        raise ValueError(
            f"{external_location['location']} ends before the data that the model refers to"
        )
    kept_fields = [
        field_bytes
        for field_number, field_bytes, _ in tensor_fields
        if field_number not in (EXTERNAL_DATA_FIELD, DATA_LOCATION_FIELD)
    ]
    return [*kept_fields, *_encode_field(RAW_DATA_FIELD, [raw_data])]


def _read_entry(message_bytes: memoryview) -> tuple[str, str]:
    """Parse a StringStringEntryProto."""
    entry_texts = {
        field_number: bytes(field_body).decode()
        for field_number, _, field_body in _iter_fields(message_bytes)
    }
    return entry_texts[1], entry_texts[2]


def _encode_field(
    field_number: int, message_parts: list[bytes | memoryview]
) -> list[bytes | memoryview]:
    """Encode a length-delimited field."""
    body_size = sum(len(message_part) for message_part in message_parts)
    return [
        _encode_varint(field_number << 3 | LENGTH_DELIMITED) + _encode_varint(body_size),
        *message_parts,
    ]


def _iter_fields(message_bytes: memoryview) -> Iterator[ProtobufField]:
    field_end = 0
    while field_end < len(message_bytes):
        field_start = field_end
        field_tag, position = _read_varint(message_bytes, field_start)
        wire_type = field_tag & 7
        if wire_type == VARINT:
            _, field_end = _read_varint(message_bytes, position)
        elif wire_type == LENGTH_DELIMITED:
            body_size, position = _read_varint(message_bytes, position)
            field_end = position + body_size
        elif wire_type in (FIXED64, FIXED32):
            field_end = position + (8 if wire_type == FIXED64 else 4)
        else:
            raise ValueError(f"malformed protobuf: wire type {wire_type}")
        if field_end > len(message_bytes):
            raise ValueError("malformed protobuf: truncated field")
        yield (
            field_tag >> 3,
            message_bytes[field_start:field_end],
            message_bytes[position:field_end],
        )


def _read_varint(message_bytes: memoryview, position: int) -> tuple[int, int]:
    """Decode a base-128 varint; return it and its end."""
    decoded_value = bit_shift = 0
    while position < len(message_bytes):
        current_byte = message_bytes[position]
        decoded_value, bit_shift, position = (
            decoded_value | (current_byte & 127) << bit_shift,
            bit_shift + 7,
            position + 1,
        )
        if current_byte < 128:
            return decoded_value, position
    raise ValueError("malformed protobuf: truncated varint")


def _encode_varint(remaining_value: int) -> bytes:
    encoded_bytes = bytearray()
    while remaining_value > 127:
        encoded_bytes.append(remaining_value & 127 | 128)
        remaining_value >>= 7
    return bytes([*encoded_bytes, remaining_value])


# int8 matrices


@dataclass(frozen=True, slots=True)
class WeightScaling:
    """Factors that turn an int8 matrix (K, N) of `image.onnx` into that of an int8 tower."""

    data_offset: int  # of the matrix in image.onnx, in bytes
    row_factors: npt.NDArray[np.float32]  # (K,), not 0
    column_factors: npt.NDArray[np.float32]  # (N,); scale the largest value of a column to 127

    def __call__(self, image_model_bytes: bytes) -> npt.NDArray[np.int8]:
        """Return the scaled matrix, int8 (K, N)."""
        row_count, column_count = len(self.row_factors), len(self.column_factors)
        old_matrix = np.frombuffer(
            image_model_bytes, np.int8, row_count * column_count, self.data_offset
        ).reshape(row_count, column_count)
        scaled_matrix = old_matrix * self.row_factors[:, None]
        scaled_matrix *= self.column_factors
        rounded_matrix: npt.NDArray[np.int8] = np.rint(scaled_matrix, out=scaled_matrix).astype(
            np.int8
        )
        return rounded_matrix

    @staticmethod
    def to_arrays(
        weight_scalings: Sequence[WeightScaling], graph_bytes: bytes
    ) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of the .npz file of an int8 tower.

        Args:
            weight_scalings: Factors of each matrix, in order.
            graph_bytes: Serialized graph.
        """
        return {
            "graph": np.frombuffer(graph_bytes, np.uint8),
            "places": np.array(
                [
                    (scaling.data_offset, len(scaling.row_factors), len(scaling.column_factors))
                    for scaling in weight_scalings
                ],
                np.int64,
            ),
            "rows": np.concatenate([scaling.row_factors for scaling in weight_scalings]),
            "columns": np.concatenate([scaling.column_factors for scaling in weight_scalings]),
        }

    @classmethod
    def iter_from_arrays(cls, npz_arrays: Mapping[str, npt.NDArray[Any]]) -> Iterator[Self]:
        """Yield the factors of each matrix, in order."""
        row_start = column_start = 0
        for data_offset, row_count, column_count in npz_arrays["places"].tolist():
            row_factors = npz_arrays["rows"][row_start : row_start + row_count]
            yield cls(
                data_offset,
                row_factors,
                npz_arrays["columns"][column_start : column_start + column_count],
            )
            row_start, column_start = row_start + row_count, column_start + column_count


def read_scaled_graph(file_bytes: bytes, image_model_bytes: bytes) -> tuple[bytes, bytes]:
    """Read an int8 tower.

    Args:
        file_bytes: Content of its .npz file.
        image_model_bytes: Content of `image.onnx`.

    Returns:
        The serialized graph and its external data, `GENERATED_FILE`.
    """
    with np.load(io.BytesIO(file_bytes), allow_pickle=False) as npz_file:
        npz_arrays = dict(npz_file)
    matrix_sizes = npz_arrays["places"][:, 1] * npz_arrays["places"][:, 2]
    matrix_buffer, buffer_end = np.empty(int(matrix_sizes.sum()), np.int8), 0
    for weight_scaling in WeightScaling.iter_from_arrays(npz_arrays):
        scaled_matrix = weight_scaling(image_model_bytes).ravel()
        matrix_buffer[buffer_end : buffer_end + len(scaled_matrix)] = scaled_matrix
        buffer_end += len(scaled_matrix)
    return npz_arrays["graph"].tobytes(), matrix_buffer.tobytes()
