"""What the demonstration sees at one moment, as data."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from lotus_sched_cli.cli.connect import Api
from lotus_sched_cli.cli.views.jobs import Jobs, jobs_view
from lotus_sched_cli.cli.views.workers import Worker, workers_view


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``seconds`` since the start; ``sectors``: (number, state), an unknown one has no state yet."""

    seconds: float
    sectors: tuple[tuple[int, str], ...]
    jobs: Jobs
    workers: tuple[Worker, ...]

    @property
    def done(self) -> bool:
        return all(state == "Proving" for _, state in self.sectors)


def look(api: Api, numbers: Sequence[int], seconds: float) -> Snapshot:
    """Ask the miner, over the methods that its commands use."""
    running, stats = api.call("WorkerJobs"), api.call("WorkerStats")
    names = {session: worker["Info"]["Hostname"] for session, worker in stats.items()}
    workers = sorted(workers_view(stats).rows, key=lambda w: w.hostname)
    states = tuple((number, str(api.call("SectorsStatus", number, False)["State"])) for number in numbers)
    return Snapshot(seconds, states, jobs_view(running, names, time.time()), tuple(workers))
