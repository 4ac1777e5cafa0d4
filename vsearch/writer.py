"""Write access to a library: the exclusive lock, cleanup, and the components that index.

Components that decode or encode are created on demand: most runs that write need none of them.
"""

from __future__ import annotations

import logging
import shutil
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from vsearch import config
from vsearch.cluster.options import resolve_cluster
from vsearch.errors import (
    DamagedLibraryError,
    LockedError,
    ModelError,
    QueryError,
    SettingsError,
    SpaceMismatchError,
)
from vsearch.media.frame_cache import FrameStore
from vsearch.memory import FAISS_NEED, expect_memory
from vsearch.plugins import resolve_plugin
from vsearch.pooling.selection import AUTO_POOLER, select_pooler
from vsearch.progress import create_stage_reporters
from vsearch.search.hubness import HubnessModel, Querybank
from vsearch.storage.atomic_files import remove_partial_files
from vsearch.storage.reindexing import describe_lost_features

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from vsearch.active_model import ActiveModel
    from vsearch.catalog.catalog import Catalog
    from vsearch.cluster.options import ClusterOptions
    from vsearch.indexing.library_storage import Storage
    from vsearch.indexing.node_jobs import NodeWork
    from vsearch.indexing.pipeline import Pipeline
    from vsearch.library_location import LibraryLocation
    from vsearch.media.discovery import DiscoveredFile, DiscoveryOptions, SkippedEntry
    from vsearch.media.download import DownloadProgress
    from vsearch.progress import IndexResult, Progress, Stage
    from vsearch.protocols import Pooler
    from vsearch.search.hubness import HubnessCache
    from vsearch.search.live_index import LiveIndex
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.storage.object_store import ObjectStore, StoredObject
    from vsearch.types import Video

log = logging.getLogger(__name__)

FRAME_CACHE_FOLDER = "frame_cache"  # inside the library
OLD_CACHE_FOLDERS = ("vectors", "excess", "null")  # before schema 0007


class LibraryWriter:
    """Indexes and removes videos; creates the components that write, and holds the write lock."""

    def __init__(
        self,
        location: LibraryLocation,
        catalog: Catalog,
        feature_store: FeatureStore,
        live_index: LiveIndex,
        active_model: ActiveModel,
        hubness_cache: HubnessCache,
        objects: ObjectStore | None = None,
    ) -> None:
        """Store the parts of an open library; nothing is loaded yet."""
        self._location, self._catalog, self._active_model = location, catalog, active_model
        self._feature_store, self._live_index = feature_store, live_index
        self._hubness_cache, self._objects = hubness_cache, objects

    def index_videos(
        self,
        paths: Sequence[Path],
        *,
        fps: float | None,
        force: bool,
        progressive: bool,
        on_progress: Callable[[Progress], None],
        roots: Sequence[Path],
        discovery_options: DiscoveryOptions,
        on_skipped: Callable[[SkippedEntry], None],
        on_discovered: Callable[[int], None],
        urls: Sequence[str] = (),
        max_download_bytes: int = 0,
        on_download: Callable[[DownloadProgress], None] = lambda _: None,
    ) -> Generator[IndexResult]:
        """Index videos. See `Library.index`.

        Args:
            paths: Files, folders (searched recursively) and globs.
            fps: Index videos again that were sampled at another rate; None keeps them.
            force: Index known files again.
            progressive: Sample the key frames of all files first, then refine them.
            on_progress: Called with the progress of the run.
            roots: Resolved folders that links must not leave; empty allows all.
            discovery_options: What is left out of folders.
            on_skipped: Called with videos, folders and links that are left out.
            on_discovered: Called with the number of files found so far.
            urls: Files to download.
            max_download_bytes: Largest download.
            on_download: Called with the progress of downloads.

        Yields:
            One result per file and stage, in order of completion.
        """
        from vsearch.indexing.downloads import fetch_urls
        from vsearch.indexing.indexed_folders import read_indexed_folders, record_indexed_folders
        from vsearch.indexing.places import update_places
        from vsearch.indexing.store import IndexOptions
        from vsearch.indexing.transcribe import TranscriptExtractor, check_extras
        from vsearch.indexing.video_workers import resolve_worker_count
        from vsearch.indexing.workers import Indexer  # deferred: decoder
        from vsearch.media.discovery import find_videos
        from vsearch.media.download import DownloadOptions

        settings = self._active_model.settings
        cluster = resolve_cluster(settings)
        check_extras(settings)
        expect_memory(FAISS_NEED)  # to state all that indexing needs at once
        self._catalog.create()
        stages: dict[Stage, bool] = {
            "index": True,
            "speech": settings.transcribe,
            "ocr": settings.ocr,
        }
        stage_reporters = create_stage_reporters(
            on_progress, [stage for stage, is_enabled in stages.items() if is_enabled]
        )
        indexed_videos: dict[int, Video] = {}
        indexed_paths: list[Path] = []
        options = IndexOptions(fps, settings.keyframes_only, force, settings.keep_frames)
        with self.exclusive_with_cue_embedding():
            indexer = Indexer(
                self.storage(),
                self.indexing_pipeline,
                worker_count=resolve_worker_count(settings.workers),
                on_progress=stage_reporters["index"],
                on_stored=self.embed_cues,
                roots=roots,
                node_work=self._describe_node_work(cluster) if cluster else None,
            )
            run_indexer = indexer.run_progressive if progressive else indexer.run_pass
            try:
                discovered_files: list[DiscoveredFile] = []
                source_urls: dict[Path, str] = {}
                download_options = DownloadOptions(max_download_bytes)
                for discovered_file, source_url in fetch_urls(
                    urls, self._location.folder, download_options, on_download
                ):
                    discovered_files.append(discovered_file)
                    source_urls[discovered_file.path] = source_url
                for discovered_file in find_videos(paths, discovery_options, on_skipped):
                    if discovered_file.path in source_urls:
                        continue
                    discovered_files.append(discovered_file)
                    on_discovered(len(discovered_files))
                with closing(run_indexer(discovered_files, options)) as index_results:
                    for index_result in index_results:
                        if index_result.path in source_urls:
                            index_result = self._set_source_url(
                                index_result, source_urls[index_result.path]
                            )
                        if index_result.video is not None:
                            indexed_videos[index_result.video.id] = index_result.video
                            indexed_paths.append(index_result.path)
                        yield index_result
            finally:
                record_indexed_folders(self._location.folder, paths, indexed_paths)
            update_places(self._catalog, paths, read_indexed_folders(self._location.folder))
        for stage in stage_reporters if indexed_videos else ():
            if stage != "index":
                extractor = TranscriptExtractor(
                    self._catalog,
                    self.exclusive_with_cue_embedding,
                    stage_reporters[stage],
                    cluster,
                )
                yield from extractor.run_stage(stage, list(indexed_videos.values()), settings)

    def _describe_node_work(self, cluster: ClusterOptions) -> NodeWork:
        from vsearch.indexing.node_jobs import NodeWork  # deferred: imports a decoder

        active_model, settings = self._active_model, self._active_model.settings
        return NodeWork(
            cluster,
            config.absolute_model_name(settings.model),
            settings.device,
            active_model.given_encoder,
            may_download=active_model.may_download(settings.model),
        )

    def _set_source_url(self, index_result: IndexResult, source_url: str) -> IndexResult:
        """Record the URL of a video, unless its file is another copy of it."""
        video = index_result.video
        if video is None or video.path != index_result.path or video.source_url == source_url:
            return index_result
        with self._catalog.begin() as transaction:
            transaction.set_source_url(video.id, source_url)
        return replace(index_result, video=replace(video, source_url=source_url))

    def remove_videos(self, videos: list[Video]) -> list[Video]:
        """Remove videos with their features and cached frames; return them."""
        with self.exclusive():
            self._remove_videos(videos)
        return videos

    def remove_places(self, places: Iterable[tuple[int, Path]]) -> list[Video]:
        """Remove files of videos, and the videos of which no file is left.

        Args:
            places: Id of a video and path of its file or of a duplicate.

        Returns:
            As `Library.remove`.
        """
        from vsearch.indexing.places import remove_places

        paths_by_id: dict[int, list[Path]] = {}
        for video_id, place_path in sorted(places, key=lambda place: place[1]):
            paths_by_id.setdefault(video_id, []).append(place_path)
        results, removed_videos = [], []
        with self.exclusive():
            for video_id, video in self._catalog.videos_by_id(paths_by_id).items():
                kept_video = remove_places(self._catalog, video, paths_by_id[video_id])
                if kept_video is None:
                    removed_videos.append(video)
                    results.append(replace(video, other_paths=()))
                    continue
                kept_paths = (kept_video.path, *kept_video.other_paths)
                results += [
                    replace(video, path=place_path, other_paths=kept_paths)
                    for place_path in paths_by_id[video_id]
                ]
            self._remove_videos(removed_videos)
            self._delete_downloads(video.path for video in results)
        return sorted(results, key=lambda video: str(video.path))

    def _remove_videos(self, videos: Sequence[Video]) -> None:
        from vsearch.indexing.places import list_places

        with self._catalog.begin() as transaction:
            transaction.remove_videos([video.id for video in videos])
        for video in videos:
            self._feature_store.remove_video(video.id)
            self.frame_store.remove_frames(video.id)
        self._delete_downloads(path for video in videos for path in list_places(video))

    def _delete_downloads(self, removed_paths: Iterable[Path]) -> None:
        from vsearch.indexing.downloads import delete_downloads  # deferred: rarely used

        delete_downloads(self._location.folder, removed_paths)

    def rebuild(self) -> None:
        """Pool the stored frame features again and rebuild all indexes. See `Library.rebuild`."""
        from vsearch.indexing.pipeline import repool_library  # deferred: imports a decoder

        with self.exclusive("rebuild the library"):
            self._live_index.invalidate()
            lost_paths = repool_library(
                self._catalog, self._feature_store, self.pooler(repool=True)
            )
            with self._catalog.begin() as transaction:
                transaction.rebuild_fts()
            self.embed_cues(verify_model=True)
        if lost_paths:
            raise DamagedLibraryError(
                f"{describe_lost_features(lost_paths)}. Everything else was rebuilt."
            )

    @property
    def frame_store(self) -> FrameStore:
        """Cache of decoded frames."""
        frames_folder = self._location.folder / FRAME_CACHE_FOLDER
        if self._objects is None:
            return FrameStore(frames_folder)
        from vsearch.media.bucket_frames import BucketFrameStore  # deferred: rarely used

        return BucketFrameStore(frames_folder, self._catalog, self._objects)

    def clean_store(self, min_age_seconds: float) -> list[StoredObject]:
        """Delete files of the store that no video needs. See `Library.clean_store`."""
        from vsearch.storage.store_cleaning import remove_unused_files  # deferred: rarely used

        if self._objects is None:
            raise SettingsError(
                "the library has no store: its files are in its own folder, where the next "
                "`vsearch index` deletes those that no video needs"
            )
        with self.exclusive():
            return remove_unused_files(self._objects, self._catalog, min_age_seconds)

    def storage(self) -> Storage:
        """Return the catalog, the feature store and the frame cache."""
        from vsearch.indexing.library_storage import Storage  # deferred: rarely used

        return Storage(self._catalog, self._feature_store, self.frame_store)

    def pipeline(self) -> Pipeline:
        """Create the components that the settings name.

        Returns:
            Encoder, pooler, shot detector and decoding options.

        Raises:
            ModelError: If one of them cannot be loaded.
            SpaceMismatchError: If the pooler is of another space.
        """
        from vsearch.indexing.pipeline import Pipeline  # deferred: a query needs no decoder

        settings = self._active_model.settings
        shot_detector = resolve_plugin("shots", settings.shot_detector)
        model_name = config.absolute_model_name(settings.model)
        encoder = self._active_model.image_encoder
        if check_memory := getattr(encoder, "check_memory", None):  # optional
            check_memory()  # before threads decode, which abort the process without memory
        return Pipeline(
            encoder, self.pooler(), shot_detector, settings.fps, model_name, settings.hwaccel
        )

    def indexing_pipeline(self) -> Pipeline:
        """Create the components for indexing; an empty library adopts the settings.

        Returns:
            As `pipeline`.

        Raises:
            ModelError: If one of them cannot be loaded.
            SpaceMismatchError: If the encoder or pooler differs from that of the indexed videos.
        """
        pipeline, space = self.pipeline(), self._catalog.space()
        if space is None or not self._catalog.library_counts().segment_count:
            config.save(self._location.settings_source, self._active_model.settings)
            return pipeline
        self._active_model.check_space(space)
        if (recorded_pooler := self._catalog.pooler()) not in (None, pipeline.pooler.name):
            raise SpaceMismatchError(
                f"{self._location} has segments pooled by {recorded_pooler}, not "
                f"{pipeline.pooler.name}: run `vsearch rebuild` first to pool them again"
            )
        return pipeline

    def pooler(self, *, repool: bool = False) -> Pooler:
        """Select the pooler.

        Args:
            repool: Follow the settings; otherwise use the pooler of the stored segments, if any.

        Returns:
            The pooler.

        Raises:
            ModelError: If it cannot be loaded.
            SpaceMismatchError: If it is of another space.
        """
        recorded_pooler = None if repool or self._catalog.is_empty() else self._catalog.pooler()
        space = self._catalog.space() or self._active_model.image_encoder.space
        return select_pooler(
            self._active_model.settings.pooler, self._location.folder, space, recorded_pooler
        )

    def query_pooler(self) -> Pooler:
        """Select the pooler of the stored segments, with which query clips are compared.

        Returns:
            The pooler.

        Raises:
            ModelError: If it cannot be loaded.
            SpaceMismatchError: If it is missing or of another space.
        """
        pooler, recorded_pooler = self.pooler(), self._catalog.pooler()
        if recorded_pooler in (None, pooler.name) or self._catalog.is_empty():
            return pooler
        # the settings name another one, which `vsearch rebuild` has not applied yet
        space = self._catalog.space() or self._active_model.image_encoder.space
        return select_pooler(AUTO_POOLER, self._location.folder, space, recorded_pooler)

    def embed_cues(self, *, verify_model: bool = False) -> None:
        """Embed new transcript cues for semantic search; log a warning if no model is available.

        Args:
            verify_model: Embed all cues again if the model has changed.
        """
        from vsearch.search.cue_embedding import embed_cues  # deferred: not used by most runs

        try:
            embed_cues(
                self._catalog, lambda: self._active_model.image_encoder, check_model=verify_model
            )
        except (ModelError, QueryError) as exc:
            log.warning(
                "%s: semantic transcript search is unavailable, keyword search still works: %s",
                self._location,
                exc,
            )

    @contextmanager
    def exclusive(self, whole_work: str | None = None) -> Iterator[None]:
        """Hold the write lock: clean up after interrupted runs first, save the index at the end.

        A library in a database may have several writers, which share the lock: what looks left over
        may be a file that another writer is about to record, and stays.

        Args:
            whole_work: What the block does, if it changes the whole library and other writers must
                wait in any case.

        Raises:
            LockedError: If another process is writing.
            LibraryError: If the store of a library in a database is not there.
        """
        self._location.check_store()
        with (
            self._catalog.pin_file(),
            self._location.lock(),
            self._catalog.hold_library(whole_work or "write", is_shared=whole_work is None),
        ):
            previous_revision = self._catalog.revision()
            if not self._location.has_many_writers:
                self._remove_leftovers()
            try:
                yield
            finally:
                if self._catalog.revision() != previous_revision:
                    self._save_caches()

    def _remove_leftovers(self) -> None:
        """Remove the files that interrupted runs and older versions have left."""
        self._rename_old_folders()
        video_ids = {video.id for video in self._catalog.videos()}
        self._feature_store.remove_orphans(
            video_ids, [space_info.space for space_info in self._catalog.spaces()]
        )
        self.frame_store.remove_stale_files(video_ids)
        self._live_index.remove_partial_builds()
        remove_partial_files(self._location.folder)

    def _save_caches(self) -> None:
        try:
            with self._location.lock_caches():
                self._live_index.save()
                self._cache_hubness()
        except LockedError as exc:  # another process of this machine is saving them
            log.info("the index was not saved: %s", exc)

    def _rename_old_folders(self) -> None:
        """Rename or remove the cache folders of older versions.

        Cached frames cannot be rebuilt without decoding, so their folder is renamed. The other
        caches are rebuilt under their new names.
        """
        library_folder = self._location.folder
        old_frames = library_folder / "frames"
        frame_cache = library_folder / FRAME_CACHE_FOLDER
        if old_frames.is_dir() and not frame_cache.exists():
            old_frames.rename(frame_cache)
        for folder_name in OLD_CACHE_FOLDERS:
            shutil.rmtree(library_folder / folder_name, ignore_errors=True)

    def _cache_hubness(self) -> None:
        """Compute the hubness penalties of new segments, if this run has loaded the model."""
        if (
            self._active_model.is_loaded
            and self._live_index.keeps_all_ids
            and (snapshot := self._live_index.take_snapshot()) is not None
        ):
            querybank = Querybank(self._live_index.tuning_queries(snapshot.space))
            HubnessModel(self._catalog, snapshot, querybank, self._hubness_cache).save_hubness()

    @contextmanager
    def exclusive_with_cue_embedding(self, whole_work: str | None = None) -> Iterator[None]:
        """Hold the write lock, and embed new transcript cues at the end, which may take long.

        Args:
            whole_work: As of `exclusive`.
        """
        with self.exclusive(whole_work):
            yield
            self.embed_cues()
