"""The same library in SQLite and in PostgreSQL: each query has the same answer and order."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.random_library import (
    CUE_SPACE,
    LABELS,
    fill_randomly,
    random_filters,
    random_phrases,
)
from vsearch.catalog.browsing import iter_newest
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.filters import allowed_segment_ids
from vsearch.catalog.names import find_named
from vsearch.catalog.table_copy import copy_tables
from vsearch.catalog.transcripts import CueIndex
from vsearch.errors import QueryError
from vsearch.query.parser import parse_query
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.support.postgresql_server import PostgresqlServer
    from vsearch.query.model import Query
    from vsearch.types import Ids, Space

pytestmark = pytest.mark.cluster
SEEDS = (1, 2)
VIDEO_COUNT = 60
Catalogs = tuple[Catalog, Catalog]


@pytest.fixture(scope="module", params=SEEDS)
def catalogs(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgresql_server: PostgresqlServer,
) -> Iterator[Catalogs]:
    """A random library in SQLite, and the same rows in PostgreSQL, read in New York."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TZ", "America/New_York")
        time.tzset()
        catalog_path = tmp_path_factory.mktemp("library") / "catalog.sqlite3"
        with (
            Catalog.open(catalog_path, create=True) as file_catalog,
            Catalog.open(postgresql_server.create_database(), create=True) as database_catalog,
        ):
            fill_randomly(file_catalog, request.param, VIDEO_COUNT)
            copy_tables(file_catalog, database_catalog, lambda *_: None)
            yield file_catalog, database_catalog
    time.tzset()


@pytest.fixture
def written_catalogs(tmp_path: Path, postgresql_server: PostgresqlServer) -> Iterator[Catalogs]:
    """The same random library, written to SQLite and to PostgreSQL."""
    database_url = postgresql_server.create_database()
    with (
        Catalog.open(tmp_path / "catalog.sqlite3", create=True) as file_catalog,
        Catalog.open(database_url, create=True) as database_catalog,
    ):
        for catalog in (file_catalog, database_catalog):
            fill_randomly(catalog, 3, VIDEO_COUNT // 2)
        yield file_catalog, database_catalog


def assert_same(catalogs: Catalogs, read: Callable[..., Any], *arguments: Any) -> None:
    """Check that a function of a catalog has the same answer for both."""
    expected, answer = (read(catalog, *arguments) for catalog in catalogs)
    assert _to_plain(answer) == _to_plain(expected)


def assert_same_of_cues(catalogs: Catalogs, read: Callable[..., Any], *arguments: Any) -> None:
    """Check that a method of `CueIndex` has the same answer for both catalogs."""
    expected, answer = (read(catalog.cue_index, *arguments) for catalog in catalogs)
    assert _to_plain(answer) == _to_plain(expected)


def _to_plain(value: Any) -> Any:
    """Convert arrays to lists, also in lists and tuples."""
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.tolist()
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return [_to_plain(item) for item in value]
    return value


@pytest.mark.parametrize(
    "read",
    [
        *(Catalog.videos, Catalog.video_paths, Catalog.count_videos, Catalog.cameras),
        *(Catalog.codecs, Catalog.languages, Catalog.model_names, Catalog.saved_searches),
        *(Catalog.relevance_labels, Catalog.tags, Catalog.tag_labels, Catalog.transcripts),
        *(Catalog.sound_models, Catalog.sound_counts, Catalog.transcript_counts, Catalog.spaces),
        *(Catalog.space, Catalog.pooler, Catalog.library_counts, Catalog.segment_count),
        *(Catalog.is_empty, Catalog.segment_ids, Catalog.find_problems),
    ],
)
def test_lists_are_the_same(catalogs: Catalogs, read: Callable[[Catalog], Any]) -> None:
    assert_same(catalogs, read)


def test_unordered_lists_are_the_same(catalogs: Catalogs) -> None:
    assert_same(catalogs, lambda catalog: sorted(catalog.locations()))
    assert_same(catalogs, lambda catalog: sorted(catalog.locations(-10, 30)))
    assert_same(catalogs, lambda catalog: sorted(catalog.video_places()))
    assert_same(catalogs, lambda catalog: sorted(catalog.outline().videos))


def test_what_is_known_of_each_video_is_the_same(catalogs: Catalogs) -> None:
    space = catalogs[0].space()
    for video in catalogs[0].videos():
        for read in (
            *(Catalog.segments_of_video, Catalog.cues_of_video, Catalog.sounds),
            *(Catalog.file_identity, Catalog.sample_fps, Catalog.video_path),
        ):
            assert_same(catalogs, read, video.id)
        assert_same(catalogs, Catalog.features_crc32, video.id, space)
        assert_same(catalogs, Catalog.videos_by_fingerprint, video.fingerprint)
        for path in (video.path, *video.other_paths):
            assert_same(catalogs, Catalog.video_at, path)
            assert_same(catalogs, Catalog.video_by_path, path)
            assert_same(catalogs, Catalog.duplicate_file, path)


def test_segments_and_vectors_are_the_same(catalogs: Catalogs) -> None:
    chance = random.Random(3)
    space, all_ids = catalogs[0].space(), catalogs[0].segment_ids().tolist()
    all_videos = list(catalogs[0].video_paths())
    assert space is not None
    assert_same(catalogs, Catalog.vectors, None, space)
    assert_same(catalogs, Catalog.vector_bytes, space)
    assert_same(catalogs, Catalog.videos_with_features, space)
    assert_same(catalogs, Catalog.videos_without_vectors, CUE_SPACE)
    for _ in range(20):
        segment_ids = np.array(sorted({5, *chance.sample(all_ids, 20)}), np.int64)
        assert_same(catalogs, Catalog.segments, segment_ids)
        assert_same(catalogs, Catalog.video_ids_of, segment_ids)
        assert_same(catalogs, Catalog.vectors, segment_ids[::-1], space)
        assert_same(catalogs, Catalog.summarize_segment_ids, int(segment_ids[-1]))
        assert_same(catalogs, Catalog.segment_ids_with_tags, chance.sample(LABELS, 2), segment_ids)
        assert_same(catalogs, _videos_with_vectors, segment_ids, space)
        assert_same(catalogs, _runs, segment_ids, space)
        video_ids = [*chance.sample(all_videos, 5), 10**9]
        for read in (
            *(Catalog.segment_ids_of_videos, Catalog.count_segments, Catalog.videos_by_id),
            *(Catalog.tags, Catalog.transcripts),
        ):
            assert_same(catalogs, read, video_ids)
        spans = [
            (chance.choice(video_ids), Span(start, start + chance.choice((0.0, 2.2))))
            for start in (0.0, 1.3, 2.0, 59.9)
        ]
        assert_same(catalogs, Catalog.segments_overlapping, spans)
        times = [(video_id, span.start) for video_id, span in spans]
        assert_same(catalogs, Catalog.vectors_at, times, space)


def _videos_with_vectors(catalog: Catalog, segment_ids: Ids, space: Space) -> list[Any]:
    return list(catalog.iter_videos_with_vectors(segment_ids, space))


def _runs(catalog: Catalog, segment_ids: Ids, space: Space) -> list[Any]:
    return [
        (run.video_id, run.segment_ids, run.segment_times, run.vectors, run.has_more_after)
        for run in catalog.segment_runs(segment_ids, 2, space)
    ]


def test_cues_and_their_vectors_are_the_same(catalogs: Catalogs) -> None:
    some_ids = np.arange(0, 300, 7)[::-1]
    segment_ids = catalogs[0].segment_ids()[::9]
    assert_same_of_cues(catalogs, CueIndex.estimate_size)
    assert_same_of_cues(catalogs, CueIndex.transcript_sources)
    assert_same_of_cues(catalogs, CueIndex.last_embedded_cue, CUE_SPACE)
    assert_same_of_cues(catalogs, CueIndex.cues_after, 3, 9)
    assert_same_of_cues(catalogs, CueIndex.count_after, 3)
    assert_same_of_cues(catalogs, CueIndex.probe_vectors, CUE_SPACE, 7)
    assert_same_of_cues(catalogs, CueIndex.newest_vectors, CUE_SPACE, 50)
    assert_same_of_cues(catalogs, CueIndex.read_cues, some_ids)
    assert_same_of_cues(catalogs, CueIndex.locate_cues, some_ids)
    assert_same_of_cues(catalogs, lambda cues: sorted(cues.video_ids_of_segments(segment_ids)))


def test_words_find_the_same_cues_and_names(catalogs: Catalogs) -> None:
    chance = random.Random(4)
    all_videos = list(catalogs[0].video_paths())
    for _ in range(300):
        phrases, limit = random_phrases(chance), chance.choice((3, 20, 1_000))
        video_ids = chance.choice((None, np.array(chance.sample(all_videos, 4), np.int64)))
        assert_same_of_cues(catalogs, _search_cues, phrases, limit, video_ids)
        assert_same_of_cues(catalogs, CueIndex.estimate_count, phrases, limit)
        assert_same(catalogs, _find_named, phrases[0])


def _search_cues(
    cue_index: CueIndex, phrases: Sequence[Sequence[str]], limit: int, video_ids: Ids | None
) -> Ids:
    return cue_index.search(phrases, max_results=limit, video_ids=video_ids)


def _find_named(catalog: Catalog, word_forms: Sequence[str]) -> list[int]:
    return sorted(find_named(catalog, word_forms))


def test_filters_select_and_list_the_same(catalogs: Catalogs) -> None:
    chance = random.Random(5)
    selective_count = 0
    for _ in range(400):
        query = parse_query(f"x {random_filters(chance)}")
        assert_same(catalogs, _select, query)
        assert_same(catalogs, _browse, query, chance.choice((3, 1_000)))
        selective_count += 0 < len(_select(catalogs[0], query)) < catalogs[0].segment_count()
    assert selective_count > 100


def _select(catalog: Catalog, query: Query) -> Any:
    """Return the ids that pass the filters, or the message of an error."""
    try:
        return allowed_segment_ids(catalog, query)
    except QueryError as error:
        return str(error)


def _browse(catalog: Catalog, query: Query, max_videos: int) -> Any:
    try:
        return list(iter_newest(catalog, query, max_videos))
    except QueryError as error:
        return str(error)


def test_a_library_is_written_the_same_to_both(written_catalogs: Catalogs) -> None:
    """Ids of segments and times of writing differ."""
    read: Callable[..., Any]
    for read in (
        *(
            Catalog.videos,
            Catalog.spaces,
            Catalog.tags,
            Catalog.sound_models,
            Catalog.find_problems,
        ),
        *(Catalog.library_counts, Catalog.transcript_counts, Catalog.sound_counts),
    ):
        assert_same(written_catalogs, read)
    space = written_catalogs[0].space()
    assert_same(written_catalogs, _videos_without_ids, space)
    assert_same(written_catalogs, lambda catalog: sorted(catalog.video_places()))
    assert_same(
        written_catalogs, lambda catalog: [item.query_text for item in catalog.saved_searches()]
    )
    for video in written_catalogs[0].videos():
        for read in (Catalog.cues_of_video, Catalog.sounds, Catalog.file_identity):
            assert_same(written_catalogs, read, video.id)
        for path in video.other_paths:
            assert_same(written_catalogs, Catalog.duplicate_file, path)
    assert_same_of_cues(written_catalogs, CueIndex.newest_vectors, CUE_SPACE, 1_000)
    assert_same_of_cues(written_catalogs, CueIndex.cues_after, 0, 10_000)
    chance = random.Random(6)
    for _ in range(50):
        phrases = random_phrases(chance)
        assert_same_of_cues(written_catalogs, _search_cues, phrases, 1_000, None)
        assert_same(written_catalogs, _find_named, phrases[0])


def _saved_queries(catalog: Catalog) -> list[tuple[str, str]]:
    return [(search.name, search.query_text) for search in catalog.saved_searches()]


def _videos_without_ids(catalog: Catalog, space: Space) -> list[Any]:
    """Return the spans and vectors of the segments of each video."""
    return [
        ([segment.span for segment in segments], vectors)
        for segments, vectors in _videos_with_vectors(catalog, catalog.segment_ids(), space)
    ]
