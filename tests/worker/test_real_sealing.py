"""A worker that really seals, as a stock miner sees it: over the wire, with the program ``lotus-proofs``."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from proofs.conftest import parameters, program_path  # noqa: F401 - fixtures

from lotus_sched_cli.core.tasks import FileType, TaskType
from lotus_sched_cli.lotus import auth, cids
from lotus_sched_cli.lotus.rpc.client import HttpCaller
from lotus_sched_cli.lotus.rpc.streams import BytesReader
from lotus_sched_cli.lotus.types import CallID, PieceInfo, SectorCids, SectorID, SectorRef
from lotus_sched_cli.sealers import proofs, prover
from lotus_sched_cli.sealers.proofs import TASKS
from lotus_sched_cli.worker.options import RunOptions

from .fake_miner import SECRET
from .workers import Farm

STOCK = "v1.36.2-dev+mainnet+git.0123abcd"
REF = SectorRef(SectorID(1000, 15), 5)
TICKET, SEED = bytes([1]) * 32, bytes([2]) * 32
FIRST, SECOND = os.urandom(1016), os.urandom(1016)


def real(farm: Farm, program: Path, **flags: Any) -> RunOptions:
    environ = {
        "MINER_API_INFO": farm.miner.info,
        "PATH": os.environ["PATH"],
        prover.VARIABLE: str(program),
        prover.PARAMETERS: str(farm.root / "no-parameters"),
        "FIL_PROOFS_PARENT_CACHE": str(farm.root / "parents"),
    }
    return replace(farm.options(), sealer="auto", sealer_config=None, environ=environ, **flags)


class Line:
    """The calls of a miner to its worker, each to its return."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.worker: HttpCaller = farm.miner.worker()

    async def done(self, method: str, *params: Any) -> Any:
        call = await self.worker.call(method, *params, result=CallID, timeout=10)
        returned = await self.farm.miner.result_of(call)
        assert returned.error is None, returned.error
        return returned.result

    async def finalized(self) -> tuple[list[PieceInfo], SectorCids]:
        """A sector of two pieces, sealed, finalized, and without its unsealed file."""
        pieces = [await self.done("AddPiece", REF, [], 1016, BytesReader(FIRST))]
        pieces.append(await self.done("AddPiece", REF, [1016], 1016, BytesReader(SECOND)))
        out = await self.done("SealPreCommit1", REF, TICKET, pieces)
        sealed = await self.done("SealPreCommit2", REF, out)
        await self.done("SealCommit1", REF, TICKET, SEED, pieces, sealed)
        await self.done("ReleaseUnsealed", REF, [])
        await self.done("FinalizeSector", REF)
        return pieces, sealed


class Remote:
    """How Lotus's miner reads a piece: ``allocated`` in unpadded bytes, then a Range of padded ones."""

    def __init__(self, farm: Farm) -> None:
        (path,) = farm.miner.paths.values()
        assert path.URLs
        self.url = f"{path.URLs[0]}/unsealed/{REF.ID}"
        token = auth.sign(SECRET, ["admin"])
        self.client = httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, trust_env=False)

    async def allocated(self, offset: int, size: int) -> int:
        answer = await self.client.get(f"{self.url}/{REF.ProofType}/allocated/{offset}/{size}")
        return answer.status_code

    async def padded(self, start: int, end: int) -> bytes:
        answer = await self.client.get(self.url, headers={"Range": f"bytes={start}-{end - 1}"})
        assert answer.status_code == 206
        return answer.content


async def test_a_stock_miner_s_window_gets_its_part_of_the_proof(
    farm: Farm,
    program_path: Path,  # noqa: F811
) -> None:
    farm.miner.version = STOCK
    await farm.start(real(farm, program_path))
    _, sealed = await Line(farm).finalized()
    challenge = {
        "SealProof": 5,
        "SectorNumber": 15,
        "SealedCID": {"/": str(sealed.Sealed)},
        "Challenge": [33, 6, 30, 50, 56, 31, 35, 19, 54, 32],
        "Update": False,
    }
    remote = Remote(farm)
    url = remote.url.replace(f"unsealed/{REF.ID}", "vanilla/single")
    answer = await remote.client.post(url, json={"Miner": 1000, "Sector": challenge, "ProofType": 10})
    assert answer.status_code == 200, answer.text
    assert len(answer.content) == 5680
    assert answer.headers["content-type"] == "application/octet-stream"
    missing = challenge | {"SectorNumber": 99}
    told = await remote.client.post(url, json={"Miner": 1000, "Sector": missing, "ProofType": 10})
    assert told.status_code == 500 and "s-t01000-99" in told.text


async def test_a_stock_miner_s_readers_get_the_piece_of_a_finalized_sector(
    farm: Farm,
    program_path: Path,  # noqa: F811
) -> None:
    farm.miner.version = STOCK
    await farm.start(real(farm, program_path))
    line = Line(farm)
    pieces, sealed = await line.finalized()
    assert str(sealed.Unsealed) == cids.comm_d(((p.Size, str(p.PieceCID)) for p in pieces), 2048)
    assert not farm.miner.where(1000, 15, FileType.UNSEALED)
    cache = farm.root / "w1/cache/s-t01000-15"
    assert {file.name for file in cache.iterdir()} == {"p_aux", "t_aux", "sc-02-data-tree-r-last.dat"}

    await line.done("UnsealPiece", REF, 1016, 1016, TICKET, sealed.Unsealed)
    remote = Remote(farm)
    assert await remote.allocated(1016, 1016) == 200
    assert await remote.allocated(0, 1016) == 416, "the other piece is not there yet"
    assert await remote.padded(1024, 2048) == cids.fr32_pad(SECOND)

    await line.done("UnsealPiece", REF, 3, 100, TICKET, sealed.Unsealed)
    assert await remote.allocated(0, 127) == 200, "an offset between two blocks gets the whole block"
    await line.done("UnsealPiece", REF, 0, 1016, TICKET, sealed.Unsealed)
    assert await remote.padded(0, 1024) == cids.fr32_pad(FIRST)
    assert farm.miner.where(1000, 15, FileType.SEALED), "the sealed sector stays"
    assert not list((farm.root / "w1/unsealing").iterdir())
    await remote.client.aclose()
    await line.worker.close()


async def test_it_offers_what_the_program_does_and_a_flag_for_more_is_answered_in_one_line(
    farm: Farm,
    program_path: Path,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    farm.miner.version = STOCK
    await farm.start(real(farm, program_path, replica_update=True, sector_download=True))
    worker = farm.miner.worker()
    able = TASKS - {TaskType.COMMIT2}
    assert set(await worker.call("TaskTypes")) == {str(task) for task in able}
    await worker.close()
    (said,) = [text for text in caplog.messages if text.startswith("C2 is not offered: ")]
    assert ".params is missing" in said and str(farm.root / "no-parameters") in said
    for flag, task in (("--replica-update", "RU"), ("--sector-download", "DL")):
        (said,) = [text for text in caplog.messages if text.startswith(f"{flag}: ")]
        assert f"the sealer 'proofs' cannot do {task} " in said and "not offered" in said


@pytest.mark.parametrize(("flag", "task"), [("windowpost", "WDP"), ("winningpost", "WNP")])
async def test_a_worker_for_proofs_of_spacetime_is_refused_in_one_line(
    farm: Farm,
    program_path: Path,  # noqa: F811
    flag: str,
    task: str,
) -> None:
    farm.miner.version = STOCK
    text = await farm.refused(real(farm, program_path, **{flag: True}))
    assert text.startswith(f"--{flag}: the sealer 'proofs' cannot do {task} ")


def left_by(repo: Path) -> subprocess.Popen[bytes]:
    env = {prover.MARK: str(repo), "PATH": os.environ["PATH"]}
    return subprocess.Popen(["sleep", "600"], env=env, start_new_session=True)


async def test_what_an_earlier_run_left_is_dead_before_the_worker_registers(
    farm: Farm,
    program_path: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    left = left_by(farm.root / "w1")
    dead: list[bool] = []
    note = farm.miner.note

    def noting(name: str) -> None:
        if name == "WorkerConnect":
            dead.append(left.poll() is not None)
        note(name)

    monkeypatch.setattr(farm.miner, "note", noting)
    try:
        await farm.start(real(farm, program_path))
        assert dead == [True]
        assert "ended 1 sealing processes that an earlier run of this worker had left" in caplog.messages
    finally:
        left.kill()
        left.wait(10)


async def test_an_abort_is_answered_when_the_program_is_dead(
    farm: Farm,
    program_path: Path,  # noqa: F811
) -> None:
    """``sealing abort`` and a timeout of the miner both come as this call."""
    waits = farm.root / "waits"
    waits.write_text(
        '#!/bin/sh\n[ $1 = params ] && exec echo "{}"\necho $$ > "$FIL_PROOFS_PARENT_CACHE.pid"\nexec sleep 600\n'
    )
    waits.chmod(0o755)
    await farm.start(real(farm, waits))
    worker = farm.miner.worker()
    call = await worker.call("SealCommit2", REF, b"{}", result=CallID)
    told = farm.root / "parents.pid"
    await farm.miner.until(lambda: told.exists() and told.read_text().strip(), "the program's start")
    number = int(told.read_text())
    assert Path(f"/proc/{number}").exists()
    await worker.call("AbortCall", call, result=None)
    assert not Path(f"/proc/{number}").exists()
    assert "abort" in (await farm.miner.result_of(call)).error.Message
    await worker.close()


async def test_with_the_parameters_of_the_sector_size_c2_is_offered(
    farm: Farm,
    program_path: Path,  # noqa: F811
    parameters: Path,  # noqa: F811
) -> None:
    farm.miner.version = STOCK
    options = real(farm, program_path)
    assert options.environ is not None
    environ = {**options.environ, prover.PARAMETERS: str(parameters)}
    await farm.start(replace(options, environ=environ))
    worker = farm.miner.worker()
    assert set(await worker.call("TaskTypes")) == {str(task) for task in TASKS}
    await worker.close()


async def test_a_look_for_parameters_that_hangs_keeps_no_worker_from_registering(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(proofs, "LONGEST_LOOK", 0.5)
    hangs = farm.root / "hangs"
    hangs.write_text("#!/bin/sh\nexec sleep 600\n")
    hangs.chmod(0o755)
    farm.miner.version = STOCK
    await farm.start(real(farm, hangs))
    worker = farm.miner.worker()
    assert set(await worker.call("TaskTypes")) == {str(task) for task in TASKS}
    await worker.close()
    assert len([text for text in caplog.messages if text.startswith("C2 is offered without a look")]) == 1


async def test_no_task_type_is_offered_that_a_cap_of_0_forbids(
    farm: Farm,
    program_path: Path,  # noqa: F811
) -> None:
    farm.miner.version = STOCK
    await farm.start(real(farm, program_path, precommit2max=0))
    worker = farm.miner.worker()
    able = TASKS - {TaskType.PRECOMMIT2, TaskType.COMMIT2}
    assert set(await worker.call("TaskTypes")) == {str(task) for task in able}
    await worker.close()
