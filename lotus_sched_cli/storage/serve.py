"""``/remote``: sector files for other stores, space of paths, what is unsealed, removing copies, vanilla proofs.

Statuses and bodies as Lotus's ``storage/paths/http_handler.go``: 500 with empty body for whatever is not here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path
from typing import Protocol

import msgspec
from aiohttp import web

from lotus_sched_cli.core.proofs import sector_size
from lotus_sched_cli.core.tasks import FILE_TYPES_BY_NAME, FileType, SectorId
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.rpc import gohttp

from . import ranges
from .errors import NotFoundError, StorageError
from .meta import parse_name
from .partial import PartialFile, padded
from .path import LocalPath
from .send import send_file, send_tar
from .store import Store
from .tars import members
from .vanilla import VanillaHandler, VanillaProver

log = get("stores")


class Asker(Protocol):
    """Who sent a request, as far as it matters here."""

    @property
    def perms(self) -> frozenset[str]: ...


#: Gives None for a bad token (``RpcServer.authorize`` is one).
Authorize = Callable[[web.Request], Awaitable[Asker | None]]


def routes(
    store: Store, authorize: Authorize, *, missing: str = "admin", prover: VanillaProver | None = None
) -> list[web.RouteDef]:
    """The routes under ``/remote``; all want ``admin``. ``prover`` makes vanilla proofs of what lies here.

    ``missing`` is the permission that the text of a refusal names: Lotus's worker says ``admin``, its miner ``write``.
    """
    server = _Remote(store, authorize, missing, prover)
    return [web.route("*", "/remote", server.handle), web.route("*", "/remote/{tail:.*}", server.handle)]


class _Remote:
    def __init__(
        self, store: Store, authorize: Authorize, missing: str, prover: VanillaProver | None
    ) -> None:
        self._store = store
        self._authorize = authorize
        self._missing = missing
        self._vanilla = VanillaHandler(prover, self._place)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        asker = await self._authorize(request)
        if asker is None:
            return web.Response(status=401)
        if "admin" not in asker.perms:
            text = f'{{"Error":"unauthorized: missing {self._missing} permission"}}\n'
            return web.Response(status=401, text=text)
        try:
            return await self._route(request, request.match_info.get("tail", "").split("/"))
        except (StorageError, OSError, ValueError) as err:
            log.error(f"{request.method} {request.path}: {err}")
            return web.Response(status=500)
        except Exception as err:  # the index's own errors: it is away, or refuses
            log.error(f"{request.method} {request.path}: asking the index: {err}")
            return web.Response(status=500)

    async def _route(self, request: web.Request, parts: list[str]) -> web.StreamResponse:
        match parts:
            case ["stat", id] if id:
                return await self._stat(id) if request.method == "GET" else _not_allowed()
            case ["vanilla", "single" | "porep" as kind] if request.method == "POST":
                return await self._vanilla.answer(request, kind)
            case [type, name, proof, "allocated", offset, size]:
                if request.method != "GET":
                    return _not_allowed()
                return await self._allocated(type, name, int(proof), int(offset), int(size))
            case [type, name] if type and name:
                if request.method == "GET":
                    return await self._get(request, type, name)
                if request.method == "DELETE":
                    return await self._delete(request, type, name)
                return _not_allowed()
        return gohttp.refusal(404, "404 page not found")

    async def _stat(self, id: str) -> web.Response:
        try:
            found = await self._store.stat(id)
        except NotFoundError:
            return web.Response(status=404)
        return web.Response(text=msgspec.json.encode(found).decode() + "\n")

    async def _delete(self, request: web.Request, type: str, name: str) -> web.Response:
        log.info(f"SERVE DELETE {request.path_qs}", place="paths/http_handler.go:162")
        keep = [id for id in request.query.get("keep", "").split(".") if id]
        await self._store.remove_local(parse_name(name), _type(type), keep)
        return web.Response()

    async def _allocated(self, type: str, name: str, proof: int, offset: int, size: int) -> web.Response:
        if _type(type) is not FileType.UNSEALED or offset < 0 or size < 0:
            raise StorageError(f"no range of {type} can be asked for")
        path, file = await self._find(FileType.UNSEALED, parse_name(name))
        has = await path.disk.run(_has_range, file, sector_size(proof), offset, size)
        return web.Response(status=200 if has else 416)

    async def _get(self, request: web.Request, type: str, name: str) -> web.StreamResponse:
        path, file = await self._find(_type(type), parse_name(name))
        info = await path.disk.run(file.stat)
        if stat.S_ISDIR(info.st_mode):
            return await self._folder(request, path, file)
        return await self._file(request, path, file)

    async def _folder(self, request: web.Request, path: LocalPath, folder: Path) -> web.StreamResponse:
        if "Range" in request.headers:
            raise StorageError("a folder has no ranges")
        files = await path.disk.run(members, folder)
        answer = web.StreamResponse(headers={"Content-Type": "application/x-tar"})
        await send_tar(request, answer, path.disk, files)
        log.debug(f"served sector file/dir, path={folder}", place="paths/http_handler.go:158")
        return answer

    async def _file(self, request: web.Request, path: LocalPath, file: Path) -> web.StreamResponse:
        fd, info = await path.disk.run(_open, file)
        modified = formatdate(info.st_mtime, usegmt=True)
        try:
            part = _wanted(request, info.st_size, modified)
        except ranges.NoRange as err:
            await path.disk.run(os.close, fd)
            refused = gohttp.refusal(416, str(err))
            if isinstance(err, ranges.NoOverlap):
                refused.headers["Content-Range"] = f"bytes */{info.st_size}"
            return refused
        start, count = part or (0, info.st_size)
        answer = web.StreamResponse(status=206 if part else 200)
        answer.headers.update(
            {
                "Accept-Ranges": "bytes",
                "Content-Length": str(count),
                "Content-Type": "application/octet-stream",
                "Last-Modified": modified,
            }
        )
        if part:
            answer.headers["Content-Range"] = f"bytes {start}-{start + count - 1}/{info.st_size}"
        await send_file(request, answer, path.disk, fd, start, count)
        log.debug(f"served sector file/dir, path={file}", place="paths/http_handler.go:158")
        return answer

    async def _place(self, type: FileType, sector: SectorId) -> Path:
        return (await self._find(type, sector))[1]

    async def _find(self, type: FileType, sector: SectorId) -> tuple[LocalPath, Path]:
        """By the index, as Lotus: a file that is not declared is not served. Raises NotFoundError."""
        for entry in await self._store.index.StorageFindSector(sector, type, 0, False):
            path = self._store.get(entry.ID)
            if path is not None and await path.has(type, sector):
                return path, path.file(type, sector)
        raise NotFoundError(f"{sector} (t:{int(type)}) is not here")


def _type(name: str) -> FileType:
    try:
        return FILE_TYPES_BY_NAME[name]
    except KeyError:
        raise StorageError(f"unknown sector file type {name!r}") from None


def _open(file: Path) -> tuple[int, os.stat_result]:
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    return fd, os.fstat(fd)


def _not_allowed() -> web.Response:
    return web.Response(status=405)


def _wanted(request: web.Request, size: int, modified: str) -> tuple[int, int] | None:
    """(start, count) of a part that is asked for; None for the whole file. Raises NoRange."""
    asked = request.headers.get("Range")
    if asked is None or request.headers.get("If-Range", modified) != modified:
        return None
    return ranges.wanted(asked, size)


def _has_range(file: Path, size: int, offset: int, count: int) -> bool:
    with PartialFile.open(file, size) as partial:
        return partial.has(padded(offset), padded(count))
