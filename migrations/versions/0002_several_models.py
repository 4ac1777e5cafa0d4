"""Several spaces side by side: which model made what, and what it was pooled by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CURRENT = "(SELECT space_id FROM library)"


def upgrade() -> None:
    op.add_column("spaces", sa.Column("model", sa.Text(), nullable=True))
    op.add_column("spaces", sa.Column("pooler", sa.Text(), nullable=True))
    op.add_column("spaces", sa.Column("answered_until", sa.Integer(), nullable=True))
    op.execute(
        f"UPDATE spaces SET pooler = (SELECT pooler FROM library) WHERE id = {CURRENT}"  # noqa: S608
    )
    _drop_pooler()
    op.create_table(
        "features",
        sa.Column("video_id", sa.Integer(), nullable=False),
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["video_id"],
            ["videos.id"],
            name=op.f("fk_features_video_id_videos"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["space_id"], ["spaces.id"], name=op.f("fk_features_space_id_spaces")
        ),
        sa.PrimaryKeyConstraint("video_id", "space_id", name=op.f("pk_features")),
    )
    op.execute(
        "INSERT INTO features (video_id, space_id, model) "  # noqa: S608
        f"SELECT id, {CURRENT}, NULL FROM videos WHERE {CURRENT} IS NOT NULL"
    )


def _drop_pooler() -> None:
    """Build `library` anew without it: older versions of SQLite drop no column."""
    op.create_table(
        "library_0002",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_with", sa.Text(), nullable=False),
        sa.Column("space_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_library_single")),
        sa.ForeignKeyConstraint(
            ["space_id"], ["spaces.id"], name=op.f("fk_library_space_id_spaces")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_library")),
    )
    op.execute("INSERT INTO library_0002 SELECT id, revision, created_with, space_id FROM library")
    op.drop_table("library")
    op.rename_table("library_0002", "library")
