"""``--format``: the same rows for programs, under documented names that do not change."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import pytest

from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.render import data
from lotus_sched_cli.cli.render.fields import columns, row_class_of
from lotus_sched_cli.cli.render.lotus import DOCUMENTS
from lotus_sched_cli.cli.views.batches import Batch
from lotus_sched_cli.cli.views.explain import TaskWhy
from lotus_sched_cli.cli.views.files import SectorLocks, StoredFile
from lotus_sched_cli.cli.views.info import MinerInfo, WorkerSelf
from lotus_sched_cli.cli.views.jobs import Job
from lotus_sched_cli.cli.views.logs import AlertRow, LogName
from lotus_sched_cli.cli.views.numbers import Numbers, Reservation
from lotus_sched_cli.cli.views.refs import Ref
from lotus_sched_cli.cli.views.sched import SchedTable
from lotus_sched_cli.cli.views.sectors import SectorRow, SectorStatus
from lotus_sched_cli.cli.views.storage import Asked, Found, StoragePath, storage_view
from lotus_sched_cli.cli.views.text import (
    Batched,
    Diagnosis,
    Line,
    Pending,
    Piece,
    Pledged,
    Variable,
    Versions,
)
from lotus_sched_cli.cli.views.workers import Worker, workers_view

from .conftest import WORKER_A, FakeApi, Run, job, stats
from .test_sealing import SCHED

PAGE = Path(__file__).parents[2] / "docs/formats.md"
#: Heading of the page → the class of its rows.
DOCUMENTED: dict[str, type] = {
    "sealing jobs": Job,
    "sealing workers, proving workers": Worker,
    "sealing explain": TaskWhy,
    "sealing sched-diag": SchedTable,
    "sectors list": SectorRow,
    "sectors status": SectorStatus,
    "sectors pledge": Pledged,
    "sectors refs": Ref,
    "sectors numbers info": Numbers,
    "sectors numbers reservations": Reservation,
    "sectors batching (what waits), sectors terminate pending": Pending,
    "sectors batching (what was sent)": Batch,
    "sectors terminate flush": Batched,
    "storage list": StoragePath,
    "storage list sectors": StoredFile,
    "storage find": Found,
    "storage locks": SectorLocks,
    "info (lotus-miner)": MinerInfo,
    "info (lotus-worker)": WorkerSelf,
    "resources": Variable,
    "sealing data-cid": Piece,
    "version": Versions,
    "log list": LogName,
    "log alerts": AlertRow,
    "auth create-token, auth api-info, init, config reload; sealing abort, assign, drain, undrain, forget, end-rest, record": Line,
}
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "any"}


def documented_rows(of: type) -> Iterator[tuple[str, str]]:
    """(name, type in words) of every member, those of lists of objects too."""
    for name, hint in columns(of):
        yield name, in_words(hint)
        inner = item_of(hint)
        if is_dataclass(inner):
            assert isinstance(inner, type)
            yield from ((f"{name}[].{n}", words) for n, words in documented_rows(inner))


def item_of(hint: Any) -> Any:
    """``X`` of ``tuple[X, ...]``, also where it may be None."""
    for option in get_args(hint) if get_origin(hint) is UnionType else (hint,):
        if get_origin(option) is tuple and get_args(option)[1:] == (Ellipsis,):
            return get_args(option)[0]
    return None


def in_words(hint: Any) -> str:
    if get_origin(hint) is UnionType:
        (one,) = (arg for arg in get_args(hint) if arg is not NoneType)
        return f"{in_words(one)}, or null"
    item = item_of(hint)
    if get_origin(item) is tuple and get_args(item)[0] is str and len(get_args(item)) == 2:
        return "object"
    return WORDS.get(hint, "list")


def documented() -> dict[str, list[tuple[str, str]]]:
    """Heading → (name, type) as the page has them."""
    found: dict[str, list[tuple[str, str]]] = {}
    for section in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        rows = re.findall(r"^\| `(.+?)` \| (.+?) \|", section, flags=re.MULTILINE)
        found[section.splitlines()[0]] = rows
    return found


@pytest.mark.parametrize("heading", DOCUMENTED)
def test_every_name_is_documented_with_its_type(heading: str) -> None:
    assert documented()[heading] == list(documented_rows(DOCUMENTED[heading]))


def test_every_view_is_documented() -> None:
    import lotus_sched_cli.cli.views as views

    classes = {cls.__name__ for cls in DOCUMENTED.values()}
    for module in Path(views.__file__).parent.glob("*.py"):
        if module.stem in OTHER_PAGES:
            continue
        names = vars(__import__(f"{views.__name__}.{module.stem}", fromlist=["x"]))
        for name in DOCUMENTS:
            view = names.get(name)
            if view is not None and view.__module__.endswith(f".{module.stem}") and name not in LATER:
                assert row_class_of(view).__name__ in classes, name


#: Raw JSON.
LATER = {"Diagnosis"}
#: Views of caps and of simulations.
OTHER_PAGES = {"caps", "simulation"}


# --- what is written -----------------------------------------------------------------------------------------------


@pytest.fixture
def farm(api: FakeApi) -> FakeApi:
    api.answers |= {
        "WorkerJobs": {WORKER_A: [job(15), job(16, "seal/v0/commit/2", Hostname="封装机,一号")]},
        "WorkerStats": {WORKER_A: stats(sched=SCHED | {"Number": 3})},
    }
    return api


def test_json_is_a_list_of_objects(farm: FakeApi, miner: Run) -> None:
    rows = json.loads(miner("sealing", "jobs", "--format", "json").out)
    assert [(row["sector"], row["task"], row["state"]) for row in rows] == [
        (15, "PC1", "running"), (16, "C2", "running"),
    ]  # fmt: skip
    assert rows[0]["worker"] == WORKER_A and rows[1]["hostname"] == "封装机,一号"
    assert rows[0]["usage"] is None


def test_jsonl_is_a_line_per_row(farm: FakeApi, miner: Run) -> None:
    lines = miner("--format=jsonl", "sealing", "jobs").out.splitlines()
    assert [json.loads(line)["sector"] for line in lines] == [15, 16]


def test_csv_has_a_header_and_quotes_what_needs_it(farm: FakeApi, miner: Run) -> None:
    out = miner("sealing", "jobs", "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["sector"], row["hostname"]) for row in rows] == [("15", "worker-1"), ("16", "封装机,一号")]
    assert list(rows[0]) == [name for name, _ in columns(Job)]
    assert rows[0]["usage.max_rss"] == ""


def test_columns_do_not_come_and_go(farm: FakeApi, miner: Run) -> None:
    header = miner("sealing", "workers", "--format", "csv").out.splitlines()[0]
    farm.answers["WorkerStats"] = {WORKER_A: stats()}
    assert miner("sealing", "workers", "--format", "csv").out.splitlines()[0] == header
    farm.answers["WorkerStats"] = {}
    assert miner("sealing", "workers", "--format", "csv").out.splitlines() == [header]
    assert miner("sealing", "workers", "--format", "json").out == "[]\n"


def test_inner_objects_are_columns_with_a_dot_and_lists_one_cell(farm: FakeApi, miner: Run) -> None:
    (row,) = csv.DictReader(io.StringIO(miner("sealing", "workers", "--format", "csv").out))
    assert row["sched.caps.precommit1_max"] == "13" and row["sched.number"] == "3"
    assert row["gpus"] == "NVIDIA GeForce RTX 3090" and row["enabled"] == "true"
    assert json.loads(row["sched.running"]) == {"PC1": 2, "PC2": 1}
    assert json.loads(row["tasks"])[0] == {"task": "GET", "count": 1, "limit": 0}


def test_no_colour_and_no_layout_touches_a_format(
    farm: FakeApi, miner: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = miner("sealing", "workers", "--format", "json").out
    monkeypatch.setenv("LOTUS_LAYOUT", "classic")
    assert miner("--color", "sealing", "workers", "--format", "json").out == wanted


def test_what_is_no_table_is_one_object_and_remarks_stay_out(api: FakeApi, miner: Run, worker: Run) -> None:
    api.answers |= {
        "PledgeSector": {"Miner": 1000, "Number": 12},
        "WaitQuiet": None,
    }
    api.answers["SectorsStatus"] = lambda n, c: {"State": "Packing"}
    assert json.loads(miner("sectors", "pledge", "--format", "json").out) == {
        "number": 12,
        "state": "Packing",
    }
    assert miner("sectors", "pledge", "--format", "csv").out == "number,state\n12,Packing\n"
    done = worker("wait-quiet", "--format", "json")
    assert done.out == "" and done.err.startswith("DEPRECATED")


def test_a_format_that_is_none_is_refused(miner: Run, api: FakeApi) -> None:
    api.answers["LogList"] = []
    assert miner("log", "list", "--format", "xml").error == (
        'unknown format "xml"; use one of json, jsonl, csv'
    )


def test_a_path_without_an_answer_has_empty_cells() -> None:
    view = storage_view({"p": []}, {}, {"p": Asked(None, None, error="gone")})
    (row,) = csv.DictReader(io.StringIO(data.render(view, "csv")))
    assert (row["id"], row["space.capacity"], row["error"], row["counts"]) == ("p", "", "gone", "0 0 0 0 0")


def test_a_view_of_all_workers_is_what_json_says() -> None:
    view = workers_view({WORKER_A: stats(sched=SCHED)})
    assert json.loads(data.render(view, "json"))[0]["sched"]["preparing"] == {"PC2": 1}


def test_what_the_miner_told_is_json_as_it_stands_and_no_csv() -> None:
    assert json.loads(data.render(Diagnosis({"b": 1}), "json")) == {"b": 1}
    assert data.render(Diagnosis({"b": [1, 2]}), "jsonl") == '{"b": [1, 2]}\n'
    with pytest.raises(CliError, match="this is no table: it cannot be CSV; use --format json"):
        data.render(Diagnosis({}), "csv")
