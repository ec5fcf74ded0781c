"""``lotus-miner run``."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import GoCommand, flag
from lotus_sched_cli.cli.state import Globals, expand
from lotus_sched_cli.miner.options import MinerRunOptions

app = typer.Typer(add_completion=False)


@app.command("run", cls=GoCommand, help="run the miner: scheduler, sector pipeline, API")
def run(
    ctx: typer.Context,
    miner_api: Annotated[
        str, flag("--miner-api", help="port of the API on 127.0.0.1", default="as config.toml says")
    ] = "",
    enable_gpu_proving: Annotated[bool, flag("--enable-gpu-proving", help="use the GPU for proofs")] = True,
    nosync: Annotated[
        bool, flag("--nosync", help="taken and without effect: there is no node to wait for")
    ] = False,
    manage_fdlimit: Annotated[
        bool, flag("--manage-fdlimit", help="raise the limit of open files at start")
    ] = True,
) -> None:
    if miner_api and not (miner_api.isascii() and miner_api.isdigit() and int(miner_api) < 65536):
        raise CliError(f'--miner-api "{miner_api}" is no port', "give a number from 0 to 65535")
    # A SIGHUP asks for config.toml to be read again, and until it is read for the first time that is nothing.
    # The default would end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    import asyncio

    from lotus_sched_cli.cli.daemons import log_to_stderr
    from lotus_sched_cli.miner.daemon import run as serve

    options = Globals.of(ctx)
    with log_to_stderr():
        asyncio.run(
            serve(
                MinerRunOptions(
                    miner_repo=expand(options.miner_repo),
                    repo_text=options.miner_repo,
                    miner_api=miner_api or None,
                    nosync=nosync,
                    enable_gpu_proving=enable_gpu_proving,
                    manage_fdlimit=manage_fdlimit,
                )
            )
        )
