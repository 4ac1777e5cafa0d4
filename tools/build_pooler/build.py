"""Rebuild the bundled pooler of the built-in model.

    python -m tools.build_pooler.build scenes PAIRS_FOLDER SCENES.npz [--cache FILE]
        [--open-licenses]
    python -m tools.build_pooler.build train SCENES.npz [--seed N] [--into FILE]
        [--folder CHECKPOINTS] [--steps N]

`scenes` encodes still images of the training pairs, crops of them, and blurred or badly exposed
versions; no video is needed. `train` builds clips from those and trains a pooler; the printed
digest goes into `vsearch/pooling/transformer.py`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tools.build_encoder.build import is_open_license, iter_images, read_pair_rows
from tools.build_pooler.still_clips import StillClips
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.media.distractors import crop_randomly, degrade_image, draw_distractors
from vsearch.pooling.transformer import SHIPPED_PATH
from vsearch.pooling.weights import CONFIG_PRESETS
from vsearch.storage.array_files import load_arrays, save_arrays
from vsearch.training.denoising_task import PoolerTask
from vsearch.training.trainer import TrainerConfig, TrainerState, train_network

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.types import Matrix

DEFAULT_SEED = 0
TRAIN_IMAGES, VALIDATION_IMAGES = 1_600, 200
DISTRACTOR_COUNT = 800
DEFAULT_STEPS, LEARNING_RATE = 1_000, 4e-4


def encode_scenes(
    pairs_folder: Path, output_path: Path, cache_path: Path | None, open_licenses_only: bool
) -> None:
    """Encode images, crops, degraded versions and distractors.

    The fast tier of the model, which shares the space, encodes everything except the original
    images and half of the distractors.

    Args:
        pairs_folder: Folder of the image-text pairs.
        output_path: File to write.
        cache_path: Vectors of all images as cached by `tools.build_encoder`, or None.
        open_licenses_only: Use only images with open licenses.
    """
    encoder, fast_encoder, rng = (
        BuiltinEncoder(),
        BuiltinEncoder("fast"),
        np.random.default_rng(DEFAULT_SEED),
    )
    numbered_rows = [
        {**pair_row, "number": image_number}
        for image_number, pair_row in enumerate(read_pair_rows(pairs_folder))
    ]
    eligible_rows = [
        pair_row
        for pair_row in numbered_rows
        if not open_licenses_only or is_open_license(pair_row["license"])
    ]
    chosen_rows = [
        *_sample_rows(eligible_rows, "train", TRAIN_IMAGES, rng),
        *_sample_rows(eligible_rows, "val", VALIDATION_IMAGES, rng),
    ]
    cached_vectors = None if cache_path is None else np.load(cache_path, allow_pickle=False)
    vectors_by_kind: dict[str, list[Matrix]] = {"whole": [], "moved": [], "spoiled": []}
    for image_number, (pair_row, image_batch) in enumerate(
        zip(chosen_rows, iter_images(pairs_folder, chosen_rows), strict=True)
    ):
        if cached_vectors is None:
            vectors_by_kind["whole"].append(encoder.encode_images(image_batch))
        else:
            vectors_by_kind["whole"].append(
                encoder.center_features(cached_vectors[pair_row["number"]][None])
            )
        image_vector, cropped_images = (
            fast_encoder.encode_images(image_batch),
            crop_randomly(image_batch[0], rng)[None],
        )
        vectors_by_kind["moved"].append(fast_encoder.encode_images(cropped_images) - image_vector)
        vectors_by_kind["spoiled"].append(
            fast_encoder.encode_images(degrade_image(image_batch[0], rng)[None])
        )
        if image_number % 100 == 0:
            print(f"{image_number}/{len(chosen_rows)} images", flush=True)
    distractor_vectors = [
        (encoder if image_number % 2 else fast_encoder).encode_images(image_batch[None])
        for image_number, image_batch in enumerate(draw_distractors(DISTRACTOR_COUNT, DEFAULT_SEED))
    ]
    arrays: dict[str, Any] = {
        array_name: np.concatenate(vector_list)
        for array_name, vector_list in vectors_by_kind.items()
    }
    arrays["junk"] = np.concatenate(distractor_vectors)
    arrays["texts"] = encoder.encode_texts([pair_row["text"] for pair_row in chosen_rows])
    arrays["train"] = np.array([pair_row["split"] == "train" for pair_row in chosen_rows])
    arrays["space"] = encoder.space.name
    save_arrays(output_path, arrays)


def train_shipped_pooler(
    scenes_path: Path, output_path: Path, checkpoint_folder: Path | None, seed: int, step_count: int
) -> None:
    """Train a pooler on clips of still images.

    Args:
        scenes_path: File from `encode_scenes`.
        output_path: File to write.
        checkpoint_folder: Folder from which an interrupted run resumes, or None.
        seed: Seed of the training.
        step_count: Training steps.
    """
    scene_arrays = load_arrays(scenes_path)
    # no clip is sampled twice, so there is nothing to overfit
    model_config = replace(CONFIG_PRESETS["small"], dropout=0.0)
    training_task = PoolerTask(model_config, StillClips(scene_arrays), seed)
    trainer_config = TrainerConfig(
        steps=step_count, learning_rate=LEARNING_RATE, seed=seed, eval_interval=100
    )
    trainer_state = train_network(training_task, trainer_config, checkpoint_folder, _print_progress)
    weights_metadata = {
        "space": str(scene_arrays["space"]),
        "seed": seed,
        "steps": trainer_state.best_step,
    }
    weights = training_task.to_weights(
        weights_metadata | {"figures": trainer_state.figures}
    ).rounded_weights
    weights.save(output_path)
    print(f"{output_path}: {weights.digest}")


def _print_progress(trainer_state: TrainerState) -> None:
    if "validation" in trainer_state.history[-1]:
        print(
            trainer_state.step,
            round(trainer_state.history[-1]["loss"], 4),
            trainer_state.history[-1]["figures"],
            flush=True,
        )


def _sample_rows(
    pair_rows: Sequence[dict[str, Any]], split_name: str, row_count: int, rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """Sample rows of a split, no two of one group."""
    row_by_group = {
        pair_row["group"]: pair_row for pair_row in pair_rows if pair_row["split"] == split_name
    }
    group_names = sorted(row_by_group)
    for group_index in rng.permutation(len(group_names))[:row_count]:
        yield row_by_group[group_names[int(group_index)]]


def main() -> None:
    """Run the command line described in the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    subcommands = parser.add_subparsers(dest="step", required=True)
    scenes_parser = subcommands.add_parser("scenes")
    scenes_parser.add_argument("pairs", type=Path)
    scenes_parser.add_argument("into", type=Path)
    scenes_parser.add_argument("--cache", type=Path)
    scenes_parser.add_argument("--open-licenses", action="store_true")
    train_parser = subcommands.add_parser("train")
    train_parser.add_argument("scenes", type=Path)
    train_parser.add_argument("--into", type=Path, default=SHIPPED_PATH)
    train_parser.add_argument("--folder", type=Path)
    train_parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    train_parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    args = parser.parse_args()
    if args.step == "scenes":
        encode_scenes(args.pairs, args.into, args.cache, args.open_licenses)
    else:
        train_shipped_pooler(args.scenes, args.into, args.folder, args.seed, args.steps)


if __name__ == "__main__":
    main()
