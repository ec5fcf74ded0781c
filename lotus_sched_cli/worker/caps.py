"""A worker's caps and where each comes from (scheduling.md A2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.tasks import Kind
from lotus_sched_cli.lotus.errors import UserError

from . import resources
from .options import RunOptions

#: Option → member of Caps, in the order of the flags.
NAMES: Final = {
    "precommit1max": "precommit1_max",
    "precommit1holdmax": "precommit1_hold_max",
    "precommit2max": "precommit2_max",
    "commit2max": "commit2_max",
    "forcep2fromlocalp1": "force_p2_from_local_p1",
}

_KINDS: Final = {"precommit1max": Kind.P1, "precommit2max": Kind.P2, "commit2max": Kind.C2}
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
#: Above this a number is a slip of the keyboard.
MOST: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Resolved:
    """The caps, and for each option's name ``flag``, the variable that gave it, or ``default``."""

    caps: Caps
    sources: Mapping[str, str]


def resolve(options: RunOptions, environ: Mapping[str, str], sector_size: int) -> Resolved:
    """Flag, else ``LOTUS_WORKER_…``, else the operator's ``…_MAX_CONCURRENT`` of this sector size, else the default.

    Raises UserError for a value that is none: the name, the value and what is allowed.
    """
    values: dict[str, int | bool] = {}
    sources: dict[str, str] = {}
    for name, member in NAMES.items():
        values[member], sources[name] = _one(name, options, environ, sector_size)
    return Resolved(Caps(**values), sources)  # type: ignore[arg-type]


def _one(
    name: str, options: RunOptions, environ: Mapping[str, str], sector_size: int
) -> tuple[int | bool, str]:
    given = getattr(options, name)
    if given is not None:
        return (given if isinstance(given, bool) else _checked(f"--{name}", given)), "flag"
    variable = f"LOTUS_WORKER_{name.upper()}"
    if text := environ.get(variable, "").strip():
        boolean = name == "forcep2fromlocalp1"
        return (_bool(variable, text) if boolean else _number(variable, text)), variable
    if kind := _KINDS.get(name):
        most = resources.concurrent(environ, kind, sector_size)
        if most is not None:
            return most, f"{resources.TASK_OF[kind].short}_…_MAX_CONCURRENT"
    default: int | bool = getattr(Caps(), NAMES[name])
    return default, "default"


def _number(name: str, text: str) -> int:
    try:
        return _checked(name, int(text))
    except ValueError:
        raise UserError(f'invalid value "{text}" for {name}: give a whole number, 0 or more') from None


def _checked(name: str, value: int) -> int:
    if not 0 <= value <= MOST:
        raise UserError(f'invalid value "{value}" for {name}: give a whole number from 0 to {MOST}')
    return value


def _bool(name: str, text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise UserError(f'invalid value "{text}" for {name}: give true or false')
