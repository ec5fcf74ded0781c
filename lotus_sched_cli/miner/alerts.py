"""Alerts as ``log alerts`` shows them (Lotus ``journal/alerting``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.types import Alert, AlertEvent, AlertType

log = get("alerting")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Alerts:
    """Every kind of alert that this process may raise, with its last state."""

    def __init__(self, now: Callable[[], str] = _now) -> None:
        self._now = now
        self._alerts: dict[tuple[str, str], Alert] = {}

    def kind(self, system: str, subsystem: str) -> tuple[str, str]:
        key = (system, subsystem)
        self._alerts.setdefault(key, Alert(AlertType(system, subsystem)))
        return key

    def raise_(self, key: tuple[str, str], message: Mapping[str, Any]) -> None:
        event = AlertEvent("raised", dict(message), self._now())
        self._alerts[key] = msgspec.structs.replace(self._alerts[key], Active=True, LastActive=event)
        log.error(
            "alert raised",
            place="alerting/alerts.go:106",
            type={"System": key[0], "Subsystem": key[1]},
            message=dict(message),
        )

    def resolve(self, key: tuple[str, str], message: Mapping[str, Any]) -> None:
        alert = self._alerts.get(key)
        if alert is not None and alert.Active:
            event = AlertEvent("resolved", dict(message), self._now())
            self._alerts[key] = msgspec.structs.replace(alert, Active=False, LastResolved=event)

    def list(self) -> list[Alert]:
        """By system and subsystem."""
        return [alert for _, alert in sorted(self._alerts.items())]
