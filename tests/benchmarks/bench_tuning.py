"""The sentence encoder tuned towards pictures as a whole, to compare with what ships:

    python -m tests.benchmarks.bench_tuning PAIRS VECTORS.npy MINILM_FOLDER

Locked-image tuning (LiT, Zhai et al. 2022): the whole text side learns from pairs, with CLIP's
symmetric InfoNCE loss (Radford et al. 2021), while the pictures' vectors stay as they are. It
starts at all-MiniLM-L6-v2 and the linear map that ships; some captions are shown as people type
them, as keywords, as questions, with slips of the finger. PAIRS and VECTORS.npy as for
`bench_alignment`.
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

from vsearch.encoders.alignment import LinearMap, fit, info_nce
from vsearch.encoders.build_builtin import read_rows
from vsearch.encoders.shipped import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.types import Ids, Matrix

BEGINNINGS = (
    "where is", "is there", "find", "show me", "a video of", "a photo of", "footage of",
    "a clip of", "scene with", "looking for", "do you have", "which video shows",
    "the video shows", "a short clip in which one sees",
)  # fmt: skip
WORDS = (
    "a an the of in on at with and to is are was were its his her their by for from as it this "
    "that there some two one over into near while"
)
SMALL = frozenset(WORDS.split())
ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
NEIGHBOURS = {
    letter: row[max(0, at - 1) : at] + row[at + 1 : at + 2]
    for row in ROWS
    for at, letter in enumerate(row)
}

EPOCHS = 6
BATCH = 512
RATE, MAP_RATE, SHARPNESS_RATE = 6e-5, 4e-4, 1e-3
SHARPNESS = 25.0  # 1 / temperature, where learning starts
RETYPED = 0.4  # of the captions are shown as people type them
TOKENS = 48  # of a text in training; longer ones are rare
CHUNK = 64  # texts of about one length go through the network together
WARM_UP = 0.1  # of all steps


@dataclass(frozen=True, slots=True)
class Captioned:
    """Pictures and their captions."""

    images: Matrix  # float32 (N, 512), unit length, centred
    captions: Sequence[Sequence[str]]  # one or more for each picture
    groups: Ids  # (N,) pictures of one group show the same thing


class TextSide(nn.Module):
    """all-MiniLM-L6-v2 (mean of tokens, unit length), then a linear map to pictures."""

    def __init__(self, folder: Path, start: LinearMap) -> None:
        from transformers import AutoTokenizer, BertModel  # deferred: for rebuilding only

        super().__init__()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.bert: Any = BertModel.from_pretrained(folder, add_pooling_layer=False)
        self.map = nn.Linear(*start.matrix.shape)
        self.map.weight.data = torch.tensor(start.matrix.T)
        self.map.bias.data = torch.tensor(start.bias)

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        """N texts -> float32 (N, 512) of unit length."""
        ids = self.tokenizer(list(texts), truncation=True, max_length=TOKENS)["input_ids"]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        chunks = [order[i : i + CHUNK] for i in range(0, len(order), CHUNK)]
        sentences = torch.cat([self._sentences([ids[i] for i in chunk]) for chunk in chunks])
        return functional.normalize(self.map(sentences[np.argsort(order)]), dim=1)

    def linear_map(self) -> LinearMap:
        """What follows the sentence encoder."""
        weight, bias = self.map.weight.detach().numpy(), self.map.bias.detach().numpy()
        return LinearMap(np.ascontiguousarray(weight.T), bias)

    def sentence_weights(self) -> dict[str, Any]:
        """The sentence encoder's, for `graphs.text_tower`."""
        return {name: value.numpy() for name, value in self.bert.state_dict().items()}

    def _sentences(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Token ids of N texts -> float32 (N, 384) of unit length."""
        rows = [torch.tensor(each) for each in ids]
        padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (N, T)
        lengths = torch.tensor([len(each) for each in ids])
        mask = (torch.arange(padded.shape[1]) < lengths[:, None]).long()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
            hidden = self.bert(padded, attention_mask=mask).last_hidden_state.float()
        mean = (hidden * mask[..., None]).sum(dim=1) / lengths[:, None]
        return functional.normalize(mean, dim=1)


def tune(side: TextSide, pairs: Captioned, seed: int = 0) -> Iterator[float]:
    """Train `side`, and give the mean loss after every epoch."""
    torch.manual_seed(seed)
    random_ = random.Random(seed)
    sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))
    optimiser = torch.optim.AdamW(
        [
            {"params": list(side.bert.parameters()), "lr": RATE, "weight_decay": 0.01},
            {"params": list(side.map.parameters()), "lr": MAP_RATE, "weight_decay": 0.05},
            {"params": [sharpness], "lr": SHARPNESS_RATE, "weight_decay": 0.0},
        ]
    )
    size = min(BATCH, len(pairs.images))
    steps = EPOCHS * (len(pairs.images) // size)

    def pace(step: int) -> float:
        warm = max(1.0, WARM_UP * steps)
        return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * step / steps)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, pace)
    for _ in range(EPOCHS):
        side.train()
        losses = []
        for batch in _batches(len(pairs.images), size, random_):
            texts = side([_shown(pairs.captions[i], random_) for i in batch])
            images = torch.tensor(pairs.images[batch])
            loss = info_nce(texts, images, sharpness, torch.tensor(pairs.groups[batch]))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(side.bert.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        side.eval()
        yield float(np.mean(losses))


def _batches(count: int, size: int, random_: random.Random) -> Iterator[list[int]]:
    order = random_.sample(range(count), count)
    for start in range(0, count - size + 1, size):
        yield order[start : start + size]


def _shown(captions: Sequence[str], random_: random.Random) -> str:
    """One of the captions, now and then retyped."""
    caption = random_.choice(captions)
    return retyped(caption, random_) if random_.random() < RETYPED else caption


def retyped(caption: str, chance: random.Random) -> str:
    """The caption with slips, as keywords, after some beginning or in small letters."""
    way = chance.random()
    words = caption.rstrip(".").split()
    if way < 0.3:
        return " ".join(_with_slips(words, chance))
    if way < 0.6:
        return " ".join(_keywords(words, chance)).lower() or caption
    if way < 0.85 and words:
        asked = "?" if chance.random() < 0.4 else ""
        return f"{chance.choice(BEGINNINGS)} {caption[0].lower()}{caption[1:].rstrip('.')}{asked}"
    return caption.lower().rstrip(".")


def _with_slips(words: Sequence[str], chance: random.Random) -> list[str]:
    """One word is mistyped, sometimes two."""
    typed = list(words)
    long = [i for i, word in enumerate(words) if len(word) > 3 and word.isalpha()]
    for i in chance.sample(long, min(len(long), chance.choice((1, 1, 2)))):
        typed[i] = _slip(words[i], chance)
    return typed


def _slip(word: str, chance: random.Random) -> str:
    """One letter, not the first, left out, doubled, swapped with the next or mistaken."""
    at = chance.randrange(1, len(word))
    way = chance.randrange(4)
    if way == 0:
        return word[:at] + word[at + 1 :]
    if way == 1:
        return word[:at] + word[at] + word[at:]
    if way == 2 and at < len(word) - 1:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + chance.choice(NEIGHBOURS.get(word[at].lower(), "e")) + word[at + 1 :]


def _keywords(words: Sequence[str], chance: random.Random) -> list[str]:
    """Two to four of the words that matter, in their order."""
    bare = [word.strip(".,;:") for word in words]
    content = [word for word in bare if word.lower() not in SMALL and len(word) > 2]
    count = chance.randint(2, 4)
    if len(content) <= count:
        return content
    return [content[i] for i in sorted(chance.sample(range(len(content)), count))]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for name in ("pairs", "vectors", "minilm"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    rows = read_rows(given.pairs, FOLDER, given.vectors, open_licences=False)
    centre = np.load(FOLDER / "centre.npy")
    pairs, judged = rows.split("train", centre), rows.split("val", centre)
    train = [row for row in rows.rows if row["split"] == "train"]
    captions = [[row["text"], *row.get("alt_texts", [])] for row in train]
    asked = [row["text"] for row in rows.rows if row["split"] == "val"]
    side = TextSide(given.minilm, fit(pairs))
    for loss in tune(side, Captioned(pairs.images, captions, pairs.groups)):
        with torch.no_grad():
            scores = side(asked).numpy() @ judged.images.T
        right = judged.groups[:, None] == judged.groups[None, :]
        best = np.where(right, scores, -np.inf).max(axis=1)
        rank = (np.where(right, -np.inf, scores) > best[:, None]).sum(axis=1)
        shares = " ".join(f"R@{k} {100 * (rank < k).mean():.1f}" for k in (1, 5, 10))
        print(f"loss {loss:.3f}   {shares}", flush=True)


if __name__ == "__main__":
    main()
