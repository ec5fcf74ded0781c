"""Space of a path in another process, asked of its store (Lotus ``storage/paths/remote.go`` FsStat)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import aiohttp
import msgspec

from lotus_sched_cli.lotus import auth
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.rpc.goclient import GO_HEADERS
from lotus_sched_cli.lotus.types import FsStat

from .index import SectorIndex

#: A store whose disk hangs answers late or never.
TIMEOUT: Final = 5.0


async def remote_stat(index: SectorIndex, path_id: str, secret: bytes) -> FsStat:
    """Ask each of the path's URLs in turn. Raises RpcError with Lotus's texts."""
    try:
        info = index.info(path_id)
    except RpcError as e:
        raise RpcError(1, f"getting remote storage info: {e.message}") from None
    if not info.URLs:
        raise RpcError(1, f"no known URLs for remote storage {path_id}")
    headers = GO_HEADERS | {"Authorization": f"Bearer {auth.sign(secret, ['admin'])}"}
    async with aiohttp.ClientSession(
        headers=headers, skip_auto_headers=("Accept",), timeout=aiohttp.ClientTimeout(TIMEOUT)
    ) as session:
        for base in info.URLs:
            with contextlib.suppress(aiohttp.ClientError, msgspec.DecodeError, asyncio.TimeoutError):
                async with session.get(f"{base.rstrip('/')}/stat/{path_id}") as answer:
                    if answer.status == 200:
                        return msgspec.json.decode(await answer.read(), type=FsStat)
    raise RpcError(1, f"all endpoints failed for remote storage {path_id}")
