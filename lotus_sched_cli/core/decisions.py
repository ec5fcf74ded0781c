"""What the scheduler answers: decisions with their reasons as data. Texts are rendered from these, never stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from .events import TaskSpec
from .tasks import FileType, TaskType


class Why(StrEnum):
    """The first thing that stands against a worker for a task, in the order of scheduling.md A4."""

    OFFLINE = "offline"
    DRAINING = "draining"
    RESTING = "resting"
    TASK_TYPE = "task-type"
    STORAGE = "storage"
    SPACE = "space"
    NO_FILES = "no-files"
    PRECOMMIT1_MAX = "precommit1-max"
    PRECOMMIT2_MAX = "precommit2-max"
    COMMIT2_MAX = "commit2-max"
    TASK_LIMIT = "task-limit"
    PRECOMMIT1_HOLD = "precommit1-hold"
    BOUND_P2 = "p2-from-local-p1"
    BOUND_P1 = "p1-from-local-ap"
    BOUND_C2 = "c2-from-local-p2"
    PRECOMMIT1_INTERVAL = "precommit1-interval"
    P2_BESIDE_C2 = "p2-beside-c2"
    C2_BESIDE_P2 = "c2-beside-p2"
    PREFETCHED = "prefetched"
    RETRY_LATER = "retry-later"
    # Of the windowed policy only (scheduling.md B1-B5).
    MEMORY = "memory"
    VIRTUAL_MEMORY = "virtual-memory"
    THREADS = "threads"
    GPU = "gpu"
    NOT_PREFERRED = "not-preferred"
    WINDOWS = "windows"
    IN_WINDOW = "in-window"
    STARTING = "starting"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one worker does not take one task; ``figures`` are plain JSON values (need, in_use, max, until, …)."""

    why: Why
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The part after the semicolon in the log line (scheduling.md A8)."""
        f = self.figures
        match self.why:
            case Why.OFFLINE:
                return "Maybe it's offline."
            case Why.DRAINING:
                return "It plans offline maintenance"
            case Why.RESTING:
                return f"it rests from {f['task']} after {f['failures']} failures, next trial at {f['until']}"
            case Why.TASK_TYPE:
                return "it does not offer this task type"
            case Why.STORAGE:
                return f"no storage path of it may take or fetch the files ({f['types']})"
            case Why.NO_FILES:
                return f"no path declares the files ({f['types']})"
            case Why.SPACE:
                return f"not enough space, {f['need']} need, {f['free']} free"
            case Why.PRECOMMIT1_MAX:
                return _quota("PreCommit1", "PreCommit1Max", f)
            case Why.PRECOMMIT2_MAX:
                return _quota("PreCommit2", "PreCommit2Max", f)
            case Why.COMMIT2_MAX:
                return _quota("Commit2", "Commit2Max", f)
            case Why.TASK_LIMIT:
                return f"at task limit tt={f['task']}, curcount={f['in_use']}"
            case Why.PRECOMMIT1_HOLD:
                return (
                    f"not enough PreCommit1Hold quota, {f['in_use']} in use, PreCommit1HoldMax is {f['max']}"
                )
            case Why.BOUND_P2:
                return "It only receives P2 from the local P1."
            case Why.BOUND_P1:
                return "It only receives P1 from the local AP."
            case Why.BOUND_C2:
                return "It only receives C2 from the local P2."
            case Why.PRECOMMIT1_INTERVAL:
                return f"it starts a PreCommit1 every {f['interval']:g}s at most, the next at {f['until']}"
            case Why.P2_BESIDE_C2:
                return "It already has a C2 running and does not receive P2 task"
            case Why.C2_BESIDE_P2:
                return "It already has a P2 running and does not receive C2 task"
            case Why.PREFETCHED:
                return f"its files are fetched to {f['worker']}, where it starts sooner, about {f['until']}"
            case Why.RETRY_LATER:
                return f"it waits to be tried again until {f['until']}"
            case Why.NOT_PREFERRED:
                return "another worker has some of the files in long-term storage already"
            case Why.WINDOWS:
                return f"no window of it is open, {f['waiting']} tasks wait in its windows"
            case Why.IN_WINDOW:
                return f"it is in window {f['window']} of worker {f['worker']}"
            case Why.STARTING:
                return f"nothing is assigned before {f['until']}"
            case _:
                return _resources(self.why, f)


def _resources(why: Why, f: Mapping[str, Any]) -> str:
    """As Lotus words it; ``available`` is what its release of 2020 left out."""
    mib = 1 << 20
    end = "" if f.get("release") == 2020 else " available"
    match why:
        case Why.MEMORY:
            return f"not enough physical memory - need: {f['need'] // mib}M, have {f['have'] // mib}M{end}"
        case Why.VIRTUAL_MEMORY:
            return f"not enough virtual memory - need: {f['need'] // mib}M, have {f['have'] // mib}M{end}"
        case Why.THREADS:
            return f"not enough threads, need {f['need']}, {f['in_use']} in use, target {f['max']}"
        case _:
            return "GPU in use" if f.get("release") == 2020 else "GPU(s) in use"


def _quota(kind: str, key: str, f: Mapping[str, Any]) -> str:
    return f"not enough {kind} quota, 1 need, {f['in_use']} in use, {key} is {f['max']}"


class Laid(NamedTuple):
    """Files that a task is expected to put on a path."""

    path_id: str
    types: FileType
    bytes: int


class Rival(NamedTuple):
    """A worker that was in question, too, for a task: its figures of A6's rules 2, 3 and 5 as they were then.

    The last two are None where the first has decided already.
    """

    worker_id: str
    carried: float
    crowd: float | None = None
    free_slots: int | None = None


class Decision:
    """Anything in ``Plan.decisions``."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Assigned(Decision):
    """Bind this task to this worker now.

    ``fetch`` are the types that its own paths lack and that the prepare step must bring (NONE: no Fetch call).
    ``path_type`` and ``laid`` say where they and the task's outputs are expected. ``reasons`` tell the choice:
    rule → figures, with the number of workers that were in question and, as ``rivals``, some of the next best (raw;
    ``explain.rivals_of`` makes `Rival` of them). ``waits``: once its files are there the task is
    told as TaskPrepared, and its own call is made when ``Start`` comes.
    """

    task: TaskSpec
    worker_id: str
    fetch: FileType
    laid: tuple[Laid, ...] = ()
    reasons: Mapping[str, Any] = field(default_factory=dict)
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Start(Decision):
    """The turn of a prepared task has come: make its own call now."""

    task: TaskSpec
    worker_id: str


@dataclass(frozen=True, slots=True)
class Prefetch(Decision):
    """Fetch these types of a waiting P2 to the worker ahead of its turn; the source stays until the P2 is bound there.

    ``laid`` says where they are expected.
    """

    task: TaskSpec
    worker_id: str
    fetch: FileType
    laid: tuple[Laid, ...]


@dataclass(frozen=True, slots=True)
class PrefetchOver(Decision):
    """The promise is off: end the fetch, and remove from the worker what it has brought. ``why`` is for people."""

    task: TaskSpec
    worker_id: str
    why: str


@dataclass(frozen=True, slots=True)
class Refused(Decision):
    """To be logged: the oldest waiting task of its type, ``behind`` tasks of the type wait behind it."""

    task: TaskSpec
    worker_id: str
    worker_label: str
    refusal: Refusal
    behind: int


@dataclass(frozen=True, slots=True)
class RestBegan(Decision):
    """To be warned of once: this worker takes no more of this type until ``until``, then one as a trial."""

    worker_id: str
    task: TaskType
    failures: int
    until: float
    error: str


@dataclass(frozen=True, slots=True)
class RestEnded(Decision):
    worker_id: str
    task: TaskType


@dataclass(frozen=True, slots=True)
class FilesMissing(Decision):
    """No path has declared the files that this queued task needs.

    First said when it begins (``lost`` False: ask the workers to declare again), and once more after ten minutes
    (``lost`` True: an error; the sector goes back to the step that makes them and the task is removed by the driver).
    """

    task: TaskSpec
    types: FileType
    since: float
    lost: bool


@dataclass(frozen=True, slots=True)
class HandRefused(Decision):
    """`AssignByHand` was not done: the refusal stands against it, None: the task does not wait any more."""

    task_id: str
    worker_id: str
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer to a batch of events: what to do, and when to call again though nothing happened (None: never)."""

    decisions: tuple[Decision, ...]
    wake: float | None
