from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.catalog_locations import SQLITE_ONLY, change_by_hand
from tests.support.catalog_rows import (
    OTHER,
    SPACE,
    add_video,
    index_video,
    make_spans,
    unit_vectors,
)
from vsearch.catalog.catalog import Catalog
from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.types import LibraryCounts, Segment, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vsearch.catalog.database_url import CatalogLocation
    from vsearch.types import Ids


@pytest.fixture
def catalog(catalog_location: CatalogLocation) -> Iterator[Catalog]:
    with Catalog.open(catalog_location, create=True) as opened:
        yield opened


def test_a_new_catalog_is_empty_and_has_no_problems(catalog: Catalog) -> None:
    assert catalog.revision() == 0
    assert catalog.space() is None
    assert catalog.pooler() is None
    assert catalog.videos() == []
    assert catalog.segment_ids().shape == (0,)
    assert catalog.library_counts() == LibraryCounts(0, 0, 0.0, 0)
    assert catalog.find_problems() == []
    ids, vectors = catalog.vectors(None, SPACE)
    assert ids.shape == (0,)
    assert vectors.shape == (0, 16)
    assert list(catalog.iter_vectors(SPACE)) == []


def test_added_data_is_read_back_after_reopening(catalog_location: CatalogLocation) -> None:
    if isinstance(catalog_location, Path):
        catalog_location = catalog_location.parent / "new folder" / "100% café.sqlite3"
    with Catalog.open(catalog_location, create=True) as catalog, catalog.begin() as change:
        change.set_space(SPACE, "mean")
        video = add_video(change, "/videos/a.mp4", warning="cut short")
        ids = change.add_segments(video.id, make_spans(2), unit_vectors(2), SPACE)
    with Catalog.open(catalog_location) as catalog:
        assert catalog.space() == SPACE
        assert catalog.pooler() == "mean"
        assert catalog.videos() == [video]
        assert catalog.videos_by_id([video.id]) == {video.id: video}
        assert catalog.video_by_path(Path("/videos/a.mp4")) == video
        assert catalog.videos_by_fingerprint("f0") == [video]
        assert catalog.sample_fps(video.id) == 2.0
        assert catalog.segments_of_video(video.id) == [
            Segment(int(ids[0]), video.id, Span(0, 2)),
            Segment(int(ids[1]), video.id, Span(2, 4)),
        ]
        assert catalog.library_counts() == LibraryCounts(1, 2, 10.0, 20)


@pytest.mark.parametrize(
    "name", [b"plain.mp4", "日本 é.mp4".encode(), b"\xff\xfe bytes.mp4", b'it\'s "new"\nline.mp4']
)
def test_any_file_name_is_stored_unchanged(catalog: Catalog, name: bytes) -> None:
    path = "/videos/" + os.fsdecode(name)
    video, _ = index_video(catalog, path)
    assert catalog.video_by_path(Path(path)) == video
    assert catalog.videos() == [video]
    assert catalog.videos(["*.mp4"]) == [video]
    assert os.fsencode(catalog.videos()[0].path) == b"/videos/" + name


def test_a_warning_with_a_non_utf8_file_name_is_stored_escaped(catalog: Catalog) -> None:
    with catalog.begin() as change:
        video = add_video(change, "/a.mp4", warning="cannot read \udcff.mp4")
    assert catalog.videos()[0].warning == video.warning == "cannot read \\udcff.mp4"


def test_videos_are_sorted_by_path(catalog: Catalog) -> None:
    for name in ("/b.mp4", "/\udcff.mp4", "/a.mp4", "/é.mp4"):
        index_video(catalog, name)
    found = [str(video.path) for video in catalog.videos()]
    assert found == ["/a.mp4", "/b.mp4", "/é.mp4", "/\udcff.mp4"]


def test_videos_are_selected_by_glob(catalog: Catalog) -> None:
    for name in ("/v/holiday/a.mp4", "/v/work/b.mp4", "/v/work/c'; DROP TABLE videos; --.mkv"):
        index_video(catalog, name)
    assert [v.path.name for v in catalog.videos(["HOLIDAY/*"])] == ["a.mp4"]
    assert [v.path.name for v in catalog.videos(["a.*", "b.*"])] == ["a.mp4", "b.mp4"]
    assert len(catalog.videos(["*'; DROP TABLE videos; --*"])) == 1
    assert catalog.videos(["nothing"]) == []


def test_an_unknown_video_is_reported(catalog: Catalog) -> None:
    assert catalog.video_by_path(Path("/none.mp4")) is None
    assert catalog.videos_by_fingerprint("none") == []
    assert catalog.videos_by_id([7]) == {}
    with pytest.raises(LibraryError, match="no video 7"):
        catalog.sample_fps(7)


def test_several_videos_are_read_in_one_query(catalog: Catalog) -> None:
    a, _ = index_video(catalog, "/a.mp4")
    b, _ = index_video(catalog, "/b.mp4")
    assert catalog.videos_by_id([b.id, a.id, 99]) == {a.id: a, b.id: b}


def test_segment_ids_of_all_or_some_videos(catalog: Catalog) -> None:
    video, ids = index_video(catalog, "/a.mp4", 3)
    _, others = index_video(catalog, "/b.mp4", 2)
    assert catalog.segment_ids().tolist() == [*ids, *others]
    assert catalog.segment_ids([video.id, 99]).tolist() == ids.tolist()
    assert catalog.segment_ids([]).tolist() == []


def test_whole_videos_have_their_segments_in_order_with_vectors(catalog: Catalog) -> None:
    a, ids = index_video(catalog, "/a.mp4", 3)
    index_video(catalog, "/b.mp4", 2)
    c, others = index_video(catalog, "/c.mp4", 2, seed=1)
    asked = np.array([others[1], ids[2], 999, ids[0]])
    found = list(catalog.iter_videos_with_vectors(asked, SPACE))
    assert [segments for segments, _ in found] == [
        catalog.segments_of_video(a.id),
        catalog.segments_of_video(c.id),
    ]
    np.testing.assert_allclose(found[0][1], unit_vectors(3), atol=1e-3)
    np.testing.assert_allclose(found[1][1], unit_vectors(2, seed=1), atol=1e-3)
    assert list(catalog.iter_videos_with_vectors(np.array([999]), SPACE)) == []
    assert list(catalog.iter_videos_with_vectors(ids, OTHER)) == []


def test_a_segment_without_a_vector_is_left_out_of_its_video(
    catalog: Catalog, catalog_location: CatalogLocation
) -> None:
    _, ids = index_video(catalog, "/a.mp4", 3)
    change_by_hand(catalog_location, f"DELETE FROM vectors WHERE segment_id = {ids[1]}")
    [(segments, vectors)] = catalog.iter_videos_with_vectors(ids, SPACE)
    assert [segment.id for segment in segments] == [ids[0], ids[2]]
    np.testing.assert_allclose(vectors, unit_vectors(3)[[0, 2]], atol=1e-3)


def test_vectors_are_in_the_requested_order_without_unknown_ids(catalog: Catalog) -> None:
    _, ids = index_video(catalog, "/a.mp4", 3)
    asked = np.array([ids[2], 999, ids[0], -1, ids[2]])
    found, vectors = catalog.vectors(asked, SPACE)
    assert found.tolist() == [ids[2], ids[0], ids[2]]
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, unit_vectors(3)[[2, 0, 2]], atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_another_space_has_no_vectors(catalog: Catalog) -> None:
    _, ids = index_video(catalog, "/a.mp4")
    assert len(catalog.vectors(None, OTHER)[0]) == 0
    assert len(catalog.vectors(ids, OTHER)[0]) == 0


def test_more_ids_than_sqlite_allows_variables(catalog: Catalog) -> None:
    with catalog.begin() as change:
        video = add_video(change, "/long.mp4")
        ids = change.add_segments(video.id, make_spans(40_000), unit_vectors(40_000), SPACE)
    backwards = ids[::-1]
    assert (
        sum(len(segments) for segments, _ in catalog.iter_videos_with_vectors(backwards, SPACE))
        == 40_000
    )
    found, vectors = catalog.vectors(backwards, SPACE)
    np.testing.assert_array_equal(found, backwards)
    assert vectors.shape == (40_000, 16)
    assert catalog.segment_ids(range(40_000)).tolist() == ids.tolist()


def test_vector_batches_come_from_one_snapshot(catalog: Catalog) -> None:
    _, before = index_video(catalog, "/a.mp4", 5)
    stream = catalog.iter_vectors(SPACE, batch_size=2)
    first, _ = next(stream)
    _, after = index_video(catalog, "/b.mp4", 5)  # the writer does not wait for the reader
    rest = np.concatenate([ids for ids, _ in stream])
    assert [*first, *rest] == before.tolist()
    chosen = catalog.iter_vectors(SPACE, np.array([after[3], before[3], 77]))
    assert [ids.tolist() for ids, _ in chosen] == [[before[3], after[3]]]


def test_threads_read_while_another_thread_writes(catalog: Catalog) -> None:
    failures: list[str] = []

    def read() -> None:
        for _ in range(30):
            ids, vectors = catalog.vectors(None, SPACE)
            if len(ids) % 3 or len(vectors) != len(ids):
                failures.append(f"half a video was seen: {ids}")

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(10):
        index_video(catalog, f"/{number}.mp4", 3)
    for reader in readers:
        reader.join()
    assert not failures
    assert catalog.library_counts().segment_count == 30


@SQLITE_ONLY  # PostgreSQL does not allow it
def test_references_to_missing_rows_are_problems(
    catalog: Catalog, catalog_location: CatalogLocation
) -> None:
    change_by_hand(catalog_location, "INSERT INTO segments VALUES (50, 99, 0, 1)")
    problem_text = "\n".join(catalog.find_problems())
    assert "row 50 of segments refers to a row of videos that does not exist" in problem_text


def test_find_problems_describes_each_problem(
    catalog: Catalog, catalog_location: CatalogLocation
) -> None:
    with catalog.begin() as change:
        add_video(change, "/empty.mp4")
    _, ids = index_video(catalog, "/a.mp4", 3)
    change_by_hand(catalog_location, f"DELETE FROM vectors WHERE segment_id = {ids[1]}")
    problem_text = "\n".join(catalog.find_problems())
    assert "/empty.mp4 has no segments" in problem_text
    assert "/a.mp4 has 1 segments without a vector" in problem_text


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE videos SET duration = 'Infinity'",
        "UPDATE videos SET duration = 'NaN'",
        "UPDATE videos SET fps = -1",
        "UPDATE spaces SET dim = 0",
        "UPDATE spaces SET dim = 1000000000000",
        "UPDATE spaces SET dim = 8",
        "UPDATE vectors SET embedding = 'x'",
    ],
)
def test_rows_that_any_database_stores_are_checked(
    catalog: Catalog, catalog_location: CatalogLocation, statement: str
) -> None:
    _, ids = index_video(catalog, "/a.mp4", 3)
    change_by_hand(catalog_location, statement)
    with pytest.raises(DamagedLibraryError, match=r" is damaged .*invalid row"):
        read_everything(catalog, ids)
    assert any("invalid row" in problem for problem in catalog.find_problems())


@SQLITE_ONLY  # columns of PostgreSQL have types
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE segments SET start = -5",
        "UPDATE segments SET start = 'x'",
        'UPDATE segments SET "end" = 9e999',
        "UPDATE videos SET duration = 'x'",
        "UPDATE videos SET duration = 9e999",
        "UPDATE videos SET fps = -1",
        "UPDATE videos SET width = 'x'",
        "UPDATE spaces SET dim = 0",
        "UPDATE spaces SET dim = 'x'",
        "UPDATE spaces SET dim = 1000000000000",
        "UPDATE spaces SET dim = 8",
        "UPDATE vectors SET embedding = 'x'",
        "UPDATE vectors SET embedding = 5",
        f"UPDATE vectors SET embedding = x'{'007e' * 16}'",
    ],
)
def test_invalid_rows_are_reported_as_damage(
    catalog: Catalog, catalog_location: CatalogLocation, statement: str
) -> None:
    _, ids = index_video(catalog, "/a.mp4", 3)
    change_by_hand(catalog_location, statement)
    with pytest.raises(DamagedLibraryError, match=r"catalog\.sqlite3 is damaged .*invalid row"):
        read_everything(catalog, ids)
    assert any("invalid row" in problem for problem in catalog.find_problems())


def read_everything(catalog: Catalog, ids: Ids) -> None:
    space = catalog.space()
    assert space is not None
    for video in catalog.videos():
        catalog.segments_of_video(video.id)
    list(catalog.iter_videos_with_vectors(ids, space))


@SQLITE_ONLY
@pytest.mark.parametrize(
    ("statement", "read"),
    [
        ("UPDATE library SET revision = 'x'", Catalog.revision),
        ("UPDATE videos SET duration = 9e999", Catalog.library_counts),
        ("UPDATE videos SET sample_fps = 'x'", lambda catalog: catalog.sample_fps(1)),
        (
            "UPDATE videos SET size_bytes = 'x'",
            lambda catalog: catalog.video_by_path(Path("/a.mp4")),
        ),
        ("UPDATE videos SET size_bytes = 'x'", lambda catalog: catalog.videos_by_fingerprint("f0")),
        ("UPDATE videos SET size_bytes = 'x'", lambda catalog: catalog.videos_by_id([1])),
    ],
)
def test_every_query_rejects_invalid_rows(
    catalog: Catalog,
    catalog_location: CatalogLocation,
    statement: str,
    read: Callable[[Catalog], object],
) -> None:
    index_video(catalog, "/a.mp4", 3)
    change_by_hand(catalog_location, statement)
    with pytest.raises(DamagedLibraryError, match="invalid row"):
        read(catalog)
    assert any("invalid row" in problem for problem in catalog.find_problems())
