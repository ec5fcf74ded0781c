"""Simulations as tables. Every figure is simulated and says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from lotus_sched_cli.cli.views.simulation import FarmList, Simulated, Suggested
from lotus_sched_cli.sim.quantities import bytes_text, duration

from .spans import Doc, Span, go_table

if TYPE_CHECKING:
    from lotus_sched_cli.sim.report import DiskReport, Report

#: Disks that are listed; JSON has them all.
FULLEST: Final = 5


def farm_list(view: FarmList) -> list[Span]:
    return go_table(("Farm", "What it shows"), view.farms)


def simulated(view: Simulated) -> list[Span]:
    doc = Doc()
    first = view.reports[0]
    doc.line(f"{first.farm}: {first.workers} workers, {first.sectors} sectors (simulated)")
    if view.note:
        doc.line(view.note)
    if len(view.reports) > 1:
        doc.line().extend(comparison(view.reports))
    for one in view.reports:
        doc.line().extend(run(one))
    return doc.spans


def comparison(reports: Sequence[Report]) -> list[Span]:
    rows = [
        ("sealed", *(f"{r.sealed} of {r.sectors}" for r in reports)),
        ("makespan", *(duration(r.makespan) for r in reports)),
        ("sectors per day", *(f"{r.sectors_per_day:.1f}" for r in reports)),
        ("idle while eligible", *(duration(r.idle_while_eligible) for r in reports)),
        ("of it, workers with no work at all", *(duration(r.idle_empty) for r in reports)),
        ("copied", *(bytes_text(r.bytes_copied) for r in reports)),
        ("fullest disk", *(fullest(r) for r in reports)),
    ]
    return go_table(("", *(r.policy for r in reports)), rows)


def run(one: Report) -> list[Span]:
    """One policy's figures."""
    doc = Doc()
    sealed = f"{one.sealed} of {one.sectors} sectors in {duration(one.makespan)}"
    doc.line(f"{one.policy}: {sealed}, {one.sectors_per_day:.1f} a day")
    if one.stuck:
        doc.line(f"  standstill: {one.stuck}", "red")
    if one.unfinished:
        left = ", ".join(f"{number} at {stage}" for stage, number in one.unfinished.items())
        doc.line(f"  unfinished: {left}")
    if one.bound is not None and one.ratio is not None:
        doc.line(f"  {one.ratio:.3f} times the lower bound {duration(one.bound.seconds)} ({one.bound.why})")
    if one.closest is not None and one.closest.seconds:
        ratio = one.makespan / one.closest.seconds
        doc.line(
            f"  the nearest bound is {one.closest.name}, {duration(one.closest.seconds)} ({ratio:.3f} times):"
            f" {one.closest.why}"
        )
    doc.line(
        f"  idle while eligible: {duration(one.idle_while_eligible)} of workers,"
        f" {duration(one.idle_empty)} of it with no work at all"
    )
    doc.line(f"  copied: {bytes_text(one.bytes_copied)} in {one.copies} fetches and moves")
    if one.refused_for_space:
        doc.line(f"  {one.refused_for_space} tasks found no room where they were sent")
    doc.extend(stages(one))
    disks = [disk for disk in one.disks if disk.capacity and disk.peak]
    disks.sort(key=lambda disk: (-disk.peak / disk.capacity, disk.path))
    if disks:
        doc.extend(go_table(("Disk", "Peak", "Of", ""), [disk_row(disk) for disk in disks[:FULLEST]]))
    if len(disks) > FULLEST:
        doc.line(f"({len(disks) - FULLEST} more disks, less full)")
    return doc.spans


def stages(one: Report) -> list[Span]:
    header = ("Stage", "Tasks", "Failed", "Slots", "Waited", "Fetched", "Ran", "Used", "Idle")
    rows = [
        (
            row.stage,
            str(row.tasks),
            str(row.failed),
            "-" if row.slots is None else str(row.slots),
            duration(row.waited),
            duration(row.fetched),
            duration(row.ran),
            "-" if row.utilisation is None else f"{row.utilisation:.0%}",
            duration(row.idle),
        )
        for row in one.stages
    ]
    return go_table(header, rows)


def disk_row(disk: DiskReport) -> tuple[str, ...]:
    return (disk.path, bytes_text(disk.peak), bytes_text(disk.capacity), f"{disk.peak / disk.capacity:.0%}")


def fullest(one: Report) -> str:
    shares = [disk.peak / disk.capacity for disk in one.disks if disk.capacity]
    return f"{max(shares):.0%}" if shares else "-"


def suggested(view: Suggested) -> list[Span]:
    found = view.found
    doc = Doc()
    doc.line(
        f"{found.farm}: {found.before:.1f} sectors a day as it is, {found.after:.1f} with these caps"
        f" ({found.tried} settings simulated)"
    )
    for group in found.groups:
        if not group.flags:
            doc.line(f"{group.name}: leave the caps as they are")
            continue
        doc.line(f"{group.name}: lotus-worker run {' '.join(group.flags)}", "green")
        for why in group.why:
            doc.line(f"  {why}")
    for limit in found.limits:
        doc.line(limit)
    return doc.spans
