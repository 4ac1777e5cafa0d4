"""Pictures in the terminal: kitty graphics, iTerm2 inline images, sixel, or colored half blocks.

Sequences follow https://sw.kovidgoyal.net/kitty/graphics-protocol/,
https://iterm2.com/documentation-images.html and https://vt100.net/docs/vt3xx-gp/chapter14.html.
"""

from __future__ import annotations

import base64
import io
import os
import zlib
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from vsearch.cli.terminal_protocol import ImageProtocol
    from vsearch.types import Images

ColorIndexes: TypeAlias = npt.NDArray[np.int64]  # (H, W) colors of the sixel palette
MAX_COLUMNS, MAX_LINES = 28, 8  # size of a picture in character cells, which are 1:2
SIXEL_LINE_PIXELS = 16  # assumed height of a line of text
KITTY_CHUNK_BYTES = 4_096
SIXEL_LEVELS = 6  # levels of each color, 216 colors together


def render_image(image_bytes: bytes, protocol: ImageProtocol, *, indent: int = 0) -> str:
    """Return the text that shows a picture, without a line break at its end.

    Args:
        image_bytes: A JPEG file.
        protocol: The kind of terminal.
        indent: Columns to leave free on the left.

    Returns:
        Spaces and escape sequences; at most `MAX_COLUMNS` by `MAX_LINES` cells.

    Raises:
        OSError: The file is not a picture.
    """
    with Image.open(io.BytesIO(image_bytes), formats=["JPEG"]) as image:
        columns, lines = _fit_cells(*image.size)
        if protocol == "iterm":
            return " " * indent + _encode_iterm(image_bytes, columns, lines)
        if protocol == "kitty":
            return " " * indent + _encode_kitty(_scale_image(image, *image.size), columns, lines)
        if protocol == "sixel":
            line_pixels = SIXEL_LINE_PIXELS * lines
            pixels = _scale_image(image, SIXEL_LINE_PIXELS // 2 * columns, line_pixels)
            return " " * indent + _encode_sixel(pixels)
        return _encode_blocks(_scale_image(image, columns, 2 * lines), indent)


def _fit_cells(width: int, height: int) -> tuple[int, int]:
    """Return the columns and lines of a picture; a cell is twice as high as it is wide."""
    cell_scale = min(MAX_COLUMNS / width, 2 * MAX_LINES / height)
    return max(1, round(width * cell_scale)), max(1, round(height * cell_scale / 2))


def _scale_image(image: Image.Image, width: int, height: int) -> Images:
    """Return the picture as uint8 (height, width, 3)."""
    return np.asarray(image.convert("RGB").resize((width, height)), np.uint8)


def _encode_kitty(pixels: Images, columns: int, lines: int) -> str:
    """Encode zlib-compressed RGB pixels, in chunks; the terminal sends no answer (q=2)."""
    payload = base64.standard_b64encode(zlib.compress(pixels.tobytes())).decode("ascii")
    height, width = pixels.shape[:2]
    chunks = [
        payload[start : start + KITTY_CHUNK_BYTES]
        for start in range(0, len(payload), KITTY_CHUNK_BYTES)
    ]
    header = f"a=T,q=2,f=24,o=z,s={width},v={height},c={columns},r={lines},"
    return "".join(
        f"\x1b_G{'' if chunk_index else header}m={int(chunk_index < len(chunks) - 1)};{chunk}\x1b\\"
        for chunk_index, chunk in enumerate(chunks)
    )


def _encode_iterm(image_bytes: bytes, columns: int, lines: int) -> str:
    payload = base64.standard_b64encode(image_bytes).decode("ascii")
    settings = f"inline=1;size={len(image_bytes)};width={columns};height={lines}"
    return f"\x1b]1337;File={settings};preserveAspectRatio=1:{payload}\a"


def _encode_sixel(pixels: Images) -> str:
    """Encode pixels with a fixed palette of `SIXEL_LEVELS` levels per channel."""
    height, width = pixels.shape[:2]
    levels = (pixels.astype(np.int64) * (SIXEL_LEVELS - 1) + 127) // 255
    color_indexes = levels @ np.array([SIXEL_LEVELS**2, SIXEL_LEVELS, 1])  # (H, W)
    palette = "".join(map(_define_color, np.unique(color_indexes).tolist()))
    bands = [
        "$".join(
            f"#{color_index}{_encode_sixel_row(color_indexes[top : top + 6] == color_index)}"
            for color_index in np.unique(color_indexes[top : top + 6]).tolist()
        )
        for top in range(0, height, 6)
    ]
    return f'\x1bPq"1;1;{width};{height}{palette}{"-".join(bands)}\x1b\\'


def _define_color(color_index: int) -> str:
    """Return the definition of a color, with channels in percent."""
    levels = (color_index // SIXEL_LEVELS**2, color_index // SIXEL_LEVELS, color_index)
    percents = (str(level % SIXEL_LEVELS * 100 // (SIXEL_LEVELS - 1)) for level in levels)
    return f"#{color_index};2;{';'.join(percents)}"


def _encode_sixel_row(color_mask: npt.NDArray[np.bool_]) -> str:
    """Encode up to six lines of one color, bool (6, W), with run lengths."""
    sixels = (color_mask * (1 << np.arange(len(color_mask)))[:, None]).sum(axis=0)
    run_starts = np.flatnonzero(np.diff(sixels, prepend=-1))
    run_lengths = np.diff(run_starts, append=len(sixels))
    return "".join(
        f"!{length}{chr(63 + sixel)}" if length > 3 else chr(63 + sixel) * length
        for sixel, length in zip(sixels[run_starts].tolist(), run_lengths.tolist(), strict=True)
    )


def _encode_blocks(pixels: Images, indent: int) -> str:
    """Encode two pixels per cell, as colors of an upper half block and its background."""
    has_true_color = os.environ.get("COLORTERM", "") in ("truecolor", "24bit")
    text_lines = []
    for upper_row, lower_row in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        cells = (
            f"\x1b[38;{_code_color(upper, has_true_color)};"
            f"48;{_code_color(lower, has_true_color)}m▀"
            for upper, lower in zip(upper_row, lower_row, strict=True)
        )
        text_lines.append(f"{' ' * indent}{''.join(cells)}\x1b[0m")
    return "\n".join(text_lines)


def _code_color(rgb: list[int], has_true_color: bool) -> str:
    """Return the SGR parameters of a color, from the cube of 216 without true color."""
    if has_true_color:
        return "2;{};{};{}".format(*rgb)
    red, green, blue = ((value * 5 + 127) // 255 for value in rgb)
    return f"5;{16 + 36 * red + 6 * green + blue}"
