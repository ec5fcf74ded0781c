"""What each refusal of the scheduler means to an operator, and what he may do about it. docs/refusals.md is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lotus_sched_cli.core.decisions import Why


@dataclass(frozen=True, slots=True)
class Advice:
    """``means``: why the worker does not take the task; ``do``: what helps, the first thing to try first."""

    means: str
    do: tuple[str, ...]


ADVICE: Final[dict[Why, Advice]] = {
    Why.OFFLINE: Advice(
        "The worker did not answer the last session check (one every 10 seconds).",
        (
            "See whether it runs and is reachable: `lotus-worker info` on its host, `systemctl status lotus-worker`.",
            "Its running tasks are kept for it until `[Storage] LostAfter` has passed; runbook: a lost worker.",
        ),
    ),
    Why.DRAINING: Advice(
        "The operator has asked it to take no new work; what runs goes on, and its files stay reachable.",
        ("`lotus-miner sealing undrain WORKER` when the maintenance is over.",),
    ),
    Why.RESTING: Advice(
        "Its last two tasks of this type failed, with no success between. It gets one as a trial at the time named.",
        (
            "Read the last error in `lotus-miner sealing workers`, and the worker's log around it.",
            "Mend the cause, then `lotus-miner sealing end-rest WORKER` ends it at once; else the trial that succeeds ends it, one that fails "
            "doubles it.",
        ),
    ),
    Why.TASK_TYPE: Advice(
        "The worker does not offer this task type: switched off by a flag, a cap of 0, or not part of its sealer.",
        (
            "`lotus-worker info` lists what it offers; `lotus-worker tasks enable PC1` switches a type on.",
            "The miner's own worker offers what `[Storage]` `Allow…` in its config.toml says, from its next start on.",
        ),
    ),
    Why.STORAGE: Advice(
        "No storage path of it may hold the files, or may fetch them from where they lie.",
        (
            "`lotus-miner storage list`: has it a path with Use: Seal? Do groups, AllowTo and the type lists allow it?",
            "`lotus-miner storage find N` shows where the sector's files are.",
        ),
    ),
    Why.SPACE: Advice(
        "Its paths have less free and unreserved room than the task's files need. A piece also keeps room for its P1.",
        (
            "Runbook: a disk that fills up. Finished sectors that are not fetched away are the usual cause.",
            "In a rehearsal give the path a pretended capacity (`[paths]` of simulated.toml).",
        ),
    ),
    Why.NO_FILES: Advice(
        "No path declares the files that the task needs: their host is away, or they are gone.",
        (
            "Workers are asked to declare again by themselves; `lotus-miner storage redeclare` and "
            "`lotus-worker storage redeclare` do it at once.",
            "After ten minutes the sector goes back to the step that makes the files.",
        ),
    ),
    Why.PRECOMMIT1_MAX: Advice(
        "It carries as many P1 as its cap allows, bound and preparing ones included.",
        (
            "Nothing is wrong. More: `--precommit1max` of the worker, or its live caps; a stock worker's cap is "
            "`[Storage] PreCommit1Max`.",
        ),
    ),
    Why.PRECOMMIT2_MAX: Advice(
        "It carries as many P2 as its cap allows.",
        ("Nothing is wrong. More: `--precommit2max`, where GPU memory allows it.",),
    ),
    Why.COMMIT2_MAX: Advice(
        "It carries as many C2 as its cap allows.",
        ("Nothing is wrong. More: `--commit2max`; on one GPU parallel C2 take turns.",),
    ),
    Why.TASK_LIMIT: Advice(
        "It carries as many tasks of this type as its resource table's MaxConcurrent, or a cap of its own, allows.",
        ("`lotus-worker resources` shows the table; `<TYPE>_MAX_CONCURRENT` in its environment changes it.",),
    ),
    Why.PRECOMMIT1_HOLD: Advice(
        "Its sealing paths hold as many sectors as the hold cap allows: P1 that run, and finished ones that nobody has "
        "fetched away.",
        (
            "See why they stay: too few P2 workers, or P2 workers without room. Runbook: a worker that takes nothing.",
            "Failed sectors count until they are removed (`lotus-miner sectors remove`).",
            "More: `--precommit1holdmax` (0 is no limit; then only space limits).",
        ),
    ),
    Why.BOUND_P2: Advice(
        "It takes P2 only for sectors whose P1 output lies on its own paths (`--forcep2fromlocalp1`), and this one does "
        "not.",
        ("Leave the flag away on some workers, so that they may take P1 results from anyone.",),
    ),
    Why.BOUND_P1: Advice(
        "It takes P1 only for pieces that were added on its own paths (`forcep1fromlocalap`), and this one was not.",
        (
            "`lotus-miner sealing caps list` shows the switch; `lotus-miner sealing caps set WORKER forcep1fromlocalap=false`.",
        ),
    ),
    Why.BOUND_C2: Advice(
        "It takes C2 only for sectors whose P2 was done on it (`forcec2fromlocalp2`), and this one's was not.",
        ("`lotus-miner sealing caps set WORKER forcec2fromlocalp2=false`.",),
    ),
    Why.PRECOMMIT1_INTERVAL: Advice(
        "Its P1 are paced: the least time between two starts (`precommit1interval`) is not over.",
        (
            "Nothing: it comes at the time named. Shorter: `lotus-miner sealing caps set WORKER precommit1interval=0s`.",
        ),
    ),
    Why.P2_BESIDE_C2: Advice(
        "It runs a C2, and P2 and C2 are kept apart on it (`allowp2c2parallel` false).",
        (
            "Nothing: it comes when the C2 has ended. Together: `lotus-miner sealing caps set WORKER allowp2c2parallel=true`.",
        ),
    ),
    Why.C2_BESIDE_P2: Advice(
        "It runs a P2, and P2 and C2 are kept apart on it (`allowp2c2parallel` false).",
        (
            "Nothing: it comes when the P2 has ended. Together: `lotus-miner sealing caps set WORKER allowp2c2parallel=true`.",
        ),
    ),
    Why.PREFETCHED: Advice(
        "The P2's files are being fetched to another worker, or lie there already, and it is thought to start there sooner "
        "than here, where they would have to be fetched first (`precommit2prefetch`).",
        (
            "Nothing: if the other worker is not free by the time named, this one takes it.",
            "At once: `lotus-miner sealing assign --force TASK WORKER`. No more of it: "
            "`lotus-miner sealing caps set OTHER-WORKER precommit2prefetch=0`.",
        ),
    ),
    Why.RETRY_LATER: Advice(
        "The task failed or could not start, and waits before it is tried again; each wait is twice as long as the last.",
        (
            "The error stands in `lotus-miner sectors status --log N` and `lotus-miner sealing jobs --queued`.",
            "The waits are `[Storage] RetryDelay` and `RetryDelayMax`.",
        ),
    ),
    Why.MEMORY: Advice(
        "Windowed policy only: the worker's physical memory less what its tasks reserve is too small.",
        (
            "Change the task's needs in the worker's environment (`PC1_32G_MIN_MEMORY=…`), or `[Storage] "
            "AllowMyScheduler = true`, where caps decide.",
        ),
    ),
    Why.VIRTUAL_MEMORY: Advice(
        "Windowed policy only: memory and swap together are too small.",
        ("Add swap, or as for memory.",),
    ),
    Why.THREADS: Advice(
        "Windowed policy only: the worker's processors are counted as used.",
        ("`PC1_32G_MAX_PARALLELISM=…` in the worker's environment, or as for memory.",),
    ),
    Why.GPU: Advice(
        "Windowed policy only: the worker's GPUs are counted as used.",
        ("`PC2_32G_GPU_UTILIZATION=0.5` lets two tasks share one; runbook: a GPU that is not seen.",),
    ),
    Why.NOT_PREFERRED: Advice(
        "Windowed policy only: a move goes to the worker that has some of the files in long-term storage already.",
        ("Nothing: it waits for that worker.",),
    ),
    Why.WINDOWS: Advice(
        "Windowed policy only: both of the worker's windows are given out.",
        ("It comes when a window has run empty. `[Storage] AllowMyScheduler = true` works without windows.",),
    ),
    Why.IN_WINDOW: Advice(
        "Windowed policy only: the task is laid into a window of another worker already, and waits there.",
        (
            "`lotus-miner sealing abort --sched` takes it out; `[Storage] AllowMyScheduler = true` binds late.",
        ),
    ),
    Why.STARTING: Advice(
        "Windowed policy only: the miner has just started, and waits a moment for its workers.",
        ("Nothing: a few seconds.",),
    ),
}
