"""Groups whose commands lie in several modules, and Lotus's commands that are not served, each in its place."""

from __future__ import annotations

from lotus_sched_cli.cli.golang import GoGroup, Lazy, lazy_group

from .not_served import CHAIN, MARKET, PROOFS, Missing


def __getattr__(name: str) -> GoGroup:
    """``sectors``, ``sealing``, ``numbers``, ``batching``, ``proving``, ``actor``: made when they are used."""
    if name in GROUPS:
        help, commands = GROUPS[name]
        return lazy_group(name, help, dict(commands))
    raise AttributeError(name)


def sector(command: str, help: str, module: str = "sector_actions", *, hidden: bool = False) -> Lazy:
    return Lazy(f"commands.{module}:app.{command}", help, hidden=hidden)


GROUPS: dict[str, tuple[str, dict[str, Lazy]]] = {
    "sectors": (
        "pledge, list and inspect sectors",
        {
            "status": sector("status", "tell one sector's state, by its number", "miner_sectors"),
            "list": sector("list", "list sectors with their states", "miner_sectors"),
            "refs": sector("refs", "list which sectors hold the data of deals"),
            "update-state": sector("update-state", "force a sector into a state"),
            "pledge": sector(
                "pledge", "make a new sector without deals (committed capacity)", "miner_sectors"
            ),
            "mypledge": sector(
                "mypledge", "pledge into every free AP slot; may run every minute", "miner_sectors"
            ),
            "mypledgeonce": sector(
                "mypledgeonce", "pledge one sector for each worker with a free AP slot", "miner_sectors"
            ),
            "numbers": Lazy("commands.groups:numbers", "sector numbers: which are taken, reserved, free"),
            "terminate": sector("terminate", "give a sector up, on the chain too", hidden=True),
            "remove": sector("remove", "forget a sector and delete its files"),
            "abort-upgrade": sector("abort-upgrade", "stop the upgrade of a sector", hidden=True),
            "seal": sector("seal", "seal a sector that waits for deals now"),
            "set-seal-delay": sector("set-seal-delay", "minutes that a sector waits for deals", hidden=True),
            "batching": Lazy("commands.groups:batching", "messages of several sectors that wait to be sent"),
            "match-pending-pieces": sector(
                "match-pending-pieces", "put waiting pieces into open sectors", hidden=True
            ),
            "unseal": sector("unseal", "make a sector's unsealed file again", hidden=True),
            "precommits": Missing(CHAIN),
            "check-expire": Missing(CHAIN),
            "expired": Missing(CHAIN),
            "extend": Missing(CHAIN),
            "snap-up": Missing(MARKET),
            "mark-for-upgrade": Missing(MARKET),
            "get-cc-collateral": Missing(CHAIN),
            "compact-partitions": Missing(CHAIN),
        },
    ),
    "sealing": (
        "running jobs, workers and the scheduler",
        {
            "jobs": sector("jobs", "list running jobs", "miner_sealing"),
            "workers": sector("workers", "list workers, their load and their caps", "miner_sealing"),
            "sched-diag": sector("sched-diag", "show queue, workers and refusals; in a pipe JSON as Lotus has it", "miner_sealing"),
            "abort": sector("abort", "end a running job, or take a waiting task out of the queue", "miner_sealing"),
            "explain": sector("explain", "say why a sector's tasks, or one task, wait or stand where they stand", "sealing_more"),
            "end-rest": sector("end-rest", "let a worker take again what it rests from after failures", "sealing_more"),
            "data-cid": sector("data-cid", "compute the piece CID of a file or URL with a worker", "sealing_more"),
            "assign": sector("assign", "give a waiting task ('jobs --queued') to a worker by hand", "sealing_more"),
            "forget": sector("forget", "forget a worker that is gone for good", "sealing_more"),
            "drain": sector("drain", "let a worker take no more work, and wait until it is empty", "sealing_more"),
            "undrain": sector("undrain", "let a drained worker work again", "sealing_more"),
            "record": sector("record", "write the live farm and its measured durations as a farm file for 'lotus-sched sim'", "sealing_more"),
            "caps": Lazy("commands.miner_caps:app", "what workers may carry, and where that comes from"),
        },
    ),
    "numbers": (
        "sector numbers: which are taken, reserved, free",
        {
            "info": sector("info", "tell the next number, those taken and those reserved", "sector_numbers"),
            "reservations": sector("reservations", "list reservations of numbers", "sector_numbers"),
            "reserve": sector("reserve", "keep numbers for later use", "sector_numbers"),
            "free": sector("free", "give a reservation up", "sector_numbers"),
        },
    ),
    "batching": (
        "messages of several sectors that wait to be sent",
        {
            "commit": sector("commit", "list sectors whose commit waits, and send it", "sector_batching"),
            "precommit": sector(
                "precommit", "list sectors whose precommit waits, and send it", "sector_batching"
            ),
        },
    ),
    "proving": (
        "workers for proofs over time",
        {
            "workers": Lazy("commands.miner_proving:app", "list workers for proofs over time"),
            **{name: Missing(PROOFS) for name in ("info", "deadlines", "deadline", "faults", "check")},
            **{name: Missing(PROOFS) for name in ("compute", "recover-faults")},
        },
    ),
    "actor": (
        "the miner's actor on the chain",
        {
            name: Missing(CHAIN)
            for name in (
                "set-addresses", "set-peer-id", "withdraw", "repay-debt", "info", "control", "set-owner",
                "propose-change-worker", "confirm-change-worker", "compact-allocated",
                "propose-change-beneficiary", "confirm-change-beneficiary", "settle-deal",
            )
        },
    ),
}  # fmt: skip
