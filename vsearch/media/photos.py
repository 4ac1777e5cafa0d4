"""Read photos as videos of one frame."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal, TypeAlias

from PIL import Image

from vsearch.buckets.bucket_path import as_image_source
from vsearch.errors import MediaError, UnreadableError
from vsearch.media.images import LoadedImage, check_is_file, load_image
from vsearch.media.reader import DecodedFrame, HeaderMetadata
from vsearch.media.rgb import create_video_frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.media.sample_times import SampleTimes

PictureKind: TypeAlias = Literal["photo", "animated webp"]
PHOTO_SECONDS = Fraction(1, 25)  # for which a photo is shown, as a video
_HEADER_BYTES = 64
_MJPEG_SUFFIXES = (".mjpeg", ".mjpg")  # streams of JPEG images
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif"))
_CODEC_NAMES = {"HEIF": "heic", "MPO": "jpeg"}  # where formats are better known by other names


def detect_picture(file_path: Path) -> PictureKind | None:
    """Determine from the content of a file whether FFmpeg leaves it to Pillow.

    Args:
        file_path: A file of any kind.

    Returns:
        None for videos, animations but WebP, and what is neither picture nor video.

    Raises:
        UnreadableError: It is empty, or not a regular file.
        OSError: It cannot be read.
    """
    check_is_file(file_path)
    with file_path.open("rb") as picture_file:
        header_bytes = picture_file.read(_HEADER_BYTES)
    if not header_bytes:
        raise UnreadableError(f"{file_path}: is empty; copy it again")
    if header_bytes[:4] == b"RIFF" and header_bytes[8:12] == b"WEBP":
        return "animated webp" if _is_animated(file_path) else "photo"
    if header_bytes.startswith(b"\x89PNG\r\n\x1a\n"):
        return None if _is_animated(file_path) else "photo"
    is_photo = (
        (header_bytes[:3] == b"\xff\xd8\xff" and file_path.suffix.lower() not in _MJPEG_SUFFIXES)
        or (header_bytes[4:8] == b"ftyp" and header_bytes[8:12] in _HEIF_BRANDS)
        or header_bytes[:4] in (b"II*\0", b"MM\0*")
        or (header_bytes[:2] == b"BM" and header_bytes[6:10] == bytes(4))
    )
    return "photo" if is_photo else None


def _is_animated(image_path: Path) -> bool:
    """Return whether an image has several frames; a damaged one counts as still."""
    try:
        with Image.open(as_image_source(image_path), formats=("PNG", "WEBP")) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # decoders raise nearly anything on damage
        return False


class PhotoReader:
    """Photo decoded by Pillow. A `VideoReader`.

    Args:
        photo_path: Image in one of the common formats.

    Raises:
        UnreadableError: The file is damaged or not an image.
        TooLargeError: It has too many pixels.
    """

    def __init__(self, photo_path: Path) -> None:
        self._photo_path = photo_path
        self._image: LoadedImage = load_image(photo_path)

    def close(self) -> None:
        """Do nothing: the file was read at once."""

    def read_metadata(self) -> HeaderMetadata:
        """Return size, format, date, place and camera; there is no frame rate."""
        format_name = self._image.format_name
        return HeaderMetadata(
            float(PHOTO_SECONDS),
            0.0,
            _CODEC_NAMES.get(format_name, format_name.lower()),
            recording=self._image.recording,
            photo_size=self._image.original_size,
        )

    def iter_frames(
        self,
        start_time: Fraction = Fraction(0),  # noqa: ARG002
        sample_times: SampleTimes | None = None,  # noqa: ARG002
    ) -> Iterator[DecodedFrame]:
        """Yield the only frame."""
        video_frame = create_video_frame(self._image.pixels)
        yield DecodedFrame(video_frame, Fraction(1), Fraction(0), PHOTO_SECONDS)

    def build_decode_error(self) -> MediaError:
        """Return the error to raise when no frame could be decoded."""
        return UnreadableError(f"{self._photo_path}: the photo is damaged; copy it again")

    def build_warning(self, end_time: float, *, is_full_pass: bool) -> str | None:  # noqa: ARG002
        """Return None: a damaged photo is an error."""
        return None
