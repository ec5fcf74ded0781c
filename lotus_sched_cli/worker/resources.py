"""Lotus's table of what tasks need, with the operator's overrides from the environment.

Source: Lotus ``storage/sealer/storiface/resources.go`` (table, ParseResourceEnv).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from lotus_sched_cli.core.proofs import SECTOR_SIZES, SIZE_ENV
from lotus_sched_cli.core.resources import DEFAULTS, Demand
from lotus_sched_cli.core.tasks import Kind, TaskType
from lotus_sched_cli.lotus.errors import UserError

Table = dict[TaskType, dict[int, Demand]]

#: The last part of a variable's name → the field that it sets.
FIELDS: Final = {
    "MIN_MEMORY": "min_memory",
    "MAX_MEMORY": "max_memory",
    "GPU_UTILIZATION": "gpu_utilization",
    "MAX_PARALLELISM": "max_parallelism",
    "MAX_PARALLELISM_GPU": "max_parallelism_gpu",
    "BASE_MIN_MEMORY": "base_min_memory",
    "MAX_CONCURRENT": "max_concurrent",
}

_UNSIGNED: Final = frozenset({"min_memory", "max_memory", "base_min_memory"})

#: The seal proof families that the table covers, by their first number; NI-PoRep has no rows, as in Lotus.
FAMILIES: Final = (0, 5, 10)


def table(environ: Mapping[str, str]) -> Table:
    """The whole table: 14 tasks × proofs 0–14. Raises UserError for the one variable that Lotus refuses."""
    found: Table = {}
    for task, sizes in DEFAULTS.items():
        rows: dict[int, Demand] = {}
        for column, size in enumerate(SECTOR_SIZES):
            needs = _overridden(task, size, sizes[column], environ)
            rows.update({family + column: needs for family in FAMILIES})
        found[task] = dict(sorted(rows.items()))
    return found


def concurrent(environ: Mapping[str, str], kind: Kind, size: int) -> int | None:
    """The operator's ``…_MAX_CONCURRENT`` for a kind and sector size in bytes; None where none above 0 is set."""
    task = TASK_OF[kind]
    for name in (f"{task.short}_{SIZE_ENV[size]}_MAX_CONCURRENT", f"{task.short}_MAX_CONCURRENT"):
        if name in environ:
            value = _int(environ[name])
            return value if value > 0 else None
    return None


def capped(table: Table, caps: Mapping[TaskType, int]) -> Table:
    """The table with the caps as ``MaxConcurrent``, so that a stock miner respects them too.

    A task type without a row needs nothing; with a cap it gets one that says so.
    """
    found = dict(table)
    for task, most in caps.items():
        rows = found.get(task) or dict.fromkeys(found[TaskType.PRECOMMIT1], Demand())
        found[task] = {proof: replace(needs, max_concurrent=most) for proof, needs in rows.items()}
    return found


def unsized_data_cid(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with ``DC_32GiB_X`` turned into ``DC_X``: that job has no sector size (Lotus's conversion)."""
    found = dict(environ)
    for name in environ:
        head, _, rest = name.partition("_")
        size, _, part = rest.partition("_")
        if head == "DC" and size.endswith("iB") and part in FIELDS:
            found.setdefault(f"DC_{part}", found.pop(name))
    return found


TASK_OF: Final = {Kind.P1: TaskType.PRECOMMIT1, Kind.P2: TaskType.PRECOMMIT2, Kind.C2: TaskType.COMMIT2}


def _overridden(task: TaskType, size: int, needs: Demand, environ: Mapping[str, str]) -> Demand:
    changes: dict[str, float] = {}
    for part, member in FIELDS.items():
        for name in (f"{task.short}_{SIZE_ENV[size]}_{part}", f"{task.short}_{part}"):
            if name in environ:
                read = _float if member == "gpu_utilization" else _uint if member in _UNSIGNED else _int
                changes[member] = read(environ[name])
                break
        else:
            if part == "MAX_PARALLELISM" and task in (TaskType.PRECOMMIT1, TaskType.UNSEAL):
                changes[member] = _sdr_threads(environ)
    return replace(needs, **changes)  # type: ignore[arg-type]


def _sdr_threads(environ: Mapping[str, str]) -> int:
    if environ.get("FIL_PROOFS_USE_MULTICORE_SDR") != "1":
        return 1
    text = environ.get("FIL_PROOFS_MULTICORE_SDR_PRODUCERS", "3")
    try:
        return 1 + int(text)
    except ValueError:
        raise UserError(
            "interpreting resource env vars: parsing (atoi) FIL_PROOFS_MULTICORE_SDR_PRODUCERS: "
            f'strconv.Atoi: parsing "{text}": invalid syntax; set a number, 3 is the default'
        ) from None


def _int(text: str) -> int:
    """As Lotus: a value that is no number of Go's ``int`` counts as 0."""
    value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,19}", text) else 0
    return value if -(1 << 63) <= value < 1 << 63 else 0


def _uint(text: str) -> int:
    """The same for Go's ``uint64``, which takes no sign."""
    value = int(text) if re.fullmatch(r"[0-9]{1,20}", text) else 0
    return value if value < 1 << 64 else 0


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
