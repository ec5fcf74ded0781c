"""The official scheduler of Lotus (scheduling.md B1-B6), behind the same interface as the balanced one.

``policy.py`` runs the passes; ``lines.py`` groups waiting tasks that the same workers take; ``assigners.py`` choose a
window; ``bench.py`` is a worker's side: its windows and ledgers; ``usage.py`` one ledger and its resource test.
"""

from __future__ import annotations

from .assigners import ASSIGNERS
from .policy import INIT_WAIT, Windowed

__all__ = ["ASSIGNERS", "INIT_WAIT", "Windowed"]
