"""Frames decoded by one thread while another is busy with those before."""

from __future__ import annotations

import queue
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.media.video import Sampler
    from vsearch.types import FrameBatch

AHEAD = 4  # batches decoded before they are asked for: as long as a model takes to load


@contextmanager
def ahead(batches: Sampler) -> Iterator[Iterator[FrameBatch]]:
    """`batches`, decoded by another thread while the caller is busy with the one before."""
    waiting: queue.Queue[FrameBatch | BaseException | None] = queue.Queue(AHEAD)
    stop = threading.Event()

    def put(item: FrameBatch | BaseException | None) -> bool:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def decode() -> None:
        try:
            for batch in batches:
                if not put(batch):
                    return
            put(None)
        except BaseException as error:
            put(error)

    def take() -> Iterator[FrameBatch]:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=decode, name="decode", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        stop.set()
        batches.stop()
        thread.join()
