"""The shipped farms show what their notes say: the scenes that operators told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest

from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.sim import farmfile
from lotus_sched_cli.sim.farm import FarmSpec
from lotus_sched_cli.sim.report import report
from lotus_sched_cli.sim.run import simulate
from lotus_sched_cli.sim.trace import Span, Trace

AP, P1, P2, C2 = TaskType.ADD_PIECE, TaskType.PRECOMMIT1, TaskType.PRECOMMIT2, TaskType.COMMIT2
GET = TaskType.FETCH


def run(name: str) -> Trace:
    trace = simulate(farmfile.load(name), "balanced")
    assert len(trace.done) == trace.farm.sectors
    return trace


def most_at_once(spans: Iterable[Span]) -> int:
    changes = sorted((time, change) for s in spans for time, change in ((s.bound, 1), (s.end, -1)))
    level = most = 0
    for _, change in changes:
        level += change
        most = max(most, level)
    return most


def of_host(spans: Iterable[Span], host: int) -> list[Span]:
    return [span for span in spans if span.host == host]


def test_p1_counts_grow_evenly_to_fifteen_each_and_the_rest_waits() -> None:
    trace = run("sixty-p1")
    first = [span for span in trace.of(P1) if span.bound == 0]
    assert Counter(span.host for span in first) == dict.fromkeys(range(4), 15)
    carried: Counter[int] = Counter()
    for span in first:
        carried[span.host] += 1
        assert max(carried.values()) - min(carried[host] for host in range(4)) <= 1
    assert all(most_at_once(of_host(trace.of(P1), host)) == 15 for host in range(4))
    assert sum(span.bound > 0 for span in trace.of(P1)) == 10


def test_forty_p2_workers_do_one_each_and_are_busy_nearly_all_the_time() -> None:
    trace = run("forty-p2")
    spans = list(trace.of(P2))
    workers = {span.host for span in spans}
    assert len(workers) == 40
    assert all(most_at_once(of_host(spans, host)) == 1 for host in workers)
    assert all(most_at_once(of_host(trace.of(C2), host)) == 1 for host in {s.host for s in trace.of(C2)})
    last = max(span.end for span in spans)
    assert sum(span.end - span.bound for span in spans) > 0.98 * 40 * last


def test_of_forty_gpus_thirty_eight_work_and_none_has_two_tasks() -> None:
    trace = run("forty-gpus")
    spans = [*trace.of(P2), *trace.of(C2)]
    assert len({span.host for span in spans}) == 38
    assert all(most_at_once(of_host(spans, host)) == 1 for host in {span.host for span in spans})


def test_one_worker_does_five_p2_in_parallel() -> None:
    assert most_at_once(run("five-p2").of(P2)) == 5


def test_two_gpus_do_two_c2_in_parallel_at_full_speed() -> None:
    trace = run("two-gpus")
    assert most_at_once(trace.of(C2)) == 2
    assert {span.end - span.bound for span in trace.of(C2)} == {span.work for span in trace.of(C2)}


def test_a_full_hold_stops_p1_although_slots_are_free_until_a_sector_is_fetched_away() -> None:
    trace = run("hold-cap")
    fetched = {span.sector: span.ran for span in trace.of(P2)}
    held: list[tuple[float, int]] = []
    for span in trace.of(P1):
        away = fetched[span.sector]
        assert away is not None
        held += [(span.bound, 1), (away, -1)]
    level = most = 0
    for _, change in sorted(held):
        level += change
        most = max(most, level)
    assert most == 8
    p1 = list(trace.of(P1))
    beside = [sum(o.bound < s.bound < o.end for o in p1) for s in p1 if s.bound > s.queued + 60]
    assert min(beside) < 6, "some waited for the hold while slots were free"


def test_bound_workers_do_their_own_p2_and_copy_nothing() -> None:
    trace = run("all-bound")
    makers = {span.sector: span.host for span in trace.of(P1)}
    assert all(makers[span.sector] == span.host for span in trace.of(P2))
    assert trace.copied == 0


def test_free_workers_take_from_anyone_while_bound_ones_keep_to_their_own() -> None:
    trace = run("some-bound")
    makers = {span.sector: span.host for span in trace.of(P1)}
    bound = {host.number for host in trace.hosts if host.group.name == "bound"}
    assert all(makers[span.sector] == span.host for span in trace.of(P2) if span.host in bound)
    assert any(makers[span.sector] != span.host for span in trace.of(P2) if span.host not in bound)


def test_on_a_two_terabyte_disk_pieces_leave_room_for_p1_and_every_sector_gets_through() -> None:
    trace = run("two-terabytes")
    begun = {span.sector: span.bound for span in trace.of(P1)}
    waiting = sorted(
        (time, change) for s in trace.of(AP) for time, change in ((s.bound, 1), (begun[s.sector], -1))
    )
    level = most = 0
    for _, change in waiting:
        level += change
        most = max(most, level)
    assert most <= 3
    assert trace.no_space == 0


def test_more_jobs_than_slots_leave_no_worker_idle_that_could_do_one() -> None:
    trace = run("fifteen-workers")
    assert trace.idle_total == 0
    assert max(span.bound - span.queued for span in trace.of(P1)) > 3600


@pytest.mark.parametrize("name", ["hold-cap", "forty-p2"])
def test_files_fetched_ahead_seal_more_without_a_copy_more_or_anybody_idle(name: str) -> None:
    """A GPU that waits for its files is what these farms lose; no PC2 is bound behind another for it."""
    farm = farmfile.load(name)
    without, ahead = (simulate(_prefetching(farm, most), "balanced") for most in (0, 1))
    assert report(ahead).sectors_per_day > 1.15 * report(without).sectors_per_day
    assert report(ahead).sectors_per_day >= 0.999 * report(simulate(farm, "windowed")).sectors_per_day
    assert (ahead.idle_total, ahead.copied, ahead.no_space) == (0, without.copied, 0)
    for host in ahead.hosts:
        carried = most_at_once(of_host(ahead.of(P2), host.number))
        assert carried <= host.group.caps.precommit2_max, "no slot more is taken for it"


def _prefetching(farm: FarmSpec, most: int) -> FarmSpec:
    groups = (replace(g, caps=replace(g.caps, precommit2_prefetch=most)) for g in farm.groups)
    return replace(farm, groups=tuple(groups))
