"""Which task types a worker may offer: flags, classes, and what its sealer can do. Caps of 0 are looked at later.

Source: Lotus ``cli/worker/worker.go``; the texts of the class check are Lotus's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lotus_sched_cli.core.tasks import ALWAYS_OFFERED, TaskType
from lotus_sched_cli.lotus.errors import UserError

from .options import RunOptions

#: Task types behind a flag that is on by default, in the order in which Lotus adds them.
_BY_FLAG: Final = {
    "addpiece": TaskType.ADD_PIECE,
    "precommit1": TaskType.PRECOMMIT1,
    "unseal": TaskType.UNSEAL,
    "precommit2": TaskType.PRECOMMIT2,
    "commit": TaskType.COMMIT2,
    "replica_update": TaskType.REPLICA_UPDATE,
    "prove_replica_update2": TaskType.PROVE_REPLICA_UPDATE2,
    "regen_sector_key": TaskType.REGEN_SECTOR_KEY,
}

_CLASSES: Final = {TaskType.WINDOW_POST: "WdPoSt", TaskType.WINNING_POST: "WinPost"}


@dataclass(frozen=True, slots=True)
class Choice:
    """What is offered, and one line for each thing that was asked for and cannot be had."""

    tasks: frozenset[TaskType]
    notes: tuple[str, ...]


def choose(options: RunOptions, able: frozenset[TaskType], sealer: str) -> Choice:
    """Raises UserError where classes are mixed, or where nothing that was asked for is left."""
    wanted, explicit = _wanted(options)
    _one_class(wanted)
    notes = [
        f"--{name.replace('_', '-')}: the sealer {sealer!r} cannot do {task.short} ({task}); it is not offered"
        for name, task in explicit.items()
        if task not in able
    ]
    if wanted[0] in _CLASSES and wanted[0] not in able:
        raise UserError(f"{notes[0]}; run without this flag, or with a sealer that can")
    tasks = frozenset(task for task in wanted if task in able)
    return Choice(tasks, tuple(notes))


def _wanted(options: RunOptions) -> tuple[list[TaskType], dict[str, TaskType]]:
    """The task types that the flags ask for, in Lotus's order, and those that a flag names explicitly."""
    explicit = {name: task for name, task in _BY_FLAG.items() if getattr(options, name)}
    if options.sector_download:
        explicit["sector_download"] = TaskType.DOWNLOAD_SECTOR
    post = {
        name: task
        for name, task in (("windowpost", TaskType.WINDOW_POST), ("winningpost", TaskType.WINNING_POST))
        if getattr(options, name)
    }
    if post:
        # the later flag decides what the worker is, as in Lotus
        last = list(post.values())[-1]
        rest = [task for task in (*explicit.values(), *post.values()) if task is not last]
        return [last, *rest], explicit | post
    if options.no_default:
        return [*sorted(ALWAYS_OFFERED), *explicit.values()], explicit
    tasks = [*sorted(ALWAYS_OFFERED), *explicit.values()]
    tasks += [task for name, task in _BY_FLAG.items() if getattr(options, name) is None and task not in tasks]
    data_cid = options.data_cid if options.data_cid is not None else options.addpiece is not False
    if data_cid:
        tasks.append(TaskType.DATA_CID)
    return tasks, explicit | ({"data_cid": TaskType.DATA_CID} if options.data_cid else {})


def _one_class(tasks: list[TaskType]) -> None:
    wanted = _CLASSES.get(tasks[0], "Sealing")
    for task in tasks[1:]:
        found = _CLASSES.get(task, "Sealing")
        if found != wanted:
            raise UserError(
                f"expected all task types to be for {wanted} worker, but task {task} is for {found} worker: "
                "start one worker for each class"
            )
