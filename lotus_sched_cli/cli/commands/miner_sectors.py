"""``lotus-miner sectors``: pledge, list, status. Views are imported where they are used: help needs none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from lotus_sched_cli.cli.connect import Api, NoSuchMethod, miner_api
from lotus_sched_cli.cli.errors import CliError, UnknownCommand
from lotus_sched_cli.cli.golang import GoCommand, GoGroup, ReadCommand, argument, flag
from lotus_sched_cli.cli.render import show
from lotus_sched_cli.cli.sources import actor_number, chain_of, head_of, statuses
from lotus_sched_cli.cli.state import Globals

from .not_served import CHAIN, NotServed

if TYPE_CHECKING:
    from lotus_sched_cli.cli.views.sectors import SectorRow

app = typer.Typer(cls=GoGroup, help="pledge, list and inspect sectors", add_completion=False)


@app.command("pledge", cls=GoCommand, help="make a new sector without deals (committed capacity)")
def pledge(ctx: typer.Context) -> None:
    from lotus_sched_cli.cli.views.text import Pledged

    api = miner_api(ctx)
    number = api.call("PledgeSector", timeout=None)["Number"]
    state = ""
    options = Globals.of(ctx)
    if options.format_name() or options.layout_name() == "rich":
        state = api.call("SectorsStatus", number, False)["State"]
    show(ctx, Pledged(number, state))


@app.command("list", cls=ReadCommand, help="list sectors with their states")
def list_(
    ctx: typer.Context,
    what: Annotated[str, argument("upgrade-bounds")] = "",
    show_removed: Annotated[bool, flag("--show-removed", "-r", help="list removed ones, too")] = False,
    fast: Annotated[bool, flag("--fast", "-f", help="do not ask the chain about each sector")] = False,
    events: Annotated[bool, flag("--events", "-e", help="count each sector's events")] = False,
    initial_pledge: Annotated[bool, flag("--initial-pledge", "-p", help="tell the pledge")] = False,
    seal_time: Annotated[bool, flag("--seal-time", "-t", help="tell how long sealing took")] = False,
    states: Annotated[str, flag("--states", help="only sectors in these states, separated by commas")] = "",
    unproven: Annotated[bool, flag("--unproven", "-u", help="leave out proving and available ones")] = False,
    check_parallelism: Annotated[int, flag("--check-parallelism", help="questions asked at once")] = 300,
) -> None:
    from lotus_sched_cli.cli.views.sectors import SectorList, sector_row, wanted

    if what:
        not_a_listing(ctx, what)
    if states and unproven:
        raise CliError("only one of --states or --unproven can be specified at once", "leave one out")
    if check_parallelism < 1:
        raise CliError(f"--check-parallelism {check_parallelism} asks nothing", "give 1 or more")
    chosen = [state for state in states.split(",") if state]
    check_states(chosen)
    api = miner_api(ctx)
    chain = chain_of(api)
    rows = table_rows(api, with_log=events or seal_time)
    if rows is None:
        numbers = (api.call("SectorsListInStates", chosen) if chosen else api.call("SectorsList")) or []
        rows = [
            sector_row(number, status, error, chain)
            for number, status, error in statuses(api, numbers, on_chain=not fast, at_once=check_parallelism)
        ]
    kept = wanted(rows, show_removed=show_removed, states=chosen, unproven=unproven)
    show(ctx, SectorList(tuple(kept), chain, fast, events, seal_time, initial_pledge))


def table_rows(api: Api, *, with_log: bool) -> list[SectorRow] | None:
    """All sectors in one answer, however many; None where the miner is a stock one, which is asked for each."""
    from lotus_sched_cli.cli.views.sectors import row_of_brief

    try:
        return [row_of_brief(brief) for brief in api.call("SectorsTable", with_log) or ()]
    except NoSuchMethod:
        return None


def not_a_listing(ctx: typer.Context, what: str) -> NoReturn:
    """Lotus's one subcommand of ``list`` needs its chain."""
    if what == "upgrade-bounds":
        raise NotServed(f"{ctx.command_path} {what}", CHAIN)
    raise UnknownCommand(what, None, ctx.command_path)


@app.command("mypledge", cls=GoCommand, help="pledge into every free AP slot; may run every minute")
def mypledge(ctx: typer.Context) -> None:
    pledge_free(ctx, once=False)


@app.command("mypledgeonce", cls=GoCommand, help="pledge one sector for each worker with a free AP slot")
def mypledgeonce(ctx: typer.Context) -> None:
    pledge_free(ctx, once=True)


def pledge_free(ctx: typer.Context, *, once: bool) -> None:
    from lotus_sched_cli.cli.views.text import Pledged

    try:
        done = miner_api(ctx).call("PledgeFreeSlots", once, timeout=None)
    except NoSuchMethod as why:
        raise CliError(
            f"this lotus-miner is a stock one ({why.version}) and does not know free slots",
            "use 'sectors pledge'",
        ) from None
    for number in done["Sectors"] or ():
        show(ctx, Pledged(number))
    if done["Stopped"]:
        raise CliError(done["Stopped"], f"pledged {len(done['Sectors'] or ())} of {done['Wanted']}")
    if not done["Wanted"]:
        print("no free AP slot")


def check_states(states: list[str]) -> None:
    """Lotus takes unknown states in silence and lists nothing."""
    from lotus_sched_cli.cli.views.states import COLORS

    for state in states:
        if state not in COLORS:
            like = next((known for known in COLORS if known.lower() == state.strip().lower()), None)
            raise CliError(f'"{state}" is no sector state', f"did you mean {like}?" if like else "see 'info'")


@app.command("status", cls=ReadCommand, help="tell one sector's state, by its number")
def status(
    ctx: typer.Context,
    number: Annotated[str, argument("N")],
    log: Annotated[bool, flag("--log", "-l", help="tell its events")] = False,
    on_chain_info: Annotated[bool, flag("--on-chain-info", "-c", help="tell what the chain says")] = False,
    partition_info: Annotated[
        bool, flag("--partition-info", "-p", help="tell its deadline and partition")
    ] = False,
    proof: Annotated[bool, flag("--proof", help="print the proof as hex")] = False,
) -> None:
    from lotus_sched_cli.cli.views.sectors import Chain, status_view

    if partition_info:
        raise CliError(
            "--partition-info needs window proving, which this miner's simulated chain has not",
            "leave it out",
        )
    sector = sector_number(number, prefix="")
    api = miner_api(ctx)
    answer: dict[str, Any] = api.call("SectorsStatus", sector, on_chain_info)
    chain = head_of(api) if on_chain_info else Chain()
    miner = actor_number(api) if on_chain_info else 0
    show(ctx, status_view(answer, miner, chain, log=log, on_chain=on_chain_info, proof=proof))


def sector_number(text: str, *, prefix: str = "could not parse sector number: ") -> int:
    """Go's ``strconv.ParseUint`` with its words; before them Lotus's commands that change something have ``prefix``."""
    if text.isascii() and text.isdigit():
        return int(text)
    raise CliError(
        f'{prefix}strconv.ParseUint: parsing "{text}": invalid syntax', "give a sector's number, like 15"
    )
