"""``lotus-miner init``."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import GoCommand, flag
from lotus_sched_cli.cli.render import show
from lotus_sched_cli.cli.state import Globals, expand
from lotus_sched_cli.cli.views.text import Lines
from lotus_sched_cli.lotus.apiinfo import MINER
from lotus_sched_cli.lotus.repo import default_path
from lotus_sched_cli.miner.options import PROOFS, SECTOR_SIZES, MinerInitOptions

app = typer.Typer(add_completion=False)
DEFAULTS = MinerInitOptions()


@app.command("init", cls=GoCommand, help="make a miner repo on a simulated chain of its own")
def init(
    ctx: typer.Context,
    actor: Annotated[str, flag("--actor", help="address of the miner actor")] = DEFAULTS.actor,
    sector_size: Annotated[
        str, flag("--sector-size", help=f"size of new sectors: {', '.join(SECTOR_SIZES)}")
    ] = DEFAULTS.sector_size,
    proofs: Annotated[
        str,
        flag(
            "--proofs",
            help=f"what the chain takes as a proof: {' or '.join(PROOFS)} (looks at the form only, or verifies each)",
            default="real where the prover is found",
        ),
    ] = "",
    no_local_storage: Annotated[
        bool, flag("--no-local-storage", help="do not make the repo itself a storage path")
    ] = False,
    first_sector: Annotated[int | None, flag("--first-sector", hidden=True)] = None,
) -> None:
    from lotus_sched_cli.miner.init import init as make

    if proofs and proofs not in PROOFS:
        raise CliError(f'--proofs "{proofs}" is unknown', f"use {' or '.join(PROOFS)}")
    options = Globals.of(ctx)
    make(
        MinerInitOptions(
            miner_repo=expand(options.miner_repo),
            repo_text=options.miner_repo,
            actor=actor,
            sector_size=sector_size,
            proofs=proofs or None,
            no_local_storage=no_local_storage,
            first_sector=first_sector,
        )
    )
    show(
        ctx,
        Lines.of(
            f"miner {actor} is ready in {options.miner_repo}; start it with '{start_of(options.miner_repo)}'"
        ),
    )


def start_of(repo: str) -> str:
    """The command that runs the miner of ``repo``: with the flag, unless default or environment lead there."""
    told = default_path(MINER.repo_envs, MINER.default_repo)
    return "lotus-miner run" if repo == told else f"lotus-miner --miner-repo {shlex.quote(repo)} run"
