"""Give tables and columns standard names; add columns for key-frame gaps and subtitle digests."""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# SQLite renames a column in place, so no vector is copied
RENAMED_COLUMNS = {
    "library": {"created_with": "created_by_version"},
    "spaces": {"speaks_text": "supports_text", "answered_until": "retired_at_revision"},
    "videos": {
        "size": "size_bytes",
        "modified": "mtime_ns",
        "frames": "sampled_frames",
        "note": "warning",
        "sampled_at": "sample_fps",
        "keyframes": "keyframes_only",
    },
    "vectors": {"data": "embedding"},
    "cue_vectors": {"data": "embedding"},
    "tags": {"made_at": "created_at"},
    "transcripts": {"origin": "source_name", "made_at": "created_at"},
}
# dropped with the table; the full-text index itself stays, as it refers to cues by name and id
CUE_TRIGGERS = (
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
KEYFRAME_NOTE = re.compile(r"key frames only, up to ([0-9.]+) s apart(?:; )?")
DIGEST_SUFFIX = re.compile(r" \(([0-9a-f]{12})\)$")


def upgrade() -> None:
    for table, columns in RENAMED_COLUMNS.items():
        for old_name, new_name in columns.items():
            op.execute(f'ALTER TABLE {table} RENAME COLUMN "{old_name}" TO "{new_name}"')
    op.add_column("videos", sa.Column("max_keyframe_gap", sa.Float(), nullable=True))
    op.add_column("transcripts", sa.Column("source_digest", sa.Text(), nullable=True))
    # small tables are rebuilt, because SQLite cannot rename a constraint
    _rebuild_frame_features()
    _rebuild_saved_searches()
    _rebuild_relevance_feedback()
    _rebuild_cues()
    op.execute("UPDATE transcripts SET source = 'ocr' WHERE source = 'screen'")
    _split_keyframe_notes()
    _split_source_digests()


def _rebuild_frame_features() -> None:
    op.create_table(
        "frame_features",
        sa.Column("video_id", sa.Integer(), nullable=False),
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        _video_reference("frame_features"),
        sa.ForeignKeyConstraint(
            ["space_id"], ["spaces.id"], name=op.f("fk_frame_features_space_id_spaces")
        ),
        sa.PrimaryKeyConstraint("video_id", "space_id", name=op.f("pk_frame_features")),
    )
    op.execute("INSERT INTO frame_features SELECT video_id, space_id, model FROM features")
    op.drop_table("features")


def _rebuild_saved_searches() -> None:
    op.create_table(
        "saved_searches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_searches")),
        sa.UniqueConstraint("name", name=op.f("uq_saved_searches_name")),
    )
    op.execute("INSERT INTO saved_searches SELECT id, name, query, made_at FROM searches")
    op.drop_table("searches")


def _rebuild_relevance_feedback() -> None:
    op.create_table(
        "relevance_feedback",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("video_id", sa.Integer(), nullable=False),
        sa.Column("start", sa.Float(), nullable=False),
        sa.Column("end", sa.Float(), nullable=False),
        sa.Column("relevant", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint('"end" >= start', name=op.f("ck_relevance_feedback_span")),
        _video_reference("relevance_feedback"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_relevance_feedback")),
    )
    op.execute(
        "INSERT INTO relevance_feedback"
        ' SELECT id, query, video_id, start, "end", up, made_at FROM marks'
    )
    op.drop_table("marks")
    for column in ("query", "video_id"):
        op.create_index(op.f(f"ix_relevance_feedback_{column}"), "relevance_feedback", [column])


def _rebuild_cues() -> None:
    """Replace the source `screen` by `ocr`, in the rows and in the check constraint."""
    op.create_table(
        "cues_0007",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("video_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("start", sa.Float(), nullable=False),
        sa.Column("end", sa.Float(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=True),
        sa.CheckConstraint('"end" >= start', name=op.f("ck_cues_span")),
        sa.CheckConstraint("source IN ('subtitles', 'speech', 'ocr')", name=op.f("ck_cues_source")),
        _video_reference("cues"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cues")),
        sqlite_autoincrement=True,
    )
    op.execute("""
        INSERT INTO cues_0007
        SELECT id, video_id, CASE source WHEN 'screen' THEN 'ocr' ELSE source END, start, "end",
            text, words
        FROM cues
    """)
    op.drop_table("cues")
    op.rename_table("cues_0007", "cues")
    op.create_index(op.f("ix_cues_video_id"), "cues", ["video_id"])
    for statement in CUE_TRIGGERS:
        op.execute(statement)


def _video_reference(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["video_id"], ["videos.id"], name=op.f(f"fk_{table}_video_id_videos"), ondelete="CASCADE"
    )


def _split_keyframe_notes() -> None:
    """Move the gap between key frames out of the text of a warning."""
    connection = op.get_bind()
    rows = connection.exec_driver_sql(
        "SELECT id, warning FROM videos WHERE warning LIKE 'key frames only, %'"
    ).fetchall()
    for video_id, warning in rows:
        if match := KEYFRAME_NOTE.match(warning):
            connection.exec_driver_sql(
                "UPDATE videos SET warning = ?, max_keyframe_gap = ? WHERE id = ?",
                (warning[match.end() :] or None, float(match[1]), video_id),
            )


def _split_source_digests() -> None:
    """Move the digest of the subtitle files out of the name of a transcript's source."""
    connection = op.get_bind()
    rows = connection.exec_driver_sql(
        "SELECT video_id, source_name FROM transcripts WHERE source = 'subtitles'"
    ).fetchall()
    for video_id, source_name in rows:
        if match := DIGEST_SUFFIX.search(source_name):
            connection.exec_driver_sql(
                "UPDATE transcripts SET source_name = ?, source_digest = ?"
                " WHERE video_id = ? AND source = 'subtitles'",
                (source_name[: match.start()], match[1], video_id),
            )
