"""``log list`` and ``log alerts`` (Lotus: ``cli/log.go``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LogName:
    """A logger."""

    name: str


@dataclass(frozen=True, slots=True)
class LogNames:
    """All loggers, as the miner lists them."""

    rows: tuple[LogName, ...]


@dataclass(frozen=True, slots=True)
class AlertRow:
    """What the miner is worried about. Times are RFC 3339 texts, None for never; messages any JSON."""

    system: str
    subsystem: str
    active: bool
    raised: str | None
    raised_message: Any
    resolved: str | None
    resolved_message: Any


@dataclass(frozen=True, slots=True)
class Alerts:
    """By system and subsystem."""

    rows: tuple[AlertRow, ...]


def alerts_view(alerts: Sequence[Mapping[str, Any]], *, every: bool) -> Alerts:
    """Of ``LogAlerts``; inactive ones only with ``every``."""
    rows = [alert_row(alert) for alert in alerts if every or alert["Active"]]
    return Alerts(tuple(sorted(rows, key=lambda row: (row.system, row.subsystem))))


def alert_row(alert: Mapping[str, Any]) -> AlertRow:
    kind = alert["Type"]
    raised, resolved = alert.get("LastActive") or {}, alert.get("LastResolved") or {}
    return AlertRow(
        kind["System"],
        kind["Subsystem"],
        alert["Active"],
        raised.get("Time"),
        raised.get("Message"),
        resolved.get("Time"),
        resolved.get("Message"),
    )
