from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect
from sqlalchemy.pool import NullPool

from tests.migrations.schemas import FUTURE, frozen, future, revision_of
from vsearch.catalog import transaction, upgrade
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.lock import WriteLock
from vsearch.catalog.open import BUNDLED_SCHEMA, open_pool
from vsearch.catalog.revision import SCHEMA_HEAD
from vsearch.catalog.schema import Base
from vsearch.errors import LockedError
from vsearch.types import (
    Cue,
    FileIdentity,
    LibraryCounts,
    Location,
    Space,
    SpaceInfo,
    Span,
    Tag,
    Word,
)

ROOT = Path(__file__).resolve().parents[2]
RELEASED = sorted(file.stem.removeprefix("v") for file in Path(__file__).parent.glob("v*.sql"))
SPACE = Space("clip-tiny-00112233", 4, supports_text=True)


def test_the_head_in_the_code_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(BUNDLED_SCHEMA.scripts_folder))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [SCHEMA_HEAD]
    assert sorted(script.revision for script in scripts.walk_revisions()) == RELEASED, (
        "freeze a library of every schema in tests/migrations/v<revision>.sql"
    )


def test_the_orm_matches_the_migrations(tmp_path: Path) -> None:
    Catalog.open(tmp_path / "made.sqlite3", create=True).close()
    made = create_engine(f"sqlite:///{tmp_path / 'made.sqlite3'}", poolclass=NullPool)
    modelled = create_engine(f"sqlite:///{tmp_path / 'modelled.sqlite3'}", poolclass=NullPool)
    Base.metadata.create_all(modelled)
    with made.connect() as connection:
        opts = {"compare_server_default": True, "include_name": _is_table_of_ours}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, Base.metadata) == []
    for table in Base.metadata.tables:  # what Alembic does not compare
        one, other = inspect(made), inspect(modelled)
        assert one.get_check_constraints(table) == other.get_check_constraints(table)
        assert one.get_foreign_keys(table) == other.get_foreign_keys(table)
        assert one.get_pk_constraint(table) == other.get_pk_constraint(table)
    for engine in (made, modelled):
        sql = _tables(Path(str(engine.url.database)))
        assert all("AUTOINCREMENT" in sql[table] for table in ("videos", "segments", "cues"))


def _is_table_of_ours(name: str | None, kind: str, parents: object) -> bool:
    """Exclude the tables of the full-text index, which have no ORM class."""
    return kind != "table" or not str(name).startswith(("cues_fts", "names_fts"))


def _tables(file: Path) -> dict[str, str]:
    with closing(sqlite3.connect(file)) as raw:
        return dict(raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))


@pytest.fixture(autouse=True)
def _stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock, which would hide that the highest id is not kept."""
    monkeypatch.setattr(transaction, "clock_microseconds", lambda: 0)


@pytest.mark.parametrize("revision", RELEASED)
def test_a_library_of_every_released_schema_opens_with_all_its_data(
    revision: str, tmp_path: Path
) -> None:
    with Catalog.open(frozen(revision, tmp_path / "catalog.sqlite3")) as catalog:
        _check_content(catalog)
    assert revision_of(tmp_path / "catalog.sqlite3") == SCHEMA_HEAD


def _check_content(catalog: Catalog) -> None:
    """Check for everything in v0001.sql; later schemas may contain more."""
    assert catalog.find_problems() == []
    assert catalog.revision() == 3
    assert (catalog.space(), catalog.pooler()) == (SPACE, "mean")
    assert catalog.library_counts() == LibraryCounts(2, 3, 6.0, 12)
    beach, odd = catalog.videos()
    assert beach.path == Path("/videos/holiday/beach.mp4")
    assert odd.path == Path("/videos/\udcff odd.mkv")
    assert (beach.warning, odd.warning) == (None, "cut short")
    assert (beach.fingerprint, beach.size_bytes, beach.sampled_frames) == ("aa11", 1000, 8)
    assert beach.mtime_ns == 1_700_000_000_000_000_000
    assert [catalog.sample_fps(video.id) for video in (beach, odd)] == [2.0, 2.0]
    assert [s.span for s in catalog.segments_of_video(beach.id)] == [Span(0, 2.5), Span(2.5, 4)]
    ids, vectors = catalog.vectors(None, SPACE)
    assert ids.tolist() == [1, 2, 3]
    stored = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0.6, 0.8, 0, 0]], np.float32)
    np.testing.assert_allclose(vectors, stored, atol=1e-3)
    with catalog.begin() as addition:
        _, gone = addition.add_segments(odd.id, [Span(2, 3)] * 2, vectors[:2], SPACE)
        assert gone == 6  # 4 was given before
        addition.remove_videos([odd.id])
    assert catalog.vectors(None, SPACE)[0].tolist() == [1, 2]


def test_a_library_with_one_model_gets_a_space_record(tmp_path: Path) -> None:
    with Catalog.open(frozen("0001", tmp_path / "catalog.sqlite3")) as catalog:
        [known] = catalog.spaces()
        assert known == SpaceInfo(SPACE, model=None, pooler="mean", is_active=True)
        assert [video.model for video in catalog.videos()] == [None, None]
        assert catalog.videos_with_features(SPACE) == {1, 2}
        assert catalog.videos_without_vectors(SPACE) == []
        with catalog.begin() as addition:
            addition.add_features(1, SPACE, "builtin:fast")
            addition.set_space_model(SPACE, "builtin")
        assert [video.model for video in catalog.videos()] == ["builtin:fast", None]


def test_a_library_keeps_its_transcripts_and_their_index(tmp_path: Path) -> None:
    """Check what v0004.sql adds."""
    with Catalog.open(frozen("0004", tmp_path / "catalog.sqlite3")) as catalog:
        spoken = (Word("thank", Span(2, 2.5)), Word("you", Span(2.5, 3.5)))
        assert catalog.cues_of_video(1) == [
            Cue(Span(0.5, 2), "Grüße aus Ærø"),
            Cue(Span(2, 3.5), "thank you", "speech", spoken),
        ]
        transcripts = [(one.video_id, one.source, one.source_name, one.language, one.cue_count)
                for one in catalog.transcripts()]  # fmt: skip
        assert transcripts == [
            (1, "speech", "tiny.en", "en", 1),
            (1, "subtitles", "beach.srt", "de", 1),
            (2, "ocr", "rapidocr", None, 1),
        ]
    assert _matching(tmp_path / "catalog.sqlite3", "gruße") == [1]


@pytest.mark.parametrize("revision", RELEASED)
def test_cues_are_indexed_and_removed_with_their_video(revision: str, tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite3"
    with Catalog.open(frozen(revision, file)) as catalog:
        with catalog.begin() as transaction:
            transaction.replace_cues(
                2, "speech", [Cue(Span(0, 1), "un café", "speech")], source_name="base"
            )
        [cue] = [cue for cue in catalog.cues_of_video(2) if cue.source == "speech"]
        assert cue == Cue(Span(0, 1), "un café", "speech")
        assert len(_matching(file, "cafe")) == 1
        with catalog.begin() as transaction:
            transaction.replace_cues(2, "speech", [], source_name="base")
        assert _matching(file, "cafe") == []
        assert [one.cue_count for one in catalog.transcripts([2]) if one.source == "speech"] == [0]
        with catalog.begin() as transaction:
            transaction.replace_cues(
                1, "subtitles", [Cue(Span(0, 1), "gone soon")], source_name="a.srt"
            )
            transaction.remove_videos([1])
        assert _matching(file, "gone") == []
        assert catalog.find_problems() == []


def _matching(file: Path, word: str) -> list[int]:
    with closing(sqlite3.connect(file)) as raw:
        query = "SELECT rowid FROM cues_fts WHERE cues_fts MATCH ? ORDER BY rowid"
        return [id_ for (id_,) in raw.execute(query, (word,))]


def test_an_empty_library_is_upgraded(tmp_path: Path) -> None:
    file = frozen("0001", tmp_path / "catalog.sqlite3")
    with closing(sqlite3.connect(file)) as raw, raw:
        for table in ("vectors", "segments", "videos"):
            raw.execute(f"DELETE FROM {table}")
        raw.execute("UPDATE library SET space_id = NULL, pooler = NULL")
    with Catalog.open(file) as catalog:
        assert (catalog.space(), catalog.pooler(), catalog.videos()) == (None, None, [])
        assert [known.is_active for known in catalog.spaces()] == [False]


def test_a_library_with_two_models_keeps_both(tmp_path: Path) -> None:
    """Check what v0002.sql adds: a space that was active before."""
    with Catalog.open(frozen("0002", tmp_path / "catalog.sqlite3")) as catalog:
        before, present = catalog.spaces()
        assert present == SpaceInfo(SPACE, model="openclip:tiny", pooler="mean", is_active=True)
        other = Space("fast-8", 2, supports_text=False)
        assert before == SpaceInfo(other, "builtin:fast", "mean", False, retired_at_revision=2)
        assert [video.model for video in catalog.videos()] == ["openclip:tiny", None]
        assert [video.path.name for video in catalog.videos_without_vectors(other)] == [
            "\udcff odd.mkv"
        ]
        assert catalog.videos_with_features(other) == {1}


def test_tags_can_be_added_to_a_library_without_any(tmp_path: Path) -> None:
    with Catalog.open(frozen("0002", tmp_path / "catalog.sqlite3")) as catalog:
        assert catalog.tags() == []
        made = datetime(2026, 11, 1, tzinfo=UTC)
        tag = Tag(2, "surf", 0.5, Span(0, 2), "by hand", None, made)
        with catalog.begin() as addition:
            addition.add_tags([tag])
        assert catalog.tags() == [tag]
        assert catalog.segment_ids_with_tags(["surf"]).tolist() == [3]


def test_a_library_with_tags_keeps_them(tmp_path: Path) -> None:
    """Check what v0003.sql adds."""
    with Catalog.open(frozen("0003", tmp_path / "catalog.sqlite3")) as catalog:
        whole, part, given = catalog.tags()
        assert (whole.video_id, whole.label, whole.span) == (1, "beach", None)
        assert (part.span, part.probability, part.model) == (Span(0, 2.5), 0.9375, SPACE.name)
        assert (given.video_id, given.source, given.model) == (2, "by hand", None)
        assert given.created_at == datetime(2026, 11, 2, 12, tzinfo=UTC)
        with catalog.begin() as addition:
            addition.remove_videos([1])
        assert catalog.tags() == [given]


def test_videos_of_older_versions_are_not_keyframes_only(tmp_path: Path) -> None:
    with Catalog.open(frozen("0004", tmp_path / "catalog.sqlite3")) as catalog:
        assert [video.keyframes_only for video in catalog.videos()] == [False, False]
        assert len(catalog.cues_of_video(1)) == 2
        assert len(catalog.tags()) == 3
        [odd] = [video for video in catalog.videos() if video.warning]
        with catalog.begin() as transaction:
            transaction.detach_path(odd.id)
            new = transaction.add_video(
                video_path=odd.path, fingerprint=odd.fingerprint, size_bytes=1, mtime_ns=1,
                duration=2.0, fps=25.0, width=64, height=36, codec="h264", sampled_frames=1,
                sample_fps=1.0, keyframes_only=True,
            )  # fmt: skip
        assert catalog.video_by_path(odd.path) == new
        assert new.keyframes_only


def test_a_library_keeps_which_videos_are_keyframes_only(tmp_path: Path) -> None:
    """Check what v0005.sql adds."""
    with Catalog.open(frozen("0005", tmp_path / "catalog.sqlite3")) as catalog:
        assert {video.id: video.keyframes_only for video in catalog.videos()} == {1: False, 2: True}


def test_an_older_library_gets_an_index_on_video_and_time(
    tmp_path: Path,
) -> None:
    """Check what v0006.sql adds."""
    file = frozen("0005", tmp_path / "catalog.sqlite3")
    with Catalog.open(file) as catalog:
        places = [(1, Span(1, 2)), (1, Span(2.5, 2.5)), (1, Span(0, 9)), (2, Span(0, 1))]
        found = [ids.tolist() for ids in catalog.segments_overlapping(places)]
        assert found == [[1], [2], [1, 2], [3]]
        assert catalog.segment_ids([2, 1]).tolist() == [1, 2, 3]
    with closing(sqlite3.connect(file)) as raw:
        for query in (
            'SELECT id FROM segments WHERE video_id = 1 AND start <= 2 AND "end" > 1',
            "SELECT id FROM segments WHERE video_id = 1",
        ):
            [(*_, plan)] = raw.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
            assert "COVERING INDEX ix_segments_span" in plan
        indexes = raw.execute("SELECT name FROM sqlite_master WHERE tbl_name = 'segments'")
        assert "ix_segments_video_id" not in {name for (name,) in indexes}


def test_the_files_of_an_older_library_have_no_recorded_content(tmp_path: Path) -> None:
    """Check what 0008 adds, and that it can be filled."""
    with Catalog.open(frozen("0007", tmp_path / "catalog.sqlite3")) as catalog:
        known = catalog.file_identity(1)
        assert known == FileIdentity(1000, 1_700_000_000_000_000_000, None, None, None)
        assert catalog.features_crc32(1, SPACE) is None
        assert catalog.duplicate_file(Path("/copy")) is None
        seen = FileIdentity(1000, 5, 6, str(2**64 - 1), "ab")
        with catalog.begin() as transaction:
            transaction.set_file_identity(1, seen)
            transaction.add_features(1, SPACE, "builtin", 2**32 - 1)
            transaction.set_duplicate_file(Path("/copy"), seen)
        assert (catalog.file_identity(1), catalog.duplicate_file(Path("/copy"))) == (seen, seen)
        assert catalog.features_crc32(1, SPACE) == 2**32 - 1
        with catalog.begin() as transaction:
            transaction.set_duplicate_file(Path("/copy"), None)
        assert catalog.duplicate_file(Path("/copy")) is None


def test_a_library_keeps_the_recorded_content_of_its_files(tmp_path: Path) -> None:
    """Check what v0008.sql adds."""
    with Catalog.open(frozen("0008", tmp_path / "catalog.sqlite3")) as catalog:
        digest = "00112233445566778899aabbccddeeff"
        time = 1_700_000_000_000_000_000
        assert catalog.file_identity(1) == FileIdentity(
            1000, time, time + 1, str(2**64 - 1), digest
        )
        copy = catalog.duplicate_file(Path("/videos/copy of beach.mp4"))
        assert copy == FileIdentity(1000, time, time + 2, "7", digest)
        assert catalog.features_crc32(1, SPACE) == 0xDEADBEEF


def test_rebuilt_tables_lose_nothing(tmp_path: Path) -> None:
    file = frozen("0001", tmp_path / "catalog.sqlite3")
    schema = future(tmp_path / "scripts")
    with Catalog(file, open_pool(file, schema=schema)) as catalog:
        _check_content(catalog)
    assert revision_of(file) == FUTURE
    assert "title" in _tables(file)["videos"]
    assert "ON DELETE CASCADE" in _tables(file)["segments"]


def test_a_backup_is_made_before_an_upgrade(tmp_path: Path) -> None:
    file = frozen("0001", tmp_path / "catalog.sqlite3")
    with closing(sqlite3.connect(file, isolation_level=None)) as raw:
        raw.execute("UPDATE library SET pooler = 'trained'")  # in the write-ahead log only
        open_pool(file, schema=future(tmp_path / "scripts")).dispose()
    backup = tmp_path / "catalog.sqlite3.0001.bak"
    assert revision_of(backup) == "0001"
    (tmp_path / "elsewhere").mkdir()
    restored = tmp_path / "elsewhere" / file.name
    shutil.copy(backup, restored)
    with Catalog.open(restored) as catalog:
        assert catalog.pooler() == "trained"
        assert catalog.library_counts().segment_count == 3
    left = {file.name for file in tmp_path.iterdir()}
    assert left - {"writer.lock"} == {"catalog.sqlite3", backup.name, "scripts", "elsewhere"}


def test_a_library_is_not_upgraded_while_another_process_writes_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrade, "BUSY_TIMEOUT_SECONDS", 0.05)
    file = frozen("0001", tmp_path / "catalog.sqlite3")
    schema = future(tmp_path / "scripts")
    with (
        WriteLock(tmp_path, command="vsearch index"),
        pytest.raises(LockedError, match="'vsearch index'"),
    ):
        open_pool(file, schema=schema)
    assert revision_of(file) == "0001"
    open_pool(file, schema=schema).dispose()
    assert revision_of(file) == FUTURE


def test_no_backup_is_made_of_a_new_library(tmp_path: Path) -> None:
    Catalog.open(tmp_path / "catalog.sqlite3", create=True).close()
    assert [file.name for file in tmp_path.iterdir()] == ["catalog.sqlite3"]


def test_a_failed_migration_leaves_the_library_unchanged(tmp_path: Path) -> None:
    file = frozen("0001", tmp_path / "catalog.sqlite3")
    schema = future(tmp_path / "scripts")
    script = schema.scripts_folder / "versions" / f"{FUTURE}_future.py"
    script.write_text(script.read_text() + "    raise RuntimeError('half-way')\n")
    with pytest.raises(RuntimeError, match="half-way"):
        open_pool(file, schema=schema)
    assert revision_of(file) == "0001"
    with Catalog.open(file) as catalog:
        _check_content(catalog)


def test_opening_an_up_to_date_library_needs_neither_alembic_nor_the_orm(tmp_path: Path) -> None:
    file = frozen(SCHEMA_HEAD, tmp_path / "catalog.sqlite3")
    code = (
        "import sys; from pathlib import Path; from vsearch.catalog.catalog import Catalog\n"
        "assert 'sqlalchemy' not in sys.modules\n"
        "with Catalog.open(Path(sys.argv[1])) as catalog: assert len(catalog.videos()) == 2\n"
        "assert not {'alembic', 'sqlalchemy.orm', 'filelock'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], cwd=ROOT, check=True, timeout=60)


def test_keyframe_gaps_and_digests_move_from_text_into_columns(tmp_path: Path) -> None:
    """Check migration 0007 on texts that 0006 stored."""
    file = frozen("0006", tmp_path / "catalog.sqlite3")
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute(
            "UPDATE videos SET note = 'key frames only, up to 9.8 s apart; cut short' WHERE id = 2"
        )
        raw.execute(
            "UPDATE transcripts SET origin = 'beach.srt, stream 2 (a1b2c3d4e5f6)'"
            " WHERE source = 'subtitles'"
        )
    with Catalog.open(file) as catalog:
        beach, odd = catalog.videos()
        assert (beach.max_keyframe_gap, beach.warning) == (None, None)
        assert (odd.keyframes_only, odd.max_keyframe_gap, odd.warning) == (True, 9.8, "cut short")
        sources = {
            transcript.source: (transcript.source_name, transcript.source_digest)
            for transcript in catalog.transcripts()
        }
        assert sources == {
            "subtitles": ("beach.srt, stream 2", "a1b2c3d4e5f6"),
            "speech": ("tiny.en", None),
            "ocr": ("rapidocr", None),
        }
        assert [cue.source for cue in catalog.cues_of_video(2)] == ["ocr"]
        assert [cue.source for cue in catalog.cues_of_video(1)] == ["subtitles", "speech"]
        assert _matching(file, "exit") == [3]
        [saved_search] = catalog.saved_searches()
        assert (saved_search.name, saved_search.query_text) == ("waves", '"big waves" -people')
        [label] = catalog.relevance_labels()
        assert (label.query_text, label.video_id) == ('"big waves" -people', 1)
        assert label.relevant
        assert catalog.find_problems() == []


def test_a_library_keeps_its_sounds_names_and_places(tmp_path: Path) -> None:
    """Check what v0009.sql adds."""
    file = frozen("0009", tmp_path / "catalog.sqlite3")
    with Catalog.open(file) as catalog:
        assert catalog.find_problems() == []
        beach, odd = catalog.videos()
    assert (beach.location, beach.utc_offset_minutes) == (Location(54.9, 8.3), 120)
    assert (beach.camera, beach.source_url) == ("Canon EOS R5", "https://example.org/beach.mp4")
    assert (odd.location, odd.camera, odd.is_photo) == (None, None, False)
    with closing(sqlite3.connect(file)) as raw:
        spans = raw.execute("SELECT video_id, kind, start, end FROM sound_spans ORDER BY id")
        assert spans.fetchall() == [(1, "music", 0.5, 2.0), (1, "speech", 2.0, 3.5)]
        assert raw.execute("SELECT count(*) FROM sound_analyses").fetchone() == (2,)


@pytest.mark.parametrize("revision", RELEASED)
def test_names_of_old_videos_are_searched_and_follow_their_files(
    revision: str, tmp_path: Path
) -> None:
    file = frozen(revision, tmp_path / "catalog.sqlite3")
    with Catalog.open(file) as catalog:
        assert _named(file, "holiday beach") == [1]
        assert _named(file, "odd") == [2]
        with catalog.begin() as changes:
            changes.move_video(1, Path("/videos/2024/MountainWalk_07.mp4"), 1000, 0)
            changes.remove_videos([2])
        assert catalog.find_problems() == []
    assert _named(file, "mountain walk 07") == [1]
    assert _named(file, "holiday") == _named(file, "odd") == []


def test_a_duplicate_is_assigned_to_the_video_with_its_content(tmp_path: Path) -> None:
    file = frozen("0008", tmp_path / "catalog.sqlite3")
    digest = "00112233445566778899aabbccddeeff"
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("UPDATE videos SET content_digest = ? WHERE id = 1", (digest,))
        for path, digest_of_file in (("/copy.mp4", digest), ("/other.mp4", "ffff")):
            raw.execute(
                "INSERT INTO duplicate_files VALUES (?, 1000, 0, NULL, NULL, ?)",
                (path, digest_of_file),
            )
        raw.commit()
    Catalog.open(file).close()
    with closing(sqlite3.connect(file)) as raw:
        owners = raw.execute("SELECT path, video_id FROM duplicate_files WHERE path != '/videos/x'")
        assert {("/copy.mp4", 1), ("/other.mp4", None)} <= set(owners.fetchall())


def _named(file: Path, words: str) -> list[int]:
    with closing(sqlite3.connect(file)) as raw:
        found = raw.execute("SELECT rowid FROM names_fts WHERE names_fts MATCH ?", (words,))
        return [video_id for (video_id,) in found]


def test_a_library_keeps_its_stored_settings(tmp_path: Path) -> None:
    """Check what v0010.sql adds."""
    with Catalog.open(frozen("0010", tmp_path / "catalog.sqlite3")) as catalog:
        assert catalog.stored_settings() == (
            '{"id": "0123456789abcdef", "settings": {"model": "builtin"}}'
        )
    with Catalog.open(frozen("0009", tmp_path / "older.sqlite3")) as catalog:
        assert catalog.stored_settings() is None
        with catalog.begin() as transaction:
            transaction.set_stored_settings("{}")
        assert catalog.stored_settings() == "{}"
