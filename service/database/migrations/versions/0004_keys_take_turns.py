"""The last turn of each key, and an index of its queued jobs: keys take turns in the queue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrades to this version."""
    op.create_table(
        "turns",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_jobs_state_owner_seq", "jobs", ["state", "owner", "seq"])


def downgrade() -> None:
    """Downgrades to the previous version."""
    op.drop_index("ix_jobs_state_owner_seq", "jobs")
    op.drop_table("turns")
