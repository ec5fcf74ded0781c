"""What a sealer is: one coroutine per task type, on local files that the worker has acquired.

Cancelling a coroutine ends the work, and when the coroutine has ended, the work is dead: a sealer that runs programs
ends them before it lets the cancellation through. Nothing here knows of calls, miners or storage paths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lotus_sched_cli.core.tasks import FileType, TaskType
from lotus_sched_cli.lotus.rpc.streams import Reader
from lotus_sched_cli.lotus.types import Cid, PieceInfo, Range, SectorCids, SectorRef

from .words import one_line

#: Where each file (cache: folder) of the sector lies or is to be made.
Files = Mapping[FileType, Path]


class SealError(Exception):
    """A task failed; ``code`` as in Lotus's CallError (0 any failure, 100–199 temporary).

    Whatever a program or a path puts into its text, it is one line that the wire can say.
    """

    def __init__(self, text: str, code: int = 0) -> None:
        text = one_line(text)
        super().__init__(text)
        self.text = text
        self.code = code


@dataclass(frozen=True, slots=True)
class Usage:
    """What a task's process took so far: seconds of clock, of processors, and its largest resident memory in bytes."""

    seconds: float
    cpu_seconds: float
    max_rss: int


@dataclass(frozen=True, slots=True)
class Job:
    """One running task. ``gpu`` is NVML's index of the card that the worker chose for it, None where it has none.

    ``report`` hears now and then, and at the end, what the task's process took; a sealer without one never calls it.
    """

    call: str
    task: TaskType
    sector: SectorRef
    gpu: int | None = None
    report: Callable[[Usage], None] | None = None


class Sealer(Protocol):
    """Turns data into sealed sectors. Each method raises SealError for a failure of the task.

    ``simulated`` is true where nothing is really sealed: such a sealer works only for a simulated chain. Sizes and
    offsets of piece data are unpadded bytes, ``PieceInfo.Size`` padded ones.
    """

    @property
    def name(self) -> str: ...

    @property
    def simulated(self) -> bool: ...

    def tasks(self) -> frozenset[TaskType]:
        """The task types that it really does; moves between paths are the worker's own and included."""
        ...

    async def data_cid(self, job: Job, size: int, data: Reader) -> PieceInfo: ...

    async def add_piece(
        self, job: Job, existing: Sequence[int], size: int, data: Reader, files: Files
    ) -> PieceInfo: ...

    async def precommit1(
        self, job: Job, ticket: bytes, pieces: Sequence[PieceInfo], files: Files
    ) -> bytes: ...

    async def precommit2(self, job: Job, pc1_out: bytes, files: Files) -> SectorCids: ...

    async def commit1(
        self,
        job: Job,
        ticket: bytes,
        seed: bytes,
        pieces: Sequence[PieceInfo],
        cids: SectorCids,
        files: Files,
    ) -> bytes: ...

    async def commit2(self, job: Job, c1_out: bytes) -> bytes: ...

    async def finalize(self, job: Job, files: Files) -> None: ...

    async def release_unsealed(self, job: Job, keep: Sequence[Range], files: Files) -> None:
        """Free all but ``keep`` (never empty: the worker removes the whole file itself)."""
        ...

    async def unseal(
        self, job: Job, offset: int, size: int, ticket: bytes, comm_d: Cid, files: Files
    ) -> None: ...
