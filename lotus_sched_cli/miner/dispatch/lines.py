"""What the scheduler says in the miner's log, worded as the runbooks grep it (scheduling.md A8)."""

from __future__ import annotations

from datetime import UTC, datetime

from lotus_sched_cli.core.decisions import Assigned, FilesMissing, Refused, RestBegan, RestEnded
from lotus_sched_cli.core.tasks import FILE_TYPE_NAMES, FileType
from lotus_sched_cli.lotus.logs import get

log = get("advmgr")


def assigned(decision: Assigned, label: str) -> None:
    task = decision.task
    log.info(
        f"trySchedMine has sucessfully scheduled for sector {task.sector} taskType {task.type} to worker {label}"
    )


def refused(decision: Refused) -> None:
    task = decision.task
    # The windowed policy names the part of the scheduler that refused, as Lotus does.
    caller = decision.refusal.figures.get("caller", task.type.value)
    log.debug(
        f"sector {task.sector} sched: not scheduling on worker {decision.worker_label} for {caller}; "
        f"{decision.refusal.text}",
        behind=decision.behind,
    )


def rest_began(decision: RestBegan, label: str) -> None:
    log.warn(
        f"worker {label} rests from {decision.task}: {decision.failures} failures in a row; "
        f"next trial {clock_text(decision.until)}; last error: {decision.error}"
    )


def rest_ended(decision: RestEnded, label: str) -> None:
    log.info(f"worker {label} takes {decision.task} again")


def files_missing(decision: FilesMissing) -> None:
    task = decision.task
    what = f"sector {task.sector} {task.type}: no path declares the files it needs ({names(decision.types)})"
    if decision.lost:
        log.error(
            f"{what} since {clock_text(decision.since)}; the sector goes back to the step that makes them"
        )
    else:
        log.warn(f"{what}; workers are asked to declare theirs again")


def names(types: FileType) -> str:
    return ", ".join(FILE_TYPE_NAMES[t] for t in FileType(types).each())


def clock_text(at: float) -> str:
    """RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
