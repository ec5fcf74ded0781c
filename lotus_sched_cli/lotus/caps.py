"""Caps as operators write them: one name and one text each, the same in flags, environment, commands and on the wire.

A cap of a task type is named after the type on the wire: ``seal/v0/addpiece`` is ``addpiecemax``,
``seal/v0/precommit/1`` is ``precommit1max``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import Enum
from typing import Any, Final

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.tasks import TaskType

from .errors import UserError
from .units import SECOND, go_duration, parse_duration

#: Above this a number is a slip of the keyboard.
MOST: Final = 1_000_000
#: The text of a cap that is not set.
NONE: Final = "none"

_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class Form(Enum):
    """What a cap's value is."""

    NUMBER = "a whole number from 0 to 1000000"
    LIMIT = "a whole number from 0 to 1000000, or none"
    SWITCH = "true or false"
    TIME = "a duration like 30s or 10m, 0s for none"


@dataclass(frozen=True, slots=True)
class Option:
    """One cap: its name, its member of `Caps` (empty: the entry of ``task`` in ``task_max``), what it is for."""

    name: str
    form: Form
    help: str
    member: str = ""
    task: TaskType | None = None


def option_of(task: TaskType) -> str:
    """``addpiecemax``."""
    return task.value.removeprefix("seal/v0/").replace("/", "") + "max"


_CAPS: Final = (
    Option("precommit1max", Form.NUMBER, "set maximum precommit1 quantity", "precommit1_max"),
    Option(
        "precommit1holdmax",
        Form.NUMBER,
        "set maximum precommit1 hold quantity, 0 for no limit",
        "precommit1_hold_max",
    ),
    Option("precommit2max", Form.NUMBER, "set maximum precommit2 quantity", "precommit2_max"),
    Option("commit2max", Form.NUMBER, "set maximum commit2 quantity", "commit2_max"),
    Option(
        "forcep2fromlocalp1",
        Form.SWITCH,
        "enable force precommit2 for local precommit1",
        "force_p2_from_local_p1",
    ),
)
_EXTRAS: Final = (
    Option(
        "forcep1fromlocalap",
        Form.SWITCH,
        "take PC1 only of sectors whose data lies here",
        "force_p1_from_local_ap",
    ),
    Option(
        "forcec2fromlocalp2",
        Form.SWITCH,
        "take C2 only of sectors whose PC2 was done here",
        "force_c2_from_local_p2",
    ),
    Option("allowp2c2parallel", Form.SWITCH, "let PC2 and C2 run here at once", "allow_p2_c2_parallel"),
    Option("precommit1interval", Form.TIME, "least time between two starts of PC1", "precommit1_interval"),
    Option(
        "precommit2prefetch",
        Form.NUMBER,
        "set quantity of next PC2 whose files are fetched while all PC2 slots run",
        "precommit2_prefetch",
    ),
)
#: Task types that may be given a cap though they have none by default, in the order of a sector's life.
CAPPABLE: Final = (
    TaskType.ADD_PIECE,
    TaskType.DATA_CID,
    TaskType.COMMIT1,
    TaskType.FINALIZE,
    TaskType.FINALIZE_UNSEALED,
    TaskType.FETCH,
    TaskType.UNSEAL,
    TaskType.REPLICA_UPDATE,
    TaskType.PROVE_REPLICA_UPDATE1,
    TaskType.PROVE_REPLICA_UPDATE2,
    TaskType.FINALIZE_REPLICA_UPDATE,
    TaskType.REGEN_SECTOR_KEY,
    TaskType.DOWNLOAD_SECTOR,
)
_LIMITS: Final = tuple(
    Option(option_of(task), Form.LIMIT, f"set maximum quantity of {task.short} tasks", task=task)
    for task in CAPPABLE
)

#: Every cap by its name, in the order in which they are shown; the first five are always shown.
OPTIONS: Final[dict[str, Option]] = {option.name: option for option in (*_CAPS, *_EXTRAS, *_LIMITS)}
MAIN: Final = tuple(option.name for option in _CAPS)

DEFAULTS: Final = Caps()


def parse(name: str, text: str, called: str = "") -> Any:
    """The value that a text means. Raises UserError: the cap (as ``called``, where given), the text, what is allowed."""
    option = option_named(name)
    text = text.strip()
    value = _value(option.form, text)
    if value is _BAD:
        raise UserError(f'invalid value "{text}" for {called or name}: give {option.form.value}')
    return value


def option_named(name: str) -> Option:
    """Raises UserError for a name that is none, with the nearest."""
    option = OPTIONS.get(name)
    if option is None:
        near = get_close_matches(name, OPTIONS, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(OPTIONS)}"
        raise UserError(f'"{name}" is no cap; {hint}')
    return option


_BAD: Final = object()


def _value(form: Form, text: str) -> Any:
    match form:
        case Form.SWITCH:
            return True if text in _TRUE else False if text in _FALSE else _BAD
        case Form.TIME:
            try:
                seconds = parse_duration(text) / SECOND
            except ValueError:
                return _BAD
            return seconds if seconds >= 0 else _BAD
        case Form.LIMIT if text == NONE:
            return None
        case _:
            if not text.isascii() or not text.isdigit() or int(text) > MOST:
                return _BAD
            return int(text)


def changed(caps: Caps, values: Mapping[str, Any]) -> Caps:
    """The caps with these values, by name."""
    members: dict[str, Any] = {}
    limits = dict(caps.task_max)
    for name, value in values.items():
        option = OPTIONS[name]
        if option.task is None:
            members[option.member] = value
        elif value is None:
            limits.pop(option.task, None)
        else:
            limits[option.task] = value
    ordered = tuple((task, limits[task]) for task in CAPPABLE if task in limits)
    return replace(caps, task_max=ordered, **members)


def value_of(caps: Caps, name: str) -> Any:
    """One value by its name; None for a limit that is not set."""
    option = OPTIONS[name]
    return caps.most(option.task) if option.task is not None else getattr(caps, option.member)


def text_of(name: str, value: Any) -> str:
    """How a value is written: ``7``, ``true``, ``10m0s``, ``none``."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "true" if value else "false"
    if OPTIONS[name].form is Form.TIME:
        return go_duration(round(value * SECOND))
    return str(value)
