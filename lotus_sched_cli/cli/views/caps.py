"""``sealing caps list``: what each worker may carry, and where each value comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lotus_sched_cli.lotus.caps import DEFAULTS, MAIN, text_of, value_of


@dataclass(frozen=True, slots=True)
class CapLine:
    """One cap of one worker, values as text. ``started`` is what a live value stands in for, empty without one."""

    session: str
    hostname: str
    cap: str
    value: str
    source: str
    since: str
    started: str
    started_source: str
    owner: str


@dataclass(frozen=True, slots=True)
class CapTable:
    """Caps of some workers; ``errors`` says which of them could not be asked, and why."""

    rows: tuple[CapLine, ...]
    errors: tuple[str, ...] = ()


def cap_table(workers: Iterable[Mapping[str, Any]], *, all_caps: bool = False) -> CapTable:
    """The five main caps, and of the others those that are set (all of them where ``all_caps``)."""
    rows: list[CapLine] = []
    errors: list[str] = []
    for worker in workers:
        if worker.get("Error"):
            shows = "shows what is known of it" if worker["Caps"] else "shows nothing"
            errors.append(f"{worker['Name']} ({worker['Session'][:8]}) {shows}: {worker['Error']}")
        for cap in worker["Caps"]:
            name = cap["Name"]
            unset = cap["Value"] == text_of(name, value_of(DEFAULTS, name)) and cap["Source"] != "live"
            if name in MAIN or all_caps or not unset:
                rows.append(_line(worker, cap))
    return CapTable(tuple(rows), tuple(errors))


def _line(worker: Mapping[str, Any], cap: Mapping[str, Any]) -> CapLine:
    return CapLine(
        worker["Session"],
        worker["Name"],
        cap["Name"],
        cap["Value"],
        cap["Source"],
        cap.get("Since", ""),
        cap.get("Started", ""),
        cap.get("StartedSource", ""),
        worker["Owner"],
    )
