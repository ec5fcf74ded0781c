"""``lotus-miner sealing``: running jobs, workers, the scheduler's insides, abort.

Views are imported where they are used: these commands run under ``watch``, and each needs one view only.
"""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from lotus_sched_cli.cli.connect import Api, NoSuchMethod, miner_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import GoCommand, GoGroup, ReadCommand, argument, flag
from lotus_sched_cli.cli.render import show
from lotus_sched_cli.cli.state import Globals

app = typer.Typer(cls=GoGroup, help="running jobs, workers and the scheduler", add_completion=False)


@app.command("jobs", cls=ReadCommand, help="list running jobs")
def jobs(
    ctx: typer.Context,
    show_ret_done: Annotated[
        bool, flag("--show-ret-done", help="list results that no sector has taken yet, too")
    ] = False,
    queued: Annotated[bool, flag("--queued", help="list tasks that wait for a worker, too")] = False,
) -> None:
    from lotus_sched_cli.cli.views.jobs import hostnames_of, jobs_view, need_hostnames

    api = miner_api(ctx)
    running = api.call("WorkerJobs")
    names = hostnames_of(api.call("WorkerStats")) if need_hostnames(running) else {}
    queue = waiting(api) if queued else []
    show(ctx, jobs_view(running, names, time.time(), show_done=show_ret_done, queue=queue))


def waiting(api: Api) -> list[dict[str, Any]]:
    """The queue: our miner's own answer, else what a stock one tells in its diagnosis (without times)."""
    try:
        return api.call("SealingQueue") or []
    except NoSuchMethod:
        requests = api.call("SealingSchedDiag", False)["SchedInfo"]["Requests"] or []
        return [
            {"TaskID": r["SchedId"], "Sector": r["Sector"]["Number"], "Task": r["TaskType"]} for r in requests
        ]


@app.command("workers", cls=ReadCommand, help="list workers, their load and their caps")
def workers(ctx: typer.Context) -> None:
    from lotus_sched_cli.cli.views.workers import workers_view

    api = miner_api(ctx)
    stats = api.call("WorkerStats")
    ours = any("Sched" in entry for entry in stats.values())
    show(ctx, workers_view(stats, absent=(api.call_or_none("WorkersAbsent") or ()) if ours else ()))


@app.command(
    "sched-diag", cls=ReadCommand, help="show queue, workers and refusals; in a pipe JSON as Lotus has it"
)
def sched_diag(
    ctx: typer.Context,
    force_sched: Annotated[bool, flag("--force-sched", help="let it schedule first")] = False,
) -> None:
    options, api = Globals.of(ctx), miner_api(ctx)
    if options.format_name() or options.layout_name() == "rich":
        from .miner_explain import table

        show(ctx, table(api, waiting(api)))
        return
    from lotus_sched_cli.cli.views.text import Diagnosis

    show(ctx, Diagnosis(api.call("SealingSchedDiag", force_sched)))


@app.command("abort", cls=GoCommand, help="end a running job, or take a waiting task out of the queue")
def abort(
    ctx: typer.Context,
    call_id: Annotated[str, argument("ID")],
    sched: Annotated[bool, flag("--sched", help="ID is that of a waiting task ('jobs --queued')")] = False,
    force: Annotated[
        bool, flag("--force", help="forget the job although nobody answers for it (a ghost)")
    ] = False,
) -> None:
    from lotus_sched_cli.cli.views.text import Lines
    from lotus_sched_cli.cli.views.wire import short

    api = miner_api(ctx)
    if sched:
        remove_request(api, call_id)
        return
    session, job = find_job(api, call_id)
    host = job.get("Hostname") or ""
    call, sector = job["ID"]["ID"], job["Sector"]
    name = f"{sector['Miner']}-{sector['Number']}-{call}"
    show(
        ctx,
        Lines.of(
            f"aborting job {name}, task {short(job['Task'])}, sector {sector['Number']}, running on host {host}"
        ),
    )
    if force:
        force_abort(api, job)
        show(ctx, Lines.of(f"job {call} is forgotten; its sector goes on as after a lost call"))
        return
    api.call("SealingAbort", job["ID"], timeout=None)
    if "Sched" in job:
        show(ctx, Lines.of(f"job {call} is dead on {host or session[:8]}"))


def find_job(api: Api, prefix: str) -> tuple[str, dict[str, Any]]:
    """The one job whose call id begins so. Unlike Lotus's command this one refuses an id that fits several, and jobs
    that have no call yet: those cannot be aborted by it."""
    if not prefix:
        raise CliError(
            "job with specified id prefix not found: the id is empty", "take one from 'sealing jobs'"
        )
    from lotus_sched_cli.cli.views.wire import NIL_UUID

    found = [
        (session, job)
        for session, entries in api.call("WorkerJobs").items()
        for job in entries or ()
        if job["ID"]["ID"].startswith(prefix.lower())
    ]
    if not found:
        raise CliError(f"job with specified id prefix not found: {prefix}", "see 'lotus-miner sealing jobs'")
    if any(job["ID"]["ID"] == NIL_UUID for _, job in found):
        raise CliError(
            f"{prefix}: the job has no call yet, its worker has not started it",
            "wait until it runs, or remove a queued task with --sched",
        )
    if len(found) > 1:
        raise CliError(f"{prefix}: {len(found)} jobs have ids that begin so", "give more of the id")
    return found[0]


def force_abort(api: Api, job: dict[str, Any]) -> None:
    try:
        api.call("SealingAbortForce", job["ID"])
    except NoSuchMethod as why:
        raise CliError(
            f"this lotus-miner is a stock one ({why.version}) and cannot forget a job",
            "abort without --force",
        ) from None


def remove_request(api: Api, task_id: str) -> None:
    """A queued task by its id, or by a beginning of it that fits one."""
    known = [entry["TaskID"] for entry in waiting(api) if entry["TaskID"].startswith(task_id.lower())]
    whole = known[0] if len(known) == 1 else task_id.lower()
    if len(known) > 1:
        raise CliError(f"{task_id}: {len(known)} waiting tasks have ids that begin so", "give more of the id")
    if not known:
        raise CliError(
            f"Failed to removed the request with UUID {task_id}: No request with provided details found",
            "see 'lotus-miner sealing jobs --queued'",
        )
    api.call("SealingRemoveRequest", whole)
