"""What a worker may carry (scheduling.md A2)."""

from __future__ import annotations

from dataclasses import dataclass

from .tasks import Kind


@dataclass(frozen=True, slots=True)
class Caps:
    """Most tasks of each kind at once; ``precommit1_hold_max`` 0 means no hold limit, the others 0 mean none."""

    precommit1_max: int = 7
    precommit1_hold_max: int = 25
    precommit2_max: int = 1
    commit2_max: int = 1
    force_p2_from_local_p1: bool = False

    def of(self, kind: Kind) -> int:
        if kind is Kind.P1:
            return self.precommit1_max
        return self.precommit2_max if kind is Kind.P2 else self.commit2_max
