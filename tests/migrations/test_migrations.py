from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from schemas import FUTURE, frozen, future, revision_of
from sqlalchemy import create_engine, inspect
from sqlalchemy.pool import NullPool

from vsearch.catalog import change, upgrade
from vsearch.catalog.database import HEAD, SHIPPED, open_pool
from vsearch.catalog.lock import WriteLock
from vsearch.catalog.models import Base
from vsearch.catalog.repository import Catalog
from vsearch.errors import LockedError
from vsearch.types import Counts, Cue, KnownSpace, Space, Span, Tag, Word

ROOT = Path(__file__).resolve().parents[2]
RELEASED = sorted(file.stem.removeprefix("v") for file in Path(__file__).parent.glob("v*.sql"))
SPACE = Space("clip-tiny-00112233", 4, speaks_text=True)


def test_the_head_in_the_code_is_the_newest_script() -> None:
    config = Config()
    config.set_main_option("script_location", str(SHIPPED.scripts))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    assert sorted(script.revision for script in scripts.walk_revisions()) == RELEASED, (
        "freeze a library of every schema in tests/migrations/v<revision>.sql"
    )


def test_the_models_are_what_the_migrations_make(tmp_path: Path) -> None:
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
    """The full-text index is no table of a model."""
    return kind != "table" or not str(name).startswith("cues_fts")


def _tables(file: Path) -> dict[str, str]:
    with closing(sqlite3.connect(file)) as raw:
        return dict(raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))


@pytest.fixture(autouse=True)
def _stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """New ids come after those given before: a right clock would hide that they are forgotten."""
    monkeypatch.setattr(change, "clock", lambda: 0)


@pytest.mark.parametrize("revision", RELEASED)
def test_a_library_of_every_released_schema_opens_with_all_its_data(
    revision: str, tmp_path: Path
) -> None:
    with Catalog.open(frozen(revision, tmp_path / "catalog.sqlite3")) as catalog:
        _holds_everything(catalog)
    assert revision_of(tmp_path / "catalog.sqlite3") == HEAD


def _holds_everything(catalog: Catalog) -> None:
    """Everything in v0001.sql; a later schema may hold more."""
    assert catalog.check() == []
    assert catalog.revision() == 3
    assert (catalog.space(), catalog.pooler()) == (SPACE, "mean")
    assert catalog.counts() == Counts(2, 3, 6.0, 12)
    beach, odd = catalog.videos()
    assert beach.path == Path("/videos/holiday/beach.mp4")
    assert odd.path == Path("/videos/\udcff odd.mkv")
    assert (beach.note, odd.note) == (None, "cut short")
    assert (beach.fingerprint, beach.size, beach.frames) == ("aa11", 1000, 8)
    assert beach.modified == 1_700_000_000_000_000_000
    assert [catalog.sampled_at(video.id) for video in (beach, odd)] == [2.0, 2.0]
    assert [s.span for s in catalog.segments_of(beach.id)] == [Span(0, 2.5), Span(2.5, 4)]
    ids, vectors = catalog.vectors(None, SPACE)
    assert ids.tolist() == [1, 2, 3]
    stored = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0.6, 0.8, 0, 0]], np.float32)
    np.testing.assert_allclose(vectors, stored, atol=1e-3)
    with catalog.begin() as addition:
        _, gone = addition.add_segments(odd.id, [Span(2, 3)] * 2, vectors[:2], SPACE)
        assert gone == 6  # 4 was given before
        addition.remove_videos([odd.id])
    assert catalog.vectors(None, SPACE)[0].tolist() == [1, 2]


def test_a_library_of_one_model_learns_that_there_may_be_several(tmp_path: Path) -> None:
    with Catalog.open(frozen("0001", tmp_path / "catalog.sqlite3")) as catalog:
        [known] = catalog.spaces()
        assert known == KnownSpace(SPACE, model=None, pooler="mean", in_use=True)
        assert [video.model for video in catalog.videos()] == [None, None]
        assert catalog.described_in(SPACE) == {1, 2}
        assert catalog.lacking(SPACE) == []
        with catalog.begin() as addition:
            addition.add_features(1, SPACE, "builtin:fast")
            addition.name_model(SPACE, "builtin")
        assert [video.model for video in catalog.videos()] == ["builtin:fast", None]


def test_a_library_keeps_the_words_of_its_videos_and_their_index(tmp_path: Path) -> None:
    """What v0004.sql holds beside what the ones before did."""
    with Catalog.open(frozen("0004", tmp_path / "catalog.sqlite3")) as catalog:
        spoken = (Word("thank", Span(2, 2.5)), Word("you", Span(2.5, 3.5)))
        assert catalog.cues(1) == [
            Cue(Span(0.5, 2), "Grüße aus Ærø"),
            Cue(Span(2, 3.5), "thank you", "speech", spoken),
        ]
        told = [(one.video_id, one.source, one.origin, one.language, one.cues)
                for one in catalog.transcripts()]  # fmt: skip
        assert told == [
            (1, "speech", "tiny.en", "en", 1),
            (1, "subtitles", "beach.srt", "de", 1),
            (2, "screen", "rapidocr", None, 1),
        ]
    assert _matching(tmp_path / "catalog.sqlite3", "gruße") == [1]


@pytest.mark.parametrize("revision", RELEASED)
def test_words_are_indexed_and_gone_with_their_video(revision: str, tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite3"
    with Catalog.open(frozen(revision, file)) as catalog:
        with catalog.begin() as change:
            change.replace_cues(2, "speech", [Cue(Span(0, 1), "un café", "speech")], origin="base")
        [cue] = [cue for cue in catalog.cues(2) if cue.source == "speech"]
        assert cue == Cue(Span(0, 1), "un café", "speech")
        assert len(_matching(file, "cafe")) == 1
        with catalog.begin() as change:
            change.replace_cues(2, "speech", [], origin="base")
        assert _matching(file, "cafe") == []
        assert [one.cues for one in catalog.transcripts([2]) if one.source == "speech"] == [0]
        with catalog.begin() as change:
            change.replace_cues(1, "subtitles", [Cue(Span(0, 1), "gone soon")], origin="a.srt")
            change.remove_videos([1])
        assert _matching(file, "gone") == []
        assert catalog.check() == []


def _matching(file: Path, word: str) -> list[int]:
    with closing(sqlite3.connect(file)) as raw:
        query = "SELECT rowid FROM cues_fts WHERE cues_fts MATCH ? ORDER BY rowid"
        return [id_ for (id_,) in raw.execute(query, (word,))]


def test_a_library_that_held_nothing_is_brought_up_to_date(tmp_path: Path) -> None:
    file = frozen("0001", tmp_path / "catalog.sqlite3")
    with closing(sqlite3.connect(file)) as raw, raw:
        for table in ("vectors", "segments", "videos"):
            raw.execute(f"DELETE FROM {table}")
        raw.execute("UPDATE library SET space_id = NULL, pooler = NULL")
    with Catalog.open(file) as catalog:
        assert (catalog.space(), catalog.pooler(), catalog.videos()) == (None, None, [])
        assert [known.in_use for known in catalog.spaces()] == [False]


def test_a_library_of_two_models_keeps_both(tmp_path: Path) -> None:
    """What v0002.sql holds beside what v0001.sql did: another space that answered before."""
    with Catalog.open(frozen("0002", tmp_path / "catalog.sqlite3")) as catalog:
        before, present = catalog.spaces()
        assert present == KnownSpace(SPACE, model="openclip:tiny", pooler="mean", in_use=True)
        other = Space("fast-8", 2, speaks_text=False)
        assert before == KnownSpace(other, "builtin:fast", "mean", False, answered_until=2)
        assert [video.model for video in catalog.videos()] == ["openclip:tiny", None]
        assert [video.path.name for video in catalog.lacking(other)] == ["\udcff odd.mkv"]
        assert catalog.described_in(other) == {1}


def test_a_library_without_tags_can_be_given_some(tmp_path: Path) -> None:
    with Catalog.open(frozen("0002", tmp_path / "catalog.sqlite3")) as catalog:
        assert catalog.tags() == []
        made = datetime(2026, 11, 1)  # noqa: DTZ001 - UTC, as the catalogue has it
        tag = Tag(2, "surf", 0.5, Span(0, 2), "by hand", None, made)
        with catalog.begin() as addition:
            addition.add_tags([tag])
        assert catalog.tags() == [tag]
        assert catalog.tagged(["surf"]).tolist() == [3]


def test_a_library_with_tags_keeps_them(tmp_path: Path) -> None:
    """What v0003.sql holds beside what v0002.sql did."""
    with Catalog.open(frozen("0003", tmp_path / "catalog.sqlite3")) as catalog:
        whole, part, given = catalog.tags()
        assert (whole.video_id, whole.label, whole.span) == (1, "beach", None)
        assert (part.span, part.probability, part.model) == (Span(0, 2.5), 0.9375, SPACE.name)
        assert (given.video_id, given.source, given.model) == (2, "by hand", None)
        assert given.made_at == datetime(2026, 11, 2, 12)  # noqa: DTZ001
        with catalog.begin() as addition:
            addition.remove_videos([1])
        assert catalog.tags() == [given]


def test_what_an_older_vsearch_indexed_was_looked_at_wholly(tmp_path: Path) -> None:
    with Catalog.open(frozen("0004", tmp_path / "catalog.sqlite3")) as catalog:
        assert [video.keyframes for video in catalog.videos()] == [False, False]
        assert len(catalog.cues(1)) == 2
        assert len(catalog.tags()) == 3
        [odd] = [video for video in catalog.videos() if video.note]
        with catalog.begin() as change:
            change.set_aside(odd.id)
            new = change.add_video(
                path=odd.path, fingerprint=odd.fingerprint, size=1, modified=1, duration=2.0,
                fps=25.0, width=64, height=36, codec="h264", frames=1, sampled_at=1.0,
                keyframes=True,
            )  # fmt: skip
        assert catalog.find(odd.path) == new
        assert new.keyframes


def test_a_library_knows_which_videos_were_sampled_by_their_key_frames(tmp_path: Path) -> None:
    """What v0005.sql holds beside what v0004.sql did."""
    with Catalog.open(frozen("0005", tmp_path / "catalog.sqlite3")) as catalog:
        assert {video.id: video.keyframes for video in catalog.videos()} == {1: False, 2: True}


def test_an_older_library_finds_segments_by_video_and_time_without_reading_all(
    tmp_path: Path,
) -> None:
    """What v0006.sql has beside what v0005.sql did."""
    file = frozen("0005", tmp_path / "catalog.sqlite3")
    with Catalog.open(file) as catalog:
        places = [(1, Span(1, 2)), (1, Span(2.5, 2.5)), (1, Span(0, 9)), (2, Span(0, 1))]
        found = [ids.tolist() for ids in catalog.overlapping(places)]
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


def test_tables_that_are_built_anew_lose_nothing(tmp_path: Path) -> None:
    file = frozen("0001", tmp_path / "catalog.sqlite3")
    schema = future(tmp_path / "scripts")
    with Catalog(file, open_pool(file, schema=schema)) as catalog:
        _holds_everything(catalog)
    assert revision_of(file) == FUTURE
    assert "title" in _tables(file)["videos"]
    assert "ON DELETE CASCADE" in _tables(file)["segments"]


def test_a_backup_is_made_before_an_upgrade(tmp_path: Path) -> None:
    file = frozen("0001", tmp_path / "catalog.sqlite3")
    with closing(sqlite3.connect(file, isolation_level=None)) as raw:
        raw.execute("UPDATE library SET pooler = 'trained'")  # in the log, not yet in the file
        open_pool(file, schema=future(tmp_path / "scripts")).dispose()
    backup = tmp_path / "catalog.sqlite3.0001.bak"
    assert revision_of(backup) == "0001"
    (tmp_path / "elsewhere").mkdir()
    restored = tmp_path / "elsewhere" / file.name
    shutil.copy(backup, restored)
    with Catalog.open(restored) as catalog:
        assert catalog.pooler() == "trained"
        assert catalog.counts().segments == 3
    left = {file.name for file in tmp_path.iterdir()}
    assert left - {"writer.lock"} == {"catalog.sqlite3", backup.name, "scripts", "elsewhere"}


def test_a_library_is_not_upgraded_while_another_process_writes_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrade, "PATIENCE", 0.05)
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


def test_a_migration_that_fails_leaves_the_library_as_it_was(tmp_path: Path) -> None:
    file = frozen("0001", tmp_path / "catalog.sqlite3")
    schema = future(tmp_path / "scripts")
    script = schema.scripts / "versions" / f"{FUTURE}_future.py"
    script.write_text(script.read_text() + "    raise RuntimeError('half-way')\n")
    with pytest.raises(RuntimeError, match="half-way"):
        open_pool(file, schema=schema)
    assert revision_of(file) == "0001"
    with Catalog.open(file) as catalog:
        _holds_everything(catalog)


def test_opening_an_up_to_date_library_needs_neither_alembic_nor_the_orm(tmp_path: Path) -> None:
    file = frozen(HEAD, tmp_path / "catalog.sqlite3")
    code = (
        "import sys; from pathlib import Path; from vsearch.catalog.repository import Catalog\n"
        "assert 'sqlalchemy' not in sys.modules\n"
        "with Catalog.open(Path(sys.argv[1])) as catalog: assert len(catalog.videos()) == 2\n"
        "assert not {'alembic', 'sqlalchemy.orm', 'filelock'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], cwd=ROOT, check=True, timeout=60)
