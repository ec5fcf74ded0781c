"""A farm as FARM.toml: what `farmfile` reads again as the same farm. Remarks stand as comments above their groups."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.proofs import SIZE_NAMES

from .farm import ALWAYS, AP, DURATIONS, GET, STAGES, Batch, FarmSpec, Group
from .farmfile import CAPS
from .quantities import duration
from .quantities import seconds as read

_UNITS: Final = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def text_of(farm: FarmSpec, remarks: Mapping[str, Iterable[str]] | None = None) -> str:
    """The file's text. ``remarks`` are lines by the group's name; those of ``""`` stand on top."""
    remarks = remarks or {}
    out = [f"# {line}" for line in remarks.get("", ())]
    base = FarmSpec("", (), ())
    for key, value in (
        ("name", _quote(farm.name)),
        ("note", _quote(farm.note) if farm.note else ""),
        ("sector_size", _quote(SIZE_NAMES[farm.sector_size])),
        ("seed", str(farm.seed)),
        ("jitter", f"{farm.jitter:g}" if farm.jitter else ""),
        ("wait_seed", _quote(_exact(farm.wait_seed))),
        ("commit_wait", _quote(_exact(farm.commit_wait))),
        ("run_for", _quote(_exact(farm.run_for)) if farm.run_for else ""),
        ("policies", _list(farm.policies)),
        ("spread_by", _quote(farm.spread_by) if farm.spread_by != base.spread_by else ""),
        ("retry_delay", _quote(_exact(farm.retry_delay))),
        ("retry_delay_max", _quote(_exact(farm.retry_delay_max))),
    ):
        if value:
            out.append(f"{key} = {value}")
    if farm.switches:
        inner = ", ".join(
            f"{{ at = {_quote(_exact(one.at))}, policy = {_quote(one.policy)} }}" for one in farm.switches
        )
        out.append(f"switches = [{inner}]")
    for batch in farm.batches:
        out += ["", "[[sectors]]", *_batch(batch)]
    for group in farm.groups:
        out += ["", *(f"# {line}" for line in remarks.get(group.name, ())), "[[workers]]", *_group(group)]
    return "\n".join(out) + "\n"


def _batch(batch: Batch) -> list[str]:
    out = [f"count = {batch.count}"]
    if batch.every:
        out.append(f"every = {_quote(_exact(batch.every))}")
    if batch.first:
        out.append(f"first = {_quote(_exact(batch.first))}")
    if batch.start is not AP:
        out.append(f"from = {_quote(batch.start.short)}")
    if batch.stop is not GET:
        out.append(f"until = {_quote(batch.stop.short)}")
    if batch.on:
        out.append(f"on = {_quote(batch.on)}")
    out += [
        f"{key} = {value}" for key, value in (("priority", batch.priority), ("keep", batch.keep)) if value
    ]
    return out


def _group(group: Group) -> list[str]:
    chosen = [task.short for task in STAGES if task in group.tasks and task not in ALWAYS]
    out = [
        f"name = {_quote(group.name)}",
        f"count = {group.count}",
        f"tasks = {_list(chosen)}",
        f"cpus = {group.cpus}",
        f"gpus = {group.gpus}",
        f"memory = {_quote(_size(group.memory))}",
        f"disk = {_quote(_size(group.disk))}",
        f"storage = {_quote(_size(group.storage))}",
        f'network = "{max(1, round(group.network))}B"',
    ]
    caps = {key: _cap(getattr(group.caps, CAPS[key][0])) for key in CAPS if _meant(group, key)}
    if caps:
        out.append(f"caps = {_table(caps)}")
    if group.limits:
        out.append(f"limits = {_table({task.short: str(most) for task, most in group.limits.items()})}")
    durations = {
        task.short: _quote(_exact(group.durations[task])) for task in DURATIONS if task in group.tasks
    }
    out.append(f"durations = {_table(durations)}")
    contention = {}
    if group.p1_full_speed:
        contention["p1_full_speed"] = str(group.p1_full_speed)
    if group.gpu_overlap:
        contention["gpu_overlap"] = f"{group.gpu_overlap:g}"
    if group.p1_memory != 64 << 30:
        contention["p1_memory"] = _quote(_size(group.p1_memory))
    if contention:
        out.append(f"contention = {_table(contention)}")
    failures = {task.short: f"{share:g}" for task, share in group.failures.items() if share}
    if group.restart_every:
        failures |= {
            "restart_every": _quote(_exact(group.restart_every)),
            "restart_lasts": _quote(_exact(group.restart_lasts)),
        }
    if failures:
        out.append(f"failures = {_table(failures)}")
    return out


def _meant(group: Group, key: str) -> bool:
    """Whether the cap is another than the default, and of a task that the group takes."""
    field, task = CAPS[key]
    return task in group.tasks and getattr(group.caps, field) != getattr(Caps(), field)


def _cap(value: int | float | bool) -> str:
    return _quote(_exact(value)) if isinstance(value, float) else str(value).lower()


def _table(values: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f"{key} = {value}" for key, value in values.items()) + " }"


def _list(values: Iterable[str]) -> str:
    return "[" + ", ".join(_quote(value) for value in values) + "]"


def _quote(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _exact(seconds: float) -> str:
    """A duration that reads as the same number."""
    short = duration(seconds)
    return short if read(short) == seconds else f"{Decimal(repr(seconds)):f}s"


def _size(size: int) -> str:
    for name, unit in _UNITS:
        if size and size % unit == 0:
            return f"{size // unit}{name}"
    return str(size)
