"""What the pipeline and dispatch want of each other; the daemon puts them together."""

from __future__ import annotations

from typing import Protocol

from lotus_sched_cli.core.tasks import SectorId

from .records import TaskRow


class Dispatch(Protocol):
    """What the pipeline asks of dispatch."""

    def submit(self, row: TaskRow) -> None:
        """A stored task wants a worker (its parameters: ``Store.task_params``). Ends with ``Sectors.task_done``."""

    async def cancel(self, task_id: str) -> None:
        """A task is no longer wanted; its stored phase is CANCELLED. Returns once its work is dead (or never began),
        after ``Writes.delete_task``. ``task_done`` is not called for it."""

    def sector_held(self, sector: SectorId, held: bool) -> None:
        """Whether the sector's files fill P1 holds (core event SectorHeld)."""

    async def remove_files(self, sector: SectorId) -> None:
        """Delete the sector's files everywhere. Raises with a text that the sector's log shows."""
