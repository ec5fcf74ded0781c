"""Caps in aligned columns, one cap a line."""

from __future__ import annotations

import re

from lotus_sched_cli.cli.views.caps import CapLine, CapTable

from .spans import Doc, Span

HEADER = ("ID", "Worker", "Cap", "Value", "Source")


def cap_table(view: CapTable) -> list[Span]:
    doc = Doc()
    rows = [(r.session[:8], r.hostname, r.cap, r.value, source(r)) for r in view.rows]
    widths = [max(len(row[i]) for row in (HEADER, *rows)) + 2 for i in range(4)]
    for cells in (HEADER, *rows):
        text = "".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False))
        color = "yellow" if cells[4].startswith("live") else ""
        doc.line(f"{text}{cells[4]}", color) if color else doc.line(f"{text}{cells[4]}")
    for error in view.errors:
        doc.line(error, "red")
    return doc.spans


def source(row: CapLine) -> str:
    """``live since 2026-11-25T13:17:40Z, else 7 (default), kept by the miner``; to the second, as Lotus's times."""
    text = row.source
    if row.source == "live":
        # Some workers tell fractions of a second.
        since = re.sub(r"\.\d+", "", row.since)
        known = f" ({row.started_source})" if row.started_source else ""
        text = f"live since {since}, else {row.started}{known}"
    return f"{text}, kept by the miner" if row.owner == "miner" and row.source == "live" else text
