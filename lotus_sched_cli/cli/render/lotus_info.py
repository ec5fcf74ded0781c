"""``lotus-miner info`` and ``lotus-worker info`` in Lotus's layout."""

from __future__ import annotations

from datetime import UTC, datetime

from lotus_sched_cli.cli.views.info import MinerInfo, WorkerSelf
from lotus_sched_cli.cli.views.states import color_of
from lotus_sched_cli.lotus.units import go_age, size_str

from .lotus_storage import use_text
from .spans import Doc, Span


def miner_info(view: MinerInfo) -> list[Span]:
    doc = Doc().line(f"Enabled subsystems: [{' '.join(view.subsystems)}]")
    if view.start is not None and view.age is not None:
        began = datetime.fromtimestamp(view.start, UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
        doc.line(f"StartTime: {go_age(float(int(view.age)))} (started at {began})")
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
    if view.states is not None:
        doc.line().line("Sectors:")
        doc.add(f"\tTotal: {sum(count for _, count in view.states)}\n", "default")
        for state, count in view.states:
            doc.add(f"\t{state}: {count}\n", color_of(state))
    doc.line()
    doc.line(
        f"Workers: Seal({view.seal_workers}) WdPoSt({view.window_workers}) WinPoSt({view.winning_workers})"
    )
    return doc.spans


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
