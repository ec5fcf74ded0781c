"""The three programs: ``lotus-miner``, ``lotus-worker`` and ``lotus-sched`` (``lotus-sched miner …`` is ``lotus-miner …``).

Importing this module must stay cheap (operators run commands under ``watch -n2``): typer and the standard library only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from lotus_sched_cli import __version__
from lotus_sched_cli.lotus.errors import UserError

from .commands.not_served import BACKUP, PARAMS, PPROF, Missing
from .golang import GoGroup, Lazy, flag, lazy_group, no_flags
from .visible import error_line

#: Set it to see where an error came from.
TRACE_ENV = "LOTUS_SCHED_TRACE"
#: Last word of a line that asks for candidates, as with Lotus; first word of one that asks for names the miner knows.
COMPLETE = "--generate-bash-completion"
VALUES = "--generate-values"
#: Lotus's interfaces that the programs speak; ``--version`` names them beside our own version.
SPEAKS = "miner API 1.5.0, worker API 1.7.0"

MINER_REPO = ("LOTUS_MINER_PATH", "LOTUS_STORAGE_PATH")
WORKER_REPO = ("LOTUS_WORKER_PATH", "WORKER_PATH")
LAYOUT_HELP = "how tables look: rich, plain or classic (the tables of 2020)"
FORMAT_HELP = "for programs, instead of tables: json, jsonl or csv"
WATCH_HELP = "look again every 2 seconds, or as many as given; tables are drawn in place"
Format = Annotated[str, flag("--format", help=FORMAT_HELP)]
Watch = Annotated[str, flag("--watch", help=WATCH_HELP, optional="2")]

MINER_COMMANDS = {
    "init": Lazy("commands.miner_init:app", "make a miner repo on a simulated chain of its own"),
    "run": Lazy("commands.miner_run:app", "run the miner: scheduler, sector pipeline, API"),
    "stop": Lazy("commands.miner_node:stop", "stop the running miner"),
    "config": Lazy("commands.miner_config:app", "the miner's config.toml"),
    "backup": Missing(BACKUP),
    "version": Lazy("commands.miner_node:version", "tell what the running miner is, and this program"),
    "actor": Lazy("commands.groups:actor", "the miner's actor on the chain", "CHAIN", hidden=True),
    "info": Lazy("commands.miner_node:info", "what the miner is and how its sectors stand", "CHAIN"),
    "auth": Lazy("commands.miner_auth:app", "tokens for the API", "DEVELOPER"),
    "log": Lazy("commands.miner_log:app", "log levels and alerts of the running miner", "DEVELOPER"),
    "wait-api": Lazy("commands.miner_node:wait_api", "wait until the miner answers", "DEVELOPER"),
    "fetch-params": Missing(PARAMS),
    "pprof": Missing(PPROF),
    "sectors": Lazy("commands.groups:sectors", "pledge, list and inspect sectors", "STORAGE"),
    "proving": Lazy("commands.groups:proving", "workers for proofs over time", "STORAGE"),
    "storage": Lazy("commands.miner_storage:app", "attach, list and search storage paths", "STORAGE"),
    "sealing": Lazy("commands.groups:sealing", "running jobs, workers and the scheduler", "STORAGE"),
}
WORKER_COMMANDS = {
    "run": Lazy("commands.worker_run:app", "run a sealing worker"),
    "stop": Lazy("commands.worker_node:stop", "stop the running worker"),
    "info": Lazy("commands.worker_node:info", "what the worker is, offers and stores"),
    "set": Lazy("commands.worker_set:app", "change what the running worker may carry"),
    "caps": Lazy("commands.worker_caps:app", "list and change what the worker may carry"),
    "drain": Lazy("commands.drain:worker_drain", "take no more work, and wait until the worker is empty"),
    "undrain": Lazy("commands.drain:worker_undrain", "take work again"),
    "storage": Lazy("commands.worker_storage:app", "attach and detach the worker's storage paths"),
    "resources": Lazy("commands.worker_resources:app", "list the variables that change what tasks need"),
    "tasks": Lazy("commands.worker_tasks:app", "switch task types on and off while the worker runs"),
    "wait-quiet": Lazy("commands.worker_node:wait_quiet", "wait until the worker runs no task", hidden=True),
}


def miner(argv: Sequence[str] | None = None) -> NoReturn:
    """``lotus-miner``."""
    run(miner_program(), "lotus-miner", argv)


def worker(argv: Sequence[str] | None = None) -> NoReturn:
    """``lotus-worker``."""
    run(worker_program(), "lotus-worker", argv)


def sched(argv: Sequence[str] | None = None) -> NoReturn:
    """``lotus-sched``: both of the above, for hosts where Lotus's own commands are on the PATH."""
    run(sched_program(), "lotus-sched", argv)


def miner_program() -> GoGroup:
    return as_program(
        lazy_group("lotus-miner", "Filecoin miner: sealing, sectors and storage", MINER_COMMANDS, miner_flags)
    )


def worker_program() -> GoGroup:
    return as_program(lazy_group("lotus-worker", "Seals sectors for a miner", WORKER_COMMANDS, worker_flags))


def sched_program() -> GoGroup:
    programs = {
        "miner": Lazy("main:miner_app", "lotus-miner, the miner and its commands"),
        "worker": Lazy("main:worker_app", "lotus-worker, a sealing worker and its commands"),
        "sim": Lazy("commands.sim:app.sim", "simulate a farm in virtual time, and compare policies"),
    }
    return as_program(lazy_group("lotus-sched", "Lotus's sealing side, evenly spread", programs, no_flags))


def __getattr__(name: str) -> Any:
    """``miner_app`` and ``worker_app``, made when ``lotus-sched`` needs them."""
    makers = {"miner_app": miner_program, "worker_app": worker_program}
    if name in makers:
        return makers[name]()
    raise AttributeError(name)


def as_program(group: GoGroup) -> GoGroup:
    group.is_program = True
    group.version_text = f"{__version__} (lotus-sched-cli; {SPEAKS})"
    return group


def miner_flags(
    ctx: typer.Context,
    color: Annotated[
        bool | None,
        flag("--color", help="use color in what is shown", default="depends on output being a TTY"),
    ] = None,
    miner_repo: Annotated[
        str,
        flag(
            "--miner-repo",
            "--storagerepo",
            help="folder of the miner (the second names are old)",
            env=MINER_REPO,
        ),
    ] = "~/.lotusminer",
    miner_api_url: Annotated[str, flag("--miner-api-url", hidden=True)] = "",
    layout: Annotated[
        str, flag("--layout", help=LAYOUT_HELP, env=["LOTUS_LAYOUT"], default="rich on a TTY, else plain")
    ] = "",
    format: Format = "",
    watch: Watch = "",
    vv: Annotated[bool, flag("--vv", help="say which API is asked")] = False,
) -> None:
    """Flags of ``lotus-miner``; commands read them through `state.Globals`."""


def worker_flags(
    ctx: typer.Context,
    worker_repo: Annotated[
        str,
        flag(
            "--worker-repo",
            "--workerrepo",
            help="folder of the worker (the second names are old)",
            env=WORKER_REPO,
        ),
    ] = "~/.lotusworker",
    miner_repo: Annotated[
        str,
        flag(
            "--miner-repo",
            "--storagerepo",
            help="folder of the miner, for its address and token where MINER_API_INFO is not set",
            env=MINER_REPO,
        ),
    ] = "~/.lotusminer",
    enable_gpu_proving: Annotated[
        bool,
        flag(
            "--enable-gpu-proving",
            help="use the GPU for proofs",
            env=["LOTUS_WORKER_ENABLE_GPU_PROVING"],
        ),
    ] = True,
    worker_api_url: Annotated[str, flag("--worker-api-url", hidden=True)] = "",
    miner_api_url: Annotated[str, flag("--miner-api-url", hidden=True)] = "",
    layout: Annotated[
        str, flag("--layout", help=LAYOUT_HELP, env=["LOTUS_LAYOUT"], default="rich on a TTY, else plain")
    ] = "",
    format: Format = "",
    watch: Watch = "",
) -> None:
    """Flags of ``lotus-worker``."""


def run(program: GoGroup, name: str, argv: Sequence[str] | None) -> NoReturn:
    """Carry out one command line and exit with its code; whatever goes wrong is one line on stderr."""
    sys.exit(execute(program, name, list(sys.argv[1:] if argv is None else argv)))


def execute(program: GoGroup, name: str, argv: list[str]) -> int:
    """The exit code of one command line (lotus-miner's codes: 1 for an error, 3 for an unknown command)."""
    try:
        if (argv[-1:] == [COMPLETE] and "--" not in argv[:-1]) or argv[:1] == [VALUES]:
            print_candidates(program, name, argv)
        else:
            with program.make_context(name, argv) as ctx:
                program.invoke(ctx)
        sys.stdout.flush()
        return 0
    except typer.Exit as exit_:
        return int(exit_.exit_code)
    except UserError as error:
        return complain(str(error), error.code)
    except KeyboardInterrupt:
        return 1
    except BrokenPipeError:
        # The reader (head, grep -q) has what it wanted; a second failure when Python closes stdout would be noise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return complain(unexpected(error), 1)


def print_candidates(program: GoGroup, name: str, argv: list[str]) -> None:
    """What could stand at the cursor, for shells."""
    if argv[0] == VALUES:
        from .completion.values import lines

        found = lines(argv[1] if len(argv) > 1 else "", argv[3:])
    else:
        from .completion.words import candidates

        found = candidates(program, name, argv[:-1])
    print("".join(f"{line}\n" for line in found), end="")


def complain(text: str, code: int) -> int:
    """One line on stderr, whatever the text holds."""
    if os.environ.get(TRACE_ENV):
        import traceback

        traceback.print_exc()
    # One write: without a buffer print makes two of it, and a line of the log would come between.
    sys.stderr.write(error_line(text) + "\n")
    return code


def unexpected(error: Exception) -> str:
    """What to say of an error that nobody foresaw."""
    if hasattr(error, "format_message"):  # typer's own usage errors
        return str(error.format_message())
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return f"{type(error).__name__}: {error} (a bug of ours; {TRACE_ENV}=1 shows where)"
