"""Fine-tune the whole sentence encoder toward images, for comparison with the bundled model.

    python -m benchmarks.bench_tuning PAIRS VECTORS.npy MINILM_FOLDER

Locked-image tuning (LiT, Zhai et al. 2022): the text tower is trained on pairs with CLIP's
symmetric InfoNCE loss (Radford et al. 2021), while the image vectors stay fixed. It starts from
all-MiniLM-L6-v2 and the bundled linear map. Some captions are perturbed: as keywords, as questions,
with typing errors. PAIRS and VECTORS.npy as for `bench_alignment`.
"""

from __future__ import annotations

import argparse
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tools.build_encoder.alignment import LinearMap, compute_info_nce, fit_linear_map
from tools.build_encoder.build import encode_pairs, read_captions, read_training_images
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER
from vsearch.encoders.sentence_tower import SentenceTower

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.types import Ids, Matrix

QUERY_PREFIXES = (
    "where is", "is there", "find", "show me", "a video of", "a photo of", "footage of",
    "a clip of", "scene with", "looking for", "do you have", "which video shows",
    "the video shows", "a short clip in which one sees",
)  # fmt: skip
STOP_WORD_TEXT = (
    "a an the of in on at with and to is are was were its his her their by for from as it this "
    "that there some two one over into near while"
)
STOP_WORDS = frozenset(STOP_WORD_TEXT.split())
KEYBOARD_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
NEIGHBOR_KEYS = {
    letter: row[max(0, at - 1) : at] + row[at + 1 : at + 2]
    for row in KEYBOARD_ROWS
    for at, letter in enumerate(row)
}
TRAIN_EPOCHS = 6
BATCH_SIZE = 512
LEARNING_RATE, MAP_LEARNING_RATE, SHARPNESS_LEARNING_RATE = 6e-5, 4e-4, 1e-3
INITIAL_SHARPNESS = 25.0  # 1 / temperature, at the start of training
RETYPED_SHARE = 0.4  # of the captions are perturbed as users type them
MAX_TOKENS = 48  # of a text in training; longer ones are rare
CHUNK_TEXTS = 64  # texts of similar length are encoded together
WARM_UP_SHARE = 0.1  # of all steps


@dataclass(frozen=True, slots=True)
class CaptionedImages:
    """Images and their captions."""

    images: Matrix  # float32 (N, 512), unit length, centered
    captions: Sequence[Sequence[str]]  # one or more for each picture
    groups: Ids  # (N,) pictures of one group show the same thing


class TextEncoder(nn.Module):
    """all-MiniLM-L6-v2 (mean pooling, unit length) with a linear map to image space."""

    def __init__(self, model_folder: Path, initial_map: LinearMap) -> None:
        from transformers import AutoTokenizer, BertModel  # deferred: for rebuilding only

        super().__init__()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(model_folder)
        self.bert: Any = BertModel.from_pretrained(model_folder, add_pooling_layer=False)
        self.image_map = nn.Linear(*initial_map.weight_matrix.shape)
        self.image_map.weight.data = torch.tensor(initial_map.weight_matrix.T)
        self.image_map.bias.data = torch.tensor(initial_map.bias_vector)

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        """Encode N texts to float32 (N, 512) of unit length."""
        ids = self.tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS)["input_ids"]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        chunks = [order[i : i + CHUNK_TEXTS] for i in range(0, len(order), CHUNK_TEXTS)]
        sentences = torch.cat([self._encode_sentences([ids[i] for i in chunk]) for chunk in chunks])
        return functional.normalize(self.image_map(sentences[np.argsort(order)]), dim=1)

    def linear_map(self) -> LinearMap:
        """Return the linear map after the sentence encoder."""
        weight, bias = self.image_map.weight.detach().numpy(), self.image_map.bias.detach().numpy()
        return LinearMap(np.ascontiguousarray(weight.T), bias)

    def sentence_weights(self) -> dict[str, Any]:
        """Return the weights of the sentence encoder for the ONNX export."""
        return {name: value.numpy() for name, value in self.bert.state_dict().items()}

    def _encode_sentences(self, token_ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Encode token ids of N texts to float32 (N, 384) of unit length."""
        rows = [torch.tensor(ids) for ids in token_ids]
        padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (N, T)
        lengths = torch.tensor([len(ids) for ids in token_ids])
        mask = (torch.arange(padded.shape[1]) < lengths[:, None]).long()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
            hidden = self.bert(padded, attention_mask=mask).last_hidden_state.float()
        mean = (hidden * mask[..., None]).sum(dim=1) / lengths[:, None]
        return functional.normalize(mean, dim=1)


def tune_encoder(
    text_encoder: TextEncoder, pairs: CaptionedImages, seed: int = 0
) -> Iterator[float]:
    """Train the text encoder; yield the mean loss after every epoch."""
    torch.manual_seed(seed)
    random_ = random.Random(seed)
    sharpness = nn.Parameter(torch.tensor(math.log(INITIAL_SHARPNESS)))
    optimizer = torch.optim.AdamW(
        [
            {
                "params": list(text_encoder.bert.parameters()),
                "lr": LEARNING_RATE,
                "weight_decay": 0.01,
            },
            {
                "params": list(text_encoder.image_map.parameters()),
                "lr": MAP_LEARNING_RATE,
                "weight_decay": 0.05,
            },
            {"params": [sharpness], "lr": SHARPNESS_LEARNING_RATE, "weight_decay": 0.0},
        ]
    )
    size = min(BATCH_SIZE, len(pairs.images))
    steps = TRAIN_EPOCHS * (len(pairs.images) // size)

    def learning_rate_factor(step: int) -> float:
        warm = max(1.0, WARM_UP_SHARE * steps)
        return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * step / steps)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_factor)
    for _ in range(TRAIN_EPOCHS):
        text_encoder.train()
        losses = []
        for batch in _shuffled_batches(len(pairs.images), size, random_):
            texts = text_encoder([_training_text(pairs.captions[i], random_) for i in batch])
            images = torch.tensor(pairs.images[batch])
            groups = torch.tensor(pairs.groups[batch])
            loss = compute_info_nce(texts, images, sharpness, groups[:, None] == groups[None, :])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(text_encoder.bert.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        text_encoder.eval()
        yield float(np.mean(losses))


def _shuffled_batches(row_count: int, batch_size: int, rng: random.Random) -> Iterator[list[int]]:
    order = rng.sample(range(row_count), row_count)
    for start in range(0, row_count - batch_size + 1, batch_size):
        yield order[start : start + batch_size]


def _training_text(captions: Sequence[str], rng: random.Random) -> str:
    """Return one of the captions, sometimes perturbed."""
    caption = rng.choice(captions)
    return retype_caption(caption, rng) if rng.random() < RETYPED_SHARE else caption


def retype_caption(caption: str, rng: random.Random) -> str:
    """Perturb a caption: typos, keywords, a prefix or lowercase."""
    draw = rng.random()
    words = caption.rstrip(".").split()
    if draw < 0.3:
        return " ".join(_add_slips(words, rng))
    if draw < 0.6:
        return " ".join(_pick_keywords(words, rng)).lower() or caption
    if draw < 0.85 and words:
        question_mark = "?" if rng.random() < 0.4 else ""
        text = caption[0].lower() + caption[1:].rstrip(".")
        return f"{rng.choice(QUERY_PREFIXES)} {text}{question_mark}"
    return caption.lower().rstrip(".")


def _add_slips(words: Sequence[str], rng: random.Random) -> list[str]:
    """Mistype one or two words."""
    typed = list(words)
    long = [i for i, word in enumerate(words) if len(word) > 3 and word.isalpha()]
    for i in rng.sample(long, min(len(long), rng.choice((1, 1, 2)))):
        typed[i] = _mistype_word(words[i], rng)
    return typed


def _mistype_word(word: str, rng: random.Random) -> str:
    """Omit, double, swap or replace a letter other than the first."""
    at = rng.randrange(1, len(word))
    kind = rng.randrange(4)
    if kind == 0:
        return word[:at] + word[at + 1 :]
    if kind == 1:
        return word[:at] + word[at] + word[at:]
    if kind == 2 and at < len(word) - 1:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + rng.choice(NEIGHBOR_KEYS.get(word[at].lower(), "e")) + word[at + 1 :]


def _pick_keywords(words: Sequence[str], rng: random.Random) -> list[str]:
    """Return two to four content words in order."""
    bare = [word.strip(".,;:") for word in words]
    content = [word for word in bare if word.lower() not in STOP_WORDS and len(word) > 2]
    count = rng.randint(2, 4)
    if len(content) <= count:
        return content
    return [content[i] for i in sorted(rng.sample(range(len(content)), count))]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for name in ("pairs", "vectors", "minilm"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    training_images = read_training_images(options.pairs, WEIGHTS_FOLDER, options.vectors)
    rows = encode_pairs(training_images, SentenceTower(WEIGHTS_FOLDER))
    pairs, validation_pairs = rows.select_split("train"), rows.select_split("val")
    captions = [read_captions(row) for row, _ in training_images if row["split"] == "train"]
    validation_texts = [
        read_captions(row)[0] for row, _ in training_images if row["split"] == "val"
    ]
    text_encoder = TextEncoder(options.minilm, fit_linear_map(pairs))
    for loss in tune_encoder(
        text_encoder, CaptionedImages(pairs.image_vectors, captions, pairs.group_ids)
    ):
        with torch.no_grad():
            scores = text_encoder(validation_texts).numpy() @ validation_pairs.image_vectors.T
        is_relevant = validation_pairs.group_ids[:, None] == validation_pairs.group_ids[None, :]
        best = np.where(is_relevant, scores, -np.inf).max(axis=1)
        rank = (np.where(is_relevant, -np.inf, scores) > best[:, None]).sum(axis=1)
        shares = " ".join(f"R@{k} {100 * (rank < k).mean():.1f}" for k in (1, 5, 10))
        print(f"loss {loss:.3f}   {shares}", flush=True)


if __name__ == "__main__":
    main()
