"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "declarations",
        sa.Column("path_id", sa.String(length=64), nullable=False),
        sa.Column("miner", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("file_type", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
        sa.Column("made_by", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("path_id", "miner", "number", "file_type"),
    )
    op.create_table(
        "kept",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", "name"),
    )
    op.create_table(
        "messages",
        sa.Column("cid", sa.String(length=128), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("included_at", sa.BigInteger(), nullable=False),
        sa.Column("lands_at", sa.BigInteger(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("cid"),
    )
    op.create_index("messages_by_sector", "messages", ["number", "kind"], unique=False)
    op.create_table(
        "meta",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "paths",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("info", sa.LargeBinary(), nullable=False),
        sa.Column("stat", sa.LargeBinary(), nullable=True),
        sa.Column("reported_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "sector_log",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(length=128), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("trace", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", "seq"),
    )
    op.create_table(
        "sectors",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("miner", sa.BigInteger(), nullable=False),
        sa.Column("proof", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("entered_at", sa.Float(), nullable=False),
        sa.Column("retry_at", sa.Float(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index(op.f("ix_sectors_state"), "sectors", ["state"], unique=False)
    op.create_table(
        "tasks",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("miner", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("proof", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("first_piece", sa.Boolean(), nullable=False),
        sa.Column("queued_at", sa.Float(), nullable=False),
        sa.Column("params", sa.LargeBinary(), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("worker_id", sa.String(length=255), nullable=True),
        sa.Column("session", sa.String(length=36), nullable=True),
        sa.Column("bound_at", sa.Float(), nullable=True),
        sa.Column("fetch", sa.Integer(), nullable=False),
        sa.Column("fetch_sent_at", sa.Float(), nullable=True),
        sa.Column("fetch_call_id", sa.String(length=36), nullable=True),
        sa.Column("fetched_at", sa.Float(), nullable=True),
        sa.Column("sent_at", sa.Float(), nullable=True),
        sa.Column("call_id", sa.String(length=36), nullable=True),
        sa.Column("accepted_at", sa.Float(), nullable=True),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_tasks_call_id"), "tasks", ["call_id"], unique=False)
    op.create_index(op.f("ix_tasks_number"), "tasks", ["number"], unique=False)
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("url", sa.String(length=1024), nullable=False),
        sa.Column("session", sa.String(length=36), nullable=False),
        sa.Column("last_seen", sa.Float(), nullable=False),
        sa.Column("extras", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )


def downgrade() -> None:
    raise NotImplementedError("stores are not taken back; keep a copy of the file instead")
