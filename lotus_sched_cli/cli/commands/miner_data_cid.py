"""``lotus-miner sealing data-cid``: the piece CID of a file or URL, computed by a worker (Lotus ``cli/miner/sealing.go``)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from lotus_sched_cli.cli.connect import Api, miner_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import argument, flag
from lotus_sched_cli.cli.render import show

if TYPE_CHECKING:
    from lotus_sched_cli.lotus.rpc.streams import Reader

#: go-humanize's units: ``KiB`` counts by 1024, ``KB`` by 1000, a letter alone as the decimal one.
UNITS: Final = {
    "": 1, "b": 1,
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgtp", 1)},
    **{f"{letter}i": 1024**power for power, letter in enumerate("kmgtp", 1)},
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgtp", 1)},
    **{letter: 1000**power for power, letter in enumerate("kmgtp", 1)},
}  # fmt: skip


def data_cid(
    ctx: typer.Context,
    words: Annotated[list[str] | None, argument("FILE|URL [PADDED-SIZE]")] = None,
    file_size: Annotated[
        int, flag("--file-size", help="size of what the URL gives, where it does not say")
    ] = 0,
) -> None:
    import asyncio

    from lotus_sched_cli.cli.views.text import Piece

    if not words or len(words) > 2:
        raise CliError("expected 1 or 2 arguments", f"got {len(words or ())}: a file or URL, and a size")
    source, size = words[0], words[1] if len(words) == 2 else ""
    real = file_size or (size_of_url(source) if is_url(source) else size_of_file(source))
    unpadded = unpadded_size(real, size)
    piece = asyncio.run(ask(miner_api(ctx), source, real, unpadded))
    show(ctx, Piece(piece["PieceCID"]["/"], piece["Size"]))


def is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def size_of_file(path: str) -> int:
    try:
        with Path(path).expanduser().open("rb") as file:
            return file.seek(0, 2)
    except OSError as error:
        why = (error.strerror or "cannot be read").lower()
        raise CliError(f"opening source file: open {path}: {why}", "name a file that can be read") from None


def size_of_url(url: str) -> int:
    import httpx

    try:
        answer = httpx.head(url, follow_redirects=True, timeout=30)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CliError(f"http head: {error}", "is the address right?") from None
    if answer.status_code != 200 or "content-length" not in answer.headers:
        raise CliError(
            "head response didn't contain content length; specify --file-size",
            f"{url} answered {answer.status_code}",
        )
    return int(answer.headers["content-length"])


def unpadded_size(real: int, text: str) -> int:
    """The unpadded size of the piece that holds so many bytes, or of the one asked for. Raises CliError."""
    if not text:
        size = 127
        while size < real:
            size *= 2
        return size
    padded = humanized(text)
    if padded < 128 or padded & (padded - 1):
        why = "minimum piece size is 128 bytes" if padded < 128 else "padded piece size must be a power of 2"
        raise CliError(f"checking piece size: {why}", f"got {text}; give one like 2KiB or 32GiB")
    if real > padded // 128 * 127:
        raise CliError(
            "file larger than the piece",
            f"it has {real} bytes, a piece of {text} holds {padded // 128 * 127}",
        )
    return padded // 128 * 127


def humanized(text: str) -> int:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)", text.replace(",", ""))
    unit = UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None:
        raise CliError(f"parsing piece size: {text!r} is no size", "give one like 2KiB or 32GiB")
    return int(float(found[1]) * unit)


async def ask(api: Api, source: str, real: int, unpadded: int) -> dict[str, Any]:
    """Stream the data, filled up with zeros, and wait for the worker's answer."""
    from lotus_sched_cli.lotus.rpc.client import HttpCaller
    from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
    from lotus_sched_cli.lotus.rpc.streams import FileReader, HttpReader, NullReader

    data: Reader = HttpReader(source) if is_url(source) else FileReader(str(Path(source).expanduser()))
    if real < unpadded:
        data = Chained(data, NullReader(unpadded - real))
    async with HttpCaller(api.info.url, api.info.token) as miner:
        try:
            answer: dict[str, Any] = await miner.call("ComputeDataCid", unpadded, data)
            return answer
        except (RpcError, RpcConnectError) as error:
            text = str(error)
            told = text if text.startswith("computing data CID: ") else f"computing data CID: {text}"
            raise CliError(told, "'sealing workers' shows who takes DC") from None


class Chained:
    """One reader after the other."""

    def __init__(self, *parts: Reader) -> None:
        self._parts = list(parts)

    async def read(self, n: int = -1) -> bytes:
        while self._parts:
            data = await self._parts[0].read(n)
            if data or n == 0:
                return data
            await self._parts.pop(0).close()
        return b""

    async def close(self) -> None:
        for part in self._parts:
            await part.close()
