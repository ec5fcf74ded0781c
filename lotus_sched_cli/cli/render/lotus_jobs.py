"""``sealing jobs`` in Lotus's layout."""

from __future__ import annotations

from typing import Final

from lotus_sched_cli.cli.views.jobs import Job, Jobs
from lotus_sched_cli.lotus.units import go_age

from .spans import Span, go_table

JOB_HEADER: Final = ("ID", "Sector", "Worker", "Hostname", "Task", "State", "Time")


def jobs(view: Jobs) -> list[Span]:
    return go_table(JOB_HEADER, [job_cells(job) for job in view.rows])


def job_cells(job: Job) -> tuple[str, ...]:
    age = "n/a" if job.age is None else go_age(job.age)
    return job.id[:8], str(job.sector), job.worker[:8], job.hostname, job.task, job.state, age
