"""``lotus-worker run``: every flag of Lotus's, the operator's caps, the sealer."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import Context, GoCommand, flag
from lotus_sched_cli.cli.state import Globals, expand
from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.lotus.caps import MAIN, OPTIONS, parse, text_of, value_of
from lotus_sched_cli.lotus.units import parse_duration
from lotus_sched_cli.worker.options import SEALERS, RunOptions

app = typer.Typer(add_completion=False)
DEFAULTS = RunOptions()
CAPS = Caps()
PREFIX = "LOTUS_WORKER_"


def task(name: str, what: str, *, default: str = "true", env: bool = True) -> Any:
    """A task's switch: not given is not the same as given with the default."""
    envs = [PREFIX + name.upper().replace("-", "_")] if env else []
    return flag(f"--{name}", help=what, env=envs, default=default)


def cap(name: str, what: str, default: int) -> Any:
    return flag(f"--{name}", help=what, env=[PREFIX + name.upper()], default=str(default))


def extra(name: str) -> Any:
    """An operator's extra, off by default."""
    option = OPTIONS[name]
    default = text_of(name, value_of(CAPS, name))
    return flag(f"--{name}", help=option.help, env=[PREFIX + name.upper()], default=default)


def setting(name: str, what: str, *, default: str | bool = True) -> Any:
    return flag(f"--{name}", help=what, env=[PREFIX + name.upper().replace("-", "_")], default=default)


@app.command("run", cls=GoCommand, help="run a sealing worker")
def run(
    ctx: typer.Context,
    listen: Annotated[
        str, setting("listen", "host and port of the worker's API; 0.0.0.0 stands for the own address")
    ] = DEFAULTS.listen,
    address: Annotated[str, flag("--address", hidden=True)] = "",
    no_local_storage: Annotated[
        bool, setting("no-local-storage", "first run: do not make the repo itself a storage path")
    ] = False,
    no_swap: Annotated[bool, setting("no-swap", "leave swap out of the reported memory")] = False,
    name: Annotated[str, setting("name", "the worker's name in tables and logs", default="hostname")] = "",
    addpiece: Annotated[bool | None, task("addpiece", "take AddPiece tasks (AP)")] = None,
    precommit1: Annotated[bool | None, task("precommit1", "take PreCommit1 tasks (PC1)")] = None,
    unseal: Annotated[bool | None, task("unseal", "take unsealing (UNS)")] = None,
    precommit2: Annotated[bool | None, task("precommit2", "take PreCommit2 tasks (PC2)")] = None,
    commit: Annotated[bool | None, task("commit", "take Commit2 tasks (C2)")] = None,
    replica_update: Annotated[bool | None, task("replica-update", "take replica updates (RU)")] = None,
    prove_replica_update2: Annotated[
        bool | None, task("prove-replica-update2", "take proofs of replica updates (PR2)")
    ] = None,
    regen_sector_key: Annotated[
        bool | None, task("regen-sector-key", "take regenerating of sector keys (GSK)")
    ] = None,
    sector_download: Annotated[
        bool | None, task("sector-download", "take downloads of outside sectors (DL)", default="false")
    ] = None,
    windowpost: Annotated[
        bool | None, task("windowpost", "do window proofs instead of sealing (WDP)", default="false")
    ] = None,
    winningpost: Annotated[
        bool | None, task("winningpost", "do winning proofs instead of sealing (WNP)", default="false")
    ] = None,
    no_default: Annotated[
        bool, setting("no-default", "take only what is switched on by name, and storage tasks")
    ] = False,
    parallel_fetch_limit: Annotated[
        int, setting("parallel-fetch-limit", "most fetches at once")
    ] = DEFAULTS.parallel_fetch_limit,
    post_parallel_reads: Annotated[
        int, setting("post-parallel-reads", "taken and without effect: no PoSt is made here")
    ] = DEFAULTS.post_parallel_reads,
    post_read_timeout: Annotated[
        str, setting("post-read-timeout", "taken and without effect: no PoSt is made here", default="0s")
    ] = "0s",
    timeout: Annotated[
        str, setting("timeout", "longest wait for the miner when the own address is looked for, like 30m")
    ] = "30m",
    http_server_timeout: Annotated[
        str, flag("--http-server-timeout", help="longest wait for a request's headers")
    ] = "30s",
    data_cid: Annotated[
        bool | None, task("data-cid", "take DataCid tasks (DC)", default="as for AddPiece", env=False)
    ] = None,
    external_pc2: Annotated[
        str, flag("--external-pc2", help="command that does PreCommit2, told by EXTSEAL_PC2_ variables")
    ] = "",
    precommit1max: Annotated[
        int | None, cap("precommit1max", "set maximum precommit1 quantity", CAPS.precommit1_max)
    ] = None,
    precommit1holdmax: Annotated[
        int | None,
        cap(
            "precommit1holdmax",
            "set maximum precommit1 hold quantity, 0 for no limit",
            CAPS.precommit1_hold_max,
        ),
    ] = None,
    precommit2max: Annotated[
        int | None, cap("precommit2max", "set maximum precommit2 quantity", CAPS.precommit2_max)
    ] = None,
    commit2max: Annotated[
        int | None, cap("commit2max", "set maximum commit2 quantity", CAPS.commit2_max)
    ] = None,
    forcep2fromlocalp1: Annotated[
        bool | None,
        task("forcep2fromlocalp1", "enable force precommit2 for local precommit1", default="false"),
    ] = None,
    forcep1fromlocalap: Annotated[bool | None, extra("forcep1fromlocalap")] = None,
    forcec2fromlocalp2: Annotated[bool | None, extra("forcec2fromlocalp2")] = None,
    allowp2c2parallel: Annotated[bool | None, extra("allowp2c2parallel")] = None,
    precommit1interval: Annotated[str | None, extra("precommit1interval")] = None,
    precommit2prefetch: Annotated[int | None, extra("precommit2prefetch")] = None,
    addpiecemax: Annotated[str | None, extra("addpiecemax")] = None,
    datacidmax: Annotated[str | None, extra("datacidmax")] = None,
    commit1max: Annotated[str | None, extra("commit1max")] = None,
    finalizemax: Annotated[str | None, extra("finalizemax")] = None,
    finalizeunsealedmax: Annotated[str | None, extra("finalizeunsealedmax")] = None,
    fetchmax: Annotated[str | None, extra("fetchmax")] = None,
    unsealmax: Annotated[str | None, extra("unsealmax")] = None,
    replicaupdatemax: Annotated[str | None, extra("replicaupdatemax")] = None,
    provereplicaupdate1max: Annotated[str | None, extra("provereplicaupdate1max")] = None,
    provereplicaupdate2max: Annotated[str | None, extra("provereplicaupdate2max")] = None,
    finalizereplicaupdatemax: Annotated[str | None, extra("finalizereplicaupdatemax")] = None,
    regensectorkeymax: Annotated[str | None, extra("regensectorkeymax")] = None,
    downloadsectormax: Annotated[str | None, extra("downloadsectormax")] = None,
    sealer: Annotated[
        str, setting("sealer", f"what does the sealing: {', '.join(SEALERS)}")
    ] = DEFAULTS.sealer,
    sealer_config: Annotated[
        str, setting("sealer-config", "the sealer's settings", default="simulated.toml in the worker's repo")
    ] = "",
) -> None:
    if address:
        from lotus_sched_cli.cli.connect import warn

        warn("The '--address' flag is deprecated, it has been replaced by '--listen'")
        listen = address
    if not name.isprintable():
        raise CliError(f"--name {name!r} has characters that no table can show", "give a name of one line")
    caps = {
        "precommit1max": precommit1max,
        "precommit1holdmax": precommit1holdmax,
        "precommit2max": precommit2max,
        "commit2max": commit2max,
    }
    for flag_name, value in caps.items():
        if value is not None and value < 0:
            raise CliError(f"--{flag_name} {value} is negative", "give 0 or more")
    if sealer not in SEALERS:
        raise CliError(f'--sealer "{sealer}" is unknown', f"use one of {', '.join(SEALERS)}")
    for flag_name, value in (
        ("parallel-fetch-limit", parallel_fetch_limit),
        ("post-parallel-reads", post_parallel_reads),
    ):
        if value < 0:
            raise CliError(f"--{flag_name} {value} is negative", "give 0 or more")
    program = Globals.of(ctx)
    options = RunOptions(
        worker_repo=expand(program.worker_repo),
        miner_repo=expand(program.miner_repo),
        miner_api_url=program.miner_api_url or None,
        enable_gpu_proving=program.enable_gpu_proving,
        listen=listen,
        no_local_storage=no_local_storage,
        no_swap=no_swap,
        name=name or None,
        addpiece=addpiece,
        data_cid=data_cid,
        precommit1=precommit1,
        unseal=unseal,
        precommit2=precommit2,
        commit=commit,
        replica_update=replica_update,
        prove_replica_update2=prove_replica_update2,
        regen_sector_key=regen_sector_key,
        sector_download=sector_download,
        windowpost=windowpost,
        winningpost=winningpost,
        no_default=no_default,
        parallel_fetch_limit=parallel_fetch_limit,
        post_parallel_reads=post_parallel_reads,
        post_read_timeout=seconds("post-read-timeout", post_read_timeout),
        timeout=seconds("timeout", timeout),
        http_server_timeout=seconds("http-server-timeout", http_server_timeout),
        external_pc2=external_pc2,
        precommit1max=precommit1max,
        precommit1holdmax=precommit1holdmax,
        precommit2max=precommit2max,
        commit2max=commit2max,
        forcep2fromlocalp1=forcep2fromlocalp1,
        extra_caps={name: text for name, text in caps_given(ctx).items() if name not in MAIN},
        sealer=sealer,
        sealer_config=expand(sealer_config) if sealer_config else None,
    )
    import asyncio

    from lotus_sched_cli.cli.daemons import log_to_stderr
    from lotus_sched_cli.worker.run import run as serve

    with log_to_stderr():
        asyncio.run(serve(options))


def caps_given(ctx: Context) -> dict[str, str]:
    """The caps that flags or variables state, as text by their names. Raises UserError for a value that is none."""
    given = {name: ctx.params.get(name) for name in OPTIONS}
    texts = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
        if value is not None
    }
    for name, text in texts.items():
        parse(name, text, f"--{name}")
    return texts


def seconds(name: str, text: str) -> float:
    """A Go duration."""
    try:
        value = parse_duration(text) / 1e9
    except ValueError as error:
        raise CliError(
            f'invalid value "{text}" for flag -{name}: {error}', "give a duration like 30s or 1h30m"
        ) from None
    if value < 0:
        raise CliError(f"--{name} {text} is negative", "give 0 or more")
    return value
