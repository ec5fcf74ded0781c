"""``sectors numbers`` (Lotus: ``cli/miner/sectors.go``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lotus_sched_cli.lotus.units import format_runs, runs_of_rle


@dataclass(frozen=True, slots=True)
class Numbers:
    """The next number that a new sector gets; ranges like ``0-4,7``, ``0`` where there are none (as Lotus prints)."""

    next: int
    allocated: str
    reserved: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """Numbers that no new sector gets."""

    name: str
    count: int
    ranges: str


@dataclass(frozen=True, slots=True)
class Reservations:
    """By name."""

    rows: tuple[Reservation, ...]


def numbers_view(meta: Mapping[str, Any]) -> Numbers:
    """Of ``SectorNumAssignerMeta``."""
    return Numbers(meta["Next"], ranges(meta["Allocated"]), ranges(meta["Reserved"]))


def reservations_view(told: Mapping[str, Sequence[int] | None]) -> Reservations:
    """Of ``SectorNumReservations``."""
    rows = []
    for name in sorted(told):
        runs = runs_of_rle(told[name])
        rows.append(Reservation(name, sum(last - first + 1 for first, last in runs), format_runs(runs)))
    return Reservations(tuple(rows))


def ranges(rle: Sequence[int] | None) -> str:
    return format_runs(runs_of_rle(rle))
