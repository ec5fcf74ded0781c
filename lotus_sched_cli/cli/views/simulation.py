"""Simulations: the farms that there are, what runs were like, and caps that would seal more."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lotus_sched_cli.sim.report import Report
    from lotus_sched_cli.sim.suggest import Suggestion

#: Grows when a field of the JSON changes its meaning or goes.
VERSION = 1


@dataclass(frozen=True, slots=True)
class FarmList:
    """Name and note of each farm that comes with the program."""

    farms: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Simulated:
    """One farm, once for each policy."""

    note: str
    reports: tuple[Report, ...]

    def data(self) -> dict[str, Any]:
        """As JSON: the fields of `Report`, with the ratio of makespan to bound. Seconds and bytes."""
        runs = [asdict(one) | {"ratio": one.ratio} for one in self.reports]
        return {"version": VERSION, "simulated": True, "note": self.note, "runs": runs}


@dataclass(frozen=True, slots=True)
class Suggested:
    """What a search for caps has found."""

    found: Suggestion

    def data(self) -> dict[str, Any]:
        return {"version": VERSION, "simulated": True, **asdict(self.found)}
