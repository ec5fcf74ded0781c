"""Why a task waits, or why it stands where it stands: values, and the words that an operator reads.

The policy judges (``Policy.judge``); what would have to change is told here. Nothing is kept for it but a placed task's reasons,
which its story holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from .decisions import Assigned, Refusal, Rival, Why
from .events import TaskEnded, TaskSpec, WorkerSpec
from .farm import Farm
from .ledger import Promised, promised
from .records import Task
from .story import StoryLine
from .tasks import ALLOWS, TaskType

#: Renders a time of the scheduler's clock, in seconds.
Clock = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Against:
    """One worker and a task that waits. ``refusal`` None: it takes the task in the next pass.

    ``change`` completes "it takes the task …".
    """

    worker_id: str
    refusal: Refusal | None
    change: str


@dataclass(frozen=True, slots=True)
class Explained:
    """``state`` is queued, bound, preparing, prepared, running or over.

    ``ahead`` tasks of its type wait before it; ``workers`` are judged for a queued task only. ``worker_id``, ``placed_at``
    and ``reasons`` (rule → figure) belong to the last placement, ``rivals`` were in question then. ``prefetch``: its files are
    fetched to the worker ``prefetched_to`` ahead of its turn.
    """

    task: TaskSpec
    state: str
    policy: str
    queued_at: float
    not_before: float = 0.0
    ahead: int = 0
    attempts: int = 0
    failed_on: str | None = None
    last_error: str = ""
    workers: tuple[Against, ...] = ()
    worker_id: str | None = None
    placed_at: float | None = None
    reasons: Mapping[str, Any] = field(default_factory=dict)
    rivals: tuple[Rival, ...] = ()
    prefetch: Promised | None = None
    prefetched_to: str | None = None


def explain(farm: Farm, task: Task, story: Sequence[StoryLine], now: float, clock: Clock) -> Explained:
    """Of a task that waits or is carried. ``clock`` words the times in the texts."""
    memory = task.memory
    place = placement(story)
    ahead, workers = 0, []
    if task.state == "queued":
        policy = farm.policy
        mine = policy.order(task)
        ahead = sum(
            other.waiting and other.spec.type is task.spec.type and policy.order(other) < mine
            for other in farm.tasks.values()
        )
        for worker in farm.workers.values():
            if worker.known:
                refusal = policy.judge(task, worker, now)
                workers.append(Against(worker.id, refusal, change(refusal, task.spec, worker.spec, clock)))
    return Explained(
        task.spec,
        task.state,
        farm.settings.policy,
        memory.queued_at,
        task.not_before,
        ahead,
        memory.attempts,
        memory.failed_on,
        memory.last_error,
        tuple(sorted(workers, key=_nearest)),
        None if task.worker is None else task.worker.id,
        *(place if task.worker is not None else (None, {}, ())),
        prefetch=promised(task),
        prefetched_to=None if task.promise is None else task.promise.worker.id,
    )


def explain_past(story: Sequence[StoryLine], policy: str) -> Explained | None:
    """Of a task that has left the scheduler, as its story tells; None if that tells too little."""
    assigned = [line for line in story if isinstance(line.data, Assigned)]
    if not assigned:
        return None
    last = assigned[-1]
    assert isinstance(last.data, Assigned)
    ends = [line.data.error for line in story if isinstance(line.data, TaskEnded)]
    return Explained(
        last.data.task,
        "over",
        policy,
        story[0].time,
        attempts=len(assigned),
        last_error=ends[-1] if ends else "",
        worker_id=last.data.worker_id,
        placed_at=last.time,
        reasons=_without_rivals(last.data.reasons),
        rivals=rivals_of(last.data.reasons),
    )


def placement(story: Sequence[StoryLine]) -> tuple[float | None, Mapping[str, Any], tuple[Rival, ...]]:
    """When the task was placed last, why there, and who else was in question."""
    for line in reversed(story):
        if isinstance(line.data, Assigned):
            reasons = line.data.reasons
            return line.time, _without_rivals(reasons), rivals_of(reasons)
    return None, {}, ()


def rivals_of(reasons: Mapping[str, Any]) -> tuple[Rival, ...]:
    """Who else was in question: an id with the rank as it was, or with what it carried where that decided."""
    found: dict[str, Rival] = {}
    for worker_id, rank in reasons.get("rivals", ()):
        if isinstance(rank, tuple):
            carried, crowd, (taken, *_) = rank
            carried = carried[1] if isinstance(carried, tuple) else carried
            found[worker_id] = Rival(worker_id, carried, crowd, -taken)
        else:
            found[worker_id] = Rival(worker_id, rank)
    return tuple(found.values())


def _without_rivals(reasons: Mapping[str, Any]) -> dict[str, Any]:
    return {name: figure for name, figure in reasons.items() if name != "rivals"}


def _nearest(one: Against) -> tuple[int, str]:
    """Those first that stand nearest to taking it: the later in A4's order the reason, the nearer."""
    order = list(Why)
    return (-1 if one.refusal is None else -order.index(one.refusal.why), one.worker_id)


# -- what would have to change ----------------------------------------------------------------------------------------

_FLAG: Final = {
    Why.PRECOMMIT1_MAX: ("P1", "precommit1max"),
    Why.PRECOMMIT2_MAX: ("P2", "precommit2max"),
    Why.COMMIT2_MAX: ("C2", "commit2max"),
}
#: What 'lotus-worker tasks' switches, as in Lotus.
_SWITCHED: Final = frozenset(
    {
        TaskType.ADD_PIECE,
        TaskType.DATA_CID,
        TaskType.PRECOMMIT1,
        TaskType.PRECOMMIT2,
        TaskType.COMMIT2,
        TaskType.UNSEAL,
        TaskType.REPLICA_UPDATE,
        TaskType.PROVE_REPLICA_UPDATE2,
        TaskType.REGEN_SECTOR_KEY,
    }
)
_GIB: Final = 1 << 30


def change(refusal: Refusal | None, task: TaskSpec, worker: WorkerSpec, clock: Clock) -> str:
    """Completes "it takes the task …"."""
    if refusal is None:
        return "in the next pass"
    f = refusal.figures
    match refusal.why:
        case Why.PRECOMMIT1_MAX | Why.PRECOMMIT2_MAX | Why.COMMIT2_MAX:
            kind, flag = _FLAG[refusal.why]
            return (
                f"when {_one_of(f['in_use'] - f['max'] + 1, f['in_use'], kind)}, or {_raised(flag, worker)}"
            )
        case Why.PRECOMMIT1_HOLD:
            leave = "is" if f["in_use"] == f["max"] else f"and {f['in_use'] - f['max']} more are"
            return (
                f"when one of the {f['in_use']} sectors that it holds {leave} fetched away or finalized,"
                f" or {_raised('precommit1holdmax', worker)}"
            )
        case Why.TASK_LIMIT:
            return (
                f"when {_one_of(1, f['in_use'], task.type.short)}, or its limit of {f['max']} is raised"
                " (MaxConcurrent of its resource table, or its cap)"
            )
        case Why.OFFLINE:
            return "when it answers again"
        case Why.DRAINING:
            return f"after lotus-miner sealing undrain {worker.name}"
        case Why.RESTING:
            if f.get("trial"):
                return f"when its trial, task {f['trial']}, succeeds"
            return f"as a trial at {clock(f['until'])}, or at once after lotus-miner sealing end-rest {worker.name}"
        case Why.TASK_TYPE:
            kind_of = task.type.kind
            if kind_of is not None and worker.caps.of(kind_of) == 0:
                # A worker that knows caps takes the type off its offer then.
                flag = _flag_of(task.type)
                return f"when {flag} is raised from 0 (lotus-miner sealing caps set {worker.name} {flag}=…)"
            short = task.type.short
            if worker.builtin:
                key = next((key for key, types in ALLOWS.items() if task.type in types), None)
                if key is not None:
                    return f"only if [Storage] {key} = true in the miner's config.toml, and the miner is started anew"
            elif task.type in _SWITCHED:
                return f"only if it offers {short} (lotus-worker tasks enable {short}, or started so)"
            return f"only if it is started anew with {short} among its tasks"
        case Why.STORAGE:
            return "only if the files come to its paths, or its paths' groups and types allow them"
        case Why.SPACE:
            if f.get("refused_until_report"):
                return "after its next report of space: it said that it has none"
            return f"when {_gib(f['need'] - f['free'])} more are free on one of its paths ({_gib(f['need'])} needed)"
        case Why.NO_FILES:
            return "when a path declares the files; after ten minutes the sector goes back to the step that makes them"
        case Why.RETRY_LATER | Why.STARTING | Why.PRECOMMIT1_INTERVAL:
            return f"at {clock(f['until'])} at the earliest"
        case Why.BOUND_P1 | Why.BOUND_P2 | Why.BOUND_C2:
            return f"only if its files come to its own paths, or {_BOUND_FLAG[refusal.why]} is taken off"
        case Why.P2_BESIDE_C2:
            return "when its C2 ends, or AllowP2C2Parallel is set"
        case Why.C2_BESIDE_P2:
            return "when its P2 ends, or AllowP2C2Parallel is set"
        case Why.PREFETCHED:
            return f"if {f['worker']} has not begun it by {clock(f['until'])}"
        case Why.MEMORY | Why.VIRTUAL_MEMORY | Why.THREADS | Why.GPU:
            return "when what it runs has left enough of that free"
        case Why.WINDOWS:
            return "when it opens a window: after a task of its windows has started"
        case Why.IN_WINDOW:
            return "no more: the windowed scheduler has assigned it elsewhere"
        case Why.NOT_PREFERRED:
            return "if the preferred workers cannot"
    return "when that has changed"


_BOUND_FLAG: Final = {
    Why.BOUND_P1: "ForceP1FromLocalAP",
    Why.BOUND_P2: "--forcep2fromlocalp1",
    Why.BOUND_C2: "ForceC2FromLocalP2",
}


def _one_of(ends: int, carried: int, kind: str) -> str:
    if ends <= 1:
        return f"one of its {carried} {kind} ends" if carried != 1 else f"its {kind} ends"
    return f"{ends} of its {carried} {kind} end"


def _raised(flag: str, worker: WorkerSpec) -> str:
    """A stock worker's caps are kept at the miner."""
    if worker.cap_aware:
        return f"--{flag} is raised"
    return f"{flag} is raised (lotus-miner sealing caps set {worker.name} {flag}=…)"


def _flag_of(kind: TaskType) -> str:
    flags = {
        TaskType.PRECOMMIT1: "precommit1max",
        TaskType.PRECOMMIT2: "precommit2max",
        TaskType.COMMIT2: "commit2max",
    }
    return flags[kind]


def _gib(size: int) -> str:
    if size < _GIB:
        return f"{max(1, -(-size // (1 << 20)))} MiB"
    return f"{size / _GIB:.4g} GiB"
