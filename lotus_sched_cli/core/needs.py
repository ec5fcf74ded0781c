"""Which sector files a task needs and where (scheduling.md B4), as data.

Source: Lotus ``storage/sealer/manager.go`` (the selector that each step hands to the scheduler).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from .events import TaskSpec
from .tasks import FileType, PathType, TaskType

#: Masks of file types as plain numbers: operations on IntFlag are ten times slower, and these run in every pass.
NONE: Final = 0
UNSEALED, SEALED, CACHE = int(FileType.UNSEALED), int(FileType.SEALED), int(FileType.CACHE)
UPDATE, UPDATE_CACHE = int(FileType.UPDATE), int(FileType.UPDATE_CACHE)
P1_OUTPUT: Final = CACHE | SEALED


class Selector(Enum):
    """How a worker's storage is looked at."""

    #: Any worker that offers the type.
    TASK = "task"
    #: Its sealing paths must have room for, and be allowed, what the task makes.
    ALLOC = "alloc"
    #: One of ``key`` must lie on one of its paths.
    EXISTING = "existing"
    #: Paths that hold, or may fetch, must together be allowed all of ``key``.
    FETCH = "fetch"
    #: A storage path of it must have room for what it lacks.
    MOVE = "move"


#: The same as plain names: Python 3.11 takes 200 ns to look a member up on its class, and a pass asks for many.
SELECT_TASK, SELECT_ALLOC, SELECT_EXISTING, SELECT_FETCH, SELECT_MOVE = Selector


@dataclass(frozen=True, slots=True)
class Needs:
    """``key`` are the types that the selector asks for; ``inputs`` must exist somewhere and are brought if the worker
    lacks them; ``makes`` are written by the task. Path type and selector as Lotus has them."""

    selector: Selector
    key: int = NONE
    inputs: int = NONE
    makes: int = NONE
    path_type: PathType = PathType.SEALING

    @property
    def touched(self) -> int:
        """Every type that matters for where the task may go."""
        return self.key | self.inputs | self.makes


NO_FILES: Final = Needs(Selector.TASK)

_TABLE: Final = {
    TaskType.PRECOMMIT1: Needs(Selector.ALLOC, P1_OUTPUT, UNSEALED, P1_OUTPUT),
    TaskType.PRECOMMIT2: Needs(Selector.FETCH, P1_OUTPUT, P1_OUTPUT),
    TaskType.COMMIT1: Needs(Selector.EXISTING, P1_OUTPUT, P1_OUTPUT),
    TaskType.FINALIZE: Needs(Selector.EXISTING, CACHE, CACHE),
    TaskType.FINALIZE_UNSEALED: Needs(Selector.EXISTING, UNSEALED, UNSEALED),
    TaskType.REPLICA_UPDATE: Needs(
        Selector.ALLOC, UPDATE | UPDATE_CACHE, UNSEALED | SEALED | CACHE, UPDATE | UPDATE_CACHE
    ),
    TaskType.PROVE_REPLICA_UPDATE1: Needs(
        Selector.EXISTING, UPDATE | UPDATE_CACHE, UPDATE | UPDATE_CACHE | SEALED | CACHE
    ),
    TaskType.REGEN_SECTOR_KEY: Needs(
        Selector.FETCH, UNSEALED | UPDATE | UPDATE_CACHE | CACHE, UNSEALED | UPDATE | UPDATE_CACHE | CACHE
    ),
    TaskType.FINALIZE_REPLICA_UPDATE: Needs(Selector.EXISTING, UPDATE_CACHE, UPDATE_CACHE),
}

_ADD_PIECE = Needs(Selector.ALLOC, UNSEALED, NONE, UNSEALED)
_ADD_MORE = Needs(Selector.EXISTING, UNSEALED, UNSEALED)
_UNSEAL = Needs(Selector.FETCH, P1_OUTPUT, P1_OUTPUT, UNSEALED)
_UNSEAL_UPDATE = Needs(Selector.FETCH, UPDATE | UPDATE_CACHE, UPDATE | UPDATE_CACHE, UNSEALED)


def needs_of(task: TaskSpec, declared: int) -> Needs:
    """What this task needs; ``declared`` are the sector's file types that lie anywhere (only UNSEAL looks)."""
    found = _TABLE.get(task.type)
    if found is not None:
        return found
    match task.type:
        case TaskType.ADD_PIECE:
            return _ADD_PIECE if task.first_piece else _ADD_MORE
        case TaskType.UNSEAL:
            updated = declared & (UPDATE | UPDATE_CACHE) == UPDATE | UPDATE_CACHE
            return _UNSEAL_UPDATE if updated else _UNSEAL
        case TaskType.FETCH:
            files = int(task.files)
            return Needs(Selector.MOVE, files, NONE, files, PathType.STORAGE)
        case TaskType.DOWNLOAD_SECTOR:
            files = int(task.files)
            return Needs(Selector.ALLOC, files, NONE, files)
    return NO_FILES


def touched_by(task: TaskSpec) -> FileType:
    """Every file type that a task reads, brings or makes, whatever is declared."""
    return FileType(needs_of(task, 0).touched | needs_of(task, UPDATE | UPDATE_CACHE).touched) | task.files


def missing_types(needs: Needs, declared: int) -> int:
    """The types that no path declares and without which the task cannot run anywhere."""
    if needs.selector is SELECT_MOVE:
        return NONE if needs.key & declared else needs.key
    return needs.inputs & ~declared
