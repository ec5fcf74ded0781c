"""``sectors list`` and ``sectors status`` (Lotus: ``cli/miner/sectors.go``, ``cli/spcli/sectors.go``)."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .wire import cid

PROVING = "event;sealing.SectorProving"
PC1_DONE = "event;sealing.SectorPreCommit1"
RESTART = "event;sealing.SectorRestart"
EVENT = "event"


@dataclass(frozen=True, slots=True)
class Chain:
    """What is known of the chain: its head and the seconds of an epoch; None where nobody could be asked."""

    head: int | None = None
    block_delay: float = 30.0
    on_chain: frozenset[int] | None = None
    active: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class SectorRow:
    """One sector. Epochs are chain heights, sizes bytes, ``pledge`` attoFIL; None is *not known or not there*.

    ``deal_ids`` has one id per piece, 0 for none. ``error`` set: the miner could not tell its status, and only the number
    is known.
    """

    number: int
    state: str = ""
    on_chain: bool = False
    active: bool = False
    expiration: int | None = None
    seal_time: float | None = None
    events: int = 0
    pieces: int = 0
    deals: int = 0
    direct_pieces: int = 0
    deal_weight: int | None = None
    pending_deal_bytes: int | None = None
    verified_power: int | None = None
    pending_verified_bytes: int | None = None
    pledge: int | None = None
    early: int | None = None
    ticket_epoch: int = 0
    seed_epoch: int = 0
    precommit1_done: bool = False
    deal_ids: tuple[int, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class SectorList:
    """The rows by number, and which optional columns were asked for."""

    rows: tuple[SectorRow, ...]
    chain: Chain
    fast: bool = False
    show_events: bool = False
    show_seal_time: bool = False
    show_pledge: bool = False


def sector_row(number: int, status: Mapping[str, Any] | None, error: str, chain: Chain) -> SectorRow:
    """A row of ``SectorsStatus``. Where no node told which sectors are on chain, the status itself does."""
    if status is None:
        return SectorRow(number, error=error)
    expiration, on_time = status["Expiration"], status["OnTime"]
    on_chain = number in chain.on_chain if chain.on_chain is not None else expiration > 0
    active = number in chain.active if chain.active is not None else on_chain and status["Activation"] > 0
    deal_ids = sum(1 for deal in status.get("Deals") or () if deal)
    direct = sum(1 for piece in status.get("Pieces") or () if is_direct(piece))
    row = SectorRow(
        number,
        state=status["State"],
        on_chain=on_chain,
        active=active,
        expiration=(on_time if 0 < on_time < expiration else expiration) if on_chain else None,
        seal_time=seal_time(status.get("Log") or ()),
        events=sum(
            1 for e in status.get("Log") or () if e["Kind"].startswith(EVENT) and e["Kind"] != RESTART
        ),
        pieces=len(status.get("Deals") or ()),
        deals=deal_ids,
        direct_pieces=direct,
        pledge=int(status["InitialPledge"]) if on_chain else None,
        early=status["Early"] or None,
        ticket_epoch=status["Ticket"]["Epoch"],
        seed_epoch=status["Seed"]["Epoch"],
        precommit1_done=bool(status["CommR"]) or any(e["Kind"] == PC1_DONE for e in status.get("Log") or ()),
        deal_ids=tuple(status.get("Deals") or ()),
    )
    return with_weights(row, status) if deal_ids else row


def row_of_brief(brief: Mapping[str, Any]) -> SectorRow:
    """A row of ``SectorsTable`` (ours): the same as `sector_row` of the sector's status, without asking for each."""
    get = brief.get
    expiration, pieces, sealing = get("Expiration", 0), get("Pieces", 0), get("SealTime", -1)
    return SectorRow(
        brief["Number"],
        brief["State"],
        on_chain=expiration > 0,
        active=get("Activation", 0) > 0,
        expiration=expiration or None,
        seal_time=None if sealing < 0 else float(sealing),
        events=get("Events", 0),
        pieces=pieces,
        pledge=0 if expiration else None,
        ticket_epoch=get("TicketEpoch", 0),
        seed_epoch=get("SeedEpoch", 0),
        precommit1_done=get("PreCommit1Done", False),
        deal_ids=(0,) * pieces,
    )


def with_weights(row: SectorRow, status: Mapping[str, Any]) -> SectorRow:
    """Deal weight per epoch, in bytes, once the sector is active; before that the size of its deals and of verified ones."""
    life = status["Expiration"] - status["Activation"]
    weight, verified = int(status["DealWeight"]), int(status["VerifiedDealWeight"])
    if row.active and life > 0:
        return replace(
            row, deal_weight=(weight + verified) // life, verified_power=9 * verified // life or None
        )
    sizes = [(p["Piece"]["Size"], p["DealInfo"]) for p in status.get("Pieces") or () if p.get("DealInfo")]
    return replace(
        row,
        pending_deal_bytes=sum(size for size, _ in sizes),
        pending_verified_bytes=sum(size for size, deal in sizes if is_verified(deal)) or None,
    )


def is_verified(deal: Mapping[str, Any]) -> bool:
    return bool((deal.get("DealProposal") or {}).get("VerifiedDeal"))


def is_direct(piece: Mapping[str, Any]) -> bool:
    info = piece.get("DealInfo")
    return bool(info and info.get("PieceActivationManifest"))


def seal_time(log: Any) -> float | None:
    """Seconds from the first log entry to the first SectorProving."""
    for entry in log:
        if entry["Kind"] == PROVING:
            return float(entry["Timestamp"] - log[0]["Timestamp"])
    return None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One event of a sector's life; ``time`` in unix seconds."""

    time: int
    kind: str
    message: str
    trace: str


@dataclass(frozen=True, slots=True)
class OnChain:
    """What the chain says; ``pledge`` in attoFIL."""

    seal_proof: int
    activation: int
    expiration: int
    deal_weight: str
    verified_deal_weight: str
    pledge: int


@dataclass(frozen=True, slots=True)
class SectorStatus:
    """``sectors status N``. cids as text; ticket, seed and proof as lower-case hex, empty where unset.

    ``on_chain`` None: not asked for; ``missing_on_chain``: asked for and not there. ``log`` None: not asked for.
    """

    number: int
    miner: int
    state: str
    comm_d: str | None
    comm_r: str | None
    ticket: str
    ticket_epoch: int
    seed: str
    seed_epoch: int
    precommit_msg: str | None
    commit_msg: str | None
    proof: str | None
    deals: tuple[int, ...]
    retries: int
    last_error: str
    on_time: int
    early: int
    manifests: tuple[tuple[str, int, str], ...]
    chain: Chain
    on_chain: OnChain | None = None
    missing_on_chain: bool = False
    log: tuple[LogLine, ...] | None = None


def status_view(
    status: Mapping[str, Any],
    miner: int,
    chain: Chain,
    *,
    log: bool = False,
    on_chain: bool = False,
    proof: bool = False,
) -> SectorStatus:
    """Of one ``SectorsStatus`` (asked with chain information where ``on_chain``)."""
    there = on_chain and status["Expiration"] > 0
    return SectorStatus(
        number=status["SectorID"],
        miner=miner,
        state=status["State"],
        comm_d=cid(status["CommD"]),
        comm_r=cid(status["CommR"]),
        ticket=hex_of(status["Ticket"]["Value"]),
        ticket_epoch=status["Ticket"]["Epoch"],
        seed=hex_of(status["Seed"]["Value"]),
        seed_epoch=status["Seed"]["Epoch"],
        precommit_msg=cid(status["PreCommitMsg"]),
        commit_msg=cid(status["CommitMsg"]),
        proof=hex_of(status["Proof"]) if proof else None,
        deals=tuple(status["Deals"] or ()),
        retries=status["Retries"],
        last_error=status["LastErr"],
        on_time=status["OnTime"],
        early=status["Early"],
        manifests=tuple(manifest(p) for p in status.get("Pieces") or () if is_direct(p)),
        chain=chain,
        on_chain=on_chain_of(status) if there else None,
        missing_on_chain=on_chain and not there,
        log=tuple(LogLine(e["Timestamp"], e["Kind"], e["Message"], e["Trace"]) for e in status["Log"] or ())
        if log
        else None,
    )


def on_chain_of(status: Mapping[str, Any]) -> OnChain:
    return OnChain(
        status["SealProof"],
        status["Activation"],
        status["Expiration"],
        status["DealWeight"],
        status["VerifiedDealWeight"],
        int(status["InitialPledge"]),
    )


def manifest(piece: Mapping[str, Any]) -> tuple[str, int, str]:
    """(cid, bytes, verified allocation as Go prints it) of a direct-data piece."""
    info = piece["DealInfo"]["PieceActivationManifest"]
    allocation = info.get("VerifiedAllocationKey")
    return cid(info["CID"]) or "", info["Size"], "<nil>" if allocation is None else str(allocation)


def hex_of(base64_text: str | None) -> str:
    return base64.b64decode(base64_text).hex() if base64_text else ""


def wanted(
    rows: Collection[SectorRow], *, show_removed: bool, states: Collection[str], unproven: bool
) -> list[SectorRow]:
    """Lotus's filters: ``--states`` (which shows removed ones too), ``--unproven``, without ``--show-removed``."""
    chosen = []
    for row in sorted(rows, key=lambda r: r.number):
        if states:
            keep = row.state in states
        elif row.state == "Removed":
            keep = show_removed
        else:
            keep = not (unproven and row.state in ("Proving", "Available"))
        if keep:
            chosen.append(row)
    return chosen
