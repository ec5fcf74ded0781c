"""``sealing workers`` in Lotus's layout, then our own lines."""

from __future__ import annotations

import time

from lotus_sched_cli.cli.views.workers import Absent, Rest, Sched, Worker, Workers
from lotus_sched_cli.lotus.units import go_age, size_str

from .spans import Doc, Span, load_bar


def workers(view: Workers) -> list[Span]:
    doc = Doc()
    for worker in view.rows:
        worker_block(doc, worker)
    for gone in view.absent:
        absent_line(doc, gone)
    return doc.spans


def absent_line(doc: Doc, gone: Absent) -> None:
    """Ours; without the words that runbooks count."""
    seen = "" if gone.last_seen is None else f", last heartbeat {ago(gone.last_seen)}"
    doc.line(
        f"Absent: {gone.hostname} ({gone.session[:8]}, number {gone.number}){seen}, carries {counts(gone.carried)}",
        "red",
    )


def ago(at: float) -> str:
    return f"{go_age(max(0.0, time.time() - at))} ago"


def worker_block(doc: Doc, w: Worker) -> None:
    doc.add(f"Worker {w.session}, host ").add(w.hostname, "magenta")
    if not w.enabled:
        doc.add(" (disabled)", "red")
    doc.add("\n")
    if w.tasks:
        task_line(doc, w)
    doc.add("\tCPU:  [").extend(load_bar(w.cpus, 0, w.cpu_use))
    doc.line(f"] {w.cpu_use}/{w.cpus} core(s) in use")
    memory_lines(doc, w)
    if w.gpus:
        gpu_lines(doc, w)
    if w.sched:
        sched_lines(doc, w, w.sched)


def task_line(doc: Doc, w: Worker) -> None:
    doc.add("\tTASK: ")
    for row in w.tasks:
        color = "cyan" if row.limit == 0 else "green" if row.count < row.limit else "yellow"
        doc.add(row.task, "blue").add("(").add(str(row.count), color)
        doc.add(f"/{row.limit}) " if row.limit else ") ")
    doc.add("\n")


def memory_lines(doc: Doc, w: Worker) -> None:
    """The text of RAM adds tasks and used memory, as Lotus's does, so it may exceed what bar and percent show."""
    reserved = max(0, w.mem_used - w.mem_used_min)
    total, tasks = w.mem_physical, w.mem_used_min
    doc.add("\tRAM:  [").extend(load_bar(total, reserved, tasks))
    doc.line(f"] {percent(tasks + reserved, total)}% {size_str(tasks + w.mem_used)}/{size_str(total)}")
    used = w.mem_used + w.mem_swap_used
    total, tasks = w.mem_physical + w.mem_swap, w.mem_used_max
    reserved = max(0, used - tasks)
    doc.add("\tVMEM: [").extend(load_bar(total, reserved, tasks))
    doc.line(f"] {percent(tasks + reserved, total)}% {size_str(tasks + reserved)}/{size_str(total)}")


def percent(part: int, total: int) -> int:
    """Go's integer division; 0 of nothing (where Lotus's command crashes)."""
    return part * 100 // total if total else 0


def gpu_lines(doc: Doc, w: Worker) -> None:
    count = len(w.gpus)
    bar = "".join(text for text, _ in load_bar(count, 0, w.gpu_used))
    doc.add("\tGPU:  [").add(bar, "green")
    doc.line(f"] {w.gpu_used * 100 / count:.0f}% {w.gpu_used:.2f}/{count} gpu(s) in use")
    for name in w.gpus:
        doc.add("\tGPU: ")
        doc.line(f"{name}, used", "green") if w.gpu_used > 0 else doc.line(f"{name}, not used", "blue")


def sched_lines(doc: Doc, w: Worker, s: Sched) -> None:
    """Ours. Runbooks count the words ``Worker`` and ``host`` of a listing: neither may stand in here."""
    doc.line(f"\tTypes: [{','.join(s.types)}]")
    c = s.caps
    doc.line(
        f"\tPreCommit1Max: {c.precommit1_max} PreCommit1HoldMax: {c.precommit1_hold_max}"
        f" PreCommit2Max: {c.precommit2_max} Commit2Max: {c.commit2_max}"
        f" ForceP2FromLocalP1: {'true' if c.force_p2_from_local_p1 else 'false'}"
    )
    hold = f"{s.held}/{c.precommit1_hold_max}" if c.precommit1_hold_max else str(s.held)
    failed = f" ({s.held_failed} failed for good)" if s.held_failed else ""
    ahead = f" | Prefetching: {s.prefetching} PC2" if s.prefetching else ""
    doc.add(
        f"\tRunning: {counts(s.running)} | Preparing: {counts(s.preparing)}{ahead} | Held: {hold}{failed}"
    )
    if w.overcommitted:
        doc.add(" | ").add(f"Over-committed: {', '.join(w.overcommitted)}", "yellow")
    if not w.enabled and s.last_seen is not None:
        doc.add(" | ").add(f"Last heartbeat: {ago(s.last_seen)}", "red")
    if s.drain:
        doc.add(" | ").add("Drained of new sectors" if s.drain == "sectors" else "Drained", "yellow")
    for rest in s.rests:
        doc.add(" | ").add(rest_text(rest), "red")
    doc.add("\n")


def counts(rows: tuple[tuple[str, int], ...]) -> str:
    """``2 PC1, 1 PC2``."""
    return ", ".join(f"{count} {task}" for task, count in rows) or "none"


def rest_text(rest: Rest) -> str:
    until = "" if rest.until is None else f" until {time.strftime('%H:%M:%S', time.localtime(rest.until))}"
    error = " ".join(rest.last_error.split()).replace("Worker", "worker").replace("host", "HOST")
    return f"Rests: {rest.task}{until}" + (f" ({error})" if error else "")
