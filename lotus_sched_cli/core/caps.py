"""What a worker may carry (scheduling.md A2), and the operator's extras, each off by default."""

from __future__ import annotations

from dataclasses import dataclass

from .tasks import Kind, TaskType


@dataclass(frozen=True, slots=True)
class Caps:
    """Most tasks of each kind at once; ``precommit1_hold_max`` 0 means no hold limit, the others 0 mean none.

    While all its P2 slots run, the files of up to ``precommit2_prefetch`` next P2 are fetched to the worker (a bound one
    fetches none). The extras: ``force_…`` bind a step to the worker whose paths hold the step before; with ``allow_p2_c2_parallel``
    False a P2 and a C2 never run there at once; ``precommit1_interval`` is the least time between two P1 starts, in
    seconds; ``task_max`` caps other task types.
    """

    precommit1_max: int = 7
    precommit1_hold_max: int = 25
    precommit2_max: int = 1
    commit2_max: int = 1
    force_p2_from_local_p1: bool = False
    force_p1_from_local_ap: bool = False
    force_c2_from_local_p2: bool = False
    allow_p2_c2_parallel: bool = True
    precommit1_interval: float = 0.0
    precommit2_prefetch: int = 0
    task_max: tuple[tuple[TaskType, int], ...] = ()

    @property
    def prefetches(self) -> int:
        """P2 whose files may be fetched ahead: none on a worker that does only those whose files lie there."""
        return 0 if self.force_p2_from_local_p1 or not self.precommit2_max else self.precommit2_prefetch

    def of(self, kind: Kind) -> int:
        if kind is Kind.P1:
            return self.precommit1_max
        return self.precommit2_max if kind is Kind.P2 else self.commit2_max

    def most(self, task: TaskType) -> int | None:
        """The cap of any task type; None if it has none."""
        if task.kind is not None:
            return self.of(task.kind)
        for capped, most in self.task_max:
            if capped is task:
                return most
        return None
