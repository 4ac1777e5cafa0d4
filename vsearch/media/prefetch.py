"""Decode frames in a background thread while the caller is busy with earlier ones."""

from __future__ import annotations

import queue
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.media.sampler import Sampler
    from vsearch.types import FrameBatch

PREFETCH_BATCHES = 4  # decoded ahead, about while the model loads


@contextmanager
def prefetch_batches(sampler: Sampler) -> Iterator[Iterator[FrameBatch]]:
    """Decode a sampler's batches in a background thread, up to `PREFETCH_BATCHES` ahead.

    The thread ends with the block. An error of the sampler is raised by the iterator.

    Args:
        sampler: Sampler to iterate.

    Yields:
        An iterator over the batches.
    """
    batch_queue: queue.Queue[FrameBatch | BaseException | None] = queue.Queue(PREFETCH_BATCHES)
    stop_event = threading.Event()

    def enqueue_item(queue_item: FrameBatch | BaseException | None) -> bool:
        while not stop_event.is_set():
            try:
                batch_queue.put(queue_item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def decode_batches() -> None:
        try:
            for frame_batch in sampler:
                if not enqueue_item(frame_batch):
                    return
            enqueue_item(None)
        except BaseException as error:
            enqueue_item(error)

    def iter_batches() -> Iterator[FrameBatch]:
        while (queue_item := batch_queue.get()) is not None:
            if isinstance(queue_item, BaseException):
                raise queue_item
            yield queue_item

    decoder_thread = threading.Thread(target=decode_batches, name="decode", daemon=True)
    decoder_thread.start()
    try:
        yield iter_batches()
    finally:
        stop_event.set()
        sampler.stop()
        decoder_thread.join()
