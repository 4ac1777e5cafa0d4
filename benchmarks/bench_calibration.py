"""Measure whether the confidence of results shows if the library contains the target at all.

    python -m benchmarks.bench_calibration CLIPS [QUERIES.jsonl…] [--library DIR] [--plot FILE.png]

CLIPS holds clips.jsonl. Kinds of queries are the captions as written and perturbed, the middle
frame of each clip, that frame mirrored and cropped to 60 %, and the queries of each file, as
`vsearch evaluate` reads and searches them (by language; names are relative to the folder of the
clips). Leave-one-out: every query is searched in the library, and in a copy without the clips that
answer it. Those, and queries that no clip answers, are absent ones: a false alarm is a first result
that is not marked as weak. A miss is a right first result that is marked as weak. The table is that
of `vsearch evaluate`, the plot a reliability diagram of all results.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from vsearch import Library
from vsearch.cli.query_tables import print_confidence
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.evaluation.datasets import list_video_paths, read_dataset
from vsearch.evaluation.query_datasets import QueryItem, read_queries
from vsearch.evaluation.query_evaluation import report_group, search_query
from vsearch.evaluation.query_perturbation import PERTURBATIONS
from vsearch.evaluation.retrieval_cases import find_relevant_videos
from vsearch.media.sampler import probe_video
from vsearch.media.thumbnails import render_thumbnail
from vsearch.query.formatting import quote_phrase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from PIL.Image import Image as Picture

    from vsearch.evaluation.classification import ReliabilityBin
    from vsearch.evaluation.datasets import CaptionItem
    from vsearch.evaluation.query_evaluation import QueryGroupReport, QueryOutcome
    from vsearch.protocols import Encoder

QUERY_FORMS = ("keywords", "question", "number", "typo", "long")
IMAGE_KINDS = ("image", "mirrored, cropped")
PLOT_SIDE_PX, PLOT_MARGIN_PX = 360, 48


def derive_queries(
    caption_items: Sequence[CaptionItem], image_folder: Path
) -> Iterator[tuple[str, QueryItem]]:
    """Yield kind and query of each form of every caption, and the frames of its clip."""
    right_paths = map(frozenset, find_relevant_videos(caption_items))
    for index, (item, paths) in enumerate(zip(caption_items, right_paths, strict=True)):
        yield "caption", QueryItem(item.caption, paths, is_literal=True)
        for form in QUERY_FORMS:
            query_text = PERTURBATIONS[form](item.caption, index)
            yield form, QueryItem(query_text, paths, is_literal=True)
        middle_time = probe_video(item.video_path).duration / 2
        image = Image.open(
            io.BytesIO(render_thumbnail(item.video_path, middle_time, max_width=640))
        )
        for kind, picture in zip(IMAGE_KINDS, (image, mirror_and_crop(image)), strict=True):
            image_path = image_folder / f"{index} {kind}.png"
            picture.save(image_path)
            yield kind, QueryItem(f"image:{quote_phrase(str(image_path))}", paths)


def read_kinds(query_paths: Sequence[Path], clips_folder: Path) -> Iterator[tuple[str, QueryItem]]:
    """Yield kind and query of each line of files of queries."""
    for query_path in query_paths:
        for item in read_queries(query_path, clips_folder).items:
            yield f"{query_path.stem} {item.language}".strip(), item


def mirror_and_crop(picture: Picture) -> Picture:
    """Mirror and crop to three fifths of each side, off center."""
    width, height = picture.size
    box = (width // 10, 3 * height // 10, 7 * width // 10, 9 * height // 10)
    return picture.crop(box).transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def search_kinds(
    library_folder: Path, queries: Sequence[tuple[str, QueryItem]], encoder: Encoder
) -> dict[str, list[QueryOutcome]]:
    """Search every query in the library, and in a copy without the clips that answer it."""
    outcomes: defaultdict[str, list[QueryOutcome]] = defaultdict(list)
    queries_by_clips: defaultdict[frozenset[Path], list[tuple[str, QueryItem]]] = defaultdict(list)
    with Library.open(library_folder, encoder=encoder) as library:
        for kind, item in queries:
            outcomes[kind].append(search_query(library, item))
            queries_by_clips[item.clip_paths].append((kind, item))
    queries_by_clips.pop(frozenset(), None)  # the library is already without them
    for clip_paths, answered_queries in queries_by_clips.items():
        with tempfile.TemporaryDirectory() as work_folder:
            reduced_folder = Path(work_folder) / "without"
            shutil.copytree(library_folder, reduced_folder)
            with Library.open(reduced_folder, encoder=encoder) as library:
                library.remove(clip_paths)
                for kind, item in answered_queries:
                    absent_item = replace(item, clip_paths=frozenset[Path]())
                    outcomes[kind].append(search_query(library, absent_item))
    return outcomes


def plot_reliability(groups: Mapping[str, QueryGroupReport]) -> Picture:
    """Plot the reliability diagrams of groups of queries from left to right."""
    panel_width = PLOT_SIDE_PX + PLOT_MARGIN_PX
    picture_size = len(groups) * panel_width + PLOT_MARGIN_PX, PLOT_SIDE_PX + 2 * PLOT_MARGIN_PX
    picture = Image.new("RGB", picture_size, "white")
    draw = ImageDraw.Draw(picture)
    for panel_index, (name, group) in enumerate(groups.items()):
        left = PLOT_MARGIN_PX + panel_index * panel_width
        title = f"{name}: share of right results by confidence, 0 to 100 %"
        draw_panel(draw, left, title, group.confidence.reliability)
    return picture


def draw_panel(
    draw: ImageDraw.ImageDraw, left: float, title: str, reliability: Sequence[ReliabilityBin]
) -> None:
    """Draw one reliability diagram."""
    font, bottom = ImageFont.load_default(13), PLOT_MARGIN_PX + PLOT_SIDE_PX
    for each in reliability:
        if each.correct_share is None:
            continue
        bar_left, bar_right = (left + edge * PLOT_SIDE_PX for edge in (each.low, each.high))
        bar_top = bottom - each.correct_share * PLOT_SIDE_PX
        draw.rectangle((bar_left + 2, bar_top, bar_right - 2, bottom), (120, 150, 200))
        label_position = ((bar_left + bar_right) / 2, bottom + 10)
        draw.text(label_position, str(each.count), "grey", font, anchor="mm")
    right = left + PLOT_SIDE_PX
    draw.rectangle((left, PLOT_MARGIN_PX, right, bottom), outline="black")
    draw.line((left, bottom, right, PLOT_MARGIN_PX), "black")
    draw.text((left, PLOT_MARGIN_PX - 22), title, "black", font)
    draw.text((left, bottom + 22), "results in each tenth", "grey", font)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("clips", type=Path)
    parser.add_argument("queries", type=Path, nargs="*")
    parser.add_argument("--library", type=Path, default=Path("indexes/evaluation/calibration"))
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    caption_items = read_dataset(options.clips / "clips.jsonl").items
    video_paths, encoder = list_video_paths(caption_items), BuiltinEncoder()
    with Library.open(options.library, encoder=encoder) as library:
        for index_result in library.index(video_paths):
            assert index_result.error is None, index_result.error
    with tempfile.TemporaryDirectory() as image_folder:
        queries = [
            *derive_queries(caption_items, Path(image_folder)),
            *read_kinds(options.queries, video_paths[0].parent),
        ]
        outcomes = search_kinds(options.library, queries, encoder)
    print_confidence([report_group(kind, each) for kind, each in outcomes.items()])
    if options.plot is not None:
        groups = {
            "text": [each for kind in outcomes.keys() - {*IMAGE_KINDS} for each in outcomes[kind]],
            "images": [each for kind in IMAGE_KINDS for each in outcomes[kind]],
        }
        plot_reliability({name: report_group(name, each) for name, each in groups.items()}).save(
            options.plot
        )


if __name__ == "__main__":
    main()
