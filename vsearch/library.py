"""A folder with a catalogue, frame features and an index; wires the parts together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch import config
from vsearch.asking import Asking
from vsearch.catalog.lock import WriteLock, read_holder
from vsearch.catalog.named import named
from vsearch.encoders.adapter import AdaptedEncoder
from vsearch.errors import (
    LibraryError,
    NoLibraryError,
    QueryError,
    SpaceMismatchError,
    VSearchError,
)
from vsearch.marking import Marks
from vsearch.model import Model
from vsearch.pooler import AUTO, install, keep, made, own, shipped
from vsearch.search.confidence import Confidence
from vsearch.search.current import CurrentIndex
from vsearch.search.excess import Excess
from vsearch.search.query import parse, parse_clip, query_of
from vsearch.searches import Searches
from vsearch.types import Info, Query
from vsearch.vectors.features import FeatureStore
from vsearch.workshop import Workshop

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from typing import Self

    from vsearch.analysis.duplicates import Shared
    from vsearch.analysis.labels import Label
    from vsearch.analysis.length import Length
    from vsearch.analysis.summarise import Summary
    from vsearch.catalog.repository import Catalog
    from vsearch.doctor import Recall
    from vsearch.encoders.adapter import Adapter, AdapterFile
    from vsearch.hearing import Hearing, Worded
    from vsearch.labelling import Labelling
    from vsearch.protocols import Encoder, Pooler
    from vsearch.results import Result
    from vsearch.search.query import Names
    from vsearch.temporal.weights import Weights
    from vsearch.transcripts import Words
    from vsearch.types import (
        Classified,
        CueSource,
        Curve,
        Ingested,
        KnownSpace,
        Mark,
        Matrix,
        Moment,
        Progress,
        SavedSearch,
        Segment,
        Space,
        Span,
        Switch,
        Tag,
        Transcript,
        Video,
    )
    from vsearch.words.ocr import Reader
    from vsearch.words.speech import Listener

    Name = str | os.PathLike[str]

CATALOG = "catalog.sqlite3"


class Library:
    """A library of videos. Safe to use from several threads; one process writes at a time."""

    def __init__(
        self,
        path: Path,
        catalog: Catalog,
        model: Model,
        *,
        resample: bool,
    ) -> None:
        """Use `Library.open`. `resample` indexes anew what was sampled at another rate."""
        self.path, self._catalog, self._resample = path, catalog, resample
        self._model = model
        self._features = FeatureStore(path / "features")
        self._current = CurrentIndex(
            catalog,
            path / "vectors",
            self.settings.index,
            questions=lambda: getattr(model.whole, "querybank", None),
        )
        excess = Excess(path / "excess")
        self._workshop = Workshop(path, catalog, self._features, self._current, model, excess)
        self._searches, self._marks = Searches(catalog, path), Marks(catalog)
        self._asking = Asking(
            catalog,
            self._features,
            self._current,
            model,
            Confidence(catalog, path / "null"),
            excess,
            pooler=self._workshop.pooler,
            parts=self._workshop.parts,
            lesson=self._marks.lesson,
        )

    @classmethod
    def open(
        cls,
        path: Name | None = None,
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
        read_text: bool | None = None,
        fast: bool | None = None,
        workers: int | None = None,
        hwaccel: str | None = None,
        encoder: Encoder | None = None,
    ) -> Self:
        """Open the library in a folder, made if need be, or the default one.

        `encoder` stands in for the model that the settings name; `text_model` names another one
        whose words fit its pictures ("" for none). `fast` looks at key frames only, `workers` is
        how many videos are looked at side by side (0: as suits the machine), `hwaccel` a device
        that decodes. Settings that are None come from VSEARCH_* variables, the library's
        vsearch.toml or the defaults. Raises NoLibraryError (when it may not be created),
        NewerLibraryError, DamagedLibraryError and SettingsError.
        """
        from vsearch.catalog.repository import Catalog  # deferred: `import vsearch` is quick

        folder = config.library_path(path)
        if folder.exists() and not folder.is_dir():
            raise LibraryError(f"{folder}: is a file; a library is a folder of its own")
        if not create and not (folder / CATALOG).exists():
            raise NoLibraryError(
                f"{folder}: there is no library; make one with `vsearch --library {folder} "
                "index FOLDER`"
            )
        flags = {"model": model, "device": device, "fps": fps, "pooler": pooler, "index": index}
        flags |= {"text_model": text_model, "keep_frames": keep_frames}
        flags |= {"transcribe": transcribe, "read_text": read_text, "fast": fast}
        flags |= {"workers": workers, "hwaccel": hwaccel}
        settings = config.load(folder, flags)
        catalog = Catalog.open(folder / CATALOG, create=create)
        named = encoder is not None or config.is_named("model", model)
        made = Model.of(folder, settings, catalog.spaces(), encoder, named=named)
        return cls(folder, catalog, made, resample=fps is not None)

    def close(self) -> None:
        """Let go of the files."""
        self._current.close()
        self._catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- putting videos in and taking them out

    def index(
        self,
        paths: Iterable[Name],
        *,
        again: bool = False,
        progressive: bool = False,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> Generator[Ingested]:
        """Bring files, folders and globs into the library; one Ingested for each file.

        What is known is passed over, unless `again`; what changed is indexed anew; what moved is
        found by its content; what is known by its key frames only is filled in, unless the library
        is `fast`. `progressive` takes the key frames of all first, and then fills them in: another
        Ingested for each. They come in the order in which they are done, and while they are
        iterated; it may be stopped at any time and run again. Raises LockedError,
        SpaceMismatchError and ModelError.
        """
        from vsearch.indexing import Indexing, workers  # deferred: a query needs no decoder
        from vsearch.media.discovery import find_videos
        from vsearch.storing import Wish

        settings = self.settings
        wish = Wish(
            settings.fps if self._resample else None, settings.fast, again, settings.keep_frames
        )
        with self._workshop.wording():
            work = Indexing(
                self._workshop.stores(),
                self._workshop.parts_to_index,
                workers=workers(settings.workers),
                progress=progress,
                stored=self._workshop.read_meanings,
            )
            files = list(find_videos(map(Path, paths)))
            yield from work.twice(files, wish) if progressive else work.run(files, wish)

    def remove(self, paths: Iterable[Name]) -> list[Video]:
        """Take videos out of the library (see `videos`); the files themselves stay."""
        asked = list(paths)
        return self._remove(self.videos(asked) if asked else [])

    def _remove(self, videos: list[Video]) -> list[Video]:
        with self._workshop.writing():
            with self._catalog.begin() as change:
                change.remove_videos([video.id for video in videos])
            for video in videos:
                self._features.remove(video.id)
                self._workshop.frames.remove(video.id)
        return videos

    def forget_missing(self) -> list[Video]:
        """Take those videos out of the library whose files are gone."""
        return self._remove(self.missing())

    def rebuild(self) -> int:
        """Pool the stored features anew, rebuild the indexes, of words too; no video is decoded.

        Returns the number of segments. Raises DamagedLibraryError if features are missing.
        """
        from vsearch.ingest import pool_again  # deferred: a query needs no decoder

        with self._workshop.writing():
            self._current.forget()
            pool_again(self._catalog, self._features, self._workshop.pooler(anew=True))
            with self._catalog.begin() as change:
                change.rebuild_words()
            self._workshop.read_meanings(check=True)
        return self._catalog.counts().segments

    def use_pooler(self, weights: Weights | None) -> str:
        """Pool every segment anew by a pooler of the library's own; None: by what is there without.

        Returns the name of what pools now. All segments or none; nothing is decoded. Raises
        LockedError, SpaceMismatchError for a pooler of another space, and DamagedLibraryError if
        features are missing.
        """
        from vsearch.ingest import pool_again  # deferred: a query needs no decoder

        with self._workshop.writing():
            space, there = self._catalog.space(), own(self.path)
            path = None if weights is None else install(self.path, space, weights)
            chosen = made(f"transformer:{path}") if path else shipped(space)
            self._current.forget()
            try:
                pool_again(self._catalog, self._features, chosen)
            except BaseException:
                if path is not None and path not in there:
                    path.unlink()
                raise
            config.change(self.path, {"pooler": AUTO})
            self._model.rename(pooler=AUTO)
            keep(self.path, path)
        return chosen.name

    @property
    def own_pooler(self) -> Pooler | None:
        """The pooler that was trained for it and installed, if one was. DamagedLibraryError."""
        files = own(self.path)
        return made(f"transformer:{files[0]}") if files else None

    # --- words in the videos

    def transcribe(
        self,
        paths: Sequence[Name] = (),
        *,
        model: str | None = None,
        language: str | None = None,
        again: bool = False,
        listener: Listener | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> Iterator[Worded]:
        """Write down what is spoken in the videos (see `videos`); one Worded for each.

        `model` is a size of Whisper, a folder or package:NAME; without one, the setting
        `speech_model`, or what is installed. What that model did is passed over, unless `again`;
        where none is named, what any did. The language is detected unless named, as ISO 639 has
        it. A video is stored as soon as it is done. `listener` stands in for the model. Raises
        LockedError, ModelError, and SettingsError for a language that the model does not know.
        """
        return self._hearing(progress).speech(
            self.videos(paths),
            self.settings.speech_model if model is None else model,
            language,
            device=self.settings.device,
            again=again,
            listener=listener,
        )

    def read_screen(
        self,
        paths: Sequence[Name] = (),
        *,
        fps: float = 1.0,
        again: bool = False,
        reader: Reader | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> Iterator[Worded]:
        """Read text that the videos (see `videos`) show, `fps` times a second; a Worded for each.

        What was done is passed over, unless `again`. A video is stored as soon as it is done.
        `reader` stands in for the one that is installed. Raises LockedError and ModelError.
        """
        work = self._hearing(progress)
        return work.screen(self.videos(paths), fps=fps, again=again, reader=reader)

    def transcript(self, video: Name, source: CueSource | None = None) -> Words:
        """The words of a video (see `videos`): its subtitles, else speech, else what it shows.

        Raises LibraryError where there are none.
        """
        from vsearch.transcripts import transcript  # deferred: a query needs none

        return transcript(self._catalog, str(video), source)

    def _hearing(self, progress: Callable[[Progress], None]) -> Hearing:
        from vsearch.hearing import Hearing  # deferred: brings a decoder

        return Hearing(self._catalog, self._workshop.wording, progress)

    # --- changing the model

    def use_model(
        self,
        name: str | None,
        *,
        encoder: Encoder | None = None,
        skip_missing: bool = False,
        progress: Callable[[Progress], None] = lambda _: None,
        each: Callable[[Ingested], None] = lambda _: None,
    ) -> Switch:
        """Bring every video into the space of another model, then answer by that one.

        None is the model before. Until then the old one answers. What has to be embedded is seen
        in its kept frames, or decoded again. May be stopped at any time and run again. A video
        that fails prevents the change, unless `skip_missing`; `each` is told of every video that
        was to be embedded, `encoder` stands in for the model. Raises LockedError,
        SpaceMismatchError, LibraryError and ModelError.
        """
        from vsearch.reembed import Reembedding, goal_of, note_model  # deferred: brings a decoder

        with self._workshop.wording():
            note_model(self._catalog, self._model)
            goal = goal_of(name, self.path, self._catalog, self.settings, encoder)
            work = Reembedding(
                self._workshop.stores(),
                goal,
                forget=self._current.forget,
                keep=self.settings.keep_frames,
                hwaccel=self.settings.hwaccel,
            )
            switch = work.run(skip_missing=skip_missing, progress=progress, each=each)
            if switch.done:
                config.change(self.path, goal.named(switch.before))
                self._model.take(encoder or goal.made, goal.named(switch.before))
        return switch

    def drop_model(self, name: str) -> KnownSpace:
        """Delete what a model or space that is not in use has on disk. Raises LibraryError."""
        from vsearch.reembed import counted, drop, meant  # deferred: a query needs no decoder

        with self._workshop.writing():
            known = meant(self._catalog, config.absolute(name))
            known = counted(self._workshop.stores(), self._current, known)
            self._current.forget(known.space)
            drop(self._workshop.stores(), known.space)
        return known

    def spaces(self) -> list[KnownSpace]:
        """The spaces that the library has vectors in, the first one first; one is in use."""
        from vsearch.reembed import counted  # deferred: a query needs no decoder

        return [
            counted(self._workshop.stores(), self._current, one) for one in self._catalog.spaces()
        ]

    def adapt(self, adapter: Adapter | None) -> bool:
        """Read words through an adapter from now on (see `evaluation.adapting`); None: as they are.

        Whether that changes anything. Raises LockedError, LibraryError, and SpaceMismatchError for
        an adapter of another space.
        """
        with self._workshop.writing():
            if adapter is None:
                return self.adapter_file.remove()
            if (space := self._catalog.space()) is None or space.name != adapter.trained.space:
                raise SpaceMismatchError(
                    f"{self.path} is not indexed with {adapter.trained.space}, which the adapter "
                    "was trained for: train it anew with `vsearch train align`"
                )
            self.adapter_file.write(adapter)
            return True

    @property
    def adapter(self) -> Adapter | None:
        """What the words of a query pass through; None where they are taken as they are."""
        encoder = self.encoder
        return encoder.adapter if isinstance(encoder, AdaptedEncoder) else None

    @property
    def adapter_file(self) -> AdapterFile:
        """What is installed, whether or not it is of use with the model that answers."""
        return self._model.adapter

    def writer(self) -> str | None:
        """The process that is writing to the library, in words; None while there is none."""
        holder = read_holder(self.path)
        return str(holder) if holder is not None and WriteLock(self.path).is_held() else None

    # --- asking

    def search(
        self,
        query: str | Query = "",
        *,
        image: Name | None = None,
        clip: Name | None = None,
        span: Span | tuple[float, float] | None = None,
        k: int = 10,
        videos: Sequence[str] = (),
        tags: Sequence[str] = (),
        per_video: int | None = None,
        varied: bool = False,
        alike: bool = False,
    ) -> list[Moment]:
        """The k moments that fit best, best first.

        `query` is text, in the language of `search/grammar.py`, or a Query; `image` a picture file;
        `clip` a video file and `span` the part of it that counts, in seconds. `videos` narrows the
        search, see `Library.videos`, and so does every one of `tags`: to segments that overlap
        what has it.
        No more than `per_video` moments of one video are given; where that is None, no more than 3,
        or half of k, while other videos fit. What shows nearly the same as a better one is left out
        and counted there (`why.alike`), unless `alike`; `varied` prefers what differs from what is
        before it. Raises QueryError, NoTextError, MediaError, and
        LibraryError for a tag that nothing has.
        """
        if not isinstance(query, Query):
            query = query_of(query, image, clip, span, videos, tags, self._searches.names)
        elif videos or tags or (image, clip, span) != (None, None, None):
            raise QueryError("a Query holds its own pictures, clips and filters: give it alone")
        return self._asking.search(query, k, per_video, varied=varied, alike=alike)

    def query(
        self,
        text: str = "",
        *,
        images: Sequence[str] = (),
        clips: Sequence[str] = (),
        videos: Sequence[str] = (),
        tags: Sequence[str] = (),
        names: Callable[[Names], Names] = lambda names: names,
    ) -> Query:
        """What text asks for, with pictures, clips (`film.mp4@3-8`) and filters besides.

        `str(query)` says it in that language. `names` may change what stands for something else
        in it: searches that were saved, results of the last one, files. Raises QueryError.
        """
        known = names(self._searches.names)
        terms = map(parse_clip, clips)
        return parse(text, images=images, clips=terms, videos=videos, tags=tags, names=known)

    def curve(self, query: Query, video: Video) -> Curve:
        """How well each stored frame of a video fits what a query asks of pictures.

        Of a sequence, the best of its steps. Without frames where it asks of words alone. Raises
        QueryError, NoTextError, MediaError and DamagedLibraryError.
        """
        return self._asking.curve(query, video)

    def save(self, name: str, query: str | Query) -> SavedSearch:
        """Save a query, so that `@name` asks it again, in place of what was saved so before.

        Raises QueryError.
        """
        return self._searches.save(name, self.query(query) if isinstance(query, str) else query)

    def saved(self) -> list[SavedSearch]:
        """The searches that were saved, by name."""
        return self._searches.all()

    def unsave(self, name: str) -> SavedSearch:
        """Forget a saved search. Raises QueryError where there is none."""
        return self._searches.remove(name)

    def mark(
        self, query: str | Query, found: Iterable[Moment | Result], *, up: bool | None = True
    ) -> list[Mark]:
        """Say that results of a query are what it asks for, or are not; None: take that back.

        From then on that query learns from it, with whatever filters it is asked; all its marks
        are given. Raises QueryError.
        """
        asked = self.query(query) if isinstance(query, str) else query
        return self._marks.put(asked, found, up)

    def marks(self, query: str | Query | None = None) -> list[Mark]:
        """What was marked for a query, or for any, the latest first. Raises QueryError."""
        return self._marks.of(self.query(query) if isinstance(query, str) else query)

    def forget_marks(self, query: str | Query) -> int:
        """Take away what was marked for a query; how much that was. Raises QueryError."""
        return self._marks.forget(self.query(query) if isinstance(query, str) else query)

    # --- what videos show

    def classify(
        self,
        labels: Sequence[str | Label] = (),
        paths: Sequence[Name] = (),
        *,
        checkpoint: Name | None = None,
        name: str = "labels",
        threshold: float = 0.5,
        store: bool = True,
    ) -> Iterator[Classified]:
        """Judge which label fits the videos (see `videos`) and their segments, or none of them.

        By what the labels mean, or by the labels of a trained classifier, a file. One Classified
        for each video. What is at least as likely as `threshold` is stored as tags, which replace
        those that labels of this `name`, or that classifier, gave it before; a video is stored as
        soon as it is judged. Raises DatasetError, NoTextError, LockedError, ModelError, and
        DamagedLibraryError and SpaceMismatchError for a classifier that is no use here, and
        SettingsError for a threshold that is no number.
        """
        return self._labelling.classify(
            labels,
            list(map(str, paths)),
            None if checkpoint is None else Path(checkpoint),
            name,
            threshold=threshold,
            store=store,
        )

    def tags(self, paths: Sequence[Name] = ()) -> list[Tag]:
        """What the videos (see `videos`), or spans of them, were said to show.

        `film.mp4@0:05-0:10` means what overlaps that part of it. Raises LibraryError for a path
        that means no video of the library.
        """
        return self._labelling.tags(list(map(str, paths)))

    def tag(self, path: Name, label: str, span: Span | None = None) -> Tag:
        """Say by hand that a video, or a span of it, shows something.

        A span ends where the video does. Raises DatasetError for what is no label, LibraryError
        for what is no video of the library, or begins after its end.
        """
        return self._labelling.tag(str(path), label, span)

    def untag(
        self,
        paths: Sequence[Name] = (),
        *,
        label: str | None = None,
        source: str | None = None,
    ) -> int:
        """Remove tags of videos, all or those of a label or a source; how many there were.

        Paths are those of `tags`. Raises LibraryError for one that means no video, and for a label
        that no tag has.
        """
        return self._labelling.untag(list(map(str, paths)), label, source)

    def summarize(
        self, video: Name, *, length: Length | str | float = 30.0, query: str | None = None
    ) -> Summary:
        """The spans of one video that show most of it, or of what a query asks for in it.

        `video` means one of the library (see `videos`) or a file, which is then looked at now.
        `length` is seconds, or text such as "1m30s" or "10%". Raises QueryError, NoTextError and
        MediaError.
        """
        from vsearch.abridging import abridged  # deferred: brings a decoder

        return abridged(
            video, length, query, self._catalog, self._features, self._model, self._workshop.parts
        )

    def similar(
        self,
        path: Name,
        span: Span | tuple[float, float] | None = None,
        *,
        k: int = 10,
        same_video: bool = False,
    ) -> list[Moment]:
        """The k moments most like a video, or a span of it, itself left out.

        Of the library, which decodes nothing, or any file. With `same_video` the rest of that
        video counts, too. Raises QueryError and MediaError.
        """
        query = query_of("", None, path, span, ())
        term = query.terms[0]
        return self._asking.similar(Path(term.value), term.span, k, same_video=same_video)

    def duplicates(self, paths: Sequence[Name] = ()) -> Iterator[Shared]:
        """What videos (see `videos`) share with others: all of it, or a part.

        Of files that are not in the library, which video has the same content. Raises QueryError.
        """
        return self._asking.duplicates(list(map(str, paths)))

    def still(self, video: Video, time: float, *, width: int = 320) -> bytes:
        """A JPEG of the frame shown at `time` seconds. Raises MediaError."""
        from vsearch.media.stills import still  # deferred: only who wants pictures pays for av

        return still(video.path, time, width=width)

    def videos(self, paths: Sequence[Name] = ()) -> list[Video]:
        """The videos in the library, sorted by path; if paths are given, those that they mean.

        A path means that video or all below that folder. What has `*`, `?` or `[` in it, and a
        name of which there is no file here, is a glob over the whole library.
        """
        return named(self._catalog, list(map(str, paths))) if paths else self._catalog.videos()

    def video(self, number: int) -> Video | None:
        """The video with that id; None where there is none."""
        return self._catalog.videos_by_id([number]).get(number)

    def missing(self) -> list[Video]:
        """Videos in the library whose files are gone."""
        from vsearch.ingest import gone  # deferred: a query needs no decoder

        return [video for video in self._catalog.videos() if gone(video.path)]

    def segments(self, video: Video) -> tuple[list[Segment], Matrix]:
        """The segments of a video as they follow each other, and their vectors, float32 (S, D)."""
        space = self._catalog.space()
        segments = self._catalog.segments_of(video.id)
        if space is None or not segments:
            return [], np.empty((0, space.dim if space else 0), np.float32)
        ids = np.array([segment.id for segment in segments], np.int64)
        found, vectors = self._catalog.vectors(ids, space)
        have = set(found.tolist())
        return [segment for segment in segments if segment.id in have], vectors

    def segment_count(self, video: Video) -> int:
        """How many segments a video has."""
        return len(self._catalog.segments_of(video.id))

    def transcripts(self, video: Video) -> list[Transcript]:
        """What words there are of a video, and whence: subtitles, speech, text on the screen."""
        return self._catalog.transcripts([video.id])

    @property
    def space(self) -> Space | None:
        """The embedding space of the library; None while nothing is indexed."""
        return self._catalog.space()

    def info(self) -> Info:
        """What the library holds."""
        counts = self._catalog.counts()
        size = sum(map(_size, self.path.rglob("*")))
        return Info(
            self.path,
            self._catalog.space(),
            self._catalog.pooler(),
            counts.videos,
            counts.segments,
            counts.seconds,
            counts.frames,
            size,
            tuple(Counter(video.model for video in self._catalog.videos()).most_common()),
            tuple(self._catalog.worded()),
        )

    def doctor(self) -> list[str]:
        """What is wrong with the library, a line each; empty when it is sound."""
        from vsearch.doctor import examine  # deferred: a query needs no decoder

        problems = [*examine(self._workshop.stores()), *self.adapter_file.problems()]
        try:
            if self._catalog.space() is not None:
                self._workshop.pooler()
        except VSearchError as error:
            problems.append(str(error))
        return problems

    def recall(self) -> list[Recall]:
        """How much of what is nearest the index finds, of each kind of question; none if empty."""
        from vsearch.doctor import recall  # deferred: a query needs no decoder

        return recall(self._catalog, self._current)

    # --- the parts, made when they are needed

    @property
    def encoder(self) -> Encoder:
        """The model of pictures, and of words where no other is named for them.

        Raises ModelError; what the other model raises is raised when words are encoded.
        """
        return self._model.whole

    @property
    def _labelling(self) -> Labelling:
        from vsearch.labelling import Labelling  # deferred: a query needs no labels

        return Labelling(self._catalog, self._features, self._model, self._workshop.writing)

    @property
    def settings(self) -> config.Settings:
        """What flags, variables and vsearch.toml say, in that order."""
        return self._model.settings


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # gone meanwhile, or not to be read
        return 0
