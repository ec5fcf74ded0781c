"""Real sealing: each task is a run of ``lotus-proofs``, a process of its own that a crash ends and nothing else.

Contract of the program: proofs/README.md. Errors are the field's own texts behind the task that failed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from lotus_sched_cli.core.proofs import sector_size
from lotus_sched_cli.core.tasks import FileType, TaskType
from lotus_sched_cli.lotus import logs
from lotus_sched_cli.lotus.errors import shortened
from lotus_sched_cli.lotus.rpc.streams import BytesReader, NullReader, Reader
from lotus_sched_cli.lotus.types import (
    REPLICA_SPOILED,
    Cid,
    PieceInfo,
    Range,
    SectorCids,
    SectorID,
    SectorRef,
)
from lotus_sched_cli.storage.errors import StorageError
from lotus_sched_cli.storage.partial import PartialFile, padded

from . import child, prover, results
from .base import Files, Job, SealError, Usage
from .proofsconfig import ProofsConfig
from .scratch import folder, given
from .words import Words, one_line

log: Final = logs.get("sealer")

TASKS: Final = frozenset(
    {
        TaskType.DATA_CID,
        TaskType.ADD_PIECE,
        TaskType.PRECOMMIT1,
        TaskType.PRECOMMIT2,
        TaskType.COMMIT1,
        TaskType.COMMIT2,
        TaskType.FINALIZE,
        TaskType.FINALIZE_UNSEALED,
        TaskType.UNSEAL,
        TaskType.FETCH,
    }
)

#: What becomes of exit codes of the program.
_CALL_CODES: Final = {prover.NO_PARAMETERS: 100, prover.NO_SPACE: 102}
#: Characters of an error that are kept: some of the library's show the whole document that they could not read.
LONGEST_ERROR: Final = 4000
#: Seconds that the look for parameters at the start may take. It reads a few bytes, but of a disk that may hang.
LONGEST_LOOK: Final = 30.0
#: What becomes of words that the program cannot have said.
_NOT_THEIRS: Final = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
#: No second or byte count is so large; beyond lie those that JSON can say and the wire cannot.
_MOST: Final = 1 << 53
#: Folder beside ``sealed`` and ``cache`` of a path, in which unsealing has its labels.
SCRATCH: Final = "unsealing"


class ProofsSealer:
    """A Sealer by the program. ``environ`` is the worker's environment, read at each task.

    ``repo`` marks its processes, so that the next start of this worker finds what is left of them.
    """

    name = "proofs"
    simulated = False

    def __init__(
        self,
        program: Path,
        environ: Mapping[str, str],
        config: ProofsConfig | None = None,
        repo: Path | None = None,
    ) -> None:
        self.program = program
        self._environ = environ
        self.config = config or ProofsConfig()
        self._repo = repo

    def tasks(self) -> frozenset[TaskType]:
        return TASKS

    async def lacks_parameters(self, proof: int) -> str:
        """Why C2 of this proof type cannot be done here: Groth parameters missing or cut. Empty if it can.

        Empty, too, where that is not found out in `LONGEST_LOOK`, with a warning: a disk that is slow while a host starts
        must not take the worker's C2 until somebody starts it again, and where they are missing each C2 says so.
        """
        job = Job("start", TaskType.COMMIT2, SectorRef(SectorID(), proof))
        try:
            await self._run(job, "params", {"ProofType": proof}, limit=LONGEST_LOOK, patience=child.PATIENCE)
        except child.TookTooLongError:
            folder = self._environment(job).get(prover.PARAMETERS, prover.FIELD_PARAMETERS)
            log.warn(
                f"C2 is offered without a look at its parameters: {self.program} did not answer in {LONGEST_LOOK:g} s; "
                f"see whether the disks of it and of {folder} ({prover.PARAMETERS}) hang"
            )
        except SealError as why:
            return why.text.removeprefix(f"{job.task.short}: ")
        return ""

    # -- data ---------------------------------------------------------------------------------------------------------

    async def data_cid(self, job: Job, size: int, data: Reader) -> PieceInfo:
        result = await self._with_data(job, "datacid", {"PieceSize": size}, data)
        return results.piece(result, size, _who(job))

    async def add_piece(
        self, job: Job, existing: Sequence[int], size: int, data: Reader, files: Files
    ) -> PieceInfo:
        request = self._about(job, files, PieceSizes=list(existing), NewPieceSize=size)
        return results.piece(await self._with_data(job, "addpiece", request, data), size, _who(job))

    # -- sealing ------------------------------------------------------------------------------------------------------

    async def precommit1(self, job: Job, ticket: bytes, pieces: Sequence[PieceInfo], files: Files) -> bytes:
        request = self._about(job, files, Ticket=_b64(ticket), Pieces=msgspec.to_builtins(pieces))
        return await self._put_out(job, "precommit1", request)

    async def precommit2(self, job: Job, pc1_out: bytes, files: Files) -> SectorCids:
        async with folder() as place:
            file = await given(place / "pc1.json", pc1_out)
            result = await self._run(job, "precommit2", self._about(job, files, PreCommit1OutFile=file))
        return results.sector_cids(result, _who(job))

    async def commit1(
        self,
        job: Job,
        ticket: bytes,
        seed: bytes,
        pieces: Sequence[PieceInfo],
        cids: SectorCids,
        files: Files,
    ) -> bytes:
        request = self._about(
            job,
            files,
            Ticket=_b64(ticket),
            Seed=_b64(seed),
            Pieces=msgspec.to_builtins(pieces),
            Cids=msgspec.to_builtins(cids),
        )
        return await self._put_out(job, "commit1", request)

    async def commit2(self, job: Job, c1_out: bytes) -> bytes:
        async with folder() as place:
            file = await given(place / "c1.json", c1_out)
            result = await self._run(
                job, "commit2", {"Sector": msgspec.to_builtins(job.sector), "Commit1OutFile": file}
            )
        return results.proof(result, job.sector.ProofType, _who(job))

    async def finalize(self, job: Job, files: Files) -> None:
        await self._run(job, "finalize", self._about(job, files))

    # -- unsealed data ------------------------------------------------------------------------------------------------

    async def release_unsealed(self, job: Job, keep: Sequence[Range], files: Files) -> None:
        """The program has no part in it: holes are punched into the file."""
        await asyncio.to_thread(_release, files[FileType.UNSEALED], sector_size(job.sector.ProofType), keep)

    async def unseal(
        self, job: Job, offset: int, size: int, ticket: bytes, comm_d: Cid, files: Files
    ) -> None:
        # Into an unsealed file go whole blocks; a reader of this piece gets more than it asked for, never less.
        first, end = offset // 127 * 127, -(-(offset + size) // 127) * 127
        scratch = files[FileType.UNSEALED].parent.parent / SCRATCH
        try:
            await asyncio.to_thread(scratch.mkdir, exist_ok=True)
        except OSError as why:
            raise SealError(f"making {scratch}: {(why.strerror or str(why)).lower()}") from why
        request = self._about(
            job,
            files,
            Offset=first,
            Size=end - first,
            Ticket=_b64(ticket),
            CommD=msgspec.to_builtins(comm_d),
            Scratch=str(scratch),
        )
        await self._run(job, "unseal-range", request)

    # -- proving that it is still here --------------------------------------------------------------------------------

    async def vanilla(
        self, sector: SectorRef, post_proof: int, sealed: Cid, challenge: Sequence[int], files: Files
    ) -> bytes:
        """One sector's part of a PoSt; see `vanilla.PostProver`."""
        job = Job("vanilla", TaskType.WINDOW_POST, sector)
        request = self._about(
            job,
            {kind: files[kind] for kind in (FileType.SEALED, FileType.CACHE)},
            ProofType=post_proof,
            SealedCID=msgspec.to_builtins(sealed),
            Challenge=list(challenge),
        )
        return results.proof(await self._run(job, "vanilla", request), None, _who(job))

    # -- running the program ------------------------------------------------------------------------------------------

    def _environment(self, job: Job) -> dict[str, str]:
        return prover.environment(self._environ, _size(job), job.gpu) | dict(self.config.environment)

    def _about(self, job: Job, files: Files, **members: object) -> dict[str, Any]:
        names = {
            FileType.UNSEALED: "Unsealed",
            FileType.SEALED: "Sealed",
            FileType.CACHE: "Cache",
        }
        paths = {name: str(files[kind]) for kind, name in names.items() if kind in files}
        return {"Sector": msgspec.to_builtins(job.sector), "Paths": paths, **members}

    async def _with_data(
        self, job: Job, command: str, request: dict[str, Any], data: Reader
    ) -> dict[str, Any]:
        if isinstance(data, NullReader):
            zeros = {"Type": "null", "Info": str(data.size)}
            return await self._run(job, command, request | {"PieceData": zeros})
        async with folder() as place:
            told = await given(place / "request.json", json.dumps(request | {"PieceData": "-"}).encode())
            return await self._run(job, command, None, "--request", told, stdin=data)

    async def _put_out(self, job: Job, command: str, request: dict[str, Any]) -> bytes:
        """A phase whose output is a document of its own, tens of megabytes for big sectors."""
        async with folder() as place:
            file = place / "out.json"
            await self._run(job, command, request, "--output", str(file))
            try:
                return results.document(await asyncio.to_thread(results.read, file))
            except FileNotFoundError:
                raise SealError(
                    f"{job.task.short}: {prover.PROGRAM} ended well and wrote no output"
                ) from None
            except (OSError, ValueError) as why:
                said = getattr(why, "strerror", None) or str(why)
                raise SealError(f"the output of {_who(job)} cannot be read: {said.lower()}") from why

    async def _run(
        self,
        job: Job,
        command: str,
        request: dict[str, Any] | None,
        *flags: str,
        stdin: Reader | None = None,
        limit: float | None = None,
        patience: float | None = None,
    ) -> dict[str, Any]:
        env = self._environment(job)
        if self._repo is not None:
            env[prover.MARK] = str(self._repo)
        argv = [str(self.program), command, "--log", "json", "--parent", str(os.getpid()), *flags]
        ended = await child.run(
            job,
            argv,
            env=env,
            limit=self.config.limits.get(job.task) if limit is None else limit,
            patience=patience,
            stdin=BytesReader(json.dumps(request).encode()) if request is not None else stdin,
            line=Lines(f"{job.task.short} of sector {job.sector.ID.Number}"),
        )
        log.debug(f"{command} {child.took(ended.usage)}", sector=str(job.sector.ID))
        return _result(job, ended)


class Lines:
    """Takes the program's log into ours; its last line brings what it took."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._warn = Words(lambda text: log.warn(f"{what}: {one_line(text)}"))

    def __call__(self, text: str) -> Usage | None:
        try:
            said = json.loads(text)
            message, level = str(said["msg"]), str(said["level"])
        except _NOT_THEIRS:
            self._warn(text)
            return None
        if level == "warn":
            self._warn(message)
        elif message not in ("done", "ended"):
            log.debug(f"{self._what}: {one_line(message)}")
        try:
            seconds, user, system = (float(said[f"{name}seconds"]) for name in ("", "user_", "system_"))
            rss = int(said["max_rss"])
            right = all(0 <= value < _MOST for value in (seconds, user, system, rss))
            return Usage(seconds, user + system, rss) if right else None
        except _NOT_THEIRS:
            return None


def _result(job: Job, ended: child.Ended) -> dict[str, Any]:
    """Its result, or the SealError that its end amounts to."""
    what = f"{job.task.short}"
    if ended.code < 0:
        raise SealError(f"{what} {child.killed(ended)}")
    try:
        result = json.loads(ended.out)
        text = "" if ended.code == 0 else str(result["Error"]["Message"])
    except _NOT_THEIRS:
        raise SealError(f"{what}: {prover.PROGRAM} ended with exit code {ended.code} and no result") from None
    if ended.code == prover.REPLICA_TOUCHED:
        text = f"{REPLICA_SPOILED}: {text}"
    if ended.code:
        raise SealError(f"{what}: {shortened(text, LONGEST_ERROR)}", _CALL_CODES.get(ended.code, 0))
    if not isinstance(result, dict):
        raise SealError(f"{what}: {prover.PROGRAM} gave a result that is no object")
    return result


def _who(job: Job) -> str:
    return f"{prover.PROGRAM} ({job.task.short})"


def _size(job: Job) -> int:
    """Bytes of the sector; a DataCid call has none."""
    return sector_size(job.sector.ProofType)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _release(file: Path, size: int, keep: Sequence[Range]) -> None:
    try:
        spans = sorted((padded(r.Offset), padded(r.Offset + r.Size)) for r in keep)
        with _claimed(file), PartialFile.open(file, size) as data:
            at = 0
            for start, end in [*spans, (size, size)]:
                if start > at:
                    data.free(at, start - at)
                at = max(at, end)
    except StorageError as why:
        raise SealError(why.text, why.code) from why


@contextlib.contextmanager
def _claimed(file: Path) -> Iterator[None]:
    """The program's lock on an unsealed file: what it is unsealing into it is marked before anything is freed."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(
            OSError
        ):  # no file: who opens it says so; no locks there: then nothing waits
            fcntl.flock(held.enter_context(file.open("rb")), fcntl.LOCK_EX)
        yield
