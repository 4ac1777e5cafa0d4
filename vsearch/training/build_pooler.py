"""Rebuild the pooler that ships with the embedded model.

    python -m vsearch.training.build_pooler scenes PAIRS_FOLDER SCENES.npz [--cache FILE]
        [--open-licences]
    python -m vsearch.training.build_pooler train SCENES.npz [--seed N] [--into FILE]
        [--folder CHECKPOINTS]

`scenes` shows the embedded encoder still pictures of the pairs, parts of them, and the same out of
focus or exposed wrongly; no video is needed. `train` makes clips of those and learns to pool them;
the digest that it prints belongs into `temporal/learned.py`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.arrays import load_arrays, save_arrays
from vsearch.encoders.build_builtin import is_open, read_lines, read_pictures
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.media.junk import cropped, drawn, spoiled
from vsearch.temporal.learned import SHIPPED
from vsearch.temporal.robust import RobustPooling
from vsearch.temporal.training import Progress, Recipe, train
from vsearch.temporal.weights import PRESETS
from vsearch.training.stills import StillClips

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.types import Matrix

SEED = 0
TRAIN, VAL = 1_600, 200  # pictures
DRAWN = 800
STEPS, RATE = 1_000, 4e-4


def scenes(pairs: Path, into: Path, cache: Path | None, open_licences: bool) -> None:
    """Encode pictures, as they are, cropped and spoiled, and junk that belongs to none of them.

    By the fast tier, which shares the space, but for the pictures as they are and half the junk;
    `cache` holds those of all pairs, as `build_builtin` keeps them.
    """
    encoder, fast, random = BuiltinEncoder(), BuiltinEncoder("fast"), np.random.default_rng(SEED)
    lines = [{**row, "number": number} for number, row in enumerate(read_lines(pairs))]
    rows = [row for row in lines if not open_licences or is_open(row["license"])]
    chosen = [*_some(rows, "train", TRAIN, random), *_some(rows, "val", VAL, random)]
    known = None if cache is None else np.load(cache, allow_pickle=False)
    found: dict[str, list[Matrix]] = {"whole": [], "moved": [], "spoiled": []}
    for number, (row, picture) in enumerate(zip(chosen, read_pictures(pairs, chosen), strict=True)):
        if known is None:
            found["whole"].append(encoder.encode_images(picture))
        else:
            found["whole"].append(encoder.centred(known[row["number"]][None]))
        still, parts = fast.encode_images(picture), cropped(picture[0], random)[None]
        found["moved"].append(fast.encode_images(parts) - still)
        found["spoiled"].append(fast.encode_images(spoiled(picture[0], random)[None]))
        if number % 100 == 0:
            print(f"{number}/{len(chosen)} pictures", flush=True)
    junk = [
        (encoder if number % 2 else fast).encode_images(picture[None])
        for number, picture in enumerate(drawn(DRAWN, SEED))
    ]
    arrays: dict[str, Any] = {name: np.concatenate(each) for name, each in found.items()}
    arrays["junk"] = np.concatenate(junk)
    arrays["texts"] = encoder.encode_texts([row["text"] for row in chosen])
    arrays["train"] = np.array([row["split"] == "train" for row in chosen])
    arrays["space"] = encoder.space.name
    save_arrays(into, arrays)


def learn(scenes: Path, into: Path, folder: Path | None, seed: int, steps: int) -> None:
    """Train on clips made of the scenes; a run that was stopped goes on from its `folder`."""
    arrays = load_arrays(scenes)
    config = replace(PRESETS["small"], dropout=0.0)  # no clip is seen twice: nothing to overfit
    lesson = RobustPooling(config, StillClips(arrays), seed)
    recipe = Recipe(steps=steps, rate=RATE, seed=seed, every=100)
    now = train(lesson, recipe, folder, _told)
    about = {"space": str(arrays["space"]), "seed": seed, "steps": now.best_step}
    weights = lesson.weights(about | {"figures": now.figures}).half
    weights.save(into)
    print(f"{into}: {weights.digest}")


def _told(now: Progress) -> None:
    if "validation" in now.history[-1]:
        print(now.step, round(now.history[-1]["loss"], 4), now.history[-1]["figures"], flush=True)


def _some(
    rows: Sequence[dict[str, Any]], split: str, count: int, random: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """So many photographs and drawings of a split, no two of one group."""
    by_group = {row["group"]: row for row in rows if row["split"] == split}
    names = sorted(by_group)
    for place in random.permutation(len(names))[:count]:
        yield by_group[names[int(place)]]


def main() -> None:
    """The command line; see the top of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    steps = parser.add_subparsers(dest="step", required=True)
    first = steps.add_parser("scenes")
    first.add_argument("pairs", type=Path)
    first.add_argument("into", type=Path)
    first.add_argument("--cache", type=Path)
    first.add_argument("--open-licences", action="store_true")
    second = steps.add_parser("train")
    second.add_argument("scenes", type=Path)
    second.add_argument("--into", type=Path, default=SHIPPED)
    second.add_argument("--folder", type=Path)
    second.add_argument("--seed", type=int, default=SEED)
    second.add_argument("--steps", type=int, default=STEPS)
    asked = parser.parse_args()
    if asked.step == "scenes":
        scenes(asked.pairs, asked.into, asked.cache, asked.open_licences)
    else:
        learn(asked.scenes, asked.into, asked.folder, asked.seed, asked.steps)


if __name__ == "__main__":
    main()
