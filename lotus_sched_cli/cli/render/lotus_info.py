"""``lotus-miner info`` and ``lotus-worker info`` in Lotus's layout."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

from lotus_sched_cli.cli.views.actor import ActorOnChain
from lotus_sched_cli.cli.views.info import MinerInfo, WorkerSelf
from lotus_sched_cli.cli.views.states import color_of
from lotus_sched_cli.lotus.units import deci_str, fil_short, go_age, size_str

from .lotus_storage import use_text
from .spans import Doc, Span

#: Above so many attoFIL the base fee is shown in this colour, else in blue.
BASE_FEES: Final = (
    (7_000_000_000, "alarm"),
    (3_000_000_000, "red"),
    (750_000_000, "yellow"),
    (100_000_000, "green"),
)


def miner_info(view: MinerInfo) -> list[Span]:
    doc = Doc().line(f"Enabled subsystems: [{' '.join(view.subsystems)}]")
    if view.start is not None and view.age is not None:
        began = datetime.fromtimestamp(view.start, UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
        doc.line(f"StartTime: {go_age(float(int(view.age)))} (started at {began})")
    if view.on_chain:
        chain_line(doc, view.on_chain)
    if view.chain:
        doc.add("Chain: [").add("simulated", "yellow")
        epoch = "" if view.chain.head is None else f"epoch {view.chain.head}, "
        proofs = f" [proofs {view.chain.proofs}]" if view.chain.proofs else ""
        doc.line(f"] [{epoch}one every {view.chain.block_delay:g}s]{proofs}")
    if view.alerts:
        doc.add(f"⚠ {view.alerts} Active alerts", "red").add(" (check ")
        doc.add("lotus-miner log alerts", "yellow").line(")")
    doc.add("Miner: ").add(view.actor, "blue")
    doc.line(f" ({size_str(view.sector_size)} sectors)" if view.sector_size else "")
    if view.on_chain:
        power(doc, view.on_chain)
        balances(doc.line(), view.on_chain)
    doc.line()
    if view.states is not None:
        doc.line("Sectors:")
        doc.add(f"\tTotal: {sum(count for _, count in view.states)}\n", "default")
        for state, count in view.states:
            doc.add(f"\t{state}: {count}\n", color_of(state))
    doc.line()
    doc.line(
        f"Workers: Seal({view.seal_workers}) WdPoSt({view.window_workers}) WinPoSt({view.winning_workers})"
    )
    return doc.spans


def chain_line(doc: Doc, chain: ActorOnChain) -> None:
    behind = go_age(float(int(max(0.0, chain.behind))))
    if chain.behind < int(chain.block_delay * 3 / 2):
        doc.add("Chain: [").add("sync ok", "green")
    elif chain.behind < chain.block_delay * 5:
        doc.add("Chain: [").add(f"sync slow ({behind} behind)", "yellow")
    else:
        doc.add("Chain: [").add(f"sync behind! ({behind} behind)", "red")
    fee = int(chain.base_fee)
    style = next((style for least, style in BASE_FEES if fee > least), "blue")
    doc.add("] [basefee ").add(fil_short(fee), style).line("]")


def power(doc: Doc, chain: ActorOnChain) -> None:
    share = percent(chain.power, chain.total_power)
    doc.add("Power: ").add(deci_str(chain.power), "green").line(f" / {deci_str(chain.total_power)} ({share})")
    share = percent(chain.raw_power, chain.total_raw_power)
    doc.add("\tRaw: ").add(size_str(chain.raw_power), "blue")
    doc.line(f" / {size_str(chain.total_raw_power)} ({share})")
    doc.line(f"\tCommitted: {size_str(chain.committed)}")
    faulty = ""
    if chain.faulty:
        part = 100 * chain.faulty / chain.committed if chain.committed else 0.0
        faulty = f" ({size_str(chain.faulty)} Faulty, {part:.2f}%)"
    doc.line(f"\tProving: {size_str(chain.proving)}{faulty}")
    if not chain.has_min_power:
        doc.line("Below minimum power threshold, no blocks will be won")
    elif chain.winning:
        win = chain.winning
        doc.add("Projected average block win rate: ")
        doc.add(f"{win.per_week:.02f}/week (every {whole(win.every)})\n", "blue")
        doc.add("Projected block win with ")
        doc.add(f"99.9% probability every {whole(win.nearly_certain)}\n", "green")
        doc.line("(projections DO NOT account for future network and miner growth)")


def whole(seconds: float) -> str:
    return go_age(float(int(seconds))) if math.isfinite(seconds) else "never"


def percent(part: int, of: int) -> str:
    return f"{100 * part / of if of else 0.0:.4f}%"


def balances(doc: Doc, chain: ActorOnChain) -> None:
    doc.add("Miner Balance:    ").line(fil_short(chain.balance), "yellow")
    doc.line(f"      PreCommit:  {fil_short(chain.precommit_deposits)}")
    doc.line(f"      Pledge:     {fil_short(chain.initial_pledge)}")
    doc.line(f"      Vesting:    {fil_short(chain.vesting)}")
    free(doc, "      Available:  ", int(chain.available))
    doc.line(f"Market Balance:   {fil_short(chain.market)}")
    doc.line(f"       Locked:    {fil_short(chain.market_locked)}")
    free(doc, "       Available: ", int(chain.market) - int(chain.market_locked))
    doc.add(f"Worker Balance:   {fil_short(chain.worker)}\n", "cyan")
    if chain.control is not None:
        doc.line(f"       Control:   {fil_short(chain.control)}")
    free(doc, "Total Spendable:  ", int(chain.spendable))
    if chain.beneficiary:
        doc.line().line(f"Beneficiary:\t{chain.beneficiary.address}")
        if chain.beneficiary.quota is not None:
            doc.line(f"Beneficiary Quota:\t{chain.beneficiary.quota}")
            doc.line(f"Beneficiary Used Quota:\t{chain.beneficiary.used}")
            doc.line(f"Beneficiary Expiration:\t{chain.beneficiary.expiration}")


def free(doc: Doc, label: str, amount: int) -> None:
    """What may be spent: green, yellow where nothing is left, red where it is owed."""
    style = "green" if amount > 0 else "red" if amount else "yellow"
    doc.add(f"{label}{fil_short(amount)}\n", style)


def worker_self(view: WorkerSelf) -> list[Span]:
    doc = Doc().line(f"Worker version:  {view.api_version}").line(f"CLI version: {view.cli_version}").line()
    doc.line(f"Session: {view.session}").line(f"Enabled: {'true' if view.enabled else 'false'}")
    doc.line(f"Hostname: {view.hostname}").line(f"CPUs: {view.cpus}; GPUs: [{' '.join(view.gpus)}]")
    doc.line(
        f"RAM: {size_str(view.mem_used)}/{size_str(view.mem_physical)};"
        f" Swap: {size_str(view.mem_swap_used)}/{size_str(view.mem_swap)}"
    )
    doc.line("Task types: " + "".join(f"{task} " for task in view.tasks)).line()
    for path in view.paths:
        doc.line(f"{path.id}:")
        use = use_text(path.can_seal, path.can_store)
        doc.line(f"\tWeight: {path.weight}; Use: {use or 'ReadOnly'}").line(f"\tLocal: {path.local}")
    return doc.spans
