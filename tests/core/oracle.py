"""What the best placement is, said the slow and plain way: maximum flow, task by task in the order of the queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Slots:
    """Of one worker: tasks of the type that it may take more, and how many of them may be new to its hold."""

    free: int
    new: int


def best_set(
    tasks: Iterable[str],
    slots: Mapping[str, Slots],
    may: Callable[[str, str], bool],
    holds: Callable[[str, str], bool],
) -> set[str]:
    """The tasks that are placed when each in turn is placed if any arrangement of those before it leaves room."""
    chosen: list[str] = []
    for task in tasks:
        if _placeable([*chosen, task], slots, may, holds):
            chosen.append(task)
    return set(chosen)


def _placeable(
    tasks: list[str],
    slots: Mapping[str, Slots],
    may: Callable[[str, str], bool],
    holds: Callable[[str, str], bool],
) -> bool:
    capacity: dict[tuple[str, str], int] = {}
    for task in tasks:
        capacity["source", f"t {task}"] = 1
        for worker in slots:
            if may(task, worker):
                capacity[f"t {task}", f"{'w' if holds(task, worker) else 'n'} {worker}"] = 1
    for worker, has in slots.items():
        capacity[f"n {worker}", f"w {worker}"] = has.new
        capacity[f"w {worker}", "sink"] = has.free
    return _max_flow(capacity) == len(tasks)


def _max_flow(capacity: dict[tuple[str, str], int]) -> int:
    left = dict(capacity)
    after: dict[str, set[str]] = {}
    for a, b in capacity:
        after.setdefault(a, set()).add(b)
        after.setdefault(b, set()).add(a)
        left.setdefault((b, a), 0)
    flow = 0
    while True:
        came: dict[str, str] = {"source": ""}
        queue = deque(["source"])
        while queue and "sink" not in came:
            a = queue.popleft()
            for b in after.get(a, ()):
                if b not in came and left[a, b] > 0:
                    came[b] = a
                    queue.append(b)
        if "sink" not in came:
            return flow
        b = "sink"
        while b != "source":
            left[came[b], b] -= 1
            left[b, came[b]] += 1
            b = came[b]
        flow += 1
