"""Where the worker's API listens, and the address under which others find it.

Source: Lotus ``cli/worker/worker.go`` (extractRoutableIP); the bind errors are Go's texts.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from dataclasses import dataclass

from lotus_sched_cli.lotus.errors import UserError

#: Hosts that mean every address: the one towards the miner is taken, to bind and to advertise.
_ANY = frozenset({"", "0.0.0.0", "::"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A bound socket that does not answer yet, and its address as told to others."""

    socket: socket.socket
    host: str
    port: int

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def rpc_url(self) -> str:
        return f"http://{self.address}/rpc/v0"

    @property
    def remote_url(self) -> str:
        return f"http://{self.address}/remote"


def parse(text: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[::1]:PORT``. Raises UserError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    ok = colon and port.isascii() and port.isdigit() and int(port) < 65536 and "/" not in host
    if not ok or (":" in host and not text.startswith("[")):
        raise UserError(f'invalid value "{text}" for --listen: give HOST:PORT, like 192.168.1.5:3456')
    return host, int(port)


async def bind(text: str, miner: tuple[str, int], patience: float) -> Endpoint:
    """Bind, so that the port is known and nobody else takes it. Raises UserError.

    ``miner`` is dialled for at most ``patience`` seconds to find the own address where the host means all of them.
    """
    host, port = parse(text)
    if host in _ANY:
        host = await own_address(miner, patience)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as why:
        raise UserError(
            f"listen tcp {text}: lookup {host}: no such host ({why.strerror or why}); give an address of this "
            "machine with --listen"
        ) from why
    family, _, _, _, where = found[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(1024)
    except OSError as why:
        sock.close()
        raise UserError(f"listen tcp {_shown(host, port)}: bind: {_reason(why)}") from why
    sock.setblocking(False)
    return Endpoint(sock, host, sock.getsockname()[1])


async def own_address(miner: tuple[str, int], patience: float) -> str:
    """This machine's address on the way to the miner. Raises UserError."""
    try:
        async with asyncio.timeout(patience):
            _, writer = await asyncio.open_connection(*miner)
    except (OSError, TimeoutError) as why:
        raise UserError(
            f"cannot find the own address by dialling the miner at {_shown(*miner)}: {why or 'i/o timeout'}; "
            "give the address with --listen HOST:PORT"
        ) from why
    try:
        return str(writer.get_extra_info("sockname")[0])
    finally:
        writer.close()


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(why: OSError) -> str:
    if why.errno == errno.EADDRINUSE:
        return "address already in use; stop the process that has it, or give another --listen HOST:PORT"
    if why.errno == errno.EADDRNOTAVAIL:
        return "cannot assign requested address; give an address of this machine with --listen HOST:PORT"
    if why.errno == errno.EACCES:
        return "permission denied; give a port above 1023 with --listen HOST:PORT"
    return os.strerror(why.errno or 0).lower()
