"""``lotus-worker set``: settings of the running worker; caps by the flags of ``lotus-worker run``.

Without caps it is Lotus's hidden command, with its words and its default of ``--enabled`` (cli/worker/main.go).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lotus_sched_cli.cli.connect import worker_api
from lotus_sched_cli.cli.golang import GoCommand, flag
from lotus_sched_cli.lotus.caps import OPTIONS

from .worker_caps import ask, show_own

app = typer.Typer(add_completion=False)
DEPRECATED = "DEPRECATED: This command will be removed in the future"


def cap(name: str) -> Any:
    return flag(f"--{name}", help=OPTIONS[name].help, default=False)


@app.command("set", cls=GoCommand, help="change what the running worker may carry")
def set_(
    ctx: typer.Context,
    enabled: Annotated[
        bool | None, flag("--enabled", help="enable/disable new task processing", default=True)
    ] = None,
    precommit1max: Annotated[str | None, cap("precommit1max")] = None,
    precommit1holdmax: Annotated[str | None, cap("precommit1holdmax")] = None,
    precommit2max: Annotated[str | None, cap("precommit2max")] = None,
    commit2max: Annotated[str | None, cap("commit2max")] = None,
    forcep2fromlocalp1: Annotated[bool | None, cap("forcep2fromlocalp1")] = None,
    forcep1fromlocalap: Annotated[bool | None, cap("forcep1fromlocalap")] = None,
    forcec2fromlocalp2: Annotated[bool | None, cap("forcec2fromlocalp2")] = None,
    allowp2c2parallel: Annotated[bool | None, cap("allowp2c2parallel")] = None,
    precommit1interval: Annotated[str | None, cap("precommit1interval")] = None,
    precommit2prefetch: Annotated[str | None, cap("precommit2prefetch")] = None,
    addpiecemax: Annotated[str | None, cap("addpiecemax")] = None,
    datacidmax: Annotated[str | None, cap("datacidmax")] = None,
    commit1max: Annotated[str | None, cap("commit1max")] = None,
    finalizemax: Annotated[str | None, cap("finalizemax")] = None,
    finalizeunsealedmax: Annotated[str | None, cap("finalizeunsealedmax")] = None,
    fetchmax: Annotated[str | None, cap("fetchmax")] = None,
    unsealmax: Annotated[str | None, cap("unsealmax")] = None,
    replicaupdatemax: Annotated[str | None, cap("replicaupdatemax")] = None,
    provereplicaupdate1max: Annotated[str | None, cap("provereplicaupdate1max")] = None,
    provereplicaupdate2max: Annotated[str | None, cap("provereplicaupdate2max")] = None,
    finalizereplicaupdatemax: Annotated[str | None, cap("finalizereplicaupdatemax")] = None,
    regensectorkeymax: Annotated[str | None, cap("regensectorkeymax")] = None,
    downloadsectormax: Annotated[str | None, cap("downloadsectormax")] = None,
) -> None:
    from .worker_run import caps_given

    caps = caps_given(ctx)
    api = worker_api(ctx)
    if not caps:
        print(DEPRECATED)
    if enabled is not None or not caps:
        api.call("SetEnabled", enabled is not False)
    if caps:
        show_own(ctx, api, ask(api, "CapsSet", caps))
