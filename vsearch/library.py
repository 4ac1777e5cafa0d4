"""The public API: a library folder with a catalog, frame features and a vector index."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch import config
from vsearch.active_model import ActiveModel
from vsearch.catalog.lock import WriteLock, read_lock_holder
from vsearch.catalog.path_matching import videos_matching
from vsearch.encoders.query_adapter import AdaptedEncoder
from vsearch.errors import (
    LibraryError,
    NoLibraryError,
    QueryError,
    SpaceMismatchError,
    VSearchError,
)
from vsearch.pooling.selection import (
    AUTO_POOLER,
    default_pooler,
    delete_other_poolers,
    load_pooler,
    trained_pooler_files,
    write_pooler_file,
)
from vsearch.query.model import Query
from vsearch.query.parser import build_query, parse_clip, parse_query
from vsearch.search.calibrator import Calibrator
from vsearch.search.feedback_store import FeedbackStore
from vsearch.search.hubness import HubnessCache
from vsearch.search.live_index import LiveIndex
from vsearch.search.saved_searches import SavedSearches
from vsearch.search.searcher import Searcher
from vsearch.storage.feature_store import FeatureStore
from vsearch.types import LibraryInfo
from vsearch.writer import LibraryWriter

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from typing import Self

    from vsearch.analysis.labels import Label
    from vsearch.analysis.summaries import SummaryLength, SummaryResult
    from vsearch.analysis.tagging_service import Tagger
    from vsearch.catalog.catalog import Catalog
    from vsearch.copies.duplicates import DuplicateSpan
    from vsearch.doctor import IndexRecall
    from vsearch.encoders.query_adapter import AdapterFile, QueryAdapter
    from vsearch.indexing.transcribe import TranscriptExtractor, TranscriptResult
    from vsearch.pooling.weights import NetworkWeights
    from vsearch.progress import IndexResult, Progress, SwitchResult
    from vsearch.protocols import Encoder, Pooler
    from vsearch.query.parser import NameResolver
    from vsearch.search.transcript_text import TranscriptText
    from vsearch.transcripts.ocr import OcrEngine
    from vsearch.transcripts.speech import SpeechRecognizer
    from vsearch.types import (
        ClassificationResult,
        CueSource,
        Curve,
        Matrix,
        Moment,
        Segment,
        Space,
        SpaceInfo,
        Span,
        Tag,
        Transcript,
        Video,
    )

    PathInput = str | os.PathLike[str]

CATALOG_FILE = "catalog.sqlite3"


class Library:
    """An index of videos that can be searched by text, images and clips.

    Open one with `Library.open`, preferably as a context manager. Methods are thread-safe. Any
    number of processes may search while one of them writes; a second writer raises LockedError.
    Times are seconds as float. Methods that return an iterator work while they are iterated and
    may be stopped at any time; what is complete is kept.

    Attributes:
        path: Folder of the library.
        saved_searches: Named queries: `list()`, `get(name)`, `add(name, query)`, `remove(name)`.
        feedback: Relevance labels of results: `list(query)`, `add(query, moments, relevant=)`,
            `clear(query)`.
    """

    def __init__(
        self,
        path: Path,
        catalog: Catalog,
        active_model: ActiveModel,
        *,
        fps_overridden: bool,
    ) -> None:
        """Use `Library.open`.

        Args:
            path: Folder of the library.
            catalog: Its open catalog.
            active_model: Its settings and encoder.
            fps_overridden: Index videos again that were sampled at another rate.
        """
        self.path, self._catalog, self._fps_overridden = path, catalog, fps_overridden
        self._active_model = active_model
        self._feature_store = FeatureStore(path / "features")
        self._live_index = LiveIndex(
            catalog,
            path / "index",
            self.settings.index,
            load_tuning_queries=lambda: getattr(active_model.encoder, "querybank", None),
        )
        hubness_cache = HubnessCache(path / "hubness")
        self._writer = LibraryWriter(
            path, catalog, self._feature_store, self._live_index, active_model, hubness_cache
        )
        self.saved_searches = SavedSearches(catalog, path)
        self.feedback = FeedbackStore(catalog, self.query)
        self._searcher = Searcher(
            catalog,
            self._feature_store,
            self._live_index,
            active_model,
            Calibrator(catalog, path / "generic_queries"),
            hubness_cache,
            load_pooler=self._writer.pooler,
            load_pipeline=self._writer.pipeline,
            load_feedback=self.feedback.feedback_for,
        )

    @classmethod
    def open(
        cls,
        path: PathInput | None = None,
        *,
        create: bool = True,
        model: str | None = None,
        text_model: str | None = None,
        device: str | None = None,
        fps: float | None = None,
        pooler: str | None = None,
        index: str | None = None,
        keep_frames: bool | None = None,
        transcribe: bool | None = None,
        ocr: bool | None = None,
        keyframes_only: bool | None = None,
        workers: int | None = None,
        hwaccel: str | None = None,
        encoder: Encoder | None = None,
    ) -> Self:
        """Open a library.

        Settings that are None are taken from VSEARCH_* environment variables, the library's
        vsearch.toml or the defaults, in this order.

        Args:
            path: Folder of the library; by default VSEARCH_LIBRARY or `indexes/default`.
            create: Create the library if there is none.
            model: Encoder as `name` or `name:argument`, e.g. "openclip:ViT-L-14/openai".
            text_model: Encoder for query text, of the same embedding space; "" uses `model`.
            device: "auto", "cpu", "cuda" or "mps".
            fps: Frames to sample per second, from 0.01 to 60.
            pooler: "auto", "mean", "transformer:FILE" or a plugin.
            index: "auto", "exact", "faiss", "sq8", "ivf" or a plugin.
            keep_frames: Cache sampled frames, so that another model need not decode again.
            transcribe: Stored as a setting: transcribe speech in what is indexed.
            ocr: Stored as a setting: recognize on-screen text in what is indexed.
            keyframes_only: Sample key frames only.
            workers: Videos indexed in parallel; 0 depends on the machine.
            hwaccel: Hardware decoder as named by FFmpeg, or "auto".
            encoder: Use this encoder instead of the one that the settings name.

        Returns:
            The open library.

        Raises:
            NoLibraryError: If there is no library and `create` is False.
            NewerLibraryError: If it was written by a newer version of vsearch.
            DamagedLibraryError: If the catalog is corrupted.
            LibraryError: If the path is a file.
            SettingsError: If a setting is invalid.
        """
        from vsearch.catalog.catalog import Catalog  # deferred: keeps `import vsearch` fast

        library_path = config.resolve_library_path(path)
        if library_path.exists() and not library_path.is_dir():
            raise LibraryError(f"{library_path} is a file; a library must be a folder")
        if not create and not (library_path / CATALOG_FILE).exists():
            raise NoLibraryError(
                f"{library_path}: there is no library in this folder; create one with "
                f"`vsearch --library {library_path} index FOLDER`"
            )
        overrides = {
            "model": model,
            "text_model": text_model,
            "device": device,
            "fps": fps,
            "pooler": pooler,
            "index": index,
            "keep_frames": keep_frames,
            "transcribe": transcribe,
            "ocr": ocr,
            "keyframes_only": keyframes_only,
            "workers": workers,
            "hwaccel": hwaccel,
        }
        settings = config.load(library_path, overrides)
        catalog = Catalog.open(library_path / CATALOG_FILE, create=create)
        is_model_overridden = encoder is not None or config.is_overridden("model", model)
        active_model = ActiveModel.create(
            library_path, settings, catalog.spaces(), encoder, is_overridden=is_model_overridden
        )
        return cls(library_path, catalog, active_model, fps_overridden=fps is not None)

    def close(self) -> None:
        """Close the files of the library."""
        self._live_index.close()
        self._catalog.close()

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
    ) -> Generator[IndexResult]:
        """Index videos, yielding the result of each file as it is done.

        Unchanged files are skipped; changed ones are indexed again; moved ones are recognized by
        their content; videos sampled at key frames only are refined unless the library has
        `keyframes_only` set. A file that fails is a result with an error, not an exception. An
        interrupted run continues where it stopped when it is run again.

        Args:
            paths: Files, folders (searched recursively) and globs.
            force: Index known files again.
            progressive: Sample the key frames of all files first, then refine them; yields two
                results per file.
            on_progress: Called with the progress of the run.

        Yields:
            One result per file, in order of completion.

        Raises:
            LockedError: If another process is writing.
            SpaceMismatchError: If the library was indexed with another model or pooler.
            ModelError: If the model cannot be loaded.
        """
        from vsearch.indexing.store import IndexOptions
        from vsearch.indexing.workers import Indexer, resolve_worker_count  # deferred: decoder
        from vsearch.media.discovery import find_videos

        settings = self.settings
        options = IndexOptions(
            settings.fps if self._fps_overridden else None,
            settings.keyframes_only,
            force,
            settings.keep_frames,
        )
        with self._writer.exclusive_with_cue_embedding():
            indexer = Indexer(
                self._writer.storage(),
                self._writer.indexing_pipeline,
                worker_count=resolve_worker_count(settings.workers),
                on_progress=on_progress,
                on_stored=self._writer.embed_cues,
            )
            video_files = list(find_videos(map(Path, paths)))
            yield from (
                indexer.run_progressive(video_files, options)
                if progressive
                else indexer.run_pass(video_files, options)
            )

    def remove(self, paths: Iterable[PathInput]) -> list[Video]:
        """Remove videos from the library; the files themselves are kept.

        Args:
            paths: Paths of videos or folders, or globs; see `videos`. Empty removes nothing.

        Returns:
            The removed videos.

        Raises:
            LockedError: If another process is writing.
        """
        path_list = list(paths)
        return self._remove_videos(self.videos(path_list) if path_list else [])

    def _remove_videos(self, videos: list[Video]) -> list[Video]:
        with self._writer.exclusive():
            with self._catalog.begin() as transaction:
                transaction.remove_videos([video.id for video in videos])
            for video in videos:
                self._feature_store.remove_video(video.id)
                self._writer.frame_store.remove_frames(video.id)
        return videos

    def remove_missing(self) -> list[Video]:
        """Remove the videos whose files no longer exist.

        Returns:
            The removed videos.

        Raises:
            LockedError: If another process is writing.
        """
        return self._remove_videos(self.missing_videos())

    def rebuild(self) -> int:
        """Pool the stored frame features again and rebuild all indexes, without decoding videos.

        Returns:
            The number of segments.

        Raises:
            LockedError: If another process is writing.
            DamagedLibraryError: If frame features are missing.
        """
        from vsearch.indexing.pipeline import repool_library  # deferred: imports a decoder

        with self._writer.exclusive():
            self._live_index.invalidate()
            repool_library(self._catalog, self._feature_store, self._writer.pooler(repool=True))
            with self._catalog.begin() as transaction:
                transaction.rebuild_fts()
            self._writer.embed_cues(verify_model=True)
        return self._catalog.library_counts().segment_count

    def install_pooler(self, weights: NetworkWeights | None) -> str:
        """Install a trained pooler and pool all segments with it, without decoding videos.

        If it fails, the library keeps the previous pooler.

        Args:
            weights: Weights of the pooler, see `vsearch train pooler`; None uninstalls it and
                restores the default pooler.

        Returns:
            The name of the pooler now in use.

        Raises:
            LockedError: If another process is writing.
            SpaceMismatchError: If the pooler is of another space.
            DamagedLibraryError: If frame features are missing.
        """
        from vsearch.indexing.pipeline import repool_library  # deferred: imports a decoder

        with self._writer.exclusive():
            space, existing_files = self._catalog.space(), trained_pooler_files(self.path)
            installed_path = (
                None if weights is None else write_pooler_file(self.path, space, weights)
            )
            new_pooler = (
                load_pooler(f"transformer:{installed_path}")
                if installed_path
                else default_pooler(space)
            )
            self._live_index.invalidate()
            try:
                repool_library(self._catalog, self._feature_store, new_pooler)
            except BaseException:
                if installed_path is not None and installed_path not in existing_files:
                    installed_path.unlink()
                raise
            config.update_file(self.path, {"pooler": AUTO_POOLER})
            self._active_model.update_settings(pooler=AUTO_POOLER)
            delete_other_poolers(self.path, installed_path)
        return new_pooler.name

    @property
    def trained_pooler(self) -> Pooler | None:
        """Installed trained pooler, if any.

        Raises:
            DamagedLibraryError: If its file is corrupted.
        """
        pooler_files = trained_pooler_files(self.path)
        return load_pooler(f"transformer:{pooler_files[0]}") if pooler_files else None

    # --- transcripts

    def transcribe(
        self,
        paths: Sequence[PathInput] = (),
        *,
        speech_model: str | None = None,
        language: str | None = None,
        force: bool = False,
        recognizer: SpeechRecognizer | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> Iterator[TranscriptResult]:
        """Transcribe the speech of videos, yielding the result of each video as it is stored.

        Args:
            paths: Paths of videos or folders, or globs; see `videos`. Empty means all videos.
            speech_model: Whisper size, folder or `package:NAME`; by default the setting
                `speech_model` or the best installed model.
            language: ISO 639 code; by default it is detected.
            force: Transcribe again. Otherwise videos already transcribed by `speech_model` are
                skipped, or by any model if none is given.
            recognizer: Use this speech recognizer instead of a Whisper model.
            on_progress: Called with the progress of the run.

        Returns:
            An iterator of results, one per video.

        Raises:
            LockedError: If another process is writing.
            ModelError: If the model cannot be loaded.
            SettingsError: If the model does not know the language.
        """
        return self._create_extractor(on_progress).transcribe_speech(
            self.videos(paths),
            self.settings.speech_model if speech_model is None else speech_model,
            language,
            device=self.settings.device,
            force=force,
            recognizer=recognizer,
        )

    def ocr(
        self,
        paths: Sequence[PathInput] = (),
        *,
        fps: float = 1.0,
        force: bool = False,
        ocr_engine: OcrEngine | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> Iterator[TranscriptResult]:
        """Recognize the on-screen text of videos (OCR), yielding the result of each video.

        Args:
            paths: Paths of videos or folders, or globs; see `videos`. Empty means all videos.
            fps: Frames to read per second.
            force: Read videos again that have been read.
            ocr_engine: Use this engine instead of RapidOCR.
            on_progress: Called with the progress of the run.

        Returns:
            An iterator of results, one per video, as each is stored.

        Raises:
            LockedError: If another process is writing.
            ModelError: If no OCR engine is installed.
        """
        extractor = self._create_extractor(on_progress)
        return extractor.run_ocr(self.videos(paths), fps=fps, force=force, ocr_engine=ocr_engine)

    def transcript(self, video: PathInput, source: CueSource | None = None) -> TranscriptText:
        """Return a transcript of a video.

        Args:
            video: Path of the video; see `videos`.
            source: "subtitles", "speech" or "ocr"; by default the first of these that exists.

        Returns:
            The video, the source and the cues in chronological order.

        Raises:
            LibraryError: If there is no such video or transcript.
        """
        from vsearch.search.transcript_text import load_transcript  # deferred: rarely used

        return load_transcript(self._catalog, str(video), source)

    def _create_extractor(self, on_progress: Callable[[Progress], None]) -> TranscriptExtractor:
        from vsearch.indexing.transcribe import TranscriptExtractor  # deferred: imports a decoder

        return TranscriptExtractor(
            self._catalog, self._writer.exclusive_with_cue_embedding, on_progress
        )

    # --- models

    def switch_model(
        self,
        model_name: str | None,
        *,
        encoder: Encoder | None = None,
        skip_missing: bool = False,
        on_progress: Callable[[Progress], None] = lambda _: None,
        on_result: Callable[[IndexResult], None] = lambda _: None,
    ) -> SwitchResult:
        """Embed all videos with another model, then use it for searches.

        Searches use the previous model until all videos are embedded. Cached frames are used where
        they exist; other videos are decoded. An interrupted switch continues when it is run again.

        Args:
            model_name: Encoder as `name` or `name:argument`; None means the previously active one.
            encoder: Use this encoder instead of the named one.
            skip_missing: Switch even if some videos cannot be embedded.
            on_progress: Called with the progress of the run.
            on_result: Called with the result of each video to be embedded.

        Returns:
            The result; `is_switched` is False if a video failed and `skip_missing` is False.

        Raises:
            LockedError: If another process is writing.
            SpaceMismatchError: If the pooler is of another space.
            LibraryError: If there is no previously active model.
            ModelError: If the model cannot be loaded.
        """
        from vsearch.indexing.model_switch import (
            ModelSwitch,  # deferred: imports a decoder
            record_active_model,
            resolve_target,
        )

        with self._writer.exclusive_with_cue_embedding():
            record_active_model(self._catalog, self._active_model)
            target = resolve_target(model_name, self.path, self._catalog, self.settings, encoder)
            model_switch = ModelSwitch(
                self._writer.storage(),
                target,
                invalidate_index=self._live_index.invalidate,
                keep_frames=self.settings.keep_frames,
                hwaccel=self.settings.hwaccel,
            )
            switch_result = model_switch.run(
                skip_missing=skip_missing, on_progress=on_progress, on_result=on_result
            )
            if switch_result.is_switched:
                config.update_file(self.path, target.to_settings(switch_result.previous_space))
                self._active_model.switch_to(
                    encoder or target.created_encoder,
                    target.to_settings(switch_result.previous_space),
                )
        return switch_result

    def delete_model(self, model_name: str) -> SpaceInfo:
        """Delete the vectors and features of an inactive model.

        Args:
            model_name: Name of the model or of its space.

        Returns:
            The deleted space, with its size on disk.

        Raises:
            LockedError: If another process is writing.
            LibraryError: If there is no such model, or it is active.
        """
        from vsearch.indexing.model_switch import (
            delete_space,  # deferred: imports a decoder
            find_space,
            with_usage,
        )

        with self._writer.exclusive():
            space_info = find_space(self._catalog, config.absolute_model_name(model_name))
            index_bytes = self._live_index.saved_bytes(space_info.space)
            space_info = with_usage(self._writer.storage(), index_bytes, space_info)
            self._live_index.invalidate(space_info.space)
            delete_space(self._writer.storage(), space_info.space)
        return space_info

    def spaces(self) -> list[SpaceInfo]:
        """Return the spaces in which the library has vectors, oldest first.

        Returns:
            The spaces with the number of videos and the size on disk.
        """
        from vsearch.indexing.model_switch import with_usage  # deferred: imports a decoder

        return [
            with_usage(
                self._writer.storage(), self._live_index.saved_bytes(space_info.space), space_info
            )
            for space_info in self._catalog.spaces()
        ]

    def set_query_adapter(self, adapter: QueryAdapter | None) -> bool:
        """Install or uninstall a query adapter, which maps the embedding of query text.

        Args:
            adapter: Adapter trained for this library's space (`vsearch train align`); None
                uninstalls it.

        Returns:
            True if anything changed.

        Raises:
            LockedError: If another process is writing.
            SpaceMismatchError: If the adapter is of another space.
            LibraryError: If the file cannot be written.
        """
        with self._writer.exclusive():
            if adapter is None:
                return self.adapter_file.remove_file()
            space = self._catalog.space()
            if space is None or space.name != adapter.training_info.space:
                raise SpaceMismatchError(
                    f"{self.path} is not indexed with {adapter.training_info.space}, for which the "
                    "adapter was trained; train one with `vsearch train align`"
                )
            self.adapter_file.write_adapter(adapter)
            return True

    @property
    def query_adapter(self) -> QueryAdapter | None:
        """Query adapter applied to query text; None if there is none for the active model."""
        encoder = self.encoder
        return encoder.active_adapter if isinstance(encoder, AdaptedEncoder) else None

    @property
    def adapter_file(self) -> AdapterFile:
        """Installed query adapter file, even if it does not match the active model."""
        return self._active_model.adapter_file

    def lock_holder(self) -> str | None:
        """Return a description of the process that is writing to the library, or None."""
        lock_holder = read_lock_holder(self.path)
        return (
            str(lock_holder) if lock_holder is not None and WriteLock(self.path).is_held() else None
        )

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
    ) -> list[Moment]:
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
            At most k moments, best first.

        Raises:
            QueryError: If the query is invalid.
            NoTextError: If the query has text and the model has no text encoder.
            MediaError: If an image or clip cannot be read.
            LibraryError: If there is no such tag.
            SpaceMismatchError: If the library was indexed with another model.
        """
        if not isinstance(query, Query):
            query = build_query(
                query, image, clip, span, videos, tags, self.saved_searches.name_resolver
            )
        elif videos or tags or (image, clip, span) != (None, None, None):
            raise QueryError(
                "a Query object cannot be combined with image, clip, span, videos or tags"
            )
        return self._searcher.search(
            query, k, per_video, diversify=diversify, include_duplicates=include_duplicates
        )

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
        clip_terms = map(parse_clip, clips)
        return parse_query(
            query_text,
            image_paths=images,
            clip_terms=clip_terms,
            video_globs=videos,
            tag_names=tags,
            name_resolver=name_resolver,
        )

    def similarity_curve(self, query: Query, video: Video) -> Curve:
        """Compute the similarity of each stored frame of a video to a query.

        Args:
            query: The query; of a sequence, the best step counts for each frame.
            video: A video of the library.

        Returns:
            Times and scores of T frames; T is 0 if the query searches transcripts only.

        Raises:
            QueryError: If the query is invalid.
            NoTextError: If the query has text and the model has no text encoder.
            MediaError: If an image or clip of the query cannot be read.
            DamagedLibraryError: If frame features are missing.
        """
        return self._searcher.similarity_curve(query, video)

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
        return self._tagger.classify_videos(
            labels,
            list(map(str, paths)),
            None if checkpoint is None else Path(checkpoint),
            source_name,
            threshold=threshold,
            save_tags=store,
        )

    def tags(self, paths: Sequence[PathInput] = ()) -> list[Tag]:
        """Return the tags of videos and their spans.

        Args:
            paths: Paths of videos or folders, or globs; see `videos`. `film.mp4@0:05-0:10` means
                tags that overlap that span. Empty means all videos.

        Returns:
            The tags.

        Raises:
            LibraryError: If a path matches no video.
        """
        return self._tagger.list_tags(list(map(str, paths)))

    def tag(self, video_path: PathInput, label: str, span: Span | None = None) -> Tag:
        """Add a tag to a video or to a span of it.

        Args:
            video_path: Path of the video.
            label: Label.
            span: Span in seconds, clipped to the end of the video; None tags the whole video.

        Returns:
            The tag.

        Raises:
            LockedError: If another process is writing.
            DatasetError: If the label is invalid.
            LibraryError: If there is no such video, or the span starts after its end.
        """
        return self._tagger.add_tag(str(video_path), label, span)

    def untag(
        self,
        paths: Sequence[PathInput] = (),
        *,
        label: str | None = None,
        source: str | None = None,
    ) -> int:
        """Remove tags of videos and their spans.

        Args:
            paths: As for `tags`.
            label: Remove only tags with this label.
            source: Remove only tags from this source.

        Returns:
            The number of removed tags.

        Raises:
            LockedError: If another process is writing.
            LibraryError: If a path matches no video, or no tag has the label.
        """
        return self._tagger.remove_tags(list(map(str, paths)), label, source)

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

        return summarize_video(
            video,
            length,
            query,
            self._catalog,
            self._feature_store,
            self._active_model,
            self._writer.pipeline,
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
        return self._searcher.find_similar(Path(term.value), term.span, k, same_video=same_video)

    def duplicates(self, paths: Sequence[PathInput] = ()) -> Iterator[DuplicateSpan]:
        """Find near-duplicate videos and shared parts of videos.

        Args:
            paths: Videos of the library (see `videos`), compared with all others; files that are
                not in the library are compared by their fingerprint. Empty compares all videos.

        Returns:
            An iterator of shared spans.

        Raises:
            QueryError: If a path is invalid.
        """
        return self._searcher.find_duplicates(list(map(str, paths)))

    def thumbnail(self, video: Video, frame_time: float, *, width: int = 320) -> bytes:
        """Render the frame shown at a time.

        Args:
            video: A video of the library.
            frame_time: Seconds.
            width: Maximum width in pixels.

        Returns:
            A JPEG file.

        Raises:
            MediaError: If the frame cannot be decoded.
        """
        from vsearch.media.thumbnails import render_thumbnail

        return render_thumbnail(video.path, frame_time, max_width=width)

    # --- contents

    def videos(self, paths: Sequence[PathInput] = ()) -> list[Video]:
        """Return videos of the library, sorted by path.

        Args:
            paths: Each the path of a video or of a folder that contains videos. A path with `*`,
                `?` or `[`, or one that does not exist on disk, is a glob over all paths in the
                library. Empty means all videos.

        Returns:
            The videos that match any of the paths.
        """
        return (
            videos_matching(self._catalog, list(map(str, paths)))
            if paths
            else self._catalog.videos()
        )

    def video(self, video_id: int) -> Video | None:
        """Return the video with that id, or None."""
        return self._catalog.videos_by_id([video_id]).get(video_id)

    def missing_videos(self) -> list[Video]:
        """Return the videos whose files no longer exist."""
        from vsearch.indexing.pipeline import is_missing  # deferred: imports a decoder

        return [video for video in self._catalog.videos() if is_missing(video.path)]

    def segments_with_vectors(self, video: Video) -> tuple[list[Segment], Matrix]:
        """Return the segments of a video with their vectors.

        Args:
            video: A video of the library.

        Returns:
            S segments in chronological order, and float32 (S, D), rows of unit length.
        """
        space = self._catalog.space()
        segments = self._catalog.segments_of_video(video.id)
        if space is None or not segments:
            return [], np.empty((0, space.dim if space else 0), np.float32)
        segment_ids = np.array([segment.id for segment in segments], np.int64)
        found_ids, vectors = self._catalog.vectors(segment_ids, space)
        ids_with_vector = set(found_ids.tolist())
        return [segment for segment in segments if segment.id in ids_with_vector], vectors

    def segment_count(self, video: Video) -> int:
        """Return the number of segments of a video."""
        return len(self._catalog.segments_of_video(video.id))

    def transcripts(self, video: Video) -> list[Transcript]:
        """Return the transcripts of a video, without their cues."""
        return self._catalog.transcripts([video.id])

    @property
    def space(self) -> Space | None:
        """Active embedding space; None while nothing is indexed."""
        return self._catalog.space()

    def info(self) -> LibraryInfo:
        """Return the contents and size of the library."""
        library_counts = self._catalog.library_counts()
        size_bytes = sum(map(_file_bytes, self.path.rglob("*")))
        return LibraryInfo(
            self.path,
            self._catalog.space(),
            self._catalog.pooler(),
            library_counts.video_count,
            library_counts.segment_count,
            library_counts.duration_seconds,
            library_counts.frame_count,
            size_bytes,
            tuple(Counter(video.model for video in self._catalog.videos()).most_common()),
            tuple(self._catalog.transcript_counts()),
        )

    def doctor(self) -> list[str]:
        """Check the library for damaged and missing files.

        Returns:
            Problems found, each a sentence with the remedy.
        """
        from vsearch.doctor import examine_library  # deferred: imports a decoder

        problems = [*examine_library(self._writer.storage()), *self.adapter_file.find_problems()]
        try:
            if self._catalog.space() is not None:
                self._writer.pooler()
        except VSearchError as exc:
            problems.append(str(exc))
        return problems

    def measure_recall(self) -> list[IndexRecall]:
        """Measure the recall of the vector index against exact search.

        Returns:
            Recall of each kind of query; empty for an empty library.
        """
        from vsearch.doctor import measure_recall  # deferred: imports a decoder

        return measure_recall(self._catalog, self._live_index)

    # --- components, created on demand

    @property
    def encoder(self) -> Encoder:
        """Encoder of searches, with the text model and query adapter if there are any.

        Raises:
            ModelError: If it cannot be loaded. The text model is loaded when it first encodes
                text.
        """
        return self._active_model.encoder

    @property
    def _tagger(self) -> Tagger:
        from vsearch.analysis.tagging_service import Tagger  # deferred: rarely used

        return Tagger(
            self._catalog, self._feature_store, self._active_model, self._writer.exclusive
        )

    @property
    def settings(self) -> config.Settings:
        """Effective settings: arguments, environment variables, vsearch.toml, defaults."""
        return self._active_model.settings


def _file_bytes(file_path: Path) -> int:
    try:
        return file_path.stat().st_size if file_path.is_file() else 0
    except OSError:  # removed in the meantime, or no permission
        return 0
