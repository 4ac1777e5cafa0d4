"""Record photos, places, cameras and sounds, words of names, and further files of one content.

Columns of a file are NULL for videos of older versions until they are indexed again. The words of
names are filled in here, and duplicate files get the video that has the same digest.
"""

from __future__ import annotations

import os
import re

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# as of `cues_fts`: the index holds no text of its own, triggers update it, also for cascades
INDEX = (
    """
    CREATE VIRTUAL TABLE names_fts USING fts5(
        words, content='video_names', content_rowid='video_id',
        tokenize='unicode61 remove_diacritics 2', prefix='2 3')
    """,
    """
    CREATE TRIGGER names_inserted AFTER INSERT ON video_names BEGIN
        INSERT INTO names_fts (rowid, words) VALUES (new.video_id, new.words);
    END
    """,
    """
    CREATE TRIGGER names_deleted AFTER DELETE ON video_names BEGIN
        INSERT INTO names_fts (names_fts, rowid, words)
        VALUES ('delete', old.video_id, old.words);
    END
    """,
    """
    CREATE TRIGGER names_updated AFTER UPDATE ON video_names BEGIN
        INSERT INTO names_fts (names_fts, rowid, words)
        VALUES ('delete', old.video_id, old.words);
        INSERT INTO names_fts (rowid, words) VALUES (new.video_id, new.words);
    END
    """,
)


def upgrade() -> None:
    op.add_column("videos", sa.Column("is_photo", sa.Boolean(), server_default="0", nullable=False))
    op.add_column("videos", sa.Column("utc_offset_minutes", sa.Integer(), nullable=True))
    op.add_column("videos", sa.Column("latitude", sa.Float(), nullable=True))
    op.add_column("videos", sa.Column("longitude", sa.Float(), nullable=True))
    op.add_column("videos", sa.Column("camera", sa.Text(), nullable=True))
    op.add_column("videos", sa.Column("source_url", sa.Text(), nullable=True))
    with op.batch_alter_table("duplicate_files") as batch:
        batch.add_column(sa.Column("video_id", sa.Integer(), nullable=True))
        batch.create_foreign_key(
            "fk_duplicate_files_video_id_videos", "videos", ["video_id"], ["id"], ondelete="CASCADE"
        )
        batch.create_index("ix_duplicate_files_video_id", ["video_id"])
    op.execute(
        """
        UPDATE duplicate_files SET video_id = (
            SELECT min(id) FROM videos WHERE videos.content_digest = duplicate_files.content_digest)
        """
    )
    op.create_table(
        "sound_spans",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("video_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("start", sa.Float(), nullable=False),
        sa.Column("end", sa.Float(), nullable=False),
        sa.CheckConstraint('"end" >= start', name=op.f("ck_sound_spans_span")),
        sa.CheckConstraint(
            "kind IN ('speech', 'music', 'singing')", name=op.f("ck_sound_spans_kind")
        ),
        _video("sound_spans"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sound_spans")),
    )
    op.create_index(op.f("ix_sound_spans_video_id"), "sound_spans", ["video_id"])
    op.create_table(
        "sound_analyses",
        sa.Column("video_id", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        _video("sound_analyses"),
        sa.PrimaryKeyConstraint("video_id", name=op.f("pk_sound_analyses")),
    )
    op.create_table(
        "video_names",
        sa.Column("video_id", sa.Integer(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        _video("video_names"),
        sa.PrimaryKeyConstraint("video_id", name=op.f("pk_video_names")),
    )
    for statement in INDEX:
        op.execute(statement)
    connection = op.get_bind()
    words: dict[int, str] = {}
    for paths_sql in (
        "SELECT id, path FROM videos",
        "SELECT video_id, path FROM duplicate_files WHERE video_id IS NOT NULL ORDER BY path",
    ):
        for video_id, path in connection.exec_driver_sql(paths_sql):
            words[video_id] = f"{words.get(video_id, '')} {_words(path)}".strip()
    names = [{"video_id": video_id, "words": text} for video_id, text in words.items()]
    if names:
        connection.execute(
            sa.text("INSERT INTO video_names (video_id, words) VALUES (:video_id, :words)"), names
        )


def _words(path: str | bytes) -> str:
    """Return the words of a path as `vsearch.catalog.rows.name_words` did at that time."""
    text = os.fsdecode(path).encode("utf-8", "replace").decode()
    *folders, name = re.split(r"[/\\]", text)[-4:]
    stem = name.rpartition(".")[0] or name
    text = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", " ", " ".join((*folders, stem)))
    return " ".join(re.findall(r"[^\W\d_]+|\d+", text))


def _video(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["video_id"], ["videos.id"], name=op.f(f"fk_{table}_video_id_videos"), ondelete="CASCADE"
    )
