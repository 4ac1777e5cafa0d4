"""Measure whether the confidence of results shows if the library contains the target at all.

    python -m benchmarks.bench_calibration CLIPS [--library DIR] [--plot FILE.png]

CLIPS holds clips.jsonl. Leave-one-out: every clip is searched in a library with and without it, by
its caption as written and perturbed, by its middle frame, and by that frame mirrored and cropped to
60 %. The AUROC is that of the first result's confidence. A false alarm is a result that is not
marked as low confidence although the clip was removed; a miss is a low-confidence result although
the clip is there. False alarms are listed by name: clips that look alike, or are also relevant. The
expected calibration error covers all results; the plot shows the reliability diagram.
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
from vsearch.evaluation import datasets, query_perturbation
from vsearch.evaluation.classification import compute_calibration_error
from vsearch.evaluation.metrics import compute_auroc
from vsearch.media.sampler import probe_video
from vsearch.media.thumbnails import render_thumbnail
from vsearch.query.model import Query, Term
from vsearch.types import WEAK_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from PIL.Image import Image as Picture

    from vsearch.evaluation.datasets import CaptionItem
    from vsearch.evaluation.metrics import QueryValues
    from vsearch.protocols import Encoder
    from vsearch.types import Moment

QUERY_FORMS = ("keywords", "question", "number", "typo", "long")
CALIBRATION_BINS = 10
BOOTSTRAP_DRAWS = 1_000
PLOT_SIDE_PX, PLOT_MARGIN_PX = 360, 48


@dataclass(slots=True)
class FormResults:
    """Results of one form of query, one row per clip and library."""

    is_present: list[bool] = field(default_factory=list)
    first_confidences: list[float] = field(
        default_factory=list
    )  # of the first result, 0 if there is none
    all_confidences: list[float] = field(default_factory=list)  # of all results
    is_correct: list[bool] = field(default_factory=list)  # of all results
    false_alarms: list[str] = field(default_factory=list)

    def add_search(self, item: CaptionItem, moments: Sequence[Moment], *, is_present: bool) -> None:
        confidences = [moment.confidence or 0.0 for moment in moments]
        self.is_present.append(is_present)
        self.first_confidences.append(confidences[0] if confidences else 0.0)
        self.all_confidences += confidences
        self.is_correct += [moment.video.path == item.video_path for moment in moments]
        if not is_present and self.first_confidences[-1] >= WEAK_CONFIDENCE:
            name = moments[0].video.path.name
            self.false_alarms.append(f"{self.first_confidences[-1]:4.0%}  {name}: {item.caption}")

    def __str__(self) -> str:
        first_confidences, is_present = np.array(self.first_confidences), np.array(self.is_present)
        all_confidences, is_correct = np.array(self.all_confidences), np.array(self.is_correct)
        figures = (
            compute_auroc(first_confidences, is_present),
            *auroc_interval(first_confidences, is_present),
            100 * float((first_confidences[~is_present] >= WEAK_CONFIDENCE).mean()),
            100 * float((first_confidences[is_present] < WEAK_CONFIDENCE).mean()),
            compute_calibration_error(all_confidences, is_correct),
        )
        return "{:6.3f} ({:.2f}-{:.2f}) {:12.1f} {:6.1f} {:6.3f}".format(*figures)


def auroc_interval(
    first_confidences: QueryValues, is_present: npt.NDArray[np.bool_]
) -> QueryValues:
    """Return the 95 % interval of the AUROC from resampled clips."""
    present, absent = (
        first_confidences[is_present],
        first_confidences[~is_present],
    )  # the same clips in the same order
    drawn_clips = np.random.default_rng(0).integers(
        len(present), size=(BOOTSTRAP_DRAWS, len(present))
    )
    drawn_aurocs = [
        compute_auroc(np.append(present[clips], absent[clips]), is_present) for clips in drawn_clips
    ]
    return np.percentile(drawn_aurocs, [2.5, 97.5])


def build_queries(dataset_items: Sequence[CaptionItem], folder: Path) -> dict[str, list[Query]]:
    """Build a query for every clip in each form."""
    queries_by_form = {"caption": [Query((Term("text", item.caption),)) for item in dataset_items]}
    for form in QUERY_FORMS:
        rewrite = query_perturbation.PERTURBATIONS[form]
        queries_by_form[form] = [
            Query((Term("text", rewrite(item.caption, n)),)) for n, item in enumerate(dataset_items)
        ]
    for name, change in (("picture", lambda picture: picture), ("mirrored, cut", mirror_and_crop)):
        files = [folder / f"{number} {name}.png" for number in range(len(dataset_items))]
        for file, item in zip(files, dataset_items, strict=True):
            data = render_thumbnail(
                item.video_path, probe_video(item.video_path).duration / 2, max_width=640
            )
            change(Image.open(io.BytesIO(data))).save(file)
        queries_by_form[name] = [Query((Term("image", str(file)),)) for file in files]
    return queries_by_form


def mirror_and_crop(picture: Picture) -> Picture:
    """Mirror and crop to three fifths of each side, off center."""
    width, height = picture.size
    box = (width // 10, 3 * height // 10, 7 * width // 10, 9 * height // 10)
    return picture.crop(box).transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def measure_forms(
    library_folder: Path, dataset_items: Sequence[CaptionItem], encoder: Encoder
) -> dict[str, FormResults]:
    """Search every clip in the library and in a copy without the clip."""
    with tempfile.TemporaryDirectory() as work_folder:
        queries_by_form = build_queries(dataset_items, Path(work_folder))
        results_by_form = {form: FormResults() for form in queries_by_form}
        with Library.open(library_folder, encoder=encoder) as library:
            for number, item in enumerate(dataset_items):
                for form, queries in queries_by_form.items():
                    results_by_form[form].add_search(
                        item, library.search(queries[number]), is_present=True
                    )
        for number, item in enumerate(dataset_items):
            reduced_folder = Path(work_folder) / "without"
            shutil.copytree(library_folder, reduced_folder)
            with Library.open(reduced_folder, encoder=encoder) as library:
                library.remove([item.video_path])
                for form, queries in queries_by_form.items():
                    results_by_form[form].add_search(
                        item, library.search(queries[number]), is_present=False
                    )
            shutil.rmtree(reduced_folder)
    return results_by_form


def plot_calibration(results_by_form: Mapping[str, FormResults]) -> Picture:
    """Plot a reliability diagram: text queries on the left, image queries on the right."""
    panels = {
        "words": [
            form_results
            for form, form_results in results_by_form.items()
            if form in ("caption", *QUERY_FORMS)
        ],
        "pictures": [
            form_results
            for form, form_results in results_by_form.items()
            if form not in ("caption", *QUERY_FORMS)
        ],
    }
    picture = Image.new(
        "RGB",
        (
            len(panels) * (PLOT_SIDE_PX + PLOT_MARGIN_PX) + PLOT_MARGIN_PX,
            PLOT_SIDE_PX + 2 * PLOT_MARGIN_PX,
        ),
        "white",
    )
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for number, (name, forms) in enumerate(panels.items()):
        left, low = (
            PLOT_MARGIN_PX + number * (PLOT_SIDE_PX + PLOT_MARGIN_PX),
            PLOT_MARGIN_PX + PLOT_SIDE_PX,
        )
        confidences = np.concatenate([form_results.all_confidences for form_results in forms])
        is_correct = np.concatenate([form_results.is_correct for form_results in forms])
        bins = np.minimum((confidences * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        for bin_index in set(bins.tolist()):
            share, count = is_correct[bins == bin_index].mean(), int((bins == bin_index).sum())
            bin_left = left + bin_index * PLOT_SIDE_PX / CALIBRATION_BINS
            box = (
                bin_left + 2,
                low - share * PLOT_SIDE_PX,
                bin_left + PLOT_SIDE_PX / CALIBRATION_BINS - 2,
                low,
            )
            draw.rectangle(box, (120, 150, 200))
            draw.text(
                (bin_left + PLOT_SIDE_PX / CALIBRATION_BINS / 2, low + 10),
                str(count),
                "grey",
                font,
                anchor="mm",
            )
        draw.rectangle((left, PLOT_MARGIN_PX, left + PLOT_SIDE_PX, low), outline="black")
        draw.line((left, low, left + PLOT_SIDE_PX, PLOT_MARGIN_PX), "black")
        title = f"{name}: share of correct results by confidence, 0 to 100 %"
        draw.text((left, PLOT_MARGIN_PX - 22), title, "black", font)
        draw.text((left, low + 22), "results in each tenth", "grey", font)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("clips", type=Path)
    parser.add_argument("--library", type=Path, default=Path("indexes/evaluation/calibration"))
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    items = datasets.read_dataset(options.clips / "clips.jsonl").items
    encoder = BuiltinEncoder()
    with Library.open(options.library, encoder=encoder) as library:
        for index_result in library.index(datasets.list_video_paths(items)):
            assert index_result.error is None, index_result.error
    results_by_form = measure_forms(options.library, items, encoder)
    print(f"{len(items)} clips, low confidence below {WEAK_CONFIDENCE:.0%}")
    print("query           AUROC (95 %)       false alarm   miss    ECE")
    for form, form_results in results_by_form.items():
        print(f"{form:14} {form_results}")
    print("False alarms of the caption queries:")
    print("\n".join(sorted(results_by_form["caption"].false_alarms, reverse=True)))
    if options.plot is not None:
        plot_calibration(results_by_form).save(options.plot)


if __name__ == "__main__":
    main()
