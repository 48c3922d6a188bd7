"""An index of jobs by their end, for metrics and retention."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrades to this version."""
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"])


def downgrade() -> None:
    """Downgrades to the previous version."""
    op.drop_index("ix_jobs_finished_at", "jobs")
