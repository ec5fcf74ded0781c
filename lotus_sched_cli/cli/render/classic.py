"""The tables of the 2020 releases, which the runbooks of that time read: ``sealing jobs`` and ``workers`` as 0.8.1 printed
them (with the lines of the modified builds), ``sectors list`` as 0.8.0 did. Other views look like `plain`.

Sources: Lotus v0.8.1 ``cmd/lotus-storage-miner/sealing.go``, v0.8.0 ``cmd/lotus-storage-miner/sectors.go``.
"""

from __future__ import annotations

from typing import Final

from lotus_sched_cli.cli.views.jobs import Job, Jobs
from lotus_sched_cli.cli.views.sectors import SectorList, SectorRow
from lotus_sched_cli.cli.views.wire import NIL_UUID
from lotus_sched_cli.cli.views.workers import Worker, Workers
from lotus_sched_cli.lotus.units import go_age, size_str

from . import plain
from .spans import Doc, Span, ansi_of, go_table, tab_writer, text_of

JOB_HEADER: Final = ("ID", "Sector", "Worker", "Hostname", "Task", "State", "Time")
COLS: Final = 64


def render(view: object, *, color: bool) -> str:
    """The text of a view; with Go's colour codes where ``color``."""
    if isinstance(view, Jobs):
        spans = jobs(view)
    elif isinstance(view, Workers):
        spans = workers(view)
    elif isinstance(view, SectorList):
        spans = sector_list(view)
    else:
        return plain.render(view, color=color)
    return ansi_of(spans) if color else text_of(spans)


# --- jobs ----------------------------------------------------------------------------------------------------------


def jobs(view: Jobs) -> list[Span]:
    numbers = positions([job.worker for job in view.rows])
    seen: dict[str, int] = {}
    rows = []
    for job in view.rows:
        place = seen[job.worker] = seen.get(job.worker, -1) + 1
        rows.append(job_cells(job, numbers, place))
    return go_table(JOB_HEADER, rows)


def job_cells(job: Job, numbers: dict[str, int], place: int) -> tuple[str, ...]:
    """A stock miner tells no numbers: then jobs and workers count as they are listed."""
    age = go_age(job.age or 0.0)
    if job.state == "queued":
        return job.id[:8], str(job.sector), "-", job.hostname, job.task.ljust(3), job.state, age
    number = place if job.number is None else job.number
    worker = numbers[job.worker] if job.worker_number is None else job.worker_number
    state, shown = job.state, str(number)
    if state.startswith("assigned("):
        state, shown = f"assigned({int(state[9:-1]) - 1})", "0"
    return shown, str(job.sector), str(worker), job.hostname, job.task.ljust(3), state, age


def positions(sessions: list[str]) -> dict[str, int]:
    """Workers of a stock miner, numbered in the order of their sessions."""
    known = sorted({session for session in sessions if session != NIL_UUID})
    return {NIL_UUID: 0} | {session: place for place, session in enumerate(known)}


# --- workers -------------------------------------------------------------------------------------------------------


def workers(view: Workers) -> list[Span]:
    doc = Doc()
    numbered = [(w.sched.number if w.sched else place, w) for place, w in enumerate(view.rows)]
    for number, worker in sorted(numbered, key=lambda pair: pair[0]):
        worker_block(doc, number, worker)
    return doc.spans


def worker_block(doc: Doc, number: int, w: Worker) -> None:
    doc.add(f"Worker {number}, host ").add(w.hostname, "magenta")
    doc.add(" (disabled)" if not w.enabled else "", "red" if not w.enabled else "").line()
    cores = "|" * share(w.cpu_use, w.cpus)
    doc.add("\tCPU:  [").add(cores, "green").line(f"{' ' * (COLS - len(cores))}] {w.cpu_use} core(s) in use")
    reserved = w.mem_used + w.mem_swap_used
    memory_line(doc, "RAM: ", reserved, w.mem_used_min, w.mem_physical)
    memory_line(doc, "VMEM:", reserved, w.mem_used_max, w.mem_physical + w.mem_swap)
    for name in w.gpus:
        doc.add("\tGPU: ")
        doc.line(f"{name}, used", "green") if w.gpu_used > 0 else doc.line(f"{name}, not used", "blue")
    if w.sched:
        c = w.sched.caps
        doc.line(f"\tTypes: [{','.join(w.sched.types)}]")
        doc.line(
            f"\tPreCommit1Max: {c.precommit1_max} PreCommit1HoldMax: {c.precommit1_hold_max}"
            f" PreCommit2Max: {c.precommit2_max} Commit2Max: {c.commit2_max}"
            f" ForceP2FromLocalP1: {'true' if c.force_p2_from_local_p1 else 'false'}"
        )


def memory_line(doc: Doc, label: str, reserved: int, tasks: int, total: int) -> None:
    yellow, green = "|" * share(reserved, total), "|" * share(tasks, total)
    used = reserved + tasks
    percent = used * 100 // total if total else 0
    doc.add(f"\t{label} [").add(yellow, "yellow").add(green, "green")
    blanks = " " * max(0, COLS - len(yellow) - len(green))
    doc.line(f"{blanks}] {percent}% {size_str(used)}/{size_str(total)}")


def share(part: int, total: int) -> int:
    """Columns of a bar, cut (0.8.1 divides whole numbers)."""
    return part * COLS // total if total else 0


# --- sectors -------------------------------------------------------------------------------------------------------


def sector_list(view: SectorList) -> list[Span]:
    return [(tab_writer([sector_cells(row) for row in view.rows], least=8, padding=1), "")]


def sector_cells(row: SectorRow) -> list[str]:
    if row.error:
        return [f"{row.number}:", f"Error: {row.error}"]
    return [
        f"{row.number}: {row.state}",
        f"sSet: {'YES' if row.on_chain else 'NO'}",
        f"active: {'YES' if row.active else 'NO'}",
        f"tktH: {row.ticket_epoch if row.precommit1_done else 0}",
        f"seedH: {row.seed_epoch}",
        f"deals: [{' '.join(str(deal) for deal in row.deal_ids)}]",
        " toUpgrade:false",
    ]
