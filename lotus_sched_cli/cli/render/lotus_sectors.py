"""``sectors list`` and ``sectors status`` in Lotus's layout."""

from __future__ import annotations

import time
from typing import Final

from lotus_sched_cli.cli.views.sectors import SectorList, SectorRow, SectorStatus
from lotus_sched_cli.cli.views.states import color_of
from lotus_sched_cli.lotus.units import bytes_size, fil, fil_short, go_age, size_str

from .numbers import epoch_time
from .spans import Doc, Span, lotus_table

COLUMNS: Final = (
    "ID", "State", "OnChain", "Active", "Expiration", "SealTime", "Events", "Deals", "DealWeight", "VerifiedPower",
    "Pledge",
)  # fmt: skip
HOUR: Final = 3600


def sector_list(view: SectorList) -> list[Span]:
    if not view.rows:
        return [("\n", "")]
    cells, lines = [], []
    for row in view.rows:
        cells.append(sector_cells(row, view))
        lines.append(extra_lines(row, view))
    return lotus_table(COLUMNS, cells, lines)


def sector_cells(row: SectorRow, view: SectorList) -> dict[str, Span]:
    cells: dict[str, Span] = {"ID": (str(row.number), "")}
    if row.error:
        return cells
    cells["State"] = (row.state, color_of(row.state))
    cells["OnChain"] = yes_no(row.on_chain)
    cells["Active"] = yes_no(row.active)
    cells["Deals"] = deals_cell(row)
    if not view.fast:
        end = "n/a" if row.expiration is None else epoch_time(view.chain, row.expiration)
        cells["Expiration"] = (end, "")
        weight_cells(row, cells)
    if view.show_seal_time and row.seal_time is not None:
        color = graded(row.seal_time, 12 * HOUR, 24 * HOUR)
        cells["SealTime"] = (go_age(row.seal_time), color)
    if view.show_events:
        cells["Events"] = (str(row.events), graded(row.events, 12 + row.pieces, 20 + row.pieces))
    if view.show_pledge and row.pledge is not None:
        cells["Pledge"] = (fil_short(row.pledge), "")
    return cells


def extra_lines(row: SectorRow, view: SectorList) -> list[str]:
    """What stands below a row."""
    if row.error:
        return [f"Error: {row.error}"]
    if row.early and not view.fast:
        return [f"RecoveryTimeout: {epoch_time(view.chain, row.early)}"]
    return []


def yes_no(value: bool) -> Span:
    return ("YES", "green") if value else ("NO", "red")


def graded(value: float, good: float, fair: float) -> str:
    return "green" if value < good else "yellow" if value < fair else "red"


def deals_cell(row: SectorRow) -> Span:
    if row.deals:
        return str(row.deals), "green"
    return (f"DDO:{row.direct_pieces}", "magenta") if row.direct_pieces else ("CC", "blue")


def weight_cells(row: SectorRow, cells: dict[str, Span]) -> None:
    if row.deal_weight is not None:
        cells["DealWeight"] = (bytes_size(row.deal_weight), "")
        if row.verified_power:
            cells["VerifiedPower"] = (bytes_size(row.verified_power), "green")
    elif row.pending_deal_bytes is not None:
        cells["DealWeight"] = (f"[{bytes_size(row.pending_deal_bytes)}]", "")
        if row.pending_verified_bytes:
            cells["VerifiedPower"] = (f"[{bytes_size(9 * row.pending_verified_bytes)}]", "green")


def sector_status(view: SectorStatus) -> list[Span]:
    doc = Doc()
    doc.line(f"SectorID:\t{view.number}").line(f"Status:\t\t{view.state}")
    doc.line(f"CIDcommD:\t{view.comm_d or '<nil>'}").line(f"CIDcommR:\t{view.comm_r or '<nil>'}")
    doc.line(f"Ticket:\t\t{view.ticket}").line(f"TicketH:\t{view.ticket_epoch}")
    doc.line(f"Seed:\t\t{view.seed}").line(f"SeedH:\t\t{view.seed_epoch}")
    doc.line(f"Precommit:\t{view.precommit_msg or '<nil>'}").line(f"Commit:\t\t{view.commit_msg or '<nil>'}")
    if view.proof is not None:
        doc.line(f"Proof:\t\t{view.proof}")
    doc.line(f"Deals:\t\t[{' '.join(str(deal) for deal in view.deals)}]").line(f"Retries:\t{view.retries}")
    if view.last_error:
        doc.line(f"Last Error:\t\t{view.last_error}")
    doc.line().line("Expiration Info").line(f"OnTime:\t\t{view.on_time}").line(f"Early:\t\t{view.early}")
    if view.manifests:
        doc.line().line("Piece Activation Manifests")
        for number, (piece, size, allocation) in enumerate(view.manifests):
            doc.line(f"Piece {number}: {piece} {size_str(size)} verif-alloc:{allocation}")
    on_chain_lines(doc, view)
    if view.log is not None:
        log_lines(doc, view)
    return doc.spans


def on_chain_lines(doc: Doc, view: SectorStatus) -> None:
    if view.missing_on_chain:
        doc.line("Sector status not found on chain")
    c = view.on_chain
    if c is None:
        return
    doc.line().line("Sector On Chain Info").line(f"SealProof:\t\t{c.seal_proof:x}")
    doc.line(f"Activation:\t\t{epoch_time(view.chain, c.activation)}")
    doc.line(f"Expiration:\t\t{epoch_time(view.chain, c.expiration)}")
    doc.line(f"DealWeight:\t\t{c.deal_weight}").line(f"VerifiedDealWeight:\t\t{c.verified_deal_weight}")
    doc.line(f"InitialPledge:\t\t{fil(c.pledge)}")
    doc.line(f"SectorID:\t\t{{Miner: {view.miner}, Number: {view.number}}}")


def log_lines(doc: Doc, view: SectorStatus) -> None:
    doc.line("--------").line("Event Log:")
    for number, entry in enumerate(view.log or ()):
        doc.line(f"{number}.\t{go_time(entry.time)}:\t[{entry.kind}]\t{entry.message}")
        if entry.trace:
            doc.line(f"\t{entry.trace}")


def go_time(seconds: int) -> str:
    """``2020-11-01 16:18:59 +0800 CST``, in the zone of whoever reads it."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(seconds))
