"""Views in Lotus's layout, as coloured spans: what `plain` writes as it stands and `rich` builds on.

Every function takes a view and gives a document; `DOCUMENTS` finds it by the view's class. Our own lines follow
Lotus's lines of a block.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from lotus_sched_cli.cli.views.info import MinerInfo, WorkerSelf
from lotus_sched_cli.cli.views.jobs import Job, Jobs
from lotus_sched_cli.cli.views.states import color_of
from lotus_sched_cli.cli.views.text import Diagnosis, Lines, Pledged
from lotus_sched_cli.cli.views.workers import Rest, Sched, Worker, Workers
from lotus_sched_cli.lotus.units import go_age, size_str

from .lotus_sectors import sector_list, sector_status
from .lotus_storage import found_files, storage_list, use_text
from .spans import Doc, Span, go_table, load_bar

JOB_HEADER: Final = ("ID", "Sector", "Worker", "Hostname", "Task", "State", "Time")


def jobs(view: Jobs) -> list[Span]:
    return go_table(JOB_HEADER, [job_cells(job) for job in view.rows])


def job_cells(job: Job) -> tuple[str, ...]:
    age = "n/a" if job.age is None else go_age(job.age)
    return job.id[:8], str(job.sector), job.worker[:8], job.hostname, job.task, job.state, age


def workers(view: Workers) -> list[Span]:
    doc = Doc()
    for worker in view.rows:
        worker_block(doc, worker)
    return doc.spans


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
    doc.add(f"\tRunning: {counts(s.running)} | Preparing: {counts(s.preparing)} | Held: {hold}{failed}")
    if w.overcommitted:
        doc.add(" | ").add(f"Over-committed: {', '.join(w.overcommitted)}", "yellow")
    if s.drain:
        doc.add(" | ").add("Drained", "yellow")
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


def miner_info(view: MinerInfo) -> list[Span]:
    doc = Doc().line(f"Enabled subsystems: [{' '.join(view.subsystems)}]")
    if view.start is not None and view.age is not None:
        began = datetime.fromtimestamp(view.start, UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
        doc.line(f"StartTime: {go_age(float(int(view.age)))} (started at {began})")
    if view.chain:
        doc.add("Chain: [").add("simulated", "yellow")
        epoch = "" if view.chain.head is None else f"epoch {view.chain.head}, "
        proofs = f" [proofs {view.chain.proofs}]" if view.chain.proofs else ""
        doc.line(f"] [{epoch}one every {view.chain.block_delay:g}s]{proofs}")
    if view.alerts:
        doc.add(f"⚠ {view.alerts} Active alerts", "red").add(" (check ")
        doc.add("lotus-miner log alerts", "yellow").line(")")
    doc.add("Miner: ").add(view.actor, "blue")
    doc.line(f" ({size_str(view.sector_size)} sectors)" if view.sector_size else "")
    if view.states is not None:
        doc.line().line("Sectors:")
        doc.add(f"\tTotal: {sum(count for _, count in view.states)}\n", "default")
        for state, count in view.states:
            doc.add(f"\t{state}: {count}\n", color_of(state))
    doc.line()
    doc.line(
        f"Workers: Seal({view.seal_workers}) WdPoSt({view.window_workers}) WinPoSt({view.winning_workers})"
    )
    return doc.spans


def worker_self(view: WorkerSelf) -> list[Span]:
    doc = Doc().line(f"Worker version:  {view.api_version}").line(f"CLI version: {view.cli_version}").line()
    doc.line(f"Session: {view.session}").line(f"Enabled: {'true' if view.enabled else 'false'}")
    doc.line(f"Hostname: {view.hostname}").line(f"CPUs: {view.cpus}; GPUs: [{' '.join(view.gpus)}]")
    doc.line(
        f"RAM: {size_str(view.mem_used)}/{size_str(view.mem_physical)};"
        f" Swap: {size_str(view.mem_swap_used)}/{size_str(view.mem_swap)}"
    )
    doc.line("Task types: " + "".join(f"{task} " for task in view.tasks)).line()
    for path in view.paths:
        doc.line(f"{path.id}:")
        use = use_text(path.can_seal, path.can_store)
        doc.line(f"\tWeight: {path.weight}; Use: {use or 'ReadOnly'}").line(f"\tLocal: {path.local}")
    return doc.spans


def lines(view: Lines) -> list[Span]:
    return [(f"{line}\n", "") for line in view.lines]


def pledged(view: Pledged) -> list[Span]:
    """Lotus's line has two blanks."""
    return [(f"Created CC sector:  {view.number}\n", "")]


def diagnosis(view: Diagnosis) -> list[Span]:
    """Go's ``json.MarshalIndent`` of a generic map: keys sorted, ``<>&`` escaped."""
    text = json.dumps(view.data, indent=2, sort_keys=True, ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return [(text + "\n", "")]


def document_of(view: object) -> list[Span]:
    """The view in Lotus's layout."""
    return DOCUMENTS[type(view).__name__](view)


DOCUMENTS: Final[dict[str, Callable[[Any], list[Span]]]] = {
    "Jobs": jobs,
    "Workers": workers,
    "SectorList": sector_list,
    "SectorStatus": sector_status,
    "StorageList": storage_list,
    "FoundFiles": found_files,
    "MinerInfo": miner_info,
    "WorkerSelf": worker_self,
    "Lines": lines,
    "Pledged": pledged,
    "Diagnosis": diagnosis,
}
