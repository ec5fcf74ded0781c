"""``lotus-worker stop``, ``info`` and ``wait-quiet``."""

from __future__ import annotations

import typer

from lotus_sched_cli import __version__
from lotus_sched_cli.cli.connect import worker_api
from lotus_sched_cli.cli.errors import CliError, DaemonError
from lotus_sched_cli.cli.golang import GoCommand, ReadCommand
from lotus_sched_cli.cli.render import notice, show
from lotus_sched_cli.cli.views.info import worker_view

stop = typer.Typer(add_completion=False)
info = typer.Typer(add_completion=False)
wait_quiet = typer.Typer(add_completion=False)

#: Lotus says it, on stdout.
DEPRECATED = "DEPRECATED: This command will be removed in the future"


@stop.command("stop", cls=GoCommand, help="take the worker's paths out of the index and stop it")
def stop_(ctx: typer.Context) -> None:
    api = worker_api(ctx)
    try:
        api.call("StorageDetachAll")
    except DaemonError as e:
        if str(e) != e.text:
            raise  # it says already what to do: nobody answers at the worker's address
        raise CliError(
            e.text,
            "the worker runs on, the miner was not told that its paths go: start the miner, "
            "or end the worker with SIGTERM (systemctl stop lotus-worker)",
        ) from None
    api.call("Shutdown")


@info.command("info", cls=ReadCommand, help="what the worker is, offers and stores")
def info_(ctx: typer.Context) -> None:
    api = worker_api(ctx)
    show(
        ctx,
        worker_view(
            api_version=version_number(api.call("Version")),
            cli_version=f"lotus-worker version {__version__}",
            session=api.call("ProcessSession"),
            enabled=api.call("Enabled"),
            info=api.call("Info"),
            tasks=api.call("TaskTypes") or {},
            paths=api.call("Paths") or (),
        ),
    )


def version_number(answer: object) -> int:
    """A worker's ``Version`` is a bare number."""
    return answer if isinstance(answer, int) else 0


@wait_quiet.command("wait-quiet", cls=GoCommand, help="wait until the worker runs no task")
def wait_quiet_(ctx: typer.Context) -> None:
    api = worker_api(ctx)
    notice(ctx, DEPRECATED)
    api.call("WaitQuiet", timeout=None)
