"""Sectors between memory, store and wire."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from lotus_sched_cli.core.pipeline import LogEntry, Piece, Sector
from lotus_sched_cli.core.pipeline.sector import NO_FAILURES
from lotus_sched_cli.lotus.extras import SectorBrief
from lotus_sched_cli.lotus.types import (
    Cid,
    PieceInfo,
    SealSeed,
    SealTicket,
    SectorInfo,
    SectorLog,
    SectorPiece,
)

from .chain import SectorOnChain
from .records import LogRow, SectorRow
from .writer import StoreError

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Sector)


def to_row(sector: Sector) -> SectorRow:
    return SectorRow(
        id=sector.id,
        proof=sector.proof,
        state=sector.state.value,
        created_at=sector.created_at,
        entered_at=sector.entered_at,
        retry_at=sector.retry_at,
        last_error=sector.last_error,
        body=_encoder.encode(sector),
    )


def from_row(row: SectorRow) -> Sector:
    """Raises StoreError for a record that is none."""
    try:
        sector = _decoder.decode(row.body)
    except ValueError as error:
        raise StoreError(
            f"the store is damaged: sector {row.id.number}: {error}; restore it from a backup"
        ) from error
    # Ten thousand committed capacity sectors have the same piece, and no failures: one object is enough.
    sector.failures = sector.failures or NO_FAILURES
    sector.pieces = _pieces.setdefault(sector.pieces, sector.pieces)
    if sector.pieces and sector.comm_d == sector.pieces[0].cid:
        sector.comm_d = sector.pieces[0].cid
    return sector


_pieces: dict[tuple[Piece, ...], tuple[Piece, ...]] = {}


def log_row(entry: LogEntry) -> LogRow:
    return LogRow(entry.at, entry.kind, entry.message, entry.trace)


def status(
    sector: Sector, *, log: list[LogRow], proof: bytes | None, on_chain: SectorOnChain | None
) -> SectorInfo:
    """``SectorsStatus``'s answer. ``on_chain`` None: not asked for, or the chain does not know the sector."""
    extra: dict[str, Any] = {}
    if on_chain is not None and on_chain.proven:
        extra = {
            "Activation": on_chain.activation,
            "Expiration": on_chain.expiration,
            "OnTime": on_chain.expiration,
        }
    return SectorInfo(
        SectorID=sector.id.number,
        State=sector.state.value,
        CommD=_cid(sector.comm_d),
        CommR=_cid(sector.comm_r),
        Proof=proof if sector.has_proof else None,
        Deals=[0 for _ in sector.pieces],
        Pieces=[SectorPiece(PieceInfo(piece.size, Cid(piece.cid)), None) for piece in sector.pieces],
        Ticket=SealTicket(sector.ticket, sector.ticket_epoch),
        Seed=SealSeed(sector.seed, sector.seed_epoch),
        PreCommitMsg=_cid(sector.precommit_message),
        CommitMsg=_cid(sector.commit_message),
        Retries=sector.invalid_proofs,
        LastErr=sector.last_error,
        Log=[SectorLog(line.kind, int(line.at), line.trace, line.message) for line in log],
        SealProof=sector.proof,
        **extra,
    )


#: Kinds of log lines: events begin so, this one does not count, and this one ends the sealing.
LOG_FIGURES: Final = ("event", "event;sealing.SectorRestart", "event;sealing.SectorProving")


def brief(sector: Sector) -> SectorBrief:
    """What ``sectors list`` tells of it, without chain and log."""
    return SectorBrief(
        Number=sector.id.number,
        State=sector.state.value,
        Pieces=len(sector.pieces),
        TicketEpoch=sector.ticket_epoch,
        SeedEpoch=sector.seed_epoch,
        PreCommit1Done=sector.has_pc1_out or sector.comm_r is not None,
    )


def with_figures(
    row: SectorBrief, life: tuple[int, int] | None, log: tuple[int, float, float | None] | None
) -> SectorBrief:
    """The row with what the chain and the log say."""
    if life is None and log is None:
        return row
    activation, expiration = life or (0, 0)
    events, first, proven = log or (0, 0.0, None)
    return SectorBrief(
        row.Number,
        row.State,
        row.Pieces,
        row.TicketEpoch,
        row.SeedEpoch,
        row.PreCommit1Done,
        activation,
        expiration,
        events,
        -1 if proven is None else int(proven) - int(first),
    )


def _cid(text: str | None) -> Cid | None:
    return None if text is None else Cid(text)
