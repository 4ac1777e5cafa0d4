"""Record by what a changed file is recognized: a digest of its content, its ctime and inode.

Everything is NULL for videos of older versions, whose size and mtime decide as before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("videos", sa.Column("content_digest", sa.Text(), nullable=True))
    op.add_column("videos", sa.Column("ctime_ns", sa.Integer(), nullable=True))
    op.add_column("videos", sa.Column("inode", sa.Text(), nullable=True))
    op.add_column("frame_features", sa.Column("crc32", sa.Integer(), nullable=True))
    op.create_table(
        "duplicate_files",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("mtime_ns", sa.Integer(), nullable=False),
        sa.Column("ctime_ns", sa.Integer(), nullable=True),
        sa.Column("inode", sa.Text(), nullable=True),
        sa.Column("content_digest", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("path", name="pk_duplicate_files"),
    )
