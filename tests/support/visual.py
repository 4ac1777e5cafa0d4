"""Pictures of pages: compared with stored ones, and checked for accessibility."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt
    from playwright.sync_api import Page

SIZES = {"phone": (390, 844), "tablet": (820, 1180), "desktop": (1440, 900)}
STORED_SCALE = 2  # stored pictures are smaller by this factor
CELL_SIZE = 24  # pixels of the page that are compared as one; smaller than a card, larger than text
MAX_MEAN_DIFFERENCE = 6.0  # of 255; other fonts move lines by some pixels
MAX_CHANGED_SHARE = 0.04  # of the cells
CHANGED_CELL = 40  # of 255
BOX_TOLERANCE = 24  # pixels by which other fonts move and stretch elements
MAX_BOXES = 60
MEASURE_BOXES_JS = """(most) => {
    const shown = [...document.querySelectorAll('header, main, h1, .card, .day, dialog[open], '
        + '[data-testid]')].filter((node) => node.checkVisibility());
    const boxes = shown.map((node) => {
        const box = node.getBoundingClientRect();
        const name = node.dataset.testid || node.id || node.className || node.localName;
        return [name, Math.round(box.x), Math.round(box.y), Math.round(box.width),
            Math.round(box.height)];
    });
    return boxes.filter(([, x, y, width, height]) => width > 1 && height > 1 && x + width > 0
        && y + height > 0 && x < innerWidth && y < innerHeight).slice(0, most);
}"""
RUN_AXE_JS = """async () => {
    const found = await axe.run(document, { resultTypes: ['violations'] });
    return found.violations.map((one) => `${one.id}: ${one.help}: `
        + one.nodes.map((node) => node.html.slice(0, 120)).slice(0, 3).join(' | '));
}"""
SETTLED_JS = """async () => {
    await document.fonts.ready;
    const shown = [...document.images].filter((one) => one.checkVisibility()
        && one.getBoundingClientRect().top < innerHeight);
    await Promise.all(shown.map((one) => one.complete || new Promise((resolve) => {
        one.addEventListener('load', resolve);
        one.addEventListener('error', resolve);
    })));
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
}"""


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A picture of the visible part of a page, and the boxes of its elements."""

    image: Image.Image
    boxes: list[list[Any]]  # [name, x, y, width, height], in pixels

    @classmethod
    def take(cls, page: Page) -> PagePicture:
        """Take a picture once all images that are visible are loaded."""
        page.evaluate(SETTLED_JS)
        png_bytes = page.screenshot(animations="disabled", caret="hide")
        image = Image.open(io.BytesIO(png_bytes)).convert("RGB")
        return cls(image, page.evaluate(MEASURE_BOXES_JS, MAX_BOXES))

    @classmethod
    def load(cls, path: Path) -> PagePicture:
        """Read a picture written by `save`, at its original size."""
        with Image.open(path.with_suffix(".webp")) as stored:
            size = (stored.width * STORED_SCALE, stored.height * STORED_SCALE)
            image = stored.convert("RGB").resize(size)
        return cls(image, json.loads(path.with_suffix(".json").read_text("utf-8")))

    def save(self, path: Path) -> None:
        """Write the picture, smaller, and the boxes next to it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = self.image.size
        smaller = self.image.resize((width // STORED_SCALE, height // STORED_SCALE))
        smaller.save(path.with_suffix(".webp"), quality=60, method=6)
        lines = ",\n".join(json.dumps(box, ensure_ascii=False) for box in self.boxes)
        path.with_suffix(".json").write_text(f"[\n{lines}\n]\n", "utf-8")


def find_differences(shown: PagePicture, stored: PagePicture) -> list[str]:
    """Return what differs more than fonts do: elements, their boxes, and parts of the picture."""
    differences = []
    shown_names, stored_names = ([box[0] for box in each.boxes] for each in (shown, stored))
    if shown_names != stored_names:
        missing = [name for name in stored_names if name not in shown_names]
        added = [name for name in shown_names if name not in stored_names]
        differences.append(f"other elements: missing {missing}, added {added}, {shown_names}")
    else:
        differences += [
            f"{name}: at {shown_box}, not {stored_box}"
            for (name, *shown_box), (_, *stored_box) in zip(shown.boxes, stored.boxes, strict=True)
            if any(
                abs(one - other) > max(BOX_TOLERANCE, 0.1 * abs(other))
                for one, other in zip(shown_box, stored_box, strict=True)
            )
        ]
    if shown.image.size != stored.image.size:
        return [*differences, f"size {shown.image.size}, not {stored.image.size}"]
    cell_differences = np.abs(_reduce(shown.image) - _reduce(stored.image)).max(axis=2)
    changed_share = float((cell_differences > CHANGED_CELL).mean())
    if cell_differences.mean() > MAX_MEAN_DIFFERENCE or changed_share > MAX_CHANGED_SHARE:
        differences.append(
            f"the picture: mean {cell_differences.mean():.1f}, changed {changed_share:.1%}"
        )
    return differences


def _reduce(image: Image.Image) -> npt.NDArray[np.float32]:
    """Return the mean color of each cell, float32 (rows, columns, 3)."""
    width, height = image.size
    cells = image.resize((width // CELL_SIZE, height // CELL_SIZE), Image.Resampling.BOX)
    return np.asarray(cells, np.float32)


def find_violations(page: Page) -> list[str]:
    """Return the accessibility rules of axe-core that the page breaks.

    The page must have been opened in a context with `bypass_csp`, because the script is added.
    """
    package = find_spec("axe_playwright_python")  # has no types
    if package is None or not package.submodule_search_locations:
        pytest.skip("needs axe-playwright-python")
    [package_folder] = package.submodule_search_locations
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=Path(package_folder) / "axe.min.js")
    violations: list[str] = page.evaluate(RUN_AXE_JS)
    return violations
