"""``simulated.toml``: how long simulated work takes, how it fails, how big its paths pretend to be.

::

    speed = 1.0          # how many times faster than the durations below
    jitter = 0.1         # each duration ± this share of it
    seed = 1             # same seed, same run

    [durations]          # at speed 1; AP DC PC1 UNS PC2 C1 C2 FIN FUS
    PC1 = "4h30m"

    [[failures]]         # any number of these
    task = "PC1"
    rate = 0.05          # share of tasks that fail, or …
    sectors = [15, 17]   # … the sectors whose first `times` (1) tasks fail
    times = 1
    after = 0.5          # how far into the work
    text = "out of luck"

    [paths]              # pretended capacity of a storage path; "*" is each path that is not named
    "/data/worker" = "2TiB"
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from lotus_sched_cli.core.tasks import BY_SHORT, TaskType
from lotus_sched_cli.lotus import units
from lotus_sched_cli.lotus.errors import UserError

MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE

#: What a simulated failure says unless told otherwise.
FAILURE: Final = "simulated failure"

#: Seconds, in the proportions of sealing 32 GiB on usual machines.
DURATIONS: Final[Mapping[TaskType, float]] = {
    TaskType.DATA_CID: 4 * MINUTE,
    TaskType.ADD_PIECE: 10 * MINUTE,
    TaskType.PRECOMMIT1: 4.5 * HOUR,
    TaskType.PRECOMMIT2: 25 * MINUTE,
    TaskType.COMMIT1: 1 * MINUTE,
    TaskType.COMMIT2: 25 * MINUTE,
    TaskType.FINALIZE: 5 * MINUTE,
    TaskType.FINALIZE_UNSEALED: 10.0,
    TaskType.UNSEAL: 4.5 * HOUR,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A rule by which tasks fail: a share of all, or the first ``times`` tasks of each named sector."""

    task: TaskType
    rate: float = 0.0
    sectors: frozenset[int] = frozenset()
    times: int = 1
    after: float = 0.5
    text: str = FAILURE


@dataclass(frozen=True, slots=True)
class SimConfig:
    """Durations are seconds at speed 1; capacities bytes by path, ``*`` for each that is not named."""

    speed: float = 1.0
    jitter: float = 0.1
    seed: int = 0
    durations: Mapping[TaskType, float] = field(default_factory=lambda: dict(DURATIONS))
    failures: tuple[Failure, ...] = ()
    paths: Mapping[str, int] = field(default_factory=dict)

    def capacity(self, path: Path) -> int | None:
        """The pretended capacity of a storage path, None for its real one."""
        return self.paths.get(str(path), self.paths.get("*"))


def load(file: Path) -> SimConfig:
    """Read a settings file. Raises UserError with file, key and remedy."""
    try:
        raw = tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError) as why:
        raise UserError(f"cannot read the sealer's settings {file}: {_reason(why)}") from why
    except tomllib.TOMLDecodeError as why:
        raise UserError(f"{file} is no TOML: {why}; correct it there") from why
    return _Reader(file).config(raw)


def _reason(why: Exception) -> str:
    return (why.strerror or str(why)) if isinstance(why, OSError) else "it is no UTF-8 text"


class _Reader:
    """Turns TOML values into a SimConfig; every complaint names the file and the key."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def config(self, raw: dict[str, Any]) -> SimConfig:
        known = {"speed", "jitter", "seed", "durations", "failures", "paths"}
        self._known(raw, known, "")
        return SimConfig(
            speed=self._number(raw, "speed", 1.0, above=0.0),
            jitter=self._number(raw, "jitter", 0.1, least=0.0, most=1.0),
            seed=self._whole(raw, "seed", 0),
            durations=dict(DURATIONS) | self._durations(raw.get("durations", {})),
            failures=tuple(self._failures(raw.get("failures", []))),
            paths=self._paths(raw.get("paths", {})),
        )

    def _durations(self, raw: Any) -> dict[TaskType, float]:
        if not isinstance(raw, dict):
            self._bad("durations", raw, 'a section [durations] with lines like PC1 = "4h30m"')
        found = {}
        for name, value in raw.items():
            task = self._task(f"durations.{name}", name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[task] = float(value)
            else:
                try:
                    found[task] = units.parse_duration(str(value)) / 1e9
                except ValueError:
                    self._bad(f"durations.{name}", value, 'a duration like "4h30m", "90s" or "500ms"')
            if found[task] < 0:
                self._bad(f"durations.{name}", value, "0s or more")
        return found

    def _failures(self, raw: Any) -> list[Failure]:
        if not isinstance(raw, list) or not all(isinstance(entry, dict) for entry in raw):
            self._bad("failures", raw, "sections [[failures]]")
        found = []
        for n, entry in enumerate(raw):
            where = f"failures[{n}]."
            self._known(entry, {"task", "rate", "sectors", "times", "after", "text"}, where)
            if not entry.keys() & {"rate", "sectors"}:
                raise UserError(f"{self._file}: failures[{n}] fails nothing; give it a rate or sectors")
            sectors = entry.get("sectors", [])
            if not isinstance(sectors, list) or not all(type(s) is int for s in sectors):
                self._bad(f"{where}sectors", sectors, "a list of sector numbers")
            found.append(
                Failure(
                    task=self._task(f"{where}task", entry.get("task")),
                    rate=self._number(entry, "rate", 0.0, where, least=0.0, most=1.0),
                    sectors=frozenset(sectors),
                    times=self._whole(entry, "times", 1, where),
                    after=self._number(entry, "after", 0.5, where, least=0.0, most=1.0),
                    text=str(entry.get("text", FAILURE)),
                )
            )
        return found

    def _paths(self, raw: Any) -> dict[str, int]:
        if not isinstance(raw, dict):
            self._bad("paths", raw, 'a section [paths] with lines like "/data/worker" = "2TiB"')
        found = {}
        for name, value in raw.items():
            try:
                size = value if type(value) is int else units.parse_size(str(value))
            except ValueError:
                size = 0
            if size <= 0:
                self._bad(f"paths.{name}", value, 'a size like "2TiB", or bytes')
            found[name if name == "*" else str(Path(name).expanduser())] = size
        return found

    def _task(self, key: str, name: Any) -> TaskType:
        task = BY_SHORT.get(name) if isinstance(name, str) else None
        if task not in DURATIONS:
            self._bad(key, name, f"one of {' '.join(task.short for task in DURATIONS)}")
        assert task is not None
        return task

    def _number(
        self,
        raw: dict[str, Any],
        key: str,
        default: float,
        where: str = "",
        *,
        above: float | None = None,
        least: float | None = None,
        most: float | None = None,
    ) -> float:
        value = raw.get(key, default)
        good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if good and above is not None:
            good = value > above
        if good and least is not None:
            good = value >= least
        if good and most is not None:
            good = value <= most
        if not good:
            allowed = f"above {above:g}" if above is not None else f"from {least:g} to {most:g}"
            self._bad(f"{where}{key}", value, f"a number {allowed}")
        return float(value)

    def _whole(self, raw: dict[str, Any], key: str, default: int, where: str = "") -> int:
        value = raw.get(key, default)
        if type(value) is not int or value < 0:
            self._bad(f"{where}{key}", value, "a whole number, 0 or more")
        return int(value)

    def _known(self, raw: dict[str, Any], keys: set[str], where: str) -> None:
        for key in raw:
            if key not in keys:
                raise UserError(
                    f"{self._file}: unknown key {where}{key}; known are {', '.join(sorted(keys))}"
                )

    def _bad(self, key: str, value: Any, wanted: str) -> NoReturn:
        raise UserError(f"{self._file}: {key} = {value!r} cannot be; give {wanted}")
