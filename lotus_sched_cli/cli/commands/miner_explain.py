"""``lotus-miner sealing explain`` and ``end-rest``, and the table of ``sched-diag``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lotus_sched_cli.cli.connect import Api, NoSuchMethod, miner_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import argument
from lotus_sched_cli.cli.render import show

if TYPE_CHECKING:
    from lotus_sched_cli.cli.views.sched import SchedTable


def explain(ctx: typer.Context, what: Annotated[str, argument("SECTOR|TASK-ID")]) -> None:
    """Why the tasks of a sector, or one task, wait, and for whom; or why they stand where they stand."""
    from lotus_sched_cli.cli.views.explain import explanation

    api = miner_api(ctx)
    try:
        told = api.call("SealingExplain", what)
    except NoSuchMethod as why:
        raise CliError(
            f"this lotus-miner is a stock one ({why.version}) and explains nothing",
            "see 'lotus-miner sealing sched-diag'",
        ) from None
    show(ctx, explanation(told, time.time()))


def end_rest(
    ctx: typer.Context,
    worker: Annotated[str, argument("WORKER")],
    task: Annotated[str, argument("TASK")] = "",
) -> None:
    """Let a worker take again at once what it rests from after failures: a task type like PC2, or all."""
    from lotus_sched_cli.cli.views.text import Lines
    from lotus_sched_cli.cli.views.wire import short

    try:
        ended = miner_api(ctx).call("SealingEndRest", worker, task)
    except NoSuchMethod as why:
        raise CliError(f"this lotus-miner is a stock one ({why.version}): its workers never rest") from None
    show(ctx, Lines.of(f"worker {worker} takes {', '.join(short(t) for t in ended)} again"))


def table(api: Api, queue: Sequence[Mapping[str, Any]]) -> SchedTable:
    """Queue, fleet, and why the next task of each type waits."""
    from lotus_sched_cli.cli.views.sched import first_of_each, sched_table

    explained: list[Mapping[str, Any]] = []
    for entry in first_of_each(queue):
        explained += api.call_or_none("SealingExplain", entry["TaskID"]) or ()
    return sched_table(queue, api.call("WorkerStats"), explained, time.time())
