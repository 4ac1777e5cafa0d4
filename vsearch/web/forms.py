"""One file in a multipart form, piece by piece as it comes: nothing is stored on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from vsearch.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import Request

BESIDES = 16_384  # bytes of a form that are no file


class FormFile:
    """The file of a form that has one field; anything else is a problem."""

    def __init__(self, request: Request, field: str) -> None:
        kind, options = parse_options_header(request.headers.get("content-type"))
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise Problem(415, "form", f"send multipart/form-data with one file, {field!r}")
        self._chunks = aiter(request.stream())
        self._field = field
        self._header: list[bytes] = [b"", b""]
        self._headers: dict[bytes, bytes] = {}
        self._parts = 0
        self._came: list[bytes] = []
        self._whole = False
        self.name: str | None = None
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._take_field,
                    "on_header_value": self._take_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._take,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _broken() from error

    async def begin(self) -> str:
        """Read until it is known what the file is called."""
        while self.name is None:
            await self._read()
        return self.name

    async def chunks(self) -> AsyncIterator[bytes]:
        """What is in the file."""
        while True:
            came, self._came = self._came, []
            for piece in came:
                yield piece
            if self._whole:
                return
            await self._read()

    async def _read(self) -> None:
        try:
            data = await anext(self._chunks, None)
        except ClientDisconnect as error:
            raise _broken() from error
        if data is None:
            raise _broken()
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _broken() from error

    def _begin(self) -> None:
        self._parts += 1
        self._headers = {}
        if self._parts > 1:
            raise Problem(422, "form", f"one file at a time, as {self._field!r}")

    def _take_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = [b"", b""]

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if options.get(b"name") != self._field.encode() or b"filename" not in options:
            raise Problem(422, "form", f"the form needs one file, {self._field!r}")
        self.name = options[b"filename"].decode("utf-8", "replace")

    def _take(self, data: bytes, start: int, end: int) -> None:
        self._came.append(data[start:end])

    def _end(self) -> None:
        self._whole = True


def _broken() -> Problem:
    return Problem(400, "form", "the form is broken off or damaged; send it again")
