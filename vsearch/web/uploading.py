"""Uploads over HTTP."""

from __future__ import annotations

import io
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from PIL import Image
from pydantic import BaseModel

from vsearch.errors import UnreadableError
from vsearch.media.stills import still
from vsearch.web.desk import OnDesk  # noqa: TC001 - FastAPI reads annotations
from vsearch.web.forms import BESIDES, FormFile
from vsearch.web.problems import Problem
from vsearch.web.stills import snapped
from vsearch.web.uploads import Upload, too_large

router = APIRouter(tags=["uploads"])

_FORM = {
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


class UploadTold(BaseModel):
    """An upload as it is told."""

    id: str
    kind: str
    name: str
    width: int
    height: int
    duration: float | None

    @classmethod
    def of(cls, upload: Upload) -> UploadTold:
        return cls(
            id=upload.id, kind=upload.kind, name=upload.name,
            width=upload.width, height=upload.height, duration=upload.duration,
        )  # fmt: skip


@router.post("/uploads", status_code=201, openapi_extra=_FORM)
async def upload(request: Request, desk: OnDesk) -> UploadTold:
    """Add a picture or a clip to search with; what is kept of it is a small copy."""
    most = desk.uploads.most_bytes
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > most + BESIDES:
        raise too_large(most)
    form = FormFile(request, "file")
    name = await form.begin()
    return UploadTold.of(await desk.uploads.receive(form.chunks(), name))


@router.get(
    "/uploads/{key}/still",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
)
async def upload_still(
    key: str, desk: OnDesk, w: Annotated[int, Query(ge=1, le=10_000)] = 320
) -> Response:
    """An uploaded picture, or the first picture of a clip, as JPEG."""
    found, width = desk.uploads.get(key), snapped(w)
    try:
        content = await desk.stills.turns.take(lambda: _jpeg(found, width))
    except (OSError, UnreadableError) as error:  # it was just forgotten
        raise Problem(404, "not-found", "there is no such upload any more") from error
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type="image/jpeg", headers=headers)


@router.delete("/uploads/{key}", status_code=204)
def forget_upload(key: str, desk: OnDesk) -> None:
    """Forget an upload."""
    desk.uploads.remove(key)


def _jpeg(found: Upload, width: int) -> bytes:
    if found.kind == "clip":
        return still(found.path, 0.0, width=width)
    with Image.open(found.path, formats=["PNG"]) as picture:
        picture.thumbnail((width, 2 * width))
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=85)
    return out.getvalue()
