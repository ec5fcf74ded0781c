"""An operator's own commands, one per task (docs/external-sealer.md).

PreCommit2 is exactly Lotus's ``--external-pc2`` (``storage/sealer/ffiwrapper/extern_pc2.go``): seven variables and no
others, nothing read from its output, CommR from ``p_aux``, CommD from the data tree. The other tasks go by the same scheme;
what they answer is JSON in the file that ``EXTSEAL_<TASK>_OUT`` names.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from lotus_sched_cli.core.proofs import sector_size
from lotus_sched_cli.core.tasks import BY_SHORT, FileType, TaskType
from lotus_sched_cli.lotus import cids as ids
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.rpc.streams import Reader
from lotus_sched_cli.lotus.types import Cid, PieceInfo, Range, SectorCids, SectorRef

from . import child, guard, poseidon, proofsconfig, results
from .base import Files, Job, Sealer, SealError, Usage
from .prover import MARK
from .scratch import folder, given
from .vanilla import PostProver
from .words import Words

#: Tasks that may have a command.
COMMANDED: Final = (
    TaskType.DATA_CID,
    TaskType.ADD_PIECE,
    TaskType.PRECOMMIT1,
    TaskType.PRECOMMIT2,
    TaskType.COMMIT1,
    TaskType.COMMIT2,
    TaskType.FINALIZE,
    TaskType.FINALIZE_UNSEALED,
    TaskType.UNSEAL,
)
_FILES: Final = {FileType.UNSEALED: "UNSEALED", FileType.SEALED: "SEALED", FileType.CACHE: "CACHE"}
_TREE_D: Final = "sc-02-data-tree-d.dat"
_CHUNK: Final = 1 << 20
#: What a shell's own exit codes mean.
_SHELLS: Final = {
    126: ": the command is there and cannot be run; see its permissions",
    127: ": the command was not found; it gets no PATH, so give its whole path",
}


@dataclass(frozen=True, slots=True)
class ExternalConfig:
    """``external.toml``: ``[commands]`` by short task names, ``[limits]`` in seconds, and who does the ``rest``."""

    commands: Mapping[TaskType, str]
    limits: Mapping[TaskType, float] = field(default_factory=dict)
    rest: str = "none"

    @classmethod
    def of_pc2(cls, command: str) -> ExternalConfig:
        return cls({TaskType.PRECOMMIT2: command})

    def with_pc2(self, command: str) -> ExternalConfig:
        return replace(self, commands={**self.commands, TaskType.PRECOMMIT2: command})


def load(file: Path) -> ExternalConfig:
    """Read a settings file. Raises UserError with file, key and remedy."""
    raw = proofsconfig.read(file)
    proofsconfig.known(file, raw, {"commands", "limits", "rest"})
    able = {task.short for task in COMMANDED}
    commands = proofsconfig.texts(file, raw, "commands")
    for name, command in commands.items():
        if name not in able or not command.strip():
            wanted = f"one of {' '.join(sorted(able))} as the name, and a command"
            proofsconfig.bad(file, f"commands.{name}", command, wanted)
    rest = raw.get("rest", "none")
    if rest not in ("none", "proofs"):
        proofsconfig.bad(file, "rest", rest, '"none", or "proofs" for lotus-proofs')
    if not commands:
        raise UserError(f'{file}: no command; give a section [commands] with lines like PC2 = "/opt/pc2.sh"')
    limits = proofsconfig.limits(file, raw)
    return ExternalConfig({BY_SHORT[name]: text for name, text in commands.items()}, limits, rest)


class ExternalSealer:
    """A Sealer by commands; a task without one is ``base``'s, or not offered."""

    name = "external"
    simulated = False

    def __init__(
        self,
        config: ExternalConfig,
        environ: Mapping[str, str],
        repo: Path | None = None,
        base: Sealer | None = None,
    ) -> None:
        self.config = config
        self._environ = environ
        self._repo = repo
        self._base = base

    async def vanilla(
        self, sector: SectorRef, post_proof: int, sealed: Cid, challenge: Sequence[int], files: Files
    ) -> bytes:
        """By whoever does the rest; see `vanilla.PostProver`."""
        if not isinstance(self._base, PostProver):
            raise SealError('commands make no proofs for a PoSt; rest = "proofs" in external.toml does')
        return await self._base.vanilla(sector, post_proof, sealed, challenge, files)

    def tasks(self) -> frozenset[TaskType]:
        own = frozenset(self.config.commands) | {TaskType.FETCH}
        return own | self._base.tasks() if self._base is not None else own

    # -- the tasks ----------------------------------------------------------------------------------------------------

    async def data_cid(self, job: Job, size: int, data: Reader) -> PieceInfo:
        if (base := self._other(job)) is not None:
            return await base.data_cid(job, size, data)
        async with folder() as place:
            piece = await _piece(place / "piece", size, data)
            told = await self._result(job, {}, PIECE=piece, PIECE_SIZE=size)
            return results.piece(told, size, _who(job))

    async def add_piece(
        self, job: Job, existing: Sequence[int], size: int, data: Reader, files: Files
    ) -> PieceInfo:
        if (base := self._other(job)) is not None:
            return await base.add_piece(job, existing, size, data, files)
        async with folder() as place:
            piece = await _piece(place / "piece", size, data)
            sizes = ",".join(map(str, existing))
            told = await self._result(job, files, PIECE=piece, PIECE_SIZE=size, EXISTING=sizes)
            return results.piece(told, size, _who(job))

    async def precommit1(self, job: Job, ticket: bytes, pieces: Sequence[PieceInfo], files: Files) -> bytes:
        if (base := self._other(job)) is not None:
            return await base.precommit1(job, ticket, pieces, files)
        return await self._document(job, files, TICKET=_b64(ticket), PIECES=_json(pieces))

    async def precommit2(self, job: Job, pc1_out: bytes, files: Files) -> SectorCids:
        if (base := self._other(job)) is not None:
            return await base.precommit2(job, pc1_out, files)
        wanted = {kind: files[kind] for kind in (FileType.CACHE, FileType.SEALED)}
        await self._command(job, wanted, PC1OUT=_b64(pc1_out))
        return await asyncio.to_thread(_commitments, files[FileType.CACHE])

    async def commit1(
        self,
        job: Job,
        ticket: bytes,
        seed: bytes,
        pieces: Sequence[PieceInfo],
        cids: SectorCids,
        files: Files,
    ) -> bytes:
        if (base := self._other(job)) is not None:
            return await base.commit1(job, ticket, seed, pieces, cids, files)
        told = {"TICKET": _b64(ticket), "SEED": _b64(seed), "PIECES": _json(pieces), "CIDS": _json(cids)}
        return await self._document(job, files, **told)

    async def commit2(self, job: Job, c1_out: bytes) -> bytes:
        if (base := self._other(job)) is not None:
            return await base.commit2(job, c1_out)
        async with folder() as place:
            file = await given(place / "c1.json", c1_out)
            told = await self._result(job, {}, C1OUT_FILE=file)
            return results.proof(told, job.sector.ProofType, _who(job))

    async def finalize(self, job: Job, files: Files) -> None:
        if (base := self._other(job)) is not None:
            await base.finalize(job, files)
            return
        await self._command(job, files)

    async def release_unsealed(self, job: Job, keep: Sequence[Range], files: Files) -> None:
        if (base := self._other(job)) is not None:
            await base.release_unsealed(job, keep, files)
            return
        await self._command(job, files, KEEP=_json(keep))

    async def unseal(
        self, job: Job, offset: int, size: int, ticket: bytes, comm_d: Cid, files: Files
    ) -> None:
        if (base := self._other(job)) is not None:
            await base.unseal(job, offset, size, ticket, comm_d, files)
            return
        await self._command(job, files, OFFSET=offset, SIZE=size, TICKET=_b64(ticket), COMMD=str(comm_d))

    # -- running commands ---------------------------------------------------------------------------------------------

    def _other(self, job: Job) -> Sealer | None:
        """Who does it instead. The worker asks only for what is in ``tasks``."""
        return None if job.task in self.config.commands else self._base

    async def _document(self, job: Job, files: Files, **told: object) -> bytes:
        """A phase's output, which is a JSON document of the proofs library."""
        async with folder() as place:
            out = place / "out.json"
            await self._command(job, files, OUT=out, **told)
            raw = await asyncio.to_thread(_written, out, job)
        try:
            return results.document(raw)
        except ValueError as why:
            raise SealError(f"the output of {_who(job)} is no JSON object: {why}") from why

    async def _result(self, job: Job, files: Files, **told: object) -> object:
        raw = await self._document(job, files, **told)
        try:
            return msgspec.json.decode(raw)
        except (msgspec.MsgspecError, RecursionError) as why:
            raise SealError(f"the output of {_who(job)} is no JSON: {why}") from why

    async def _command(self, job: Job, files: Files, **told: object) -> None:
        """Raises SealError, with Lotus's text for an exit code that is not 0."""
        short, sector = job.task.short, job.sector
        variables: dict[str, object] = {
            "SECTOR_NUM": sector.ID.Number,
            "SECTOR_MINER": sector.ID.Miner,
            "PROOF_TYPE": sector.ProofType,
            "SECTOR_SIZE": sector_size(sector.ProofType),
            **{_FILES[kind]: path for kind, path in files.items() if kind in _FILES},
            **told,
        }
        env = {f"EXTSEAL_{short}_{name}": str(value) for name, value in variables.items()}
        if self._repo is not None:
            env[MARK] = str(self._repo)
        argv = [
            sys.executable,
            "-I",
            "-S",
            str(guard.__file__),
            str(os.getpid()),
            self.config.commands[job.task],
        ]
        ended = await child.run(
            job, argv, env=env, limit=self.config.limits.get(job.task), line=Words(_pass_on)
        )
        try:
            end = msgspec.json.decode(ended.out, type=_End)
        except msgspec.DecodeError:
            raise SealError(f"external command error: its guard ended with {ended.code}") from None
        if job.report is not None:
            job.report(Usage(end.seconds, end.cpu_seconds, end.max_rss))
        if end.code:
            how = f"exit status {end.code}" if end.code > 0 else f"signal {-end.code}"
            raise SealError(f"external command error: {how}{_hint(end.code, ended.starved)}")


class _End(msgspec.Struct):
    code: int
    seconds: float
    cpu_seconds: float
    max_rss: int


def _hint(code: int, starved: bool) -> str:
    """What lies behind an end of the shell or of the command."""
    if starved and code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return f": {child.STARVED}; {child.MORE_MEMORY}"
    return _SHELLS.get(code, "")


def _pass_on(text: str) -> None:
    """Its words are the worker's own, as with Lotus."""
    print(text, file=sys.stderr, flush=True)


def _written(file: Path, job: Job) -> bytes:
    try:
        return results.read(file)
    except OSError as why:
        name = f"EXTSEAL_{job.task.short}_OUT"
        wrote = f"wrote no {name}" if isinstance(why, FileNotFoundError) else f"its {name} cannot be read"
        text = f"the external {job.task.short} ended well and {wrote}: {(why.strerror or str(why)).lower()}"
        raise SealError(text) from why


def _who(job: Job) -> str:
    return f"the external {job.task.short}"


def _commitments(cache: Path) -> SectorCids:
    """CommR of what is in ``p_aux``, CommD from the root of the data tree."""
    try:
        aux = results.read(cache / "p_aux", 64)
    except OSError as why:
        raise SealError(f"reading p_aux: {(why.strerror or str(why)).lower()}") from why
    try:
        sealed = ids.sealed_cid(poseidon.comm_r(aux[:32], aux[32:]))
    except ValueError as why:
        raise SealError(f"reading p_aux: {why}") from why
    try:
        root = results.end_of(cache / _TREE_D, 32)
    except OSError as why:
        raise SealError(f"reading {_TREE_D}: {(why.strerror or str(why)).lower()}") from why
    return SectorCids(Unsealed=Cid(ids.unsealed_cid(root)), Sealed=Cid(sealed))


async def _piece(file: Path, size: int, data: Reader) -> str:
    """The piece's data as a file. Raises SealError where it is cut short."""
    got = 0
    try:
        with file.open("wb") as out:
            while got < size and (chunk := await data.read(min(_CHUNK, size - got))):
                await asyncio.to_thread(out.write, chunk)
                got += len(chunk)
    except OSError as why:
        if why.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SealError(f"writing the piece's data to {file}: no space left on the disk", 102) from why
        raise SealError(f"reading the piece's data: {why}") from why
    if got != size:
        raise SealError(f"the piece's data ended after {got} of {size} bytes")
    return str(file)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
