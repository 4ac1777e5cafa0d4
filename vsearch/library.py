"""The public API: a library folder with a catalog, frame features and a vector index."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch import config
from vsearch.active_model import ActiveModel
from vsearch.catalog.open import FEATURES_FOLDER
from vsearch.catalog.path_matching import places_matching, select_videos
from vsearch.errors import LibraryError, QueryError, VSearchError
from vsearch.indexing.indexed_folders import read_indexed_folders
from vsearch.indexing.known_copies import resolve_copies
from vsearch.library_opening import find_place, open_place, require_folder
from vsearch.media.discovery import DiscoveryOptions
from vsearch.media.file_status import check_videos, locate_videos
from vsearch.media.urls import DEFAULT_MAX_DOWNLOAD_BYTES, split_urls
from vsearch.query.arguments import (
    check_count,
    check_ids,
    check_list,
    check_names,
    check_number,
    check_path,
    check_text,
)
from vsearch.query.model import Query
from vsearch.query.parser import build_query, parse_clip, parse_query
from vsearch.search.feedback_store import FeedbackStore
from vsearch.search.hubness import HubnessCache, Querybank
from vsearch.search.null_queries import GenericEmbeddings
from vsearch.search.saved_searches import SavedSearches
from vsearch.search.searcher import Searcher
from vsearch.search.shared_live_index import open_live_index
from vsearch.search.snapshot import SnapshotSource
from vsearch.storage.library_files import open_feature_store, open_objects
from vsearch.types import LibraryInfo, Video
from vsearch.writer import LibraryWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from typing import Self

    from vsearch.analysis.labels import Label
    from vsearch.analysis.summaries import SummaryLength, SummaryResult
    from vsearch.analysis.tags import Tags
    from vsearch.backup.archive import BackupInfo
    from vsearch.catalog.catalog import Catalog
    from vsearch.catalog.outlines import LibraryOutline
    from vsearch.copies.duplicate_spans import DuplicateSpan
    from vsearch.doctor import IndexRecall
    from vsearch.indexing.models import Models
    from vsearch.indexing.preview import PreviewEntry
    from vsearch.indexing.relocation import RelocationResult
    from vsearch.indexing.sounds import Sounds
    from vsearch.indexing.transcripts import Transcripts
    from vsearch.library_location import LibraryLocation
    from vsearch.media.discovery import SkippedEntry
    from vsearch.media.download import DownloadProgress
    from vsearch.progress import IndexResult, Progress
    from vsearch.protocols import Encoder
    from vsearch.query.parser import NameResolver
    from vsearch.search.result import SearchResult
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.storage.shared_thumbnails import SharedThumbnails
    from vsearch.types import (
        ClassificationResult,
        Curve,
        Features,
        Ids,
        Images,
        Matrix,
        Moment,
        PathInput,
        Segment,
        Space,
        Span,
    )

MAX_THUMBNAIL_WIDTH = 4_096  # pixels
HUBNESS_FOLDER, QUERIES_FOLDER = "hubness", "generic_queries"
CACHE_FOLDERS = HUBNESS_FOLDER, QUERIES_FOLDER  # of archives; the index is checked by itself


class Library:
    """An index of videos that can be searched by text, images and clips.

    Open one with `Library.open`, preferably as a context manager. Methods are thread-safe. Any
    number of processes may search while one of them writes; a second writer raises LockedError.
    Times are seconds as float. Methods that return an iterator work while they are iterated and
    may be stopped at any time; what is complete is kept.

    Attributes:
        location: Where its parts are; `str` is the folder, or the URL of the database.
        path: Folder of its files. Of a library in a database, the store.
        cache_path: Folder of what can be rebuilt, such as indexes; `path`, unless the library is
            in a database.
        saved_searches: Named queries: `list()`, `get(name)`, `add(name, query)`, `remove(name)`.
        feedback: Relevance labels of results: `list(query)`, `add(query, moments, relevant=)`,
            `clear(query)`.
    """

    def __init__(
        self,
        location: LibraryLocation,
        catalog: Catalog,
        active_model: ActiveModel,
        *,
        fps_overridden: bool,
    ) -> None:
        """Use `Library.open`.

        Args:
            location: Where the library is.
            catalog: Its open catalog.
            active_model: Its settings and encoder.
            fps_overridden: Index videos again that were sampled at another rate.
        """
        self.location, self._catalog, self._fps_overridden = location, catalog, fps_overridden
        self.path, self.cache_path = location.folder, location.cache_folder
        self._known_outline: LibraryOutline | None = None
        self._active_model = active_model
        self._objects = open_objects(location.object_store_address(self.settings.store))
        self._feature_store = open_feature_store(
            self.path / FEATURES_FOLDER,
            catalog,
            self._objects,
            config.cache_folder,
            max_cache_bytes=self.settings.store_cache_mb * 2**20,
        )
        self._live_index = open_live_index(
            catalog,
            self.cache_path / "index",
            self.settings.index,
            load_tuning_queries=lambda: Querybank.from_encoder(active_model.encoder).query_vectors,
            catalog_address=location.database_url.conninfo()
            if location.database_url and self.settings.index == "pgvector"
            else "",
            library_key=location.library_id or "",
        )
        hubness_cache = HubnessCache(self.cache_path / HUBNESS_FOLDER)
        self._writer = LibraryWriter(
            location,
            catalog,
            self._feature_store,
            self._live_index,
            active_model,
            hubness_cache,
            self._objects,
        )
        self.saved_searches = SavedSearches(catalog, self.path)
        self.feedback = FeedbackStore(catalog, self.query)
        self._searcher = Searcher(
            catalog,
            self._feature_store,
            SnapshotSource(
                catalog,
                self._live_index,
                active_model,
                hubness_cache,
                GenericEmbeddings(self.cache_path / QUERIES_FOLDER),
            ),
            active_model,
            load_pooler=self._writer.query_pooler,
            load_pipeline=self._writer.pipeline,
            load_feedback=self.feedback.feedback_for,
        )

    @classmethod
    def open(
        cls,
        path: PathInput | None = None,
        *,
        create: bool | None = None,
        model: str | None = None,
        text_model: str | None = None,
        device: str | None = None,
        fps: float | None = None,
        pooler: str | None = None,
        index: str | None = None,
        keep_frames: bool | None = None,
        photos: bool | None = None,
        transcribe: bool | None = None,
        ocr: bool | None = None,
        audio_track: str | None = None,
        keyframes_only: bool | None = None,
        workers: int | None = None,
        hwaccel: str | None = None,
        ray: str | None = None,
        encoder: Encoder | None = None,
        ignore_invalid_settings: bool = False,
    ) -> Self:
        """Open a library.

        Settings that are None are taken from VSEARCH_* environment variables, the library's
        vsearch.toml or the defaults, in this order.

        Args:
            path: Folder of the library, or URL of a PostgreSQL database (`postgresql://…`); by
                default VSEARCH_LIBRARY, or `indexes/default` if it is in the working directory, or
                `vsearch/library` in the user's data folder.
            create: If there is no library: True creates an empty one, False raises NoLibraryError.
                None waits: `index` creates it, and anything else raises NoLibraryError.
            model: Encoder as `name` or `name:argument`, e.g. "openclip:ViT-L-14/openai".
            text_model: Encoder for query text, of the same embedding space; "" uses `model`.
            device: "auto", "cpu", "cuda" or "mps".
            fps: Frames to sample per second, from 0.01 to 60.
            pooler: "auto", "mean", "transformer:FILE" or a plugin.
            index: "auto", "exact", "faiss", "sq8", "ivf" or a plugin.
            keep_frames: Cache sampled frames, so that another model need not decode again.
            photos: Index the photos in folders, too; True by default.
            transcribe: Transcribe the speech of indexed videos.
            ocr: Recognize the on-screen text of indexed videos.
            audio_track: Audio track to transcribe: a number from 1, a language code, or "auto" for
                the first one in which somebody speaks.
            keyframes_only: Sample key frames only.
            workers: Videos indexed in parallel; 0 depends on the machine.
            hwaccel: Hardware decoder as named by FFmpeg, or "auto".
            ray: Ray cluster that decodes and encodes: "auto", "local", "HOST:PORT" or
                "ray://HOST:PORT"; "" uses this process.
            encoder: Use this encoder instead of the one that the settings name.
            ignore_invalid_settings: Use defaults instead of invalid values in vsearch.toml and
                the environment; `doctor` reports them.

        Returns:
            The open library.

        Raises:
            NoLibraryError: If there is no library and `create` is False.
            NewerLibraryError: If it was written by a newer version of vsearch.
            DamagedLibraryError: If the catalog is corrupted.
            LibraryError: If the path is a file.
            SettingsError: If a setting is invalid.
        """
        place = find_place(path, create=create)
        overrides = {
            "model": model,
            "text_model": text_model,
            "device": device,
            "fps": fps,
            "pooler": pooler,
            "index": index,
            "keep_frames": keep_frames,
            "photos": photos,
            "transcribe": transcribe,
            "ocr": ocr,
            "audio_track": audio_track,
            "keyframes_only": keyframes_only,
            "workers": workers,
            "hwaccel": hwaccel,
            "ray": ray,
        }
        location, catalog, settings = open_place(
            place, overrides, create=create, ignore_invalid_settings=ignore_invalid_settings
        )
        is_model_overridden = encoder is not None or config.is_overridden("model", model)
        active_model = ActiveModel.create(
            location,
            settings,
            catalog.spaces() if location.has_catalog() else (),
            encoder,
            is_overridden=is_model_overridden,
            downloadable_models=config.list_named_models(model, text_model),
        )
        library = cls(location, catalog, active_model, fps_overridden=fps is not None)

        def adopt_catalog() -> None:
            library._live_index.forget()
            active_model.follow_library(
                config.load(
                    location.settings_source, overrides, ignore_invalid=ignore_invalid_settings
                ),
                catalog.spaces(),
                is_overridden=is_model_overridden,
            )

        catalog.on_replaced(adopt_catalog)
        return library

    @classmethod
    def create(
        cls,
        path: PathInput,
        *,
        store: PathInput | None = None,
        index: str | None = None,
        ray: str | None = None,
    ) -> Self:
        """Create an empty library with its settings, and open it.

        Args:
            path: New folder, or URL of a PostgreSQL database without a library.
            store: Where the frame features and kept frames of a library in a database are: a
                folder that all machines reach, or the URL of a bucket.
            index: As of `open`.
            ray: Address of the Ray cluster that indexes.

        Returns:
            The open library.

        Raises:
            LibraryError: If there is a library already, or it cannot be created.
            SettingsError: If a setting is invalid, or `store` is missing or not allowed.
        """
        from vsearch.library_creation import create_library  # deferred: rarely used

        settings = {"store": None if store is None else str(store), "index": index, "ray": ray}
        create_library(
            find_place(path, create=None),
            {name: value for name, value in settings.items() if value is not None},
        )
        return cls.open(path, create=False)

    def check_available(self) -> None:
        """Check that the library can be read; every other method does so as well.

        A library that was replaced since it was opened, for example by `vsearch restore`, is
        followed.

        Raises:
            NoLibraryError: If it does not exist yet.
            LibraryError: If it was moved or deleted.
            DamagedLibraryError: If it is damaged, or was replaced by a file that is not a library.
        """
        self._catalog.check_readable()

    @classmethod
    def restore(
        cls, backup_path: PathInput, path: PathInput | None = None, *, force: bool = False
    ) -> BackupInfo:
        """Restore a library from a backup, checked before anything is changed.

        Open libraries notice that they were replaced. Indexes are built again when they are used.

        Args:
            backup_path: File that `backup` wrote.
            path: Folder of the library, as of `open`; new or empty, unless `force` is set.
            force: Replace the library in the folder.

        Returns:
            The description of the backup.

        Raises:
            DamagedLibraryError: If the backup is damaged.
            NewerLibraryError: If a newer version of vsearch wrote the backup.
            LockedError: If another process is writing to the library.
            LibraryError: If the folder is not empty or cannot be written.
        """
        from vsearch.backup.restore import restore_backup  # deferred: rarely used

        return restore_backup(
            Path(check_path(backup_path, "backup_path")).expanduser(),
            require_folder(path, "restored; copy a restored library with `vsearch library copy`"),
            force=force,
        )

    def backup(
        self,
        backup_path: PathInput,
        *,
        force: bool = False,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> BackupInfo:
        """Write a backup of the library to one file, while other processes may change it.

        It has the catalog, frame features, settings and trained models, but neither videos nor
        what can be computed again: indexes, thumbnails and cached frames.

        Args:
            backup_path: File to write, outside of the library; it appears when it is complete.
            force: Replace an existing file.
            on_progress: Called with the number of copied and of all feature files.

        Returns:
            The description of the backup; `lost_features` names videos whose frame features are
            missing or damaged.

        Raises:
            LibraryError: If the file exists or cannot be written.
        """
        from vsearch.backup.create import create_backup  # deferred: rarely used

        if self.location.database_url is not None:
            raise LibraryError(
                f"{self.location}: back up a database with pg_dump, and its store as files; or "
                "copy the library into a folder with `vsearch library copy`, and back that up"
            )
        return create_backup(
            self.path,
            self._catalog,
            self._feature_store,
            Path(check_path(backup_path, "backup_path")).expanduser(),
            force=force,
            on_progress=on_progress,
        )

    def close(self) -> None:
        """Close the files of the library."""
        self._live_index.close()
        self._catalog.close()

    def __repr__(self) -> str:
        return f"Library({str(self.location)!r})"

    def _repr_html_(self) -> str | None:
        """Return the contents for notebooks; None if the library is closed or cannot be read."""
        from vsearch.search.notebook_html import library_html  # deferred: for notebooks only

        try:
            return library_html(self.location, self._catalog.library_counts(), self.space)
        except VSearchError:
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- indexing

    def index(
        self,
        paths: Iterable[PathInput],
        *,
        force: bool = False,
        progressive: bool = False,
        on_progress: Callable[[Progress], None] = lambda _: None,
        roots: Iterable[PathInput] = (),
        excludes: Iterable[str] = (),
        default_excludes: bool = True,
        follow_links: bool = False,
        on_skipped: Callable[[SkippedEntry], None] = lambda _: None,
        on_discovered: Callable[[int], None] = lambda _: None,
        max_download_bytes: int = DEFAULT_MAX_DOWNLOAD_BYTES,
        on_download: Callable[[DownloadProgress], None] = lambda _: None,
    ) -> Generator[IndexResult]:
        """Index videos, yielding the result of each file as it is done.

        Files from URLs of http and https are downloaded first, into the folder `downloads` of the
        library. A download that was interrupted is continued; a file that has not changed on its
        server is not downloaded again.

        Once all files are indexed, the settings `transcribe` and `ocr` transcribe the speech and
        recognize the on-screen text of their videos, each with one more result per video (see
        `IndexResult.transcript`); videos that already have that transcript are skipped.

        Unchanged files are skipped; changed ones are indexed again; moved ones are recognized by
        their content; videos sampled at key frames only are refined unless the library has
        `keyframes_only` set. A file that fails is a result with an error, not an exception. An
        interrupted run continues where it stopped when it is run again.

        Args:
            paths: Files, folders (searched recursively), globs, and URLs of http and https.
            force: Index known files again.
            progressive: Sample the key frames of all files first, then refine them; yields two
                results per file.
            on_progress: Called with the progress of the run.
            roots: Folders that others may write to: a video or subtitle file that leads out of them
                through a link is not read, and neither is a URL. Empty allows all.
            excludes: Patterns of files and folders to leave out, as in `.gitignore`; those in
                `.vsearchignore` files are left out as well.
            default_excludes: Leave out hidden files, trash, and folders of NAS devices and code.
            follow_links: Follow symbolic links in folders.
            on_skipped: Called with videos, folders and links that are left out.
            on_discovered: Called with the number of files found so far, while looking for them.
            max_download_bytes: Size of the largest file that is downloaded.
            on_download: Called with the progress of each download.

        Returns:
            A generator of one result per file and stage, in order of completion.

        Raises:
            LockedError: If another process is writing.
            SpaceMismatchError: If the library was indexed with another model or pooler.
            ModelError: If a model cannot be loaded.
            MissingExtraError: If a setting needs a package that is not installed.
        """
        root_names = check_names(roots, "roots")
        file_paths, urls = split_urls(() if root_names else check_names(paths, "paths"))
        return self._writer.index_videos(
            list(map(Path, check_names(paths, "paths"))) if root_names else file_paths,
            fps=self.settings.fps if self._fps_overridden else None,
            force=force,
            progressive=progressive,
            on_progress=on_progress,
            roots=[Path(root).resolve() for root in root_names],
            discovery_options=_discovery_options(
                excludes, default_excludes, follow_links, photos=self.settings.photos
            ),
            on_skipped=on_skipped,
            on_discovered=on_discovered,
            urls=urls,
            max_download_bytes=check_count(max_download_bytes, "max_download_bytes"),
            on_download=on_download,
        )

    def preview_index(
        self,
        paths: Iterable[PathInput],
        *,
        excludes: Iterable[str] = (),
        default_excludes: bool = True,
        follow_links: bool = False,
    ) -> Iterator[PreviewEntry]:
        """Yield what `index` would do with each file, without decoding or changing anything.

        Args:
            paths: As of `index`.
            excludes: As of `index`.
            default_excludes: As of `index`.
            follow_links: As of `index`.

        Returns:
            An iterator of one entry per file, and per video, folder or link that is left out.
        """
        from vsearch.indexing.downloads import planned_path  # deferred: rarely used
        from vsearch.indexing.preview import preview_index

        file_paths, urls = split_urls(check_names(paths, "paths"))
        return preview_index(
            file_paths,
            self._catalog,
            _discovery_options(
                excludes, default_excludes, follow_links, photos=self.settings.photos
            ),
            [(url, planned_path(url, self.path)) for url in urls],
        )

    def remove(self, paths: Iterable[PathInput]) -> list[Video]:
        """Remove videos from the library; the files themselves are kept.

        Of several files with the same content only those that `paths` names are removed; the video
        is kept as long as one is left. Files that `index` downloaded are deleted.

        Args:
            paths: Paths of videos or folders, or globs; see `videos`. Empty removes nothing.

        Returns:
            The removed videos by path; one that is kept has the paths that are left in
            `other_paths`.

        Raises:
            LockedError: If another process is writing.
        """
        path_list = check_names(paths, "paths")
        # a copy that was not indexed does not stand for the video
        return self._writer.remove_places(places_matching(self._catalog, path_list))

    def remove_missing(self, paths: Sequence[PathInput] = ()) -> list[Video]:
        """Remove the videos whose files no longer exist, with their tags, marks and transcripts.

        Args:
            paths: Remove only these videos or folders (see `videos`), also those whose drive or
                whole folder is gone. Empty means all videos except those.

        Returns:
            The removed videos.

        Raises:
            LockedError: If another process is writing.
        """
        return self._writer.remove_videos(self.missing_videos(paths))

    def relocate(
        self, old_folder: PathInput, new_folder: PathInput, *, dry_run: bool = False
    ) -> list[RelocationResult]:
        """Change the paths of videos whose folder was moved, or whose drive has another path now.

        A file at the new path must have the recorded size and the same sampled content.

        Args:
            old_folder: Folder or file in the library.
            new_folder: Folder or file where it is now.
            dry_run: Change nothing.

        Returns:
            One result per video, in order of path.

        Raises:
            LibraryError: If no video of the library is in `old_folder`.
            LockedError: If another process is writing.
        """
        from vsearch.indexing.indexed_folders import record_indexed_folders
        from vsearch.indexing.relocation import relocate_videos  # deferred: rarely used

        paths = (
            Path(check_path(old_folder, "old_folder")),
            Path(check_path(new_folder, "new_folder")),
        )
        with nullcontext() if dry_run else self._writer.exclusive():
            results = list(relocate_videos(self._catalog, *paths, dry_run=dry_run))
        if not dry_run:
            moved_paths = [result.new_path for result in results if result.outcome == "moved"]
            record_indexed_folders(self.path, [paths[1]] if moved_paths else [], moved_paths)
        return results

    def rebuild(self) -> int:
        """Pool the stored frame features again and rebuild all indexes, without decoding videos.

        Returns:
            The number of segments.

        Raises:
            LockedError: If another process is writing.
            DamagedLibraryError: If frame features of some videos are missing or damaged. All others
                are rebuilt, unless the pooler changes: then nothing is.
        """
        self._writer.rebuild()
        return self._catalog.library_counts().segment_count

    def lock_holder(self) -> str | None:
        """Return a description of the process that is writing to the library, or None.

        A library in a database may have many writers, of which none is named.
        """
        return self.location.describe_lock_holder()

    # --- searching

    def search(
        self,
        query: str | Query = "",
        *,
        image: PathInput | None = None,
        clip: PathInput | None = None,
        span: Span | tuple[float, float] | None = None,
        k: int = 10,
        videos: Sequence[str] = (),
        tags: Sequence[str] = (),
        per_video: int | None = None,
        diversify: bool = False,
        include_duplicates: bool = False,
    ) -> SearchResult:
        """Find the moments that match a query best.

        Args:
            query: Text in the query language (see `query/grammar.py`), or a parsed query, which
                excludes `image`, `clip`, `span`, `videos` and `tags`.
            image: Image file to search with.
            clip: Video file to search with.
            span: Part of `clip`, in seconds.
            k: Maximum number of results.
            videos: Restrict the search to these videos, folders or globs; see `videos`.
            tags: Restrict the search to segments with all of these tags.
            per_video: Maximum number of results per video; by default min(3, k / 2), exceeded if
                other videos have too few.
            diversify: Rerank results by maximal marginal relevance (MMR).
            include_duplicates: Keep results that are near-duplicates of better ones; otherwise
                they are counted in `Explanation.duplicates_hidden`.

        Returns:
            At most k moments, best first; a sequence with hints and other details.

        Raises:
            QueryError: If the query is invalid, or there is no such tag.
            NoTextError: If the query has text and the model has no text encoder.
            MediaError: If an image or clip cannot be read.
            SpaceMismatchError: If the library was indexed with another model.
        """
        if not isinstance(query, Query):
            query = build_query(
                query,
                image,
                clip,
                span,
                self._resolve_copies(videos),
                tags,
                self.saved_searches.name_resolver,
            )
        elif videos or tags or (image, clip, span) != (None, None, None):
            raise QueryError(
                "a Query object cannot be combined with image, clip, span, videos or tags"
            )
        search_result = self._searcher.search(
            query, k, per_video, diversify=diversify, include_duplicates=include_duplicates
        )
        return replace(search_result, moments=tuple(self._check_moments(search_result)))

    def _check_moments(self, moments: Iterable[Moment]) -> list[Moment]:
        """Return the moments with the status of the files of their videos."""
        found_moments = list(moments)
        checked_videos = {
            video.id: video for video in self.check_files(moment.video for moment in found_moments)
        }
        return [replace(moment, video=checked_videos[moment.video.id]) for moment in found_moments]

    def query(
        self,
        query_text: str = "",
        *,
        images: Sequence[str] = (),
        clips: Sequence[str] = (),
        videos: Sequence[str] = (),
        tags: Sequence[str] = (),
        with_names: Callable[[NameResolver], NameResolver] = lambda names: names,
    ) -> Query:
        """Parse a query; `str(query)` formats it as text.

        Args:
            query_text: Text in the query language.
            images: Image files to search with.
            clips: Clips to search with, each `FILE` or `FILE@START-END`.
            videos: Further path filters.
            tags: Further tag filters.
            with_names: Modifies the resolver of saved searches (`@name`), results of the last
                search (`like:#N`) and file names.

        Returns:
            The query.

        Raises:
            QueryError: If the query is invalid.
        """
        name_resolver = with_names(self.saved_searches.name_resolver)
        clip_terms = map(parse_clip, check_names(clips, "clips"))
        return parse_query(
            query_text,
            image_paths=images,
            clip_terms=clip_terms,
            video_globs=self._resolve_copies(videos),
            tag_names=tags,
            name_resolver=name_resolver,
        )

    def similarity_curve(self, query: str | Query, video: Video | PathInput) -> Curve:
        """Compute the similarity of each stored frame of a video to a query.

        Args:
            query: Query text or a parsed query; of a sequence, the best step counts for each
                frame.
            video: A video of the library, or its path.

        Returns:
            Times and scores of T frames; T is 0 if the query searches transcripts only.

        Raises:
            QueryError: If the query is invalid.
            NoTextError: If the query has text and the model has no text encoder.
            MediaError: If an image or clip of the query cannot be read.
            DamagedLibraryError: If frame features are missing.
        """
        parsed_query = query if isinstance(query, Query) else self.query(query)
        return self._searcher.similarity_curve(parsed_query, self._require_video(video))

    # --- classification and summaries

    def classify(
        self,
        labels: Sequence[str | Label] = (),
        paths: Sequence[PathInput] = (),
        *,
        checkpoint: PathInput | None = None,
        source_name: str = "labels",
        threshold: float = 0.5,
        store: bool = True,
    ) -> Iterator[ClassificationResult]:
        """Classify videos and their segments, yielding the result of each video as it is stored.

        Without `checkpoint` the classification is zero-shot: each label is described by text.

        Args:
            labels: Labels; ignored if there is a checkpoint.
            paths: Paths of videos or folders, or globs; see `videos`. Empty means all videos.
            checkpoint: File of a trained classifier (`vsearch train classifier`).
            source_name: Source of the tags; replaces earlier tags of the same source.
            threshold: Minimum probability of a tag, in [0, 1].
            store: Store the tags.

        Returns:
            An iterator of results, one per video.

        Raises:
            DatasetError: If a label is invalid.
            NoTextError: If the model has no text encoder.
            LockedError: If another process is writing.
            ModelError: If the model cannot be loaded.
            DamagedLibraryError: If the checkpoint is corrupted.
            SpaceMismatchError: If the checkpoint is of another space.
            SettingsError: If the threshold is not finite.
        """
        from vsearch.analysis.tagging import classify_library  # deferred: rarely used

        return classify_library(
            self._catalog,
            self._feature_store,
            self._active_model,
            labels,
            paths,
            None if checkpoint is None else Path(check_path(checkpoint, "checkpoint")),
            check_text(source_name, "source_name"),
            threshold=threshold,
            acquire_writer=self._writer.exclusive if store else None,
        )

    def summarize(
        self,
        video: PathInput,
        *,
        length: SummaryLength | str | float = 30.0,
        query: str | None = None,
    ) -> SummaryResult:
        """Select the excerpts that cover most of a video, or most of what a query matches in it.

        Args:
            video: A video of the library (see `videos`), or any file, which is then decoded.
            length: Maximum length in seconds, or text such as "1m30s" or "10%".
            query: Query text on which the summary focuses.

        Returns:
            The excerpts in chronological order, and their coverage.

        Raises:
            QueryError: If the length or query is invalid.
            NoTextError: If there is a query and the model has no text encoder.
            MediaError: If the file cannot be decoded.
        """
        from vsearch.analysis.summarizer import summarize_video  # deferred: imports a decoder

        return self._catalog.read_consistently(
            lambda: summarize_video(
                video,
                length,
                query,
                self._catalog,
                self._feature_store,
                self._active_model,
                self._writer.pipeline,
            )
        )

    def similar(
        self,
        video_path: PathInput,
        span: Span | tuple[float, float] | None = None,
        *,
        k: int = 10,
        same_video: bool = False,
    ) -> list[Moment]:
        """Find the moments most similar to a video or to a span of it, excluding itself.

        Args:
            video_path: A video of the library, which is not decoded, or any other file.
            span: Part of the video, in seconds.
            k: Maximum number of results.
            same_video: Include other parts of the same video.

        Returns:
            At most k moments, best first.

        Raises:
            QueryError: If the span is invalid.
            MediaError: If the file cannot be decoded.
        """
        query = build_query("", None, video_path, span, ())
        term = query.terms[0]
        return self._check_moments(
            self._searcher.find_similar(Path(term.value), term.span, k, same_video=same_video)
        )

    def duplicates(self, paths: Sequence[PathInput] = ()) -> Iterator[DuplicateSpan]:
        """Find near-duplicate videos and shared parts of videos.

        Args:
            paths: Videos of the library (see `videos`), compared with all others; files that are
                not in the library are compared by their fingerprint. Empty compares all videos.

        Returns:
            An iterator of shared spans.

        Raises:
            LibraryError: If no path matches a video in the library or on disk.
        """
        from vsearch.copies.library_duplicates import (
            find_library_duplicates,  # deferred: imports a decoder
        )

        path_names = list(check_names(paths, "paths"))
        return find_library_duplicates(self._catalog, self._feature_store, path_names)

    def thumbnail(self, video: Video | PathInput, frame_time: float, *, width: int = 320) -> bytes:
        """Render the frame shown at a time.

        Args:
            video: A video of the library, or its path.
            frame_time: Seconds.
            width: Maximum width in pixels.

        Returns:
            A JPEG file.

        Raises:
            MediaError: If the frame cannot be decoded.
        """
        from vsearch.media.thumbnails import render_thumbnail

        return render_thumbnail(
            self._require_video(video).path,
            check_number(frame_time, "frame_time"),
            max_width=min(check_count(width, "width"), MAX_THUMBNAIL_WIDTH),
        )

    # --- contents

    def videos(self, paths: Sequence[PathInput] = ()) -> list[Video]:
        """Return videos of the library, sorted by path.

        Args:
            paths: Each the path of a video or of a folder that contains videos. A path with `*`,
                `?` or `[`, or one that does not exist on disk, is a glob over all paths in the
                library. Empty means all videos.

        Returns:
            The videos that match any of the paths. A file that is a copy of an indexed video
            matches it.
        """
        return self._locate(select_videos(self._catalog, self._resolve_copies(paths)))

    def _locate(self, videos: Iterable[Video]) -> list[Video]:
        """Return the videos, those whose file is gone with the path of a duplicate that exists."""
        return locate_videos(videos, read_indexed_folders(self.path))

    def _resolve_copies(self, paths: Sequence[PathInput]) -> tuple[str, ...]:
        return resolve_copies(self._catalog, check_names(paths, "paths"))

    def video(self, video_id: int) -> Video | None:
        """Return the video with that id, or None."""
        try:
            checked_id = operator.index(video_id)
        except TypeError:
            checked_id = None
        if checked_id is None or isinstance(video_id, bool):
            raise QueryError(f"a video id must be a whole number, not {video_id!r:.60}")
        return next(iter(self._locate(self._catalog.videos_by_id([checked_id]).values())), None)

    def outline(self) -> LibraryOutline:
        """Return the path, time and transcripts of every video, kept until the library changes."""
        known_outline = self._known_outline
        if known_outline is None or known_outline.change_number != self._catalog.change_number():
            known_outline = self._known_outline = self._catalog.outline()
        return known_outline

    def videos_by_id(self, video_ids: Iterable[int]) -> list[Video]:
        """Return videos by id, in the same order; unknown ones are left out."""
        id_list = check_ids(video_ids, "video_ids")
        found_videos = self._catalog.videos_by_id(id_list)
        return self._locate(
            found_videos[video_id] for video_id in id_list if video_id in found_videos
        )

    def check_files(self, videos: Iterable[Video]) -> list[Video]:
        """Check whether the files of videos exist.

        Args:
            videos: Videos of the library.

        Returns:
            The videos with `file_status`: "available"; "missing"; or "offline" if the drive or
            the whole folder that was indexed is gone, or does not answer within 2 seconds. A video
            whose file is gone has the path of a duplicate, if one exists.
        """
        if not isinstance(videos, Iterable):
            raise QueryError(f"videos must be a list of videos, not {videos!r:.60}")
        checked_videos = [self._require_video(video) for video in videos]
        return check_videos(checked_videos, read_indexed_folders(self.path))

    def missing_videos(self, paths: Sequence[PathInput] = ()) -> list[Video]:
        """Return the videos whose files no longer exist.

        Args:
            paths: Return only these videos or folders (see `videos`), also those that are offline.
                Empty means all videos that are missing, but not offline; see `check_files`.
        """
        names = check_names(paths, "paths")
        statuses = ("missing", "offline") if names else ("missing",)
        return [
            video
            for video in self.check_files(select_videos(self._catalog, names))
            if video.file_status in statuses
        ]

    def _require_video(self, video: Video | PathInput) -> Video:
        """Return a video, or the only one with a path; raise LibraryError otherwise."""
        if isinstance(video, Video):
            return video
        video_name = check_path(video, "video")
        matching_videos = self.videos([video_name])
        if len(matching_videos) != 1:
            raise LibraryError(
                f"{video_name}: matches {len(matching_videos)} videos of the library; choose one "
                "from `vsearch list`"
            )
        return matching_videos[0]

    def segments_with_vectors(self, video: Video | PathInput) -> tuple[list[Segment], Matrix]:
        """Return the segments of a video with their vectors.

        Args:
            video: A video of the library, or its path.

        Returns:
            S segments in chronological order, and float32 (S, D), rows of unit length.
        """
        with self._catalog.snapshot():
            video_id = self._require_video(video).id
            space, segment_ids = self._catalog.space(), self._catalog.segment_ids([video_id])
            if space is None:
                return [], np.empty((0, 0), np.float32)
            found_videos = list(self._catalog.iter_videos_with_vectors(segment_ids, space))
        return found_videos[0] if found_videos else ([], np.empty((0, space.dim), np.float32))

    def vectors(self) -> tuple[Ids, Matrix]:
        """Return the vectors of all segments.

        Returns:
            Ids int64 (N,), ascending, as in `Segment.id`, and vectors float32 (N, D), rows of unit
            length.
        """
        with self._catalog.snapshot():
            space = self._catalog.space()
            if space is None:
                return np.empty(0, np.int64), np.empty((0, 0), np.float32)
            return self._catalog.vectors(None, space)

    def segments(self, segment_ids: Iterable[int]) -> list[Segment]:
        """Return segments by id, in the same order; see `vectors`. Unknown ones are left out."""
        id_list = check_ids(segment_ids, "segment_ids")
        return self._catalog.segments(np.array(id_list, np.int64))

    def features(self, video: Video | PathInput) -> Features:
        """Return the features of the sampled frames of a video.

        Args:
            video: A video of the library, or its path.

        Returns:
            Frame vectors float32 (T, D), rows of unit length, and their times in seconds.

        Raises:
            DamagedLibraryError: If they are missing or damaged.
        """
        video_id = self._require_video(video).id
        space = self._catalog.space()
        if space is None:
            raise LibraryError("nothing is indexed yet: index a video first")
        return self._feature_store.load(video_id, space)

    def encode_text(self, texts: str | Sequence[str]) -> Matrix:
        """Encode texts into the space of the library, as written.

        Args:
            texts: A text, or several.

        Returns:
            float32 (N, D), rows of unit length.

        Raises:
            NoTextError: If the model has no text encoder.
        """
        text_list = [texts] if isinstance(texts, str) else check_list(texts, "texts")
        return self.encoder.encode_texts([check_text(text, "a text") for text in text_list])

    def encode_image(self, images: PathInput | Images | Sequence[PathInput | Images]) -> Matrix:
        """Encode images into the space of the library.

        Args:
            images: An image file, an array uint8 (H, W, 3) RGB, or several of either.

        Returns:
            float32 (N, D), rows of unit length.

        Raises:
            MediaError: If a file is not an image.
            QueryError: If an array has another shape or type.
        """
        from vsearch.search.query_images import load_images  # deferred: brings a decoder

        vectors = [self.encoder.encode_images(image[None]) for image in load_images(images)]
        return np.concatenate([np.empty((0, self.encoder.space.dim), np.float32), *vectors])

    def segment_count(self, video: Video | PathInput) -> int:
        """Return the number of segments of a video, or of the video with a path."""
        return len(self._catalog.segments_of_video(self._require_video(video).id))

    @property
    def space(self) -> Space | None:
        """Active embedding space; None while nothing is indexed."""
        return self._catalog.space()

    def info(self, *, check_files: bool = True) -> LibraryInfo:
        """Return the contents and size of the library.

        Args:
            check_files: Count the files that are missing or offline, and the videos of each model,
                which takes seconds for tens of thousands of videos.

        Returns:
            The contents; without `check_files`, nothing is missing and no model is named.
        """
        library_counts = self._catalog.library_counts()
        videos = self.check_files(self._catalog.videos() if check_files else [])
        status_counts = Counter(video.file_status for video in videos)
        return LibraryInfo(
            self.path,
            self._catalog.space(),
            self._catalog.pooler(),
            library_counts.video_count,
            library_counts.segment_count,
            library_counts.duration_seconds,
            library_counts.frame_count,
            self.location.size_bytes(),
            tuple(Counter(video.model for video in videos).most_common()),
            tuple(self._catalog.transcript_counts()),
            tuple(self._catalog.sound_counts()),
            missing_count=status_counts["missing"],
            offline_count=status_counts["offline"],
            location=str(self.location),
        )

    def doctor(self) -> list[str]:
        """Check the library for damaged and missing files.

        Returns:
            Problems found, each a sentence with the remedy.
        """
        from vsearch.doctor import diagnose_library  # deferred: imports a decoder

        return diagnose_library(
            self.location,
            self._writer,
            self._live_index,
            self.check_files,
            self._active_model.adapter_file,
            [self.cache_path / cache_folder for cache_folder in CACHE_FOLDERS],
        )

    def clean_store(self, *, min_age_days: float = 7.0) -> int:
        """Delete files of the store (`store` in the settings) that no video of this library needs.

        Files of removed and replaced videos and of deleted models stay there until then. No other
        library may use the same store.

        Args:
            min_age_days: Keep files written since, which another process may be about to record.

        Returns:
            The number of deleted bytes.

        Raises:
            SettingsError: If the library has no store.
            StoreError: If the store cannot be used.
            LockedError: If another process is writing.
        """
        min_age_seconds = check_number(min_age_days, "min_age_days") * 86_400
        removed_objects = self._writer.clean_store(min_age_seconds)
        return sum(stored.size_bytes for stored in removed_objects)

    def measure_recall(self) -> list[IndexRecall]:
        """Measure the recall of the vector index against exact search.

        Returns:
            Recall of each kind of query; empty for an empty library.
        """
        from vsearch.doctor import measure_recall  # deferred: imports a decoder

        return measure_recall(self._catalog, self._live_index)

    # --- components, created on demand

    @cached_property
    def tags(self) -> Tags:
        """Tags of videos and their spans: `list(paths)`, `add(video, label)`, `remove(paths)`."""
        from vsearch.analysis.tags import Tags  # deferred: not used by most searches

        return Tags(self._catalog, self._writer.exclusive)

    @cached_property
    def transcripts(self) -> Transcripts:
        """Subtitles, speech and on-screen text: `list`, `get`, `transcribe` and `ocr`."""
        from vsearch.indexing.transcripts import Transcripts  # deferred: rarely used

        return Transcripts(
            self._catalog, self._active_model, self._writer.exclusive_with_cue_embedding
        )

    @cached_property
    def sounds(self) -> Sounds:
        """Spans of speech, music and singing: `list(video)` and `analyze(paths)`."""
        from vsearch.indexing.sounds import Sounds  # deferred: rarely used

        return Sounds(self._catalog, self._writer.exclusive)

    @cached_property
    def models(self) -> Models:
        """Embedding models, query adapter and trained pooler: `list`, `switch`, `delete`, …."""
        from vsearch.indexing.models import Models  # deferred: not used by most searches

        return Models(
            self.location,
            self._catalog,
            self._feature_store,
            self._active_model,
            self._writer,
            self._live_index,
        )

    @property
    def feature_store(self) -> FeatureStore:
        """Stored frame features; see also `features`."""
        return self._feature_store

    @cached_property
    def shared_thumbnails(self) -> SharedThumbnails | None:
        """Thumbnails in the store of the library, for servers; None without a store."""
        from vsearch.storage.shared_thumbnails import SharedThumbnails  # deferred: for servers

        objects = open_objects(self.settings.store, retry_seconds=0)
        if objects is None:
            return None
        return SharedThumbnails(
            objects, lambda video_id: self._catalog.file_identity(video_id).content_digest
        )

    @property
    def encoder(self) -> Encoder:
        """Encoder of searches, with the text model and query adapter if there are any.

        Raises:
            ModelError: If it cannot be loaded. The text model is loaded when it first encodes
                text.
        """
        return self._active_model.encoder

    @property
    def settings(self) -> config.Settings:
        """Effective settings: arguments, environment variables, vsearch.toml, defaults."""
        return self._active_model.settings


def _discovery_options(
    excludes: Iterable[str], default_excludes: object, follow_links: object, *, photos: bool
) -> DiscoveryOptions:
    return DiscoveryOptions(
        tuple(map(str, check_names(excludes, "excludes"))),
        default_excludes=bool(default_excludes),
        follow_links=bool(follow_links),
        photos=photos,
    )
