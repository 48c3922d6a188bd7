"""Jobs are found by when they ended: metrics and retention ask for that."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"])


def downgrade() -> None:
    """Back to the one before."""
    op.drop_index("ix_jobs_finished_at", "jobs")
