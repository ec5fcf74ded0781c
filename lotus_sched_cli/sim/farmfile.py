"""Reading FARM.toml. Every complaint is one line with the file, the key, its value and what is allowed."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.policies import POLICIES
from lotus_sched_cli.core.proofs import SIZE_NAMES, seal_proof
from lotus_sched_cli.core.tasks import BY_SHORT, TaskType

from . import quantities
from .farm import ALWAYS, AP, CHOSEN, DURATIONS, GET, STAGES, Batch, FarmError, FarmSpec, Group, Switch

T = TypeVar("T")

#: Caps as the worker's flags name them → the field of `Caps`, and the task type without which they mean nothing.
CAPS: Final = {
    "precommit1max": ("precommit1_max", TaskType.PRECOMMIT1),
    "precommit1holdmax": ("precommit1_hold_max", TaskType.PRECOMMIT1),
    "precommit2max": ("precommit2_max", TaskType.PRECOMMIT2),
    "commit2max": ("commit2_max", TaskType.COMMIT2),
    "forcep2fromlocalp1": ("force_p2_from_local_p1", TaskType.PRECOMMIT2),
    "forcep1fromlocalap": ("force_p1_from_local_ap", TaskType.PRECOMMIT1),
    "forcec2fromlocalp2": ("force_c2_from_local_p2", TaskType.COMMIT2),
    "allowp2c2parallel": ("allow_p2_c2_parallel", TaskType.COMMIT2),
    "precommit1interval": ("precommit1_interval", TaskType.PRECOMMIT1),
    "precommit2prefetch": ("precommit2_prefetch", TaskType.PRECOMMIT2),
}
_SIZES: Final = {name: size for size, name in SIZE_NAMES.items()}
_FARM: Final = (
    "name", "note", "seed", "jitter", "sector_size", "wait_seed", "commit_wait", "run_for", "policies", "switches",
    "spread_by", "retry_delay", "retry_delay_max", "sectors", "workers",
)  # fmt: skip
_GROUP: Final = (
    "name", "count", "tasks", "cpus", "gpus", "memory", "disk", "storage", "network", "caps", "limits", "durations",
    "contention", "failures",
)  # fmt: skip
_BATCH: Final = ("count", "every", "per_day", "first", "from", "until", "on", "priority", "keep")
_CONTENTION: Final = ("p1_full_speed", "p1_memory", "gpu_overlap")
_RESTARTS: Final = ("restart_every", "restart_lasts")
_SPREADS: Final = ("count", "share")
#: Of a group and of a batch: each is an object in memory, and a slip of the keyboard must not fill it.
MOST_WORKERS: Final = 100_000
MOST_SECTORS: Final = 10_000_000


def shipped() -> dict[str, str]:
    """The farms that come with the program: name → first line of its note."""
    found = {}
    for entry in sorted(resources.files(__package__).joinpath("farms").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            name = entry.name.removesuffix(".toml")
            found[name] = loads(entry.read_text(encoding="utf-8"), name).note
    return found


def load(where: str) -> FarmSpec:
    """A file, or a shipped farm by its name. Raises FarmError."""
    return loads(text_of(where), where)


def text_of(where: str) -> str:
    """What stands in the file or shipped farm. Raises FarmError."""
    path = Path(where)
    if not path.exists() and "/" not in where:
        inside = resources.files(__package__).joinpath("farms", f"{where.removesuffix('.toml')}.toml")
        if inside.is_file():
            return inside.read_text(encoding="utf-8")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as why:
        raise FarmError(
            f"{where}: not UTF-8 text ({why.reason} at byte {why.start}); save it as UTF-8"
        ) from why
    except OSError as why:
        near = get_close_matches(where, shipped(), 1)
        hint = (
            f"did you mean the shipped farm {near[0]}?"
            if near
            else "'lotus-sched sim --list' names the shipped farms"
        )
        raise FarmError(f"{where}: {why.strerror}; {hint}") from why


def loads(text: str, where: str) -> FarmSpec:
    """A farm from its text; ``where`` stands in complaints. Raises FarmError."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as why:
        raise FarmError(f"{where}: no TOML: {why}; correct it there") from why
    return _Reader(where).farm(raw)


class _Reader:
    def __init__(self, where: str) -> None:
        self._where = where

    def farm(self, raw: Mapping[str, Any]) -> FarmSpec:
        self._known(raw, _FARM, "")
        groups = tuple(
            self._group(table, number) for number, table in enumerate(self._tables(raw, "workers"), 1)
        )
        names = [group.name for group in groups]
        for name in names:
            if names.count(name) > 1:
                self._bad("workers.name", name, "a name that no other group has")
        batches = tuple(
            self._batch(table, number, names) for number, table in enumerate(self._tables(raw, "sectors"), 1)
        )
        size = self._one_of(raw, "sector_size", "32GiB", tuple(_SIZES), "")
        farm = FarmSpec(
            name=self._text(raw, "name", Path(self._where).stem, ""),
            note=self._text(raw, "note", "", ""),
            groups=groups,
            batches=batches,
            sector_size=_SIZES[size],
            proof=seal_proof(_SIZES[size]),
            seed=self._whole(raw, "seed", 1, "", 0),
            jitter=self._share(raw, "jitter", 0.0, ""),
            wait_seed=self._duration(raw, "wait_seed", 75 * 60.0, ""),
            commit_wait=self._duration(raw, "commit_wait", 5 * 60.0, ""),
            run_for=self._duration(raw, "run_for", 0.0, ""),
            policies=self._policies(raw.get("policies", ["balanced", "windowed"])),
            switches=self._switches(raw.get("switches", [])),
            spread_by=self._one_of(raw, "spread_by", "count", _SPREADS, ""),
            retry_delay=self._duration(raw, "retry_delay", 60.0, ""),
            retry_delay_max=self._duration(raw, "retry_delay_max", 1800.0, ""),
        )
        self._check(farm)
        return farm

    def _group(self, raw: Mapping[str, Any], number: int) -> Group:
        name = self._text(raw, "name", f"workers{number}", f"workers[{number}].")
        at = f"workers.{name}."
        self._known(raw, _GROUP, at)
        tasks = self._tasks(raw.get("tasks", [t.short for t in CHOSEN]), f"{at}tasks")
        contention = self._table(raw, "contention", at)
        self._known(contention, _CONTENTION, f"{at}contention.")
        failures = self._table(raw, "failures", at)
        self._known(failures, (*_RESTARTS, *(t.short for t in STAGES)), f"{at}failures.")
        durations = self._table(raw, "durations", at)
        stages = {task.short: task for task in STAGES if task is not GET}
        self._known(durations, tuple(stages), f"{at}durations.")
        limits = self._table(raw, "limits", at)
        self._known(limits, tuple(t.short for t in STAGES if t.kind is None), f"{at}limits.")
        return Group(
            name=name,
            count=self._count(raw, at, MOST_WORKERS),
            tasks=tasks,
            caps=self._caps(self._table(raw, "caps", at), f"{at}caps.", tasks),
            limits={BY_SHORT[k]: self._whole(limits, k, 0, f"{at}limits.", 1) for k in limits},
            cpus=self._whole(raw, "cpus", 32, at, 1),
            gpus=self._whole(raw, "gpus", 1, at, 0),
            memory=self._size(raw, "memory", "1TiB", at),
            disk=self._size(raw, "disk", "14TiB", at),
            storage=self._size(raw, "storage", "0", at),
            network=self._rate(raw, "network", "10Gbit", at),
            durations={
                task: self._duration(durations, short, DURATIONS[task], f"{at}durations.")
                for short, task in stages.items()
            },
            p1_full_speed=self._whole(contention, "p1_full_speed", 0, f"{at}contention.", 0),
            p1_memory=self._size(contention, "p1_memory", "64GiB", f"{at}contention."),
            gpu_overlap=self._share(contention, "gpu_overlap", 0.0, f"{at}contention."),
            failures={
                task: self._share(failures, task.short, 0.0, f"{at}failures.", below=True)
                for task in STAGES
                if task.short in failures
            },
            restart_every=self._duration(failures, "restart_every", 0.0, f"{at}failures."),
            restart_lasts=self._duration(failures, "restart_lasts", 300.0, f"{at}failures."),
        )

    def _caps(self, raw: Mapping[str, Any], at: str, tasks: frozenset[TaskType]) -> Caps:
        self._known(raw, tuple(CAPS), at)
        values: dict[str, Any] = {}
        for name in raw:
            field, needed = CAPS[name]
            if needed not in tasks:
                self._fail(
                    f"{at}{name}",
                    raw[name],
                    f"its workers do not take {needed.short}; add it to their tasks or remove the cap",
                )
            if field == "precommit1_interval":
                values[field] = self._duration(raw, name, 0.0, at)
            elif isinstance(getattr(Caps(), field), bool):
                if not isinstance(raw[name], bool):
                    self._bad(f"{at}{name}", raw[name], "true or false")
                values[field] = raw[name]
            else:
                values[field] = self._whole(raw, name, 0, at, 0)
        return Caps(**values)

    def _batch(self, raw: Mapping[str, Any], number: int, groups: list[str]) -> Batch:
        at = f"sectors[{number}]."
        self._known(raw, _BATCH, at)
        if "every" in raw and "per_day" in raw:
            self._fail(f"{at}per_day", raw["per_day"], "every is given too; keep one of them")
        every = self._duration(raw, "every", 0.0, at)
        if "per_day" in raw:
            every = 86400.0 / self._number(raw, "per_day", at, above=0.0)
        shorts = tuple(task.short for task in STAGES)
        start = BY_SHORT[self._one_of(raw, "from", "AP", shorts, at)]
        stop = BY_SHORT[self._one_of(raw, "until", "GET", shorts, at)]
        if STAGES.index(stop) < STAGES.index(start):
            self._fail(f"{at}until", stop.short, f"it lies before from = {start.short}; name a later stage")
        on = self._text(raw, "on", "", at)
        if on and on not in groups:
            self._unknown(f"{at}on", on, groups)
        if start is not AP and not on and (start is not TaskType.COMMIT2 or stop is not TaskType.COMMIT2):
            self._fail(
                f"{at}on", "", f"sectors that begin with {start.short} have files; name the group they lie on"
            )
        batch = Batch(
            count=self._count(raw, at, MOST_SECTORS),
            every=every,
            first=self._duration(raw, "first", 0.0, at),
            start=start,
            stop=stop,
            on=on,
            priority=self._whole(raw, "priority", 0, at, None),
            keep=self._whole(raw, "keep", 0, at, 0),
        )
        if batch.keep and start is not AP:
            self._fail(f"{at}keep", batch.keep, "only sectors from AP on can be pledged as needed; remove it")
        return batch

    def _check(self, farm: FarmSpec) -> None:
        """What no single key shows: a stage that nobody does, files that nobody can hold."""
        for number, batch in enumerate(farm.batches, 1):
            for stage in batch.stages:
                if not any(group.offers(stage) for group in farm.groups):
                    cap = next((name for name, (_, task) in CAPS.items() if task is stage), "")
                    remedy = f"add it to a group's tasks{f' (with {cap} above 0)' if cap else ''}"
                    self._fail(
                        f"sectors[{number}]",
                        stage.short,
                        f"no worker takes {stage.short}; {remedy}, or end with until",
                    )
            if batch.stop is GET and not any(group.storage for group in farm.groups):
                self._fail(
                    f"sectors[{number}].until",
                    "GET",
                    'no group has long-term storage; give one storage = "100TiB", or end with until = "FIN"',
                )
            if batch.on and not farm.group(batch.on).disk:
                self._fail(f"sectors[{number}].on", batch.on, "its workers have no disk; name another group")

    # -- single values -----------------------------------------------------------------------------------------------

    def _tables(self, raw: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
        value = raw.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
            self._fail(key, value, f"write at least one [[{key}]]")
        return value

    def _table(self, raw: Mapping[str, Any], key: str, at: str) -> Mapping[str, Any]:
        value = raw.get(key, {})
        if not isinstance(value, dict):
            self._bad(f"{at}{key}", value, f"a section [workers.{key}]")
        return value

    def _known(self, raw: Mapping[str, Any], known: tuple[str, ...], at: str) -> None:
        for key in raw:
            if key not in known:
                self._unknown(f"{at}{key}", None, known)

    def _unknown(self, key: str, value: str | None, known: Any) -> NoReturn:
        word = key.rsplit(".", 1)[-1] if value is None else value
        by_lower = {name.lower(): name for name in known}
        near = get_close_matches(word.lower(), by_lower, 1, 0.5)
        remedy = f"did you mean {by_lower[near[0]]}?" if near else f"use one of {', '.join(known)}"
        what = "unknown key" if value is None else f'"{value}" is unknown'
        raise FarmError(f"{self._where}: {key}: {what}; {remedy}")

    def _text(self, raw: Mapping[str, Any], key: str, default: str, at: str) -> str:
        value = raw.get(key, default)
        if not isinstance(value, str):
            self._bad(f"{at}{key}", value, "a text in quotes")
        return value

    def _one_of(self, raw: Mapping[str, Any], key: str, default: str, known: tuple[str, ...], at: str) -> str:
        value = self._text(raw, key, default, at)
        if value not in known:
            self._unknown(f"{at}{key}", value, known)
        return value

    def _count(self, raw: Mapping[str, Any], at: str, most: int) -> int:
        value = self._whole(raw, "count", 1, at, 1)
        if value > most:
            self._bad(f"{at}count", value, f"a whole number from 1 to {most}")
        return value

    def _whole(self, raw: Mapping[str, Any], key: str, default: int, at: str, least: int | None) -> int:
        value = raw.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
            self._bad(f"{at}{key}", value, "a whole number" + ("" if least is None else f" from {least} up"))
        return value

    def _number(self, raw: Mapping[str, Any], key: str, at: str, above: float) -> float:
        value = raw[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not above < value < float("inf"):
            self._bad(f"{at}{key}", value, f"a number above {above:g}")
        return float(value)

    def _share(self, raw: Mapping[str, Any], key: str, default: float, at: str, below: bool = False) -> float:
        value = raw.get(key, default)
        wrong = isinstance(value, bool) or not isinstance(value, (int, float))
        if wrong or not 0 <= value <= 1 or (below and value == 1):
            self._bad(f"{at}{key}", value, "a share from 0 to 1" + (", below 1" if below else ""))
        return float(value)

    def _quantity(
        self, raw: Mapping[str, Any], key: str, default: T, at: str, read: Callable[[str], T], allowed: str
    ) -> T:
        if key not in raw:
            return default
        value = raw[key]
        if not isinstance(value, str):
            self._bad(f"{at}{key}", value, allowed)
        try:
            return read(value.strip())
        except ValueError:
            self._bad(f"{at}{key}", value, allowed)

    def _duration(self, raw: Mapping[str, Any], key: str, default: float, at: str) -> float:
        return self._quantity(
            raw, key, default, at, quantities.seconds, 'a duration, 0 or more, as in "1h30m" or "45s"'
        )

    def _size(self, raw: Mapping[str, Any], key: str, default: str, at: str) -> int:
        return self._quantity(
            raw, key, quantities.size(default), at, quantities.size, 'a size as in "14TiB" or "512GiB"'
        )

    def _rate(self, raw: Mapping[str, Any], key: str, default: str, at: str) -> float:
        allowed = 'a rate per second above 0, as in "10Gbit" or "1.2GiB"'
        value = self._quantity(raw, key, quantities.rate(default), at, quantities.rate, allowed)
        if value <= 0:
            self._bad(f"{at}{key}", raw[key], allowed)
        return value

    def _tasks(self, value: Any, key: str) -> frozenset[TaskType]:
        known = tuple(task.short for task in STAGES)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self._bad(key, value, 'a list of task types, ["AP", "PC1"]')
        for one in value:
            if one not in known:
                self._unknown(key, one, known)
        return frozenset(BY_SHORT[one] for one in value) | ALWAYS

    def _policies(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            self._bad("policies", value, 'a list of policies, ["balanced", "windowed"]')
        return tuple(self._policy("policies", one) for one in value)

    def _policy(self, key: str, value: Any) -> str:
        """``windowed:ASSIGNER`` too; the scheduler itself knows which assigners there are."""
        if not isinstance(value, str) or value.partition(":")[0] not in POLICIES:
            self._bad(key, value, " or ".join(POLICIES))
        return value

    def _switches(self, value: Any) -> tuple[Switch, ...]:
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self._bad("switches", value, 'a list as in [{ at = "5h", policy = "windowed" }]')
        switches = []
        for number, one in enumerate(value, 1):
            at = f"switches[{number}]."
            self._known(one, ("at", "policy"), at)
            switches.append(
                Switch(self._duration(one, "at", 0.0, at), self._policy(f"{at}policy", one.get("policy")))
            )
        return tuple(switches)

    def _bad(self, key: str, value: Any, allowed: str) -> NoReturn:
        shown = (
            f'"{value}"'
            if isinstance(value, str)
            else str(value).lower()
            if isinstance(value, bool)
            else value
        )
        raise FarmError(f"{self._where}: {key} = {shown}: allowed is {allowed}")

    def _fail(self, key: str, value: Any, remedy: str) -> NoReturn:
        shown = f" = {value}" if value not in ("", None) else ""
        raise FarmError(f"{self._where}: {key}{shown}: {remedy}")
