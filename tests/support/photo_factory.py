"""Photos as phones and cameras write them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

if TYPE_CHECKING:
    from pathlib import Path

# 96 × 64 pixels, red above blue, taken with an "Apple" at 2024-05-17 12:30:00+02:00. The encoder is
# not installed with pi-heif, which only decodes.
TINY_HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAZdtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAA"
    "AAAAAAAAADRpbG9jAAAAAERAAAIAAQAAAAABuwABAAAAAAAAAEIAAgAAAAAB/QABAAAAAAAAAHwAAAA4aWluZgAAAAAA"
    "AgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA1mlwcnAAAAC3"
    "aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAr"
    "QgEBA3AAAAMAkAAAAwAAAwAeoDCBBZbqSSmubgIaDAgAAAMAyAAAAwAIQGIAAQAHRAHBcrAiQAAAABNjb2xybmNseAAB"
    "AA0ABoAAAAAUaXNwZQAAAAAAAABgAAAAQAAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAABpp"
    "cmVmAAAAAAAAAA5jZHNjAAIAAQABAAAAxm1kYXQAAAA+KAGvE4DmqHDT//4mlH/9OueH6eXS0JZ//dN7C/zcoX/x4zVz"
    "//SnM5VLEL3VRVbeKPatPCAK6PSl+/+Lg/AAAAAGRXhpZgAATU0AKgAAAAgAAwEPAAIAAAAGAAAAMgESAAMAAAABAAYA"
    "AIdpAAQAAAABAAAAOAAAAABBcHBsZQAAApADAAIAAAAUAAAAVpARAAIAAAAHAAAAagAAAAAyMDI0OjA1OjE3IDEyOjMw"
    "OjAwACswMjowMAAA"
)


def make_exif(
    date: str = "",
    offset: str = "",
    *,
    fraction: str = "",
    gps: tuple[float, float] | None = None,
    gps_time: str = "",
    camera: tuple[str, str] = ("", ""),
    orientation: int = 1,
) -> Image.Exif:
    """Return EXIF data.

    Args:
        date: `2024:05:17 12:30:00`, in local time.
        offset: UTC offset, `+02:00`.
        fraction: Digits of the fraction of a second.
        gps: Latitude and longitude in degrees.
        gps_time: `2024:05:17 10:30:00`, in UTC.
        camera: Make and model.
        orientation: As in EXIF, 1 to 8.
    """
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    exif[Base.Make], exif[Base.Model] = camera
    photo_tags, gps_tags = exif.get_ifd(IFD.Exif), exif.get_ifd(IFD.GPSInfo)
    texts = {
        Base.DateTimeOriginal: date,
        Base.OffsetTimeOriginal: offset,
        Base.SubsecTimeOriginal: fraction,
    }
    photo_tags.update({tag: text for tag, text in texts.items() if text})
    if gps is not None:
        for angle, tag, reference_tag, references in (
            (gps[0], GPS.GPSLatitude, GPS.GPSLatitudeRef, "NS"),
            (gps[1], GPS.GPSLongitude, GPS.GPSLongitudeRef, "EW"),
        ):
            gps_tags[reference_tag] = references[angle < 0]
            degrees, minutes = divmod(abs(angle) * 60, 60)
            gps_tags[tag] = (degrees, minutes, 0.0)
    if gps_time:
        gps_tags[GPS.GPSDateStamp] = gps_time[:10]
        gps_tags[GPS.GPSTimeStamp] = tuple(float(part) for part in gps_time[11:].split(":"))
    return exif


def make_photo(
    path: Path,
    color: tuple[int, int, int] = (255, 0, 0),
    size: tuple[int, int] = (160, 120),
    exif: Image.Exif | None = None,
    *,
    noise: int = 0,
) -> Path:
    """Write a photo of one color, in the format of the suffix; return its path.

    Args:
        path: The file.
        color: RGB.
        size: Width and height.
        exif: EXIF data.
        noise: Amplitude of noise, different in each file, so that no two have the same content.
    """
    image = Image.new("RGB", size, color)
    if noise:
        generator = np.random.default_rng(list(path.name.encode()))
        pixels = np.asarray(image) + generator.integers(-noise, noise + 1, (size[1], size[0], 3))
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    image.save(path, exif=exif or Image.Exif())
    return path
