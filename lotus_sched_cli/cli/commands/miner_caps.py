"""``lotus-miner sealing caps``: what each worker may carry, changed while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from lotus_sched_cli.cli.connect import Api, NoSuchMethod, miner_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import Context, GoCommand, GoGroup, ReadCommand, argument, flag
from lotus_sched_cli.cli.render import show

app = typer.Typer(cls=GoGroup, help="what workers may carry, and where that comes from", add_completion=False)


@app.command("list", cls=ReadCommand, help="list caps of all workers, or of one, with where each comes from")
def list_(
    ctx: typer.Context,
    worker: Annotated[str, argument("WORKER")] = "",
    all_caps: Annotated[bool, flag("--all", help="list caps that are not set, too")] = False,
) -> None:
    show_caps(ctx, ask(miner_api(ctx), "SealingCapsList", worker), all_caps)


@app.command("set", cls=GoCommand, help="change caps of a running worker, like precommit1max=9")
def set_(
    ctx: typer.Context,
    worker: Annotated[str, argument("WORKER")],
    caps: Annotated[list[str], argument("CAP=VALUE...")],
) -> None:
    values = assignments(caps)
    show_caps(ctx, [ask(miner_api(ctx), "SealingCapsSet", worker, values)])


@app.command("reset", cls=GoCommand, help="drop changed caps of a worker: those named, or all")
def reset(
    ctx: typer.Context,
    worker: Annotated[str, argument("WORKER")],
    caps: Annotated[list[str] | None, argument("CAP...")] = None,
) -> None:
    show_caps(ctx, [ask(miner_api(ctx), "SealingCapsReset", worker, names(caps or []))])


def assignments(words: Sequence[str]) -> dict[str, str]:
    """``precommit1max=9`` → the cap and its value. Raises CliError for what is none, before anything is sent."""
    from lotus_sched_cli.lotus.caps import parse

    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.lstrip("-").partition("=")
        if not equals:
            raise CliError(f'"{word}" is no CAP=VALUE', "write it like precommit1max=9")
        parse(name.lower(), value)
        values[name.lower()] = value
    if not values:
        raise CliError("no cap is named", "write it like precommit1max=9")
    return values


def names(words: Sequence[str]) -> list[str]:
    """Cap names. Raises CliError for one that is none."""
    from lotus_sched_cli.lotus.caps import option_named

    chosen = [word.lstrip("-").lower() for word in words]
    for name in chosen:
        option_named(name)
    return chosen


def ask(api: Api, method: str, *params: Any) -> Any:
    try:
        return api.call(method, *params)
    except NoSuchMethod as why:
        raise CliError(
            f"this lotus-miner is a stock one ({why.version}) and knows no caps",
            "set them at the worker: lotus-worker set",
        ) from None


def show_caps(ctx: Context, workers: Sequence[dict[str, Any]], all_caps: bool = False) -> None:
    from lotus_sched_cli.cli.views.caps import cap_table

    show(ctx, cap_table(workers, all_caps=all_caps))
