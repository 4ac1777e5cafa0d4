"""Segments are found by video and time."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_segments_span", "segments", ["video_id", "start", "end"])
    op.drop_index("ix_segments_video_id", "segments")  # the other one begins like it
