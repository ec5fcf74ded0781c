"""``sectors refs``, ``numbers`` and ``batching`` in Lotus's layout."""

from __future__ import annotations

from itertools import groupby

from lotus_sched_cli.cli.views.batches import Batches
from lotus_sched_cli.cli.views.numbers import Numbers, Reservations
from lotus_sched_cli.cli.views.refs import Refs
from lotus_sched_cli.cli.views.text import Batched, Pending

from .spans import Doc, Span


def refs(view: Refs) -> list[Span]:
    doc = Doc()
    for deal, pieces in groupby(view.rows, lambda row: row.deal):
        doc.line(f"Block {deal}:")
        for piece in pieces:
            doc.line(f"\t{piece.sector}+{piece.offset} {piece.size} bytes")
    return doc.spans


def numbers(view: Numbers) -> list[Span]:
    doc = Doc().line(f"Next free: {view.next}")
    return doc.line(f"Allocated: {view.allocated}").line(f"Reserved: {view.reserved}").spans


def reservations(view: Reservations) -> list[Span]:
    doc = Doc().line(f"reservations: {len(view.rows)}")
    for row in view.rows:
        doc.line(f"{row.name}: count={row.count} {row.ranges}")
    return doc.spans


def pending(view: Pending) -> list[Span]:
    lines = [str(number) for number in view.numbers] or ([view.nothing] if view.nothing else [])
    return [(f"{line}\n", "") for line in lines]


def batched(view: Batched) -> list[Span]:
    return [(f"{view.message or view.nothing}\n", "")]


def batches(view: Batches) -> list[Span]:
    doc = Doc()
    for place, batch in enumerate(view.rows):
        doc.line(f"Batch {place}:")
        doc.line(f"\tError: {batch.error}" if batch.error else f"\tMessage: {batch.message}")
        doc.line("\tSectors:")
        for row in batch.sectors:
            doc.line(f"\t\t{row.sector}\tERROR {row.error}" if row.error else f"\t\t{row.sector}\tOK")
    return doc.spans
