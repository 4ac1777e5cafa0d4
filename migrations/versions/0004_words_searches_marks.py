"""Words found in videos with their full-text index, saved searches, marks, and recording dates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# the index holds no text of its own; triggers keep it in step, cascades included
INDEX = (
    """
    CREATE VIRTUAL TABLE cues_fts USING fts5(
        text, content='cues', content_rowid='id',
        tokenize='unicode61 remove_diacritics 2', prefix='2 3')
    """,
    """
    CREATE TRIGGER cues_inserted AFTER INSERT ON cues BEGIN
        INSERT INTO cues_fts (rowid, text) VALUES (new.id, new.text);
    END
    """,
    """
    CREATE TRIGGER cues_deleted AFTER DELETE ON cues BEGIN
        INSERT INTO cues_fts (cues_fts, rowid, text) VALUES ('delete', old.id, old.text);
    END
    """,
    """
    CREATE TRIGGER cues_updated AFTER UPDATE ON cues BEGIN
        INSERT INTO cues_fts (cues_fts, rowid, text) VALUES ('delete', old.id, old.text);
        INSERT INTO cues_fts (rowid, text) VALUES (new.id, new.text);
    END
    """,
)


def upgrade() -> None:
    op.add_column("videos", sa.Column("recorded_at", sa.DateTime(), nullable=True))
    op.create_table(
        "cues",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("video_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("start", sa.Float(), nullable=False),
        sa.Column("end", sa.Float(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=True),
        sa.CheckConstraint('"end" >= start', name=op.f("ck_cues_span")),
        sa.CheckConstraint(
            "source IN ('subtitles', 'speech', 'screen')", name=op.f("ck_cues_source")
        ),
        _video("cues"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cues")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_cues_video_id"), "cues", ["video_id"])
    for statement in INDEX:
        op.execute(statement)
    op.create_table(
        "transcripts",
        sa.Column("video_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        _video("transcripts"),
        sa.PrimaryKeyConstraint("video_id", "source", name=op.f("pk_transcripts")),
    )
    op.create_table(
        "cue_vectors",
        sa.Column("cue_id", sa.Integer(), nullable=False),
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cue_id"], ["cues.id"], name=op.f("fk_cue_vectors_cue_id_cues"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["space_id"], ["spaces.id"], name=op.f("fk_cue_vectors_space_id_spaces")
        ),
        sa.PrimaryKeyConstraint("cue_id", "space_id", name=op.f("pk_cue_vectors")),
    )
    op.create_table(
        "searches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_searches")),
        sa.UniqueConstraint("name", name=op.f("uq_searches_name")),
    )
    op.create_table(
        "marks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("video_id", sa.Integer(), nullable=False),
        sa.Column("start", sa.Float(), nullable=False),
        sa.Column("end", sa.Float(), nullable=False),
        sa.Column("up", sa.Boolean(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint('"end" >= start', name=op.f("ck_marks_span")),
        _video("marks"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_marks")),
    )
    op.create_index(op.f("ix_marks_query"), "marks", ["query"])
    op.create_index(op.f("ix_marks_video_id"), "marks", ["video_id"])


def _video(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["video_id"], ["videos.id"], name=op.f(f"fk_{table}_video_id_videos"), ondelete="CASCADE"
    )
