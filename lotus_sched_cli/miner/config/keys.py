"""Every key of config.toml in Lotus's order: section, name, type, default, meaning.

The meanings are this project's own words. A key that is marked ``kept`` is read, checked and written so that the
file of a Lotus miner can be used as it is; it has no effect here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BOOL: Final = "bool"
INT: Final = "int"
UINT: Final = "uint64"
FLOAT: Final = "float64"
TEXT: Final = "string"
LIST: Final = "[]string"
DURATION: Final = "Duration"
FIL: Final = "types.FIL"
FILTER: Final = "ResourceFilteringStrategy"
#: A map has no type line in the file; its example entry stands in for the default.
MAP: Final = "map"


@dataclass(frozen=True, slots=True)
class Key:
    """One key. ``default`` is written as TOML. ``live``: a changed value counts without a restart. ``least`` bounds numbers (and seconds), ``choices`` texts."""

    section: str
    name: str
    type: str
    default: str
    doc: tuple[str, ...] = ()
    kept: bool = False
    live: bool = False
    least: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def env(self) -> str:
        """The variable that overrides the key: ``LOTUS_STORAGE_ALLOWCOMMIT``."""
        if self.type == MAP:
            return f"LOTUS_{self.section.replace('.', '_')}".upper()
        return f"LOTUS_{self.path.replace('.', '_')}".upper()


def _section(section: str, *rows: tuple[object, ...]) -> list[Key]:
    return [_key(section, *row) for row in rows]


def _key(section: str, *row: object) -> Key:
    name, kind, default, doc, *rest = row
    options = dict(rest[0]) if rest else {}  # type: ignore[call-overload]
    lines = tuple(str(doc).split("\n")) if doc else ()
    return Key(section, str(name), str(kind), str(default), lines, **options)


_KEPT: Final = {"kept": True}
_LIVE: Final = {"live": True}
_FROM_0: Final = {"least": 0, "live": True}

KEYS: Final[tuple[Key, ...]] = (
    *_section(
        "API",
        ("ListenAddress", TEXT, '"/ip4/127.0.0.1/tcp/2345/http"', "Where the API listens, as a multiaddr"),
        (
            "RemoteListenAddress",
            TEXT,
            '"127.0.0.1:2345"',
            "HOST:PORT at which workers reach this miner's sector files. It is only announced, not bound",
        ),
        ("Timeout", DURATION, '"30s"', "Without effect here: calls have limits of their own", _KEPT),
    ),
    *_section("Backup", ("DisableMetadataLog", BOOL, "true", "Without effect here", _KEPT)),
    *_section(
        "Logging.SubsystemLevels",
        (
            "example-subsystem",
            MAP,
            '"INFO"',
            'Level of one logger, as in advmgr = "WARN"; lotus-miner log list names them',
            _LIVE,
        ),
    ),
    *_section(
        "Subsystems",
        ("EnableMining", BOOL, "true", "Only named by lotus-miner info: this miner makes no blocks"),
        ("EnableSealing", BOOL, "true", "Only named by lotus-miner info: this miner always seals"),
        ("EnableSectorStorage", BOOL, "true", "Only named by lotus-miner info: this miner always stores"),
        (
            "EnableSectorIndexDB",
            BOOL,
            "false",
            "Without effect here: the index is in this miner's store",
            _KEPT,
        ),
        ("SealerApiInfo", TEXT, '""', "Address of a separate sealing process. Without effect here", _KEPT),
        ("SectorIndexApiInfo", TEXT, '""', "Address of a separate sector index. Without effect here", _KEPT),
        ("DisableWindowPoSt", BOOL, "false", "Without effect here: this miner makes no window PoSt", _KEPT),
        ("DisableWinningPoSt", BOOL, "false", "Without effect here: this miner makes no blocks", _KEPT),
    ),
    *_section(
        "Dealmaking",
        (
            "StartEpochSealingBuffer",
            UINT,
            "480",
            "Epochs that sealing is given before a deal starts. Without effect here",
            _KEPT,
        ),
    ),
    *_section(
        "Proving",
        ("ParallelCheckLimit", INT, "32", "Sectors checked at the same time, 0 for no limit", _KEPT),
        ("SingleCheckTimeout", DURATION, '"10m0s"', "Longest check of one sector", _KEPT),
        ("PartitionCheckTimeout", DURATION, '"20m0s"', "Longest check of one partition", _KEPT),
        ("DisableBuiltinWindowPoSt", BOOL, "false", "Leave window PoSt to workers", _KEPT),
        ("DisableBuiltinWinningPoSt", BOOL, "false", "Leave winning PoSt to workers", _KEPT),
        ("DisableWDPoStPreChecks", BOOL, "false", "No test read of the sectors before a window PoSt", _KEPT),
        ("MaxPartitionsPerPoStMessage", INT, "0", "0 leaves it to the network", _KEPT),
        ("MaxPartitionsPerRecoveryMessage", INT, "0", "0 leaves it to the network", _KEPT),
        (
            "SingleRecoveringPartitionPerPostMessage",
            BOOL,
            "false",
            "A message of its own for each partition that recovers",
            _KEPT,
        ),
    ),
    *_section(
        "Sealing",
        ("MaxWaitDealsSectors", UINT, "2", "Most sectors that wait for more deals, 0 for no limit", _KEPT),
        (
            "MaxSealingSectors",
            UINT,
            "0",
            "Most sectors in the works, failed ones included, when one is pledged; 0 for no limit",
            _LIVE,
        ),
        ("MaxSealingSectorsForDeals", UINT, "0", "The same for sectors with deals", _KEPT),
        ("PreferNewSectorsForDeals", BOOL, "false", "New sectors before upgrades of empty ones", _KEPT),
        ("MaxUpgradingSectors", UINT, "0", "Most sectors being upgraded, 0 for the number above", _KEPT),
        ("MinUpgradeSectorExpiration", UINT, "0", "Epochs that an upgrade candidate must have left", _KEPT),
        ("MinTargetUpgradeSectorExpiration", UINT, "0", "No longer used", _KEPT),
        (
            "CommittedCapacitySectorLifetime",
            DURATION,
            '"12960h0m0s"',
            "How long an empty (CC) sector lives, 180 to 1278 days",
            _LIVE,
        ),
        ("WaitDealsDelay", DURATION, '"6h0m0s"', "How long a sector waits for more deals", _KEPT),
        ("AlwaysKeepUnsealedCopy", BOOL, "true", "Keep the unsealed data of deals", _KEPT),
        ("FinalizeEarly", BOOL, "false", "Finalize before the commit message. Without effect for now", _KEPT),
        ("MakeNewSectorForDeals", BOOL, "true", "Make new sectors for deals at all", _KEPT),
        ("MakeCCSectorsAvailable", BOOL, "false", "Empty sectors end in state Available", _KEPT),
        ("CollateralFromMinerBalance", BOOL, "false", "Pay the pledge from the actor's balance", _KEPT),
        ("AvailableBalanceBuffer", FIL, '"0 FIL"', "Balance that stays in the actor", _KEPT),
        ("DisableCollateralFallback", BOOL, "false", "Never send the pledge with a message", _KEPT),
        ("MaxPreCommitBatch", INT, "256", "Without effect here: one message per sector, at once", _KEPT),
        ("PreCommitBatchWait", DURATION, '"24h0m0s"', "Without effect here", _KEPT),
        ("PreCommitBatchSlack", DURATION, '"3h0m0s"', "Without effect here", _KEPT),
        ("MinCommitBatch", INT, "4", "Without effect here", _KEPT),
        ("MaxCommitBatch", INT, "819", "Without effect here: one message per sector, at once", _KEPT),
        ("CommitBatchWait", DURATION, '"24h0m0s"', "Without effect here", _KEPT),
        ("CommitBatchSlack", DURATION, '"1h0m0s"', "Without effect here", _KEPT),
        ("MaxSectorProveCommitsSubmittedPerEpoch", UINT, "20", "Commit messages per epoch", _KEPT),
        ("TerminateBatchMax", UINT, "100", "Most sectors ended by one message. Without effect here", _KEPT),
        ("TerminateBatchMin", UINT, "1", "Fewest sectors ended by one message. Without effect here", _KEPT),
        (
            "TerminateBatchWait",
            DURATION,
            '"5m0s"',
            "Longest wait for more sectors to end. Without effect here",
            _KEPT,
        ),
        (
            "UseSyntheticPoRep",
            BOOL,
            "false",
            "New sectors get a synthetic proof. Without effect for now",
            _KEPT,
        ),
        ("RequireActivationSuccess", BOOL, "false", "One bad sector ends its whole batch", _KEPT),
        ("RequireActivationSuccessUpdate", BOOL, "false", "The same for upgrades", _KEPT),
        ("RequireNotificationSuccess", BOOL, "false", "One failed notice ends the whole batch", _KEPT),
        ("RequireNotificationSuccessUpdate", BOOL, "false", "The same for upgrades", _KEPT),
    ),
    *_section(
        "Storage",
        ("ParallelFetchLimit", INT, "10", "Fetches of the built-in worker at the same time", {"least": 1}),
        ("AllowSectorDownload", BOOL, "true", "The built-in worker offers DL"),
        ("AllowAddPiece", BOOL, "true", "The built-in worker offers AP and DC"),
        ("AllowPreCommit1", BOOL, "true", "The built-in worker offers PC1"),
        ("AllowPreCommit2", BOOL, "true", "The built-in worker offers PC2"),
        ("AllowCommit", BOOL, "true", "The built-in worker offers C2"),
        ("AllowUnseal", BOOL, "true", "The built-in worker offers UNS"),
        ("AllowReplicaUpdate", BOOL, "true", "The built-in worker offers RU"),
        ("AllowProveReplicaUpdate2", BOOL, "true", "The built-in worker offers PR2"),
        ("AllowRegenSectorKey", BOOL, "true", "The built-in worker offers GSK"),
        ("LocalWorkerName", TEXT, '""', "Name of the built-in worker; empty for the host's name"),
        (
            "Assigner",
            TEXT,
            '"utilization"',
            "How the official scheduler spreads tasks: utilization, spread,\n"
            "experiment-spread-qcount, experiment-spread-tasks, experiment-spread-tasks-qcount,\n"
            "experiment-random; 2020: all of it as in v0.8.1. The balanced scheduler (AllowMyScheduler)\n"
            "does not look at it",
            {
                "live": True,
                "choices": (
                    "",
                    "utilization",
                    "spread",
                    "experiment-spread-qcount",
                    "experiment-spread-tasks",
                    "experiment-spread-tasks-qcount",
                    "experiment-random",
                    "2020",
                ),
            },
        ),
        (
            "DisallowRemoteFinalize",
            BOOL,
            "false",
            "Finalize only on workers that hold both the sealing path and long-term storage.\n"
            "Finished sectors of other workers then stay where they are",
            _LIVE,
        ),
        (
            "ResourceFiltering",
            FILTER,
            '"hardware"',
            "disabled: the built-in worker's hardware is not looked at by the official scheduler",
        ),
        (
            "AllowMyScheduler",
            BOOL,
            "true",
            "Spread work evenly within the caps of each worker. false: the official windowed scheduler",
            _LIVE,
        ),
        (
            "PreCommit1Max",
            INT,
            "7",
            "Most P1 at once on a worker that states no cap of its own (a stock lotus-worker); 0: none",
            _FROM_0,
        ),
        (
            "PreCommit1HoldMax",
            INT,
            "25",
            "Most P1 that the disks of such a worker may hold, running and not yet fetched away; 0: no limit",
            _FROM_0,
        ),
        (
            "SpreadBy",
            TEXT,
            '"count"',
            "count: the worker that carries the fewest goes first. share: the one whose cap is least used",
            {"choices": ("count", "share"), "live": True},
        ),
        (
            "RetryDelay",
            DURATION,
            '"1m0s"',
            "First wait before something is tried again; each further wait is twice as long",
            _FROM_0,
        ),
        ("RetryDelayMax", DURATION, '"30m0s"', "Longest such wait", _FROM_0),
        (
            "LostAfter",
            DURATION,
            '"6h0m0s"',
            "A call of a worker that has not answered for so long is lost and made elsewhere; 0s: never",
            _FROM_0,
        ),
    ),
    *_section(
        "Fees",
        (
            "MaxPreCommitGasFee",
            FIL,
            '"0.025 FIL"',
            "Most gas for one precommit. No key of [Fees] has an effect on a simulated chain",
            _KEPT,
        ),
        ("MaxCommitGasFee", FIL, '"0.05 FIL"', "Most gas for one commit", _KEPT),
        ("MaxTerminateGasFee", FIL, '"0.5 FIL"', "Most gas for ending sectors", _KEPT),
        ("MaxWindowPoStGasFee", FIL, '"5 FIL"', "Most gas for a window PoSt", _KEPT),
        ("MaxPublishDealsFee", FIL, '"0.05 FIL"', "Most gas for publishing deals", _KEPT),
        ("MaxMarketBalanceAddFee", FIL, '"0.007 FIL"', "Most gas for adding to the market balance", _KEPT),
        ("MaximizeWindowPoStFeeCap", BOOL, "true", "Offer the whole of MaxWindowPoStGasFee at once", _KEPT),
    ),
    *_section(
        "Fees.MaxPreCommitBatchGasFee",
        ("Base", FIL, '"0 FIL"', "Gas of a batch whatever it holds", _KEPT),
        ("PerSector", FIL, '"0.02 FIL"', "More of it for each sector", _KEPT),
    ),
    *_section(
        "Fees.MaxCommitBatchGasFee",
        ("Base", FIL, '"0 FIL"', "Gas of a batch whatever it holds", _KEPT),
        ("PerSector", FIL, '"0.03 FIL"', "More of it for each sector", _KEPT),
    ),
    *_section(
        "Addresses",
        ("PreCommitControl", LIST, "[]", "Addresses that send precommit messages", _KEPT),
        ("CommitControl", LIST, "[]", "Addresses that send commit messages", _KEPT),
        ("TerminateControl", LIST, "[]", "Addresses that send messages which end sectors", _KEPT),
        ("DealPublishControl", LIST, "[]", "Addresses that publish deals", _KEPT),
        ("DisableOwnerFallback", BOOL, "false", "Never pay from the owner's address", _KEPT),
        ("DisableWorkerFallback", BOOL, "false", "Never pay from the worker's address", _KEPT),
    ),
    *_section(
        "HarmonyDB",
        ("Hosts", LIST, '["127.0.0.1"]', "Without effect here, as the rest of this section", _KEPT),
        ("Username", TEXT, '"yugabyte"', "User of that database", _KEPT),
        ("Password", TEXT, '"yugabyte"', "Its password", _KEPT),
        ("Database", TEXT, '"yugabyte"', "Its name", _KEPT),
        ("Port", TEXT, '"5433"', "Its port", _KEPT),
    ),
    *_section(
        "Chain",
        (
            "BlockDelaySecs",
            FLOAT,
            "30",
            "Seconds per epoch of the simulated chain; fractions are allowed",
            {"least": 0.001},
        ),
        ("PreCommitChallengeDelay", INT, "150", "Epochs from a sector's precommit to its seed", {"least": 1}),
        ("MessageConfidence", INT, "5", "Epochs until a message counts as landed", {"least": 0}),
    ),
)

#: Sections in the order of the file, subsections after their section.
SECTIONS: Final[tuple[str, ...]] = tuple(dict.fromkeys(k.section for k in KEYS))
