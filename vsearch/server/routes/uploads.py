"""Routes for uploading images and clips to search with."""

from __future__ import annotations

import io
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response
from PIL import Image
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from vsearch.errors import UnreadableError
from vsearch.media.thumbnails import render_thumbnail
from vsearch.server.limits import get_client_address
from vsearch.server.problems import Problem
from vsearch.server.state import State  # noqa: TC001 - FastAPI reads annotations
from vsearch.server.thumbnail_cache import round_up_width
from vsearch.server.warming import warm_image_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vsearch.server.uploads import Upload

router = APIRouter(tags=["uploads"])
_FORM_SCHEMA = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}


class UploadResponse(BaseModel):
    """A stored upload."""

    upload_id: str
    kind: str
    name: str
    width: int
    height: int
    duration: float | None

    @classmethod
    def from_upload(cls, upload: Upload) -> UploadResponse:
        """Create the response for an upload."""
        return cls(
            upload_id=upload.id,
            kind=upload.kind,
            name=upload.display_name,
            width=upload.width,
            height=upload.height,
            duration=upload.duration,
        )


@router.post("/uploads", status_code=201, openapi_extra=_FORM_SCHEMA)
async def create_upload(request: Request, state: State) -> UploadResponse:
    """Upload an image or a clip to search with; only a small transcoded copy is stored."""
    return UploadResponse.from_upload(
        await state.upload_store.receive_file(
            _receive_form_file(request), get_client_address(request.scope)
        )
    )


@router.post("/warm-up", status_code=204, response_class=Response)
async def warm_up(state: State) -> Response:
    """Load the model for pictures, so that a search with an upload that follows is fast."""
    await state.search_limit.run(lambda: warm_image_model(state.library))
    return Response(status_code=204)


@asynccontextmanager
async def _receive_form_file(request: Request) -> AsyncIterator[UploadFile]:
    """Receive a form with one file, which is deleted when the block ends.

    The middleware limits the size of the form and the time it takes.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise Problem(415, "form", "send multipart/form-data with one file, 'file'")
    invalid_form = Problem(400, "form", "the form is incomplete or invalid; send one file, 'file'")
    try:
        form = await request.form(max_files=1, max_fields=0)
    except Problem:  # of the middleware
        raise
    except (HTTPException, ClientDisconnect, UnicodeError) as error:
        raise invalid_form from error
    try:
        form_file = form.get("file")
        if not isinstance(form_file, UploadFile):
            raise invalid_form
        yield form_file
    finally:
        await form.close()


@router.get(
    "/uploads/{upload_id}/thumbnail",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
)
async def get_upload_thumbnail(
    upload_id: str, state: State, width: Annotated[int, Query(ge=1, le=10_000)] = 320
) -> Response:
    """Return an uploaded image, or the first frame of a clip, as a JPEG."""
    upload, thumbnail_width = state.upload_store.get_upload(upload_id), round_up_width(width)
    try:
        jpeg_bytes = await state.thumbnail_cache.decode_limit.run(
            lambda: _render_jpeg(upload, thumbnail_width)
        )
    except (OSError, UnreadableError) as error:  # evicted meanwhile
        raise Problem(404, "not-found", "the upload has expired; upload it again") from error
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(jpeg_bytes, media_type="image/jpeg", headers=headers)


@router.delete("/uploads/{upload_id}", status_code=204)
def delete_upload(upload_id: str, state: State) -> None:
    """Delete an upload."""
    state.upload_store.remove_upload(upload_id)


def _render_jpeg(upload: Upload, thumbnail_width: int) -> bytes:
    if upload.kind == "clip":
        return render_thumbnail(upload.file_path, 0.0, max_width=thumbnail_width)
    with Image.open(upload.file_path, formats=["PNG"]) as image:
        image.thumbnail((thumbnail_width, 2 * thumbnail_width))
        jpeg_buffer = io.BytesIO()
        image.save(jpeg_buffer, "JPEG", quality=85)
    return jpeg_buffer.getvalue()
