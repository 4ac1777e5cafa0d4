"""Which videos were sampled by their key frames only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    no = sa.text("0")
    op.add_column("videos", sa.Column("keyframes", sa.Boolean(), nullable=False, server_default=no))
