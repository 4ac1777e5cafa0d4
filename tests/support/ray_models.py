"""Models for tests of a cluster: one that takes its time, and one that a color kills."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import numpy as np

from tests.support.fakes import FakeEncoder

if TYPE_CHECKING:
    from vsearch.types import Images, Matrix

NODE_VARIABLE = "TEST_IS_NODE"  # set in the environment of the nodes, not of the driver
POISON_COLOR = (255, 0, 255)
SECONDS_PER_BATCH = 0.4


class SlowEncoder(FakeEncoder):
    """FakeEncoder that takes long enough on nodes to be killed meanwhile."""

    def encode_images(self, images: Images) -> Matrix:
        """Encode images, slowly on a node."""
        if NODE_VARIABLE in os.environ:
            time.sleep(SECONDS_PER_BATCH)
        return super().encode_images(images)


class PoisonEncoder(FakeEncoder):
    """FakeEncoder that crashes its process on a node when it sees magenta."""

    def encode_images(self, images: Images) -> Matrix:
        """Encode images, or crash."""
        center = images[:, images.shape[1] // 2 - 4, images.shape[2] // 2 :]
        distance = np.abs(center.mean(axis=(0, 1)) - np.array(POISON_COLOR)).max()
        if NODE_VARIABLE in os.environ and distance < 40:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().encode_images(images)
