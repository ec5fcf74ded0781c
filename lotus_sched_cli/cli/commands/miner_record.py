"""``lotus-miner sealing record``: the live farm as a file for `lotus-sched sim`."""

from __future__ import annotations

from typing import Annotated

import typer

from lotus_sched_cli.cli.connect import NoSuchMethod, miner_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import argument, flag
from lotus_sched_cli.cli.render import show
from lotus_sched_cli.cli.state import expand

HELP = "write the live farm and its measured durations as a farm file for 'lotus-sched sim'"


def record(
    ctx: typer.Context,
    file: Annotated[str, argument("FILE")],
    force: Annotated[bool, flag("--force", help="write over a file that is there")] = False,
) -> None:
    from lotus_sched_cli.cli.recording import NO_NETWORK, farm_of
    from lotus_sched_cli.cli.views.text import Lines
    from lotus_sched_cli.sim.farmtext import text_of

    path = expand(file)
    if path.exists() and not force:
        raise CliError(f"{file} is there already", "name another file, or write over it with --force")
    try:
        told = miner_api(ctx).call("SealingRecord")
    except NoSuchMethod as why:
        raise CliError(
            f"this lotus-miner is a stock one ({why.version}) and does not measure its workers",
            "write the farm by hand: 'lotus-sched sim --print'",
        ) from why
    farm, remarks = farm_of(told, path.stem)
    part = path.with_name(path.name + ".part")
    part.write_text(text_of(farm, remarks), encoding="utf-8")
    part.replace(path)
    lines = [f"wrote {farm.workers} workers in {len(farm.groups)} groups: lotus-sched sim {file}"]
    if guessed := [group.name for group in farm.groups if NO_NETWORK in remarks[group.name]]:
        lines.append(f"{', '.join(guessed)}: {NO_NETWORK}")
    show(ctx, Lines.of(*lines))
