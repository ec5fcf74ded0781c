"""Memory and processors of this machine, or of the part of it that the worker's control group leaves.

Source: Lotus ``storage/sealer/worker_local.go`` memInfo and ``cgroups_linux.go``. One difference: the group's own
limits count also where a container's namespace shows that group as the root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import psutil


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes."""

    physical: int
    used: int
    swap: int
    swap_used: int


def measure_memory(*, no_swap: bool = False, root: Path = Path("/")) -> Memory:
    """Measure now. ``root`` is where ``proc`` and the control groups are looked up."""
    ram, swap = psutil.virtual_memory(), psutil.swap_memory()
    found = Memory(ram.total, max(0, ram.total - ram.available), swap.total, swap.used)
    for limits in (_cgroup1(root), _cgroup2(root)):
        if limits is not None:
            found = _narrow(found, limits)
    return replace(found, swap=0, swap_used=0) if no_swap else found


def count_cpus() -> int:
    """Logical processors that this process may run on. A quota of the control group does not count, as in Lotus."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


class _Limits(NamedTuple):
    ram: int | None
    ram_used: int
    swap: int | None
    swap_used: int


def _narrow(found: Memory, limits: _Limits) -> Memory:
    if limits.ram is not None and 0 < limits.ram < found.physical:
        found = replace(found, physical=limits.ram, used=max(0, limits.ram_used))
    if limits.swap is not None and 0 < limits.swap < found.swap:
        found = replace(found, swap=limits.swap, swap_used=max(0, limits.swap_used))
    return found


# -- version 1 -------------------------------------------------------------------------------------------------------


def _cgroup1(root: Path) -> _Limits | None:
    try:
        mount = next(m for m in _mounts(root) if m.kind == "cgroup" and "memory" in m.options)
        path = next(path for names, path in _memberships(root) if "memory" in names.split(","))
        folder = _inside(root, mount, path)
        stat = _stat(folder / "memory.stat")
        used = _number(folder / "memory.usage_in_bytes") or 0
        return _Limits(
            _number(folder / "memory.limit_in_bytes"),
            used - stat.get("inactive_file", 0) - stat.get("active_file", 0),
            _number(folder / "memory.memsw.limit_in_bytes"),
            _number(folder / "memory.memsw.usage_in_bytes") or 0,
        )
    except (OSError, ValueError, StopIteration):
        return None


# -- version 2 -------------------------------------------------------------------------------------------------------


def _cgroup2(root: Path) -> _Limits | None:
    try:
        mount = next(m for m in _mounts(root) if m.kind == "cgroup2")
        path = next(path for names, path in _memberships(root) if names == "")
        top = _join(root, mount.point)
        folder = _inside(root, mount, path)
        levels = [folder, *folder.parents]
        levels = levels[: levels.index(top) + 1]
        ram = _smallest(levels, "memory.max")
        swap = _smallest(levels, "memory.swap.max")
        ram_used = (
            (_number(ram[1] / "memory.current") or 0) - _stat(ram[1] / "memory.stat").get("file", 0)
            if ram
            else 0
        )
        swap_used = (_number(swap[1] / "memory.swap.current") or 0) if swap else 0
        return _Limits(ram[0] if ram else None, ram_used, swap[0] if swap else None, swap_used)
    except (OSError, ValueError, StopIteration):
        return None


def _smallest(levels: list[Path], name: str) -> tuple[int, Path] | None:
    """The tightest limit on the way up; 0 is none, as in Lotus."""
    found = [(limit, folder) for folder in levels if (limit := _number(folder / name))]
    return min(found, key=lambda pair: pair[0]) if found else None


# -- files of proc and sys -------------------------------------------------------------------------------------------


class _Mount(NamedTuple):
    root: str
    point: str
    kind: str
    options: frozenset[str]


def _mounts(root: Path) -> Iterator[_Mount]:
    for line in (root / "proc/self/mountinfo").read_text().splitlines():
        front, _, back = line.partition(" - ")
        fields, tail = front.split(), back.split()
        if len(fields) >= 5 and len(tail) >= 3:
            yield _Mount(fields[3], fields[4], tail[0], frozenset(tail[2].split(",")))


def _memberships(root: Path) -> Iterator[tuple[str, str]]:
    """``(controllers, path)`` of each line of /proc/self/cgroup."""
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            yield parts[1], parts[2]


def _inside(root: Path, mount: _Mount, path: str) -> Path:
    """The group's folder. Where the mount shows only a part of the tree, the group is looked up below that part."""
    top = _join(root, mount.point)
    wanted = PurePosixPath(path)
    if mount.root != "/" and wanted.is_relative_to(mount.root):
        wanted = PurePosixPath("/") / wanted.relative_to(mount.root)
    folder = _join(top, str(wanted))
    return folder if ".." not in wanted.parts and folder.is_dir() else top


def _join(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _number(file: Path) -> int | None:
    """What stands in the file; None where there is no such file or it says ``max``."""
    try:
        text = file.read_text().strip()
    except FileNotFoundError:
        return None
    return None if text == "max" else int(text)


def _stat(file: Path) -> dict[str, int]:
    return {
        k: int(v) for k, v in (line.split(" ", 1) for line in file.read_text().splitlines() if " " in line)
    }
