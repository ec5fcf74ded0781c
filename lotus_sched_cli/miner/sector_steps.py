"""A step of the pipeline as rows of the store."""

from __future__ import annotations

from uuid import UUID, uuid5

from lotus_sched_cli.core.pipeline import Sector, Step
from lotus_sched_cli.core.pipeline import actions as act

from . import calls, sector_rows
from .records import Phase, TaskRow
from .store import Store, Writes


class StepWriter:
    """Adds a step's log, tasks and kept values to a transaction. ``name`` tells this miner's tasks from others'."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._namespace = uuid5(UUID(int=0), name)

    def task_id(self, number: int, turn: int) -> str:
        """The same sector and turn always give the same id, so a step that is tried again makes no second task."""
        return str(uuid5(self._namespace, f"{number}/{turn}"))

    def task_row(self, sector: Sector, task: act.RunTask) -> TaskRow:
        return TaskRow(
            id=self.task_id(sector.id.number, task.turn),
            sector=sector.id,
            proof=sector.proof,
            type=task.type,
            queued_at=sector.queued_at,
            files=task.files,
            first_piece=task.first_piece,
        )

    async def write(self, writes: Writes, step: Step) -> None:
        """Everything of the step but the sector's own row."""
        sector = step.sector
        number = sector.id.number
        first = sector.log_count - len(step.log)
        for offset, entry in enumerate(step.log):
            writes.log(number, first + offset, sector_rows.log_row(entry))
        pc1_out: bytes | None = None
        for action in step.actions:
            match action:
                case act.Keep(name, data):
                    writes.keep(number, name, data)
                    pc1_out = data if name == "pc1_out" else pc1_out
                case act.CancelTask(turn):
                    writes.task(self.task_id(number, turn), phase=Phase.CANCELLED)
                case act.RunTask():
                    if isinstance(action.params, act.PreCommit2) and pc1_out is None:
                        pc1_out = await self._store.kept(number, "pc1_out")
                    writes.new_task(
                        self.task_row(sector, action), calls.params(sector, action.params, pc1_out)
                    )
