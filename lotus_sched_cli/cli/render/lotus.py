"""Views in Lotus's layout, as coloured spans: what `plain` writes as it stands and `rich` builds on.

A view's class finds its function in `DOCUMENTS`; the module is imported then (a command shows one view and must start
fast). Our own lines follow Lotus's lines of a block.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from .spans import Span

#: Class of a view → ``module:function`` of this package.
DOCUMENTS: Final = {
    "Jobs": "lotus_jobs:jobs",
    "Workers": "lotus_workers:workers",
    "SectorList": "lotus_sectors:sector_list",
    "SectorStatus": "lotus_sectors:sector_status",
    "StorageList": "lotus_storage:storage_list",
    "FoundFiles": "lotus_storage:found_files",
    "MinerInfo": "lotus_info:miner_info",
    "WorkerSelf": "lotus_info:worker_self",
    "FarmList": "lotus_sim:farm_list",
    "Simulated": "lotus_sim:simulated",
    "Suggested": "lotus_sim:suggested",
    "Lines": "lotus_text:lines",
    "Pledged": "lotus_text:pledged",
    "Diagnosis": "lotus_text:diagnosis",
    "CapTable": "lotus_caps:cap_table",
    "Explanation": "lotus_explain:explanation",
    "SchedTable": "lotus_sched:sched_table",
    "Piece": "lotus_text:piece",
    "Variables": "lotus_text:variables",
    "Versions": "lotus_text:versions",
    "LogNames": "lotus_logs:log_names",
    "Alerts": "lotus_logs:alerts",
    "Refs": "lotus_batches:refs",
    "Numbers": "lotus_batches:numbers",
    "Reservations": "lotus_batches:reservations",
    "Pending": "lotus_batches:pending",
    "Batched": "lotus_batches:batched",
    "Batches": "lotus_batches:batches",
    "Locks": "lotus_files:locks",
    "StoredFiles": "lotus_files:stored_files",
}


def document_of(view: object) -> list[Span]:
    """The view in Lotus's layout."""
    module, _, function = DOCUMENTS[type(view).__name__].partition(":")
    document: list[Span] = getattr(import_module(f".{module}", __package__), function)(view)
    return document
