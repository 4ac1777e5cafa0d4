"""Confusion matrix as an image: true labels down, predicted labels across."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from vsearch.cli.render import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image as PilImage

    LabelFont = ImageFont.FreeTypeFont | ImageFont.ImageFont

MAX_CELL_PX, MIN_CELL_PX = 44, 4  # for few and for many labels
MIN_LABELED_CELL_PX = 14  # smaller cells have no labels and counts
MAX_IMAGE_PX = 2_000  # approximate width of all cells together
MAX_LABEL_CHARS = 28
LABEL_HEIGHT_PX = 20
GAP_PX = 8


def draw_confusion_matrix(
    class_names: Sequence[str], confusion_counts: Sequence[Sequence[int]]
) -> PilImage:
    """Draw a confusion matrix, shaded by the share of each row so that rare labels show.

    Args:
        class_names: Labels, N of them.
        confusion_counts: N × N counts, indexed [true label][predicted label].

    Returns:
        An RGB image.
    """
    cell_px = max(MIN_CELL_PX, min(MAX_CELL_PX, MAX_IMAGE_PX // len(class_names)))
    label_font = ImageFont.load_default(max(9, min(14, cell_px - 2)))
    short_labels = list(map(_shorten_label, class_names)) if cell_px >= MIN_LABELED_CELL_PX else []
    label_widths = [round(label_font.getlength(label)) for label in short_labels]
    margin_px = 2 * GAP_PX + max(label_widths, default=0)
    side_px = margin_px + cell_px * len(class_names)
    matrix_image = Image.new("RGB", (side_px + GAP_PX, side_px + GAP_PX + 20), "white")
    draw = ImageDraw.Draw(matrix_image)
    for label_index, label in enumerate(short_labels):
        center_px = margin_px + cell_px * label_index + cell_px // 2
        draw.text((margin_px - GAP_PX, center_px), label, "black", label_font, anchor="rm")
        matrix_image.paste(*_rotate_label(label, label_font, center_px, margin_px))
    matrix_image.paste(_draw_grid(confusion_counts, cell_px), (margin_px, margin_px))
    if short_labels:
        _draw_counts(draw, confusion_counts, cell_px, margin_px, label_font)
    axis_title = "down: true label   across: predicted label"
    draw.text((GAP_PX, side_px + 6), axis_title, "gray", ImageFont.load_default(11))
    return matrix_image


def _draw_grid(confusion_counts: Sequence[Sequence[int]], cell_px: int) -> PilImage:
    """Draw one shaded square per count."""
    grid_image = Image.new("RGB", (len(confusion_counts), len(confusion_counts)))
    grid_image.putdata(
        [
            _shade_color(cell_count / max(1, sum(count_row)))
            for count_row in confusion_counts
            for cell_count in count_row
        ]
    )
    return grid_image.resize((cell_px * len(confusion_counts),) * 2, Image.Resampling.NEAREST)


def _draw_counts(
    draw: ImageDraw.ImageDraw,
    confusion_counts: Sequence[Sequence[int]],
    cell_px: int,
    margin_px: int,
    label_font: LabelFont,
) -> None:
    """Write the counts into their squares and draw white lines between the squares."""
    end_px = margin_px + cell_px * len(confusion_counts)
    for line_index in range(1, len(confusion_counts)):
        line_px = margin_px + cell_px * line_index - 1
        draw.line((margin_px, line_px, end_px, line_px), "white")
        draw.line((line_px, margin_px, line_px, end_px), "white")
    for true_index, count_row in enumerate(confusion_counts):
        for predicted_index, cell_count in enumerate(count_row):
            if cell_count:
                text_position = (
                    margin_px + cell_px * predicted_index + cell_px // 2,
                    margin_px + cell_px * true_index + cell_px // 2,
                )
                text_color = "white" if 2 * cell_count > sum(count_row) else "black"
                draw.text(text_position, str(cell_count), text_color, label_font, anchor="mm")


def _rotate_label(
    label: str, label_font: LabelFont, center_px: int, margin_px: int
) -> tuple[PilImage, tuple[int, int]]:
    """Draw a label that reads upward; return it with its position above the cells."""
    label_width = round(label_font.getlength(label)) + 2
    label_image = Image.new("RGB", (label_width, LABEL_HEIGHT_PX), "white")
    text_position = (0, LABEL_HEIGHT_PX // 2)
    ImageDraw.Draw(label_image).text(text_position, label, "black", label_font, anchor="lm")
    image_position = (center_px - LABEL_HEIGHT_PX // 2, margin_px - GAP_PX - label_width)
    return label_image.transpose(Image.Transpose.ROTATE_90), image_position


def _shade_color(row_share: float) -> tuple[int, int, int]:
    """Map a share of 0 to 1 to a color from nearly white to dark blue."""
    light_rgb, dark_rgb = (240, 243, 248), (23, 62, 122)
    red, green, blue = (
        round(light_channel + row_share * (dark_channel - light_channel))
        for light_channel, dark_channel in zip(light_rgb, dark_rgb, strict=True)
    )
    return red, green, blue


def _shorten_label(class_name: str) -> str:
    label = escape_unprintable(class_name)
    return label if len(label) <= MAX_LABEL_CHARS else f"{label[: MAX_LABEL_CHARS - 1]}…"
