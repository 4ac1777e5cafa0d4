"""Does the confidence of a search tell whether the answer is in the library at all?

    python -m tests.benchmarks.bench_calibration CLIPS [--library DIR] [--plot FILE.png]

CLIPS holds clips.jsonl. Leave-one-out: every clip is asked for in a library with and without it, by
its caption as it is and retyped, by a picture of its middle, and by the same picture mirrored and
cut to 60 %. AUROC is of the first result's confidence; a false alarm is an answer that is not
marked weak although the clip was taken out, a miss a weak one although it is there. Named are the
false alarms: clips that look alike, or answer as well. The calibration error is of all results, the
chance of each beside whether it is of the right clip; the plot shows it in bins.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vsearch import Library
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.evaluation import datasets, variants
from vsearch.evaluation.classes import calibration_error
from vsearch.evaluation.metrics import auroc
from vsearch.media.stills import still
from vsearch.media.video import probe
from vsearch.types import WEAK, Query, Term

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from PIL.Image import Image as Picture

    from vsearch.evaluation.datasets import Item
    from vsearch.evaluation.metrics import Values
    from vsearch.protocols import Encoder
    from vsearch.types import Moment

FORMS = ("keywords", "question", "number", "typo", "long")
BINS = 10
DRAWS = 1_000
SIDE, MARGIN = 360, 48  # pixels of the plot


@dataclass(slots=True)
class Found:
    """What one form of asking found, a row for each clip and library."""

    there: list[bool] = field(default_factory=list)
    first: list[float] = field(default_factory=list)  # confidence
    every: list[float] = field(default_factory=list)  # of all results
    right: list[bool] = field(default_factory=list)  # each of these
    alarms: list[str] = field(default_factory=list)

    def add(self, item: Item, moments: Sequence[Moment], *, there: bool) -> None:
        chances = [moment.confidence or 0.0 for moment in moments]
        self.there.append(there)
        self.first.append(chances[0] if chances else 0.0)
        self.every += chances
        self.right += [moment.video.path == item.path for moment in moments]
        if not there and self.first[-1] >= WEAK:
            name = moments[0].video.path.name
            self.alarms.append(f"{self.first[-1]:4.0%}  {name}: {item.caption}")

    def __str__(self) -> str:
        first, there = np.array(self.first), np.array(self.there)
        every, right = np.array(self.every), np.array(self.right)
        figures = (
            auroc(first, there),
            *interval(first, there),
            100 * float((first[~there] >= WEAK).mean()),
            100 * float((first[there] < WEAK).mean()),
            calibration_error(every, right),
        )
        return "{:6.3f} ({:.2f}-{:.2f}) {:12.1f} {:6.1f} {:6.3f}".format(*figures)


def interval(first: Values, there: npt.NDArray[np.bool_]) -> Values:
    """95 % of the AUROC if clips are drawn anew, each with what it found in both libraries."""
    present, absent = first[there], first[~there]  # the same clips in the same order
    drawn = np.random.default_rng(0).integers(len(present), size=(DRAWS, len(present)))
    found = [auroc(np.append(present[clips], absent[clips]), there) for clips in drawn]
    return np.percentile(found, [2.5, 97.5])


def ways(items: Sequence[Item], folder: Path) -> dict[str, list[Query]]:
    """For each form of asking a query for every clip."""
    asked = {"caption": [Query((Term("text", item.caption),)) for item in items]}
    for form in FORMS:
        rewrite = variants.KINDS[form]
        asked[form] = [
            Query((Term("text", rewrite(item.caption, n)),)) for n, item in enumerate(items)
        ]
    for name, change in (("picture", lambda picture: picture), ("mirrored, cut", cut)):
        files = [folder / f"{number} {name}.png" for number in range(len(items))]
        for file, item in zip(files, items, strict=True):
            data = still(item.path, probe(item.path).duration / 2, width=640)
            change(Image.open(io.BytesIO(data))).save(file)
        asked[name] = [Query((Term("image", str(file)),)) for file in files]
    return asked


def cut(picture: Picture) -> Picture:
    """Three fifths of each side, off the middle, mirrored."""
    width, height = picture.size
    box = (width // 10, 3 * height // 10, 7 * width // 10, 9 * height // 10)
    return picture.crop(box).transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def measured(folder: Path, items: Sequence[Item], encoder: Encoder) -> dict[str, Found]:
    """Ask for every clip in the library of `folder`, and in a copy of it without the clip."""
    with tempfile.TemporaryDirectory() as made:
        asked = ways(items, Path(made))
        found = {form: Found() for form in asked}
        with Library.open(folder, encoder=encoder) as library:
            for number, item in enumerate(items):
                for form, every in asked.items():
                    found[form].add(item, library.search(every[number]), there=True)
        for number, item in enumerate(items):
            without = Path(made) / "without"
            shutil.copytree(folder, without)
            with Library.open(without, encoder=encoder) as library:
                library.remove([item.path])
                for form, every in asked.items():
                    found[form].add(item, library.search(every[number]), there=False)
            shutil.rmtree(without)
    return found


def plot(found: Mapping[str, Found]) -> Picture:
    """How often results of a confidence were right: a bar a tenth, and the line they should meet.

    Words on the left, pictures on the right.
    """
    panels = {
        "words": [one for form, one in found.items() if form in ("caption", *FORMS)],
        "pictures": [one for form, one in found.items() if form not in ("caption", *FORMS)],
    }
    made = Image.new("RGB", (len(panels) * (SIDE + MARGIN) + MARGIN, SIDE + 2 * MARGIN), "white")
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(13)
    for number, (name, several) in enumerate(panels.items()):
        left, low = MARGIN + number * (SIDE + MARGIN), MARGIN + SIDE
        chances = np.concatenate([one.every for one in several])
        right = np.concatenate([one.right for one in several])
        places = np.minimum((chances * BINS).astype(int), BINS - 1)
        for place in set(places.tolist()):
            share, count = right[places == place].mean(), int((places == place).sum())
            begin = left + place * SIDE / BINS
            box = (begin + 2, low - share * SIDE, begin + SIDE / BINS - 2, low)
            draw.rectangle(box, (120, 150, 200))
            draw.text((begin + SIDE / BINS / 2, low + 10), str(count), "grey", font, anchor="mm")
        draw.rectangle((left, MARGIN, left + SIDE, low), outline="black")
        draw.line((left, low, left + SIDE, MARGIN), "black")
        told = f"{name}: share that is right, by confidence from 0 to 100 %"
        draw.text((left, MARGIN - 22), told, "black", font)
        draw.text((left, low + 22), "results in each tenth", "grey", font)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("clips", type=Path)
    parser.add_argument("--library", type=Path, default=Path("indexes/evaluation/calibration"))
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    items = datasets.read(given.clips / "clips.jsonl").items
    encoder = BuiltinEncoder()
    with Library.open(given.library, encoder=encoder) as library:
        for one in library.index(datasets.paths(items)):
            assert one.error is None, one.error
    found = measured(given.library, items, encoder)
    print(f"{len(items)} clips, weak below {WEAK:.0%}")
    print("asked by        AUROC (95 %)       false alarm   miss    ECE")
    for form, each in found.items():
        print(f"{form:14} {each}")
    print("Not there, but not marked weak, by caption:")
    print("\n".join(sorted(found["caption"].alarms, reverse=True)))
    if given.plot is not None:
        plot(found).save(given.plot)


if __name__ == "__main__":
    main()
