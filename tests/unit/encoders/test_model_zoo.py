from __future__ import annotations

import re

import open_clip

from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER
from vsearch.encoders.model_zoo import BUILTIN_QUALITY, RECOMMENDED_MODELS


def test_figures_of_the_embedded_tiers_match_the_model_card() -> None:
    card = re.sub(r"\s+", " ", (WEIGHTS_FOLDER / "MODEL_CARD.md").read_text("utf-8"))
    for quality in BUILTIN_QUALITY.values():
        for values in quality.values():
            assert re.search(rf"\b{re.escape(' / '.join(map(str, values)))}\b", card)


def test_every_embedded_tier_has_figures() -> None:
    assert set(BUILTIN_QUALITY) == set(getattr(BuiltinEncoder, "variants", ("",)))


def test_recommended_models_exist_with_the_stated_dimension() -> None:
    there = {f"openclip:{arch}/{tag}": arch for arch, tag in open_clip.list_pretrained()}
    for known in RECOMMENDED_MODELS:
        if known.model_name.startswith("openclip:"):
            assert (
                open_clip.get_model_config(there[known.model_name])["embed_dim"] == known.vector_dim
            )
