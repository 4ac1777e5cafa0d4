"""Frames of several videos encoded together, by one thread: a device is fed large batches."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from vsearch.protocols import Encoder
    from vsearch.types import Images, Matrix, Space

    Request = tuple[Images, Future[Matrix]]

MOST = 128  # images that are encoded at once, unless one request has more


class JoinedEncoder:
    """An encoder for several threads. What they ask for while it is busy is encoded at once.

    Each waits until its own pictures are done, so no more wait than there are threads. To be used
    as a context: its thread ends with the block.
    """

    def __init__(self, encoder: Encoder, most: int = MOST) -> None:
        self._encoder, self._most = encoder, most
        self._waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="encode", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.put(None)
        self._thread.join()

    @property
    def space(self) -> Space:
        """The encoder's own."""
        return self._encoder.space

    @property
    def image_size(self) -> int:
        """The encoder's own."""
        return self._encoder.image_size

    def encode_images(self, images: Images) -> Matrix:
        """uint8 (N, H, W, 3) RGB -> float32 (N, D), rows of unit length."""
        if not len(images):
            return np.empty((0, self.space.dim), np.float32)
        done: Future[Matrix] = Future()
        self._waiting.put((images, done))
        return done.result()

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """The encoder's own."""
        return self._encoder.encode_texts(texts)

    def _work(self) -> None:
        last: Request | None = None  # taken, but of another shape or too much
        while (first := last or self._waiting.get()) is not None:
            together, last, ended = self._joined(first)
            self._encode(together)
            if ended:
                return

    def _joined(self, first: Request) -> tuple[list[Request], Request | None, bool]:
        """What is asked for now and can be encoded at once, what comes next, and if it is over."""
        together, count = [first], len(first[0])
        while True:
            try:
                more = self._waiting.get_nowait()
            except queue.Empty:
                return together, None, False
            if more is None:
                return together, None, True
            if more[0].shape[1:] != first[0].shape[1:] or count + len(more[0]) > self._most:
                return together, more, False
            together.append(more)
            count += len(more[0])

    def _encode(self, together: list[Request]) -> None:
        try:
            found = self._encoder.encode_images(np.concatenate([images for images, _ in together]))
        except BaseException as error:
            for _, done in together:
                done.set_exception(error)
            return
        start = 0
        for images, done in together:
            done.set_result(found[start : start + len(images)])
            start += len(images)
