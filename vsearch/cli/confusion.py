"""A confusion matrix as a picture: what each row was, and what it was taken for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from vsearch.cli.render import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image as Picture

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

CELL, SMALLEST = 44, 4  # pixels of a cell, where there are few labels and where there are many
READABLE = 14  # pixels of a cell that is lettered
WIDEST = 2_000  # pixels of all cells together, about
LONGEST = 28  # letters of a label
GAP = 8


def picture(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Picture:
    """Counts [right][taken for] as RGB; shades are shares of a row, so that rare labels show."""
    cell = max(SMALLEST, min(CELL, WIDEST // len(names)))
    font = ImageFont.load_default(max(9, min(14, cell - 2)))
    labels = [_short(name) for name in names] if cell >= READABLE else []
    margin = GAP + max((round(font.getlength(label)) for label in labels), default=0) + GAP
    side = margin + cell * len(names)
    made = Image.new("RGB", (side + GAP, side + GAP + 20), "white")
    draw = ImageDraw.Draw(made)
    for number, label in enumerate(labels):
        middle = margin + cell * number + cell // 2
        draw.text((margin - GAP, middle), label, "black", font, anchor="rm")
        made.paste(*_turned(label, font, middle, margin))
    made.paste(_grid(counts, cell), (margin, margin))
    if labels:
        _lettered(draw, counts, cell, margin, font)
    title = "down: what it is   across: what it was taken for"
    draw.text((GAP, side + 6), title, "grey", ImageFont.load_default(11))
    return made


def _grid(counts: Sequence[Sequence[int]], cell: int) -> Picture:
    """A square for each count."""
    grid = Image.new("RGB", (len(counts), len(counts)))
    grid.putdata([_shade(count / max(1, sum(row))) for row in counts for count in row])
    return grid.resize((cell * len(counts),) * 2, Image.Resampling.NEAREST)


def _lettered(
    draw: ImageDraw.ImageDraw,
    counts: Sequence[Sequence[int]],
    cell: int,
    margin: int,
    font: Font,
) -> None:
    """Counts in their squares, with white lines between these."""
    end = margin + cell * len(counts)
    for number in range(1, len(counts)):
        at = margin + cell * number - 1
        draw.line((margin, at, end, at), "white")
        draw.line((at, margin, at, end), "white")
    for right, row in enumerate(counts):
        for taken, count in enumerate(row):
            if count:
                place = (margin + cell * taken + cell // 2, margin + cell * right + cell // 2)
                ink = "white" if 2 * count > sum(row) else "black"
                draw.text(place, str(count), ink, font, anchor="mm")


def _turned(label: str, font: Font, middle: int, margin: int) -> tuple[Picture, tuple[int, int]]:
    """A label that reads upwards and ends above the cells, and where it goes."""
    width, height = round(font.getlength(label)) + 2, 20
    strip = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(strip).text((0, height // 2), label, "black", font, anchor="lm")
    return strip.transpose(Image.Transpose.ROTATE_90), (middle - height // 2, margin - GAP - width)


def _shade(share: float) -> tuple[int, int, int]:
    """From nearly white to a dark blue."""
    light, dark = (240, 243, 248), (23, 62, 122)
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(light, dark, strict=True))
    return red, green, blue


def _short(name: str) -> str:
    plain = printable(name)
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 1]}…"
