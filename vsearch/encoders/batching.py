"""Batch the images of several threads dynamically, so that a device gets large batches."""

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

    EncodeRequest = tuple[Images, Future[Matrix]]

MAX_BATCH_IMAGES = 128  # unless a single request has more


class BatchingEncoder:
    """Encoder shared by several threads; requests made while it is busy are encoded together.

    A thread waits for its own images, so at most one request per thread is pending. Use it as a
    context manager, which ends its worker thread.

    Args:
        encoder: Encoder to call.
        max_batch_images: Images per call at most.
    """

    def __init__(self, encoder: Encoder, max_batch_images: int = MAX_BATCH_IMAGES) -> None:
        self._encoder, self._max_batch_images = encoder, max_batch_images
        self._request_queue: queue.SimpleQueue[EncodeRequest | None] = queue.SimpleQueue()
        self._worker_thread = threading.Thread(target=self._run_worker, name="encode", daemon=True)

    def __enter__(self) -> Self:
        self._worker_thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._request_queue.put(None)
        self._worker_thread.join()

    @property
    def space(self) -> Space:
        """Space of the encoder."""
        return self._encoder.space

    @property
    def image_size(self) -> int:
        """Preferred short side of the images in pixels."""
        return self._encoder.image_size

    def encode_images(self, images: Images) -> Matrix:
        """Encode uint8 (N, H, W, 3) RGB as float32 (N, D), rows of unit length."""
        if not len(images):
            return np.empty((0, self.space.dim), np.float32)
        vectors_future: Future[Matrix] = Future()
        self._request_queue.put((images, vectors_future))
        return vectors_future.result()

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Encode N texts as float32 (N, D), rows of unit length."""
        return self._encoder.encode_texts(texts)

    def _run_worker(self) -> None:
        next_request: EncodeRequest | None = None  # taken, but did not fit the batch
        while (first_request := next_request or self._request_queue.get()) is not None:
            batch_requests, next_request, is_closing = self._collect_batch(first_request)
            self._encode_batch(batch_requests)
            if is_closing:
                return

    def _collect_batch(
        self, first_request: EncodeRequest
    ) -> tuple[list[EncodeRequest], EncodeRequest | None, bool]:
        """Return the requests to encode together, the next request, and whether to stop then."""
        batch_requests, image_count = [first_request], len(first_request[0])
        while True:
            try:
                next_request = self._request_queue.get_nowait()
            except queue.Empty:
                return batch_requests, None, False
            if next_request is None:
                return batch_requests, None, True
            if (
                next_request[0].shape[1:] != first_request[0].shape[1:]
                or image_count + len(next_request[0]) > self._max_batch_images
            ):
                return batch_requests, next_request, False
            batch_requests.append(next_request)
            image_count += len(next_request[0])

    def _encode_batch(self, batch_requests: list[EncodeRequest]) -> None:
        try:
            batch_vectors = self._encoder.encode_images(
                np.concatenate([images for images, _ in batch_requests])
            )
        except BaseException as error:
            for _, vectors_future in batch_requests:
                vectors_future.set_exception(error)
            return
        batch_start = 0
        for images, vectors_future in batch_requests:
            vectors_future.set_result(batch_vectors[batch_start : batch_start + len(images)])
            batch_start += len(images)
