"""What the windowed policy answers when it is asked why, and what must hold in it at all times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lotus_sched_cli.core.decisions import Refusal, Why
from lotus_sched_cli.core.eligibility import judge_without_caps
from lotus_sched_cli.core.needs import Selector
from lotus_sched_cli.core.records import Task, Worker

from .bench import WINDOWS, Bench, Window
from .giving import preferred

if TYPE_CHECKING:
    from .policy import Windowed


def judge(policy: Windowed, task: Task, worker: Worker, now: float) -> Refusal | None:
    """The first reason why the worker does not take the waiting task now; None if it would."""
    common = judge_without_caps(task, worker, now, policy.local)
    if common is not None:
        return common
    bench = policy.benches[worker.id]
    lack = policy.empty.lack(bench.share(task), worker.spec, "schedAcceptable")
    if lack is not None:
        return lack
    window = policy.in_window.get(task.spec.id)
    if window is not None:
        return _judge_assigned(task, window, bench)
    if policy.starts is None or now < policy.starts:
        return Refusal(Why.STARTING, {"until": policy.starts if policy.starts is not None else now})
    if not bench.asked:
        waiting = sum(len(w.todo) for w in bench.windows)
        return Refusal(Why.WINDOWS, {"windows": len(bench.windows), "waiting": waiting})
    if policy.modern and task.needs.selector is Selector.MOVE and not preferred(task, worker):
        others = (b for b in policy.open.values() if preferred(task, b.worker))
        if any(judge_without_caps(task, b.worker, now, policy.local) is None for b in others):
            return Refusal(Why.NOT_PREFERRED)
    return None


def _judge_assigned(task: Task, window: Window, bench: Bench) -> Refusal:
    """It is on its way to one worker: nobody else gets it, whoever is idle."""
    if window.bench is bench and window is bench.windows[0]:
        lack = bench.preparing.lack(bench.prepare_share(task), bench.worker.spec, "startPreparing")
        if lack is not None:
            return lack
    label = window.bench.worker.spec.label
    return Refusal(Why.IN_WINDOW, {"worker": label, "window": window.bench.windows.index(window) + 1})


def validate(policy: Windowed) -> None:
    """Every waiting task is in its line or in one window; ledgers are the sums of what is in them."""
    for task in policy.farm.tasks.values():
        window = policy.in_window.get(task.spec.id)
        if window is not None:
            assert task.waiting and not task.pools, f"{task.spec.id}: in a window and elsewhere"
            assert task in window.todo and window in window.bench.windows, f"{task.spec.id}: lost window"
        elif task.waiting and not task.missing:
            assert task.pools and task.stamp, f"{task.spec.id}: waits in no line"
    for line in policy.lines.values():
        waiting = sum(1 for t in policy.farm.tasks.values() if t.pools and t.pools[0] is line)
        assert line.waiting == waiting, f"line {line.key} counts {line.waiting}, {waiting} wait"
        expected = {w.id for w in policy.farm.workers.values() if line.admits(w)}
        assert {i for i in line.members if i in policy.farm.workers} == expected, f"members of {line.key}"
    for worker in policy.farm.workers.values():
        _validate_bench(policy, policy.benches[worker.id])


def _validate_bench(policy: Windowed, bench: Bench) -> None:
    name = bench.worker.id
    assert bench.worker is policy.farm.workers.get(name), f"{name}: a stale bench"
    assert set(bench.prepares) | set(bench.runs) == set(bench.worker.carried), f"{name}: what it carries"
    assert not set(bench.prepares) & set(bench.runs), f"{name}: prepares and runs"
    windows = len(bench.windows) + len(bench.asked)
    assert windows == (WINDOWS if bench.enabled else 0), f"{name}: {windows} windows"
    assert all(w.todo for w in bench.windows) and not any(w.todo for w in bench.asked), f"{name}: windows"
    assert bool(bench.asked) == (name in policy.open), f"{name}: asks"
    for window in bench.windows:
        assert all(policy.in_window.get(t.spec.id) is window for t in window.todo), (
            f"{name}: a window's tasks"
        )
    for ledger, carried in ((bench.preparing, bench.prepares), (bench.active, bench.runs)):
        shares = [share for _, share in carried.values()]
        assert ledger.min_memory == sum(s.min_memory for s in shares), f"{name}: memory of a ledger"
        assert ledger.cpu == sum(s.threads for s in shares), f"{name}: threads of a ledger"
