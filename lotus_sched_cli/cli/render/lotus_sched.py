"""``sealing sched-diag`` for people: queue, fleet, refusals, in aligned columns."""

from __future__ import annotations

from collections.abc import Sequence

from lotus_sched_cli.cli.views.sched import FleetLine, QueueLine, SchedTable
from lotus_sched_cli.lotus.units import go_age

from .spans import Doc, Span

STATES = {"ok": "", "offline": "red", "drain": "yellow"}


def sched_table(view: SchedTable) -> list[Span]:
    doc = Doc()
    if view.queue:
        _columns(
            doc, ("Queued", "Waiting", "Later", "Oldest", "Next", "Sector"), [_queue(q) for q in view.queue]
        )
    else:
        doc.line("no task waits")
    doc.line()
    if view.workers:
        header = ("Worker", "Hostname", "PC1", "Hold", "PC2", "C2", "Others", "State")
        rows = [_fleet(w) for w in view.workers]
        _columns(doc, header, rows, [STATES.get(w.state, "yellow") for w in view.workers])
    else:
        doc.line("no worker is registered", "red")
    if view.refusals:
        doc.line()
        for line in view.refusals:
            worker = line.worker
            who = f"{worker.hostname} ({worker.session[:8]})"
            reason = worker.text.rstrip(".")
            doc.line(f"{line.task} of sector {line.sector}: {who}: {reason}; takes it {worker.change}")
    return doc.spans


def _queue(line: QueueLine) -> tuple[str, ...]:
    age = "-" if line.age is None else go_age(line.age)
    return (line.task, str(line.waiting), str(line.delayed), age, line.first[:8], str(line.sector))


def _fleet(line: FleetLine) -> tuple[str, ...]:
    others = ",".join(f"{count} {task}" for task, count in line.others) or "-"
    hold = "-" if line.hold is None else _of(line.hold, line.hold_max, none="no limit")
    return (
        line.session[:8],
        line.hostname,
        _of(line.p1, line.p1_max),
        hold.replace(" ", "-"),
        _of(line.p2, line.p2_max),
        _of(line.c2, line.c2_max),
        others.replace(" ", "×"),
        line.state.replace(" ", ":"),
    )


def _of(count: int, most: int | None, none: str = "") -> str:
    """``3/7``. A hold cap of 0 is no limit."""
    if most is None or (most == 0 and none):
        return f"{count}/{none}" if none else str(count)
    return f"{count}/{most}"


def _columns(
    doc: Doc, header: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] | None = None
) -> None:
    widths = [max(len(row[i]) for row in (header, *rows)) + 2 for i in range(len(header))]
    for at, row in enumerate((header, *rows)):
        text = "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        doc.line(text, styles[at - 1] if styles and at else "")
