"""``sealing explain`` in words: a line for the task, a line for each worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from lotus_sched_cli.cli.views.explain import Explanation, RivalWhy, TaskWhy, WorkerWhy
from lotus_sched_cli.lotus.units import go_age, size_str

from .spans import Doc, Span

#: Reasons that are the same for many workers and need no line each.
TOGETHER: Final = "task-type"


def explanation(view: Explanation) -> list[Span]:
    doc = Doc()
    for at, row in enumerate(view.rows):
        if at:
            doc.line()
        _task(doc, row, view.now)
    return doc.spans


def _task(doc: Doc, row: TaskWhy, now: float) -> None:
    what = f"{row.task} of sector {row.sector} (task {row.task_id})"
    if row.state == "queued":
        since = "" if row.queued is None else f" for {go_age(now - row.queued)}"
        doc.line(f"{what} waits{since}, {_ahead(row)}", "yellow")
    elif row.state == "over":
        doc.line(f"{what} is over; it was on {_name(row.hostname, row.session)} last")
    else:
        since = "" if row.placed is None else f", placed {go_age(now - row.placed)} ago"
        doc.line(f"{what} is {row.state} on {_name(row.hostname, row.session)}{since}", "green")
    if row.last_seen is not None:
        doc.line(
            f"{row.hostname} is out of reach, last heartbeat {go_age(max(0.0, now - row.last_seen))} ago: the task is kept"
            " for it until [Storage] LostAfter has passed; sooner with lotus-miner sealing abort --force or sealing forget",
            "red",
        )
    if row.attempts:
        failed = f", last on {row.failed_on}" if row.failed_on else ""
        times = "once" if row.attempts == 1 else f"{row.attempts} times"
        why = " ".join(row.last_error.split())
        doc.line(f"tried {times}{failed}" + (f": {why}" if why else ""))
    if row.prefetch is not None:
        p = row.prefetch
        where, how = _name(p.hostname, p.session), "were" if p.done else "are being"
        since = "" if p.since is None else f", begun {go_age(now - p.since)} ago"
        doc.line(f"its files ({size_str(p.bytes)}) {how} fetched ahead to {where}{since}")
    for gone in row.absent:
        types = " and ".join(gone.types)
        seen = (
            "" if gone.last_seen is None else f", last heartbeat {go_age(max(0.0, now - gone.last_seen))} ago"
        )
        doc.line(
            f"its {types} lie with {_name(gone.hostname, gone.session)}, which is absent{seen}: {gone.change}",
            "red",
        )
    if row.state == "queued":
        _waits(doc, row)
    else:
        _placed(doc, row)


def _ahead(row: TaskWhy) -> str:
    if row.not_before is not None:
        return "and is tried again later"
    return f"{row.ahead} {row.task} before it" if row.ahead else f"the first {row.task} of the queue"


def _name(hostname: str, session: str) -> str:
    return f"{hostname} ({session[:8]})" if session else hostname


def _waits(doc: Doc, row: TaskWhy) -> None:
    if not row.workers:
        doc.line("no worker is registered", "red")
    for worker in row.workers:
        if worker.why != TOGETHER:
            doc.line(_against(worker))
    rest: dict[str, list[str]] = {}
    for worker in row.workers:
        if worker.why == TOGETHER:
            rest.setdefault(worker.change, []).append(worker.hostname)
    for change, names in rest.items():
        verb = "takes" if len(names) == 1 else "take"
        doc.line(f"{', '.join(names)}: no {row.task}; {verb} it {change}")


def _against(worker: WorkerWhy) -> str:
    who = _name(worker.hostname, worker.session)
    reason = worker.text.rstrip(".")
    return f"{who}: {reason}; takes it {worker.change}" if reason else f"{who}: takes it {worker.change}"


def _placed(doc: Doc, row: TaskWhy) -> None:
    words = list(reason_words(row.task, dict(row.reasons)))
    if words:
        doc.line(f"why there: {'; '.join(words)}")
    for rival in row.rivals:
        doc.line(f"also in question: {_name(rival.hostname, rival.session)}, {_rival(row.task, rival)}")


def _rival(task: str, rival: RivalWhy) -> str:
    words = [f"it carried {rival.carried:g}"]
    if rival.crowd is not None and task in CROWD:
        words.append(CROWD[task].format(rival.crowd))
    if rival.free_slots is not None:
        words.append(_slots(rival.free_slots))
    return ", ".join(words)


def _slots(free: int) -> str:
    return "no limit of slots" if free >= 1 << 29 else f"{free} slot{'' if free == 1 else 's'} free"


#: Rule 3's figure (scheduling.md A6) by task.
CROWD: Final = {
    "PC1": "its hold was filled to {:.0%}",
    "AP": "its hold was filled to {:.0%}",
    "PC2": "{:.3g} PC2 and C2 per GPU",
    "C2": "{:.3g} PC2 and C2 per GPU",
}
#: What rule 1 found, by task, where it found something.
FIRST: Final = {
    "PC2": "its slots are bound to what lies there",
    "C1": "the last step was there",
    "FIN": "the last step was there",
    "GET": "some of the files are there already",
}


def reason_words(task: str, reasons: Mapping[str, Any]) -> Iterator[str]:
    """The figures of a placement as words; what has no words of its own is told as it stands."""
    left = dict(reasons)
    if left.pop("by_hand", False):
        yield "assigned by hand"
    if "forced_over" in left:
        yield f"although: {left.pop('forced_over')}"
    if among := left.pop("in_question", 0):
        yield f"{among} in question"
    if left.pop("failed_here_last", False):
        yield "it failed there last, but nobody else had a slot"
    if left.pop("preference", None) == 0 and task in FIRST:
        yield FIRST[task]
    if "carried" in left:
        yield f"it carried {left.pop('carried'):g}"
    if "crowd" in left:
        crowd = left.pop("crowd")
        if task in CROWD:
            yield CROWD[task].format(crowd)
    if "to_fetch" in left:
        fetch = left.pop("to_fetch")
        yield f"{size_str(fetch)} to fetch" if fetch else "nothing to fetch"
    if "free_slots" in left:
        yield _slots(left.pop("free_slots"))
    if "prefetched" in left:
        how = "had been" if left.pop("prefetched") else "were being"
        left.pop("prefetching_since", None)
        yield f"its files {how} fetched there ahead"
    if "moved_for" in left:
        yield f"moved from worker {left.pop('moved_from')} to make room for task {left.pop('moved_for')}"
    if moved := left.pop("moved", 0):
        yield f"{moved} other tasks of the same pass made room for it"
    yield from (f"{name} {value}" for name, value in left.items())
