"""A flag for jobs that a client follows: previews cost a decode, and are made for those only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrades to this version."""
    op.add_column("jobs", sa.Column("attended", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Downgrades to the previous version."""
    op.drop_column("jobs", "attended")
