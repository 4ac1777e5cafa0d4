"""What is known of models before they are run: dimension, size and quality.

Of the embedded tiers: as in `weights/MODEL_CARD.md`. Of open_clip's: ImageNet zero-shot top-1 and
COCO text → picture R@1 as open_clip publishes them (docs/openclip_results.csv and
docs/openclip_retrieval_results.csv in github.com/mlfoundations/open_clip); for MobileCLIP and
MobileCLIP2 as their authors do (github.com/apple/ml-mobileclip, arXiv 2508.20691), for SigLIP 2 as
in arXiv 2502.14786, table 1. A size is that of the float32 weights, 4 bytes a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    Quality: TypeAlias = Mapping[str, tuple[float, ...]]  # measure -> percentages


@dataclass(frozen=True, slots=True)
class Known:
    """A model that can be recommended."""

    name: str  # as --model takes it
    dim: int
    parameters: float  # millions
    quality: Quality = field(default_factory=dict)
    speaks_text: bool = True

    @property
    def size(self) -> int:
        """Bytes on disk, once downloaded."""
        return round(self.parameters * 4e6)


EMBEDDED: Mapping[str, Quality] = {  # the argument of builtin: "" for the default tier
    "": {"clips R@1": (89.5,), "pictures R@1/5/10": (71.5, 92.5, 95.6)},
    "fast": {"clips R@1": (87.7,), "pictures R@1/5/10": (66.3, 90.8, 94.6)},
}


def _clip(name: str, dim: int, parameters: float, imagenet: float, coco: float | None) -> Known:
    quality = {"ImageNet": (imagenet,)} | ({"COCO R@1": (coco,)} if coco is not None else {})
    return Known(f"openclip:{name}", dim, parameters, quality)


PUBLISHED = (  # from small to large
    _clip("MobileCLIP2-S0/dfndr2b", 512, 74.84, 71.5, None),
    _clip("MobileCLIP-S1/datacompdr", 512, 84.97, 72.6, None),
    _clip("MobileCLIP-S2/datacompdr", 512, 99.24, 74.4, None),
    _clip("MobileCLIP2-S2/dfndr2b", 512, 99.24, 77.2, None),
    _clip("ViT-B-32/openai", 512, 151.28, 63.3, 30.4),
    _clip("ViT-B-32/laion2b_s34b_b79k", 512, 151.28, 66.6, 39.3),
    _clip("ViT-B-16/openai", 512, 149.62, 68.3, 33.1),
    _clip("ViT-B-16/laion2b_s34b_b88k", 512, 149.62, 70.2, 42.3),
    _clip("ViT-B-16/datacomp_xl_s13b_b90k", 512, 149.62, 73.5, 40.2),
    _clip("ViT-B-16-SigLIP/webli", 768, 203.16, 76.0, 47.8),
    _clip("ViT-B-16-SigLIP2/webli", 768, 375.2, 78.2, 52.1),
    _clip("ViT-L-14/openai", 768, 427.62, 75.5, 36.5),
    _clip("ViT-L-14/datacomp_xl_s13b_b90k", 768, 427.62, 79.2, 45.7),
    _clip("ViT-SO400M-14-SigLIP-384/webli", 1152, 877.96, 83.1, 54.2),
    _clip("ViT-H-14/laion2b_s32b_b79k", 1024, 986.11, 78.0, 49.5),
    Known("cnn:resnet50", 2048, 25.56, speaks_text=False),
)
