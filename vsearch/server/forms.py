"""Streaming parser for a multipart form with one file; nothing is buffered on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from vsearch.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import Request

MAX_FORM_OVERHEAD_BYTES = 16_384  # of a form, in addition to the file


class FormFile:
    """The only file of a multipart form; any other form raises Problem."""

    def __init__(self, request: Request, field_name: str) -> None:
        content_type, options = parse_options_header(request.headers.get("content-type"))
        boundary = options.get(b"boundary")
        if content_type != b"multipart/form-data" or not boundary:
            raise Problem(415, "form", f"send multipart/form-data with one file, {field_name!r}")
        self._body_chunks = aiter(request.stream())
        self._field_name = field_name
        self._pending_header: list[bytes] = [b"", b""]
        self._part_headers: dict[bytes, bytes] = {}
        self._part_count = 0
        self._pending_data: list[bytes] = []
        self._is_complete = False
        self.file_name: str | None = None
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_end": self._on_form_end,
                },
            )
        except FormParserError as error:
            raise _build_form_problem() from error

    async def read_file_name(self) -> str:
        """Read the form up to the file name and return the name."""
        while self.file_name is None:
            await self._feed_parser()
        return self.file_name

    async def iter_chunks(self) -> AsyncIterator[bytes]:
        """Yield the content of the file as it arrives."""
        while True:
            pending_data, self._pending_data = self._pending_data, []
            for chunk in pending_data:
                yield chunk
            if self._is_complete:
                return
            await self._feed_parser()

    async def _feed_parser(self) -> None:
        try:
            body_chunk = await anext(self._body_chunks, None)
        except ClientDisconnect as error:
            raise _build_form_problem() from error
        if body_chunk is None:
            raise _build_form_problem()
        try:
            self._parser.write(body_chunk)
        except FormParserError as error:
            raise _build_form_problem() from error

    def _on_part_begin(self) -> None:
        self._part_count += 1
        self._part_headers = {}
        if self._part_count > 1:
            raise Problem(422, "form", f"send one file at a time, as {self._field_name!r}")

    def _on_header_field(self, buffer: bytes, start_offset: int, end_offset: int) -> None:
        self._pending_header[0] += buffer[start_offset:end_offset]

    def _on_header_value(self, buffer: bytes, start_offset: int, end_offset: int) -> None:
        self._pending_header[1] += buffer[start_offset:end_offset]

    def _on_header_end(self) -> None:
        self._part_headers[self._pending_header[0].lower()] = self._pending_header[1]
        self._pending_header = [b"", b""]

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._part_headers.get(b"content-disposition"))
        if options.get(b"name") != self._field_name.encode() or b"filename" not in options:
            raise Problem(422, "form", f"the form needs one file, {self._field_name!r}")
        self.file_name = options[b"filename"].decode("utf-8", "replace")

    def _on_part_data(self, buffer: bytes, start_offset: int, end_offset: int) -> None:
        self._pending_data.append(buffer[start_offset:end_offset])

    def _on_form_end(self) -> None:
        self._is_complete = True


def _build_form_problem() -> Problem:
    return Problem(400, "form", "the form is incomplete or invalid; send it again")
