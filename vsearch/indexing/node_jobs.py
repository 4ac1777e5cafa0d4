"""Jobs that nodes of a cluster do: prepare, transcribe and embed videos.

A node needs the video at the same path, and the model: its weights in the package, in a package
that is installed there, or at a path that the node has. Results are small: features as float16.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.cluster.node_task import NodeFileError
from vsearch.encoders.downloads import limit_downloads
from vsearch.encoders.runtime import limit_threads
from vsearch.errors import NoPictureError, SpaceMismatchError
from vsearch.indexing.extraction import ModelCues
from vsearch.indexing.pipeline import (
    Pipeline,
    PreparedVideo,
    encode_frames,
    prepare_video,
)
from vsearch.media.discovery import compute_fingerprint
from vsearch.media.file_identity import read_file_state
from vsearch.media.prefetch import prefetch_batches
from vsearch.media.sampler import Sampler
from vsearch.plugins import create_encoder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsearch.cluster.options import ClusterOptions
    from vsearch.indexing.extraction import Extraction
    from vsearch.indexing.pipeline import PendingVideo
    from vsearch.protocols import Encoder, Pooler, ShotDetector
    from vsearch.types import Features, FileIdentity, Space, Video

    ReportProgress = Callable[[float, float], None]  # processed seconds, duration


@dataclass(frozen=True, slots=True)
class NodeEncoder:
    """An encoder that a node creates."""

    model_name: str
    device: str
    space: Space  # expected
    thread_count: int  # of the processors that a task reserves
    given_encoder: Encoder | None = None  # is sent instead of the name
    may_download: bool = True

    def load(self) -> Encoder:
        """Return the encoder.

        Raises:
            ModelError: The node cannot load it.
            SpaceMismatchError: It has other weights than the machine of the command.
        """
        if self.given_encoder is not None:
            return self.given_encoder
        limit_threads(self.thread_count)
        with nullcontext() if self.may_download else limit_downloads(is_allowed=False):
            encoder = create_encoder(self.model_name, self.device)
        if encoder.space != self.space:
            raise SpaceMismatchError(
                f"{self.model_name} has the space {encoder.space.name} on a node of the cluster, "
                f"and {self.space.name} here: install the same weights everywhere"
            )
        return encoder


@dataclass(frozen=True, slots=True)
class NodeWork:
    """Work on a cluster: the cluster, and the encoder that its nodes create."""

    options: ClusterOptions
    model_name: str
    device: str
    given_encoder: Encoder | None
    may_download: bool

    def encoder_for(self, space: Space) -> NodeEncoder:
        """Return the encoder of a space."""
        return NodeEncoder(
            self.model_name,
            self.device,
            space,
            max(1, round(self.options.task_cpus)),
            self.given_encoder,
            self.may_download,
        )


@dataclass(frozen=True, slots=True)
class IndexJob:
    """Prepares videos. A `NodeJob`."""

    encoder: NodeEncoder
    pooler: Pooler
    detector_class: type[ShotDetector]
    fps: float
    model_name: str
    hwaccel_device: str
    keyframes_only: bool

    def load(self) -> Callable[[PendingVideo, ReportProgress], PreparedVideo]:
        """Load the model, and return the function that prepares a video."""
        pipeline = Pipeline(
            self.encoder.load(),
            self.pooler,
            self.detector_class,
            self.fps,
            self.model_name,
            self.hwaccel_device,
        )

        def prepare(pending_video: PendingVideo, on_progress: ReportProgress) -> PreparedVideo:
            known_identity = pending_video.file_identity
            node_state = check_node_file(
                pending_video.video_path,
                known_identity.size_bytes,
                pending_video.content_fingerprint,
            )
            node_video = replace(
                pending_video,
                file_identity=replace(node_state, content_digest=known_identity.content_digest),
            )
            prepared_video = prepare_video(
                node_video, pipeline, keyframes_only=self.keyframes_only, on_progress=on_progress
            )
            processed_video = prepared_video.processed_video
            return PreparedVideo(
                prepared_video.pending_video,
                replace(processed_video, features=compact_features(processed_video.features)),
            )

        return prepare


@dataclass(frozen=True, slots=True)
class ExtractionJob:
    """Transcribes speech or reads screen text. A `NodeJob`."""

    extraction: Extraction

    def load(self) -> Callable[[tuple[Video, int], ReportProgress], ModelCues]:
        """Load the model, and return a function of a video and the size of its file in bytes."""
        extractor = self.extraction.create_extractor()

        def extract(argument: tuple[Video, int], on_progress: ReportProgress) -> ModelCues:
            video, size_bytes = argument
            check_node_file(video.path, size_bytes)
            extracted_cues = extractor.extract(
                video, lambda decoded_seconds: on_progress(decoded_seconds, video.duration)
            )
            return ModelCues(extractor.model_name, extracted_cues)

        return extract


@dataclass(frozen=True, slots=True)
class EmbeddingJob:
    """Embeds videos with another model. A `NodeJob`."""

    encoder: NodeEncoder
    hwaccel_device: str

    def load(self) -> Callable[[tuple[Video, float], ReportProgress], Features]:
        """Load the model, and return a function of a video and its sampling rate."""
        encoder = self.encoder.load()

        def embed(argument: tuple[Video, float], on_progress: ReportProgress) -> Features:
            video, sample_fps = argument
            check_node_file(video.path, video.size_bytes, video.fingerprint)
            sampler = Sampler(
                video.path,
                fps=sample_fps,
                short_side=encoder.image_size,
                keyframes_only=video.keyframes_only,
                hwaccel=self.hwaccel_device,
            )
            with prefetch_batches(sampler) as frame_batches:
                features = encode_frames(
                    frame_batches, encoder, lambda time: on_progress(time, video.duration)
                )
            if features is None:
                raise NoPictureError(
                    f"{video.path}: no frame can be decoded any more; restore the file"
                )
            return compact_features(features)

        return embed


def check_node_file(
    video_path: Path, size_bytes: int, content_fingerprint: str | None = None
) -> FileIdentity:
    """Check that a node has the file that the machine of the command has.

    Args:
        video_path: The file.
        size_bytes: Its size there.
        content_fingerprint: Its fingerprint there; None checks only the size.

    Returns:
        The state of the file on this node.

    Raises:
        NodeFileError: It is missing, not permitted, or another file.
    """
    try:
        file_state = read_file_state(video_path)
        is_same = file_state.size_bytes == size_bytes and content_fingerprint in (
            None,
            compute_fingerprint(video_path),
        )
    except OSError as error:
        raise NodeFileError(error.strerror or str(error)) from error
    except Exception as error:
        raise NodeFileError(str(error)) from error
    if not is_same:
        raise NodeFileError("it has another file there, or the file is being written")
    return file_state


def compact_features(features: Features) -> Features:
    """Return features as float16, to which they are rounded anyway, to be sent."""
    return replace(features, frame_vectors=features.frame_vectors.astype(np.float16))


def expand_features(features: Features) -> Features:
    """Return features that were sent as float32, with memory of their own."""
    return replace(
        features,
        frame_vectors=features.frame_vectors.astype(np.float32),
        frame_times=np.array(features.frame_times),
    )
