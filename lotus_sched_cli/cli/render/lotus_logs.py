"""``log list`` and ``log alerts`` in Lotus's layout."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from lotus_sched_cli.cli.views.logs import AlertRow, Alerts, LogNames

from .spans import Doc, Span


def log_names(view: LogNames) -> list[Span]:
    return [(f"{row.name}\n", "") for row in view.rows]


def alerts(view: Alerts) -> list[Span]:
    doc = Doc()
    for row in view.rows:
        word, color = ("active  ", "red") if row.active else ("inactive", "green")
        doc.add(word, color).line(f" {row.system}:{row.subsystem}")
        alert_lines(doc, row)
    return doc.spans


def alert_lines(doc: Doc, row: AlertRow) -> None:
    if row.resolved is not None:
        doc.add("         ").add("last resolved at", "yellow")
        doc.line(f" {go_stamp(row.resolved)}; reason: {raw(row.resolved_message)}")
    if row.raised is not None:
        doc.add("         ").add("last raised at", "yellow")
        doc.line(f" {go_stamp(row.raised)}; reason: {raw(row.raised_message)}")


def go_stamp(text: str) -> str:
    """Go's ``Time.String`` cut to milliseconds: ``2026-08-06 10:20:30.12 +0000 UTC``."""
    at = datetime.fromisoformat(text)
    fraction = f".{at.microsecond // 1000:03}".rstrip("0").rstrip(".")
    offset = at.strftime("%z")
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction} {offset} {'UTC' if offset == '+0000' else offset}"


def raw(message: Any) -> str:
    """JSON as the miner sent it: nothing between its parts."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
