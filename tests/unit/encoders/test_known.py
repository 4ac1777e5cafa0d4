from __future__ import annotations

import re

import open_clip

from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.known import EMBEDDED, PUBLISHED
from vsearch.encoders.shipped import FOLDER


def test_what_is_said_of_the_embedded_tiers_is_in_the_model_card() -> None:
    card = re.sub(r"\s+", " ", (FOLDER / "MODEL_CARD.md").read_text("utf-8"))
    for quality in EMBEDDED.values():
        for values in quality.values():
            assert re.search(rf"\b{re.escape(' / '.join(map(str, values)))}\b", card)


def test_every_embedded_tier_is_known() -> None:
    assert set(EMBEDDED) == set(getattr(BuiltinEncoder, "variants", ("",)))


def test_what_is_recommended_can_be_had_and_is_as_long_as_said() -> None:
    there = {f"openclip:{arch}/{tag}": arch for arch, tag in open_clip.list_pretrained()}
    for known in PUBLISHED:
        if known.name.startswith("openclip:"):
            assert open_clip.get_model_config(there[known.name])["embed_dim"] == known.dim
