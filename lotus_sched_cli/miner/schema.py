"""The miner's tables: portable SQL (SQLite today, nothing that only SQLite has).

Times are unix seconds as floats, epochs whole numbers, JSON is UTF-8 text in binary columns. The schema's version is
:data:`HEAD`; every change of a table here comes with an Alembic migration in ``migrations/versions`` (a test compares).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

#: The migration that makes exactly these tables.
HEAD: Final = "0002"

tables = MetaData()

#: Facts about this miner: one JSON value per key (actor, sector size, proofs, genesis, chain seed, first number …).
meta = Table(
    "meta", tables, Column("key", String(64), primary_key=True), Column("value", LargeBinary, nullable=False)
)

sectors = Table(
    "sectors",
    tables,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("miner", BigInteger, nullable=False),
    Column("proof", Integer, nullable=False),
    Column("state", String(64), nullable=False, index=True),
    Column("created_at", Float, nullable=False),
    Column("entered_at", Float, nullable=False),
    Column("retry_at", Float),
    Column("last_error", Text, nullable=False),
    #: The rest of the pipeline's memory of it, JSON (core/pipeline/sector.py).
    Column("body", LargeBinary, nullable=False),
)

#: Big values of a sector that need not be in memory: pc1_out, proof.
kept = Table(
    "kept",
    tables,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(32), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

sector_log = Table(
    "sector_log",
    tables,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("kind", String(128), nullable=False),
    Column("message", Text, nullable=False),
    Column("trace", Text, nullable=False),
)

tasks = Table(
    "tasks",
    tables,
    Column("id", String(36), primary_key=True),
    Column("miner", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False, index=True),
    Column("proof", Integer, nullable=False),
    Column("type", String(64), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("files", Integer, nullable=False),
    Column("first_piece", Boolean, nullable=False),
    Column("queued_at", Float, nullable=False),
    #: Positional parameters as they go on the wire, a JSON array.
    Column("params", LargeBinary, nullable=False),
    Column("phase", String(16), nullable=False),
    Column("worker_id", String(255)),
    Column("session", String(36)),
    Column("bound_at", Float),
    Column("fetch", Integer, nullable=False),
    Column("fetch_sent_at", Float),
    Column("fetch_call_id", String(36)),
    Column("fetched_at", Float),
    Column("sent_at", Float),
    Column("call_id", String(36), index=True),
    Column("accepted_at", Float),
    Column("result", LargeBinary),
    Column("error", LargeBinary),
)

paths = Table(
    "paths",
    tables,
    Column("id", String(64), primary_key=True),
    Column("info", LargeBinary, nullable=False),
    Column("stat", LargeBinary),
    Column("reported_at", Float),
)

declarations = Table(
    "declarations",
    tables,
    Column("path_id", String(64), primary_key=True),
    Column("miner", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("file_type", Integer, primary_key=True, autoincrement=False),
    Column("is_primary", Boolean, nullable=False),
    #: Id of the worker that made or fetched the files, where that is known.
    Column("made_by", String(255)),
)

#: Files that may lie there and do not count: their path was detached, or they are ``doomed``, to be removed as soon as
#: whoever serves the path can be told (removals.py).
uncounted = Table(
    "uncounted",
    tables,
    Column("path_id", String(64), primary_key=True),
    Column("miner", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("file_type", Integer, primary_key=True, autoincrement=False),
    Column("doomed", Boolean, nullable=False),
    #: Whether the path was one for storage when it was detached.
    Column("can_store", Boolean, nullable=False),
    #: Who served the path when it was detached, where that is known.
    Column("worker_id", String(255)),
)

workers = Table(
    "workers",
    tables,
    #: Lasting id (WorkerInfo.WorkerID), a stock worker's URL.
    Column("id", String(255), primary_key=True),
    #: Number in the tables of the 2020 releases; 0 is the built-in worker.
    Column("number", Integer, nullable=False, unique=True),
    Column("name", String(255), nullable=False),
    Column("url", String(1024), nullable=False),
    Column("session", String(36), nullable=False),
    Column("last_seen", Float, nullable=False),
    #: What the miner keeps for it (drain, caps of a stock worker …), a JSON object.
    Column("extras", LargeBinary, nullable=False),
)

#: Messages of the simulated chain. What a message did is decided when it is sent and shows from ``lands_at`` on.
messages = Table(
    "messages",
    tables,
    Column("cid", String(128), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    Column("included_at", BigInteger, nullable=False),
    Column("lands_at", BigInteger, nullable=False),
    Column("exit_code", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

Index("uncounted_by_sector", uncounted.c.miner, uncounted.c.number)
Index("messages_by_sector", messages.c.number, messages.c.kind)
