"""Files that do not count: of detached paths, and those that are still to be removed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "uncounted",
        sa.Column("path_id", sa.String(length=64), nullable=False),
        sa.Column("miner", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("file_type", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("doomed", sa.Boolean(), nullable=False),
        sa.Column("can_store", sa.Boolean(), nullable=False),
        sa.Column("worker_id", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("path_id", "miner", "number", "file_type"),
    )
    op.create_index("uncounted_by_sector", "uncounted", ["miner", "number"])
