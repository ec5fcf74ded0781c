"""Where the miner's API listens, and the addresses under which others find it and its files."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from socket import socket as Socket

from lotus_sched_cli.lotus import apiinfo
from lotus_sched_cli.lotus.errors import UserError

from .config import Config

__all__ = ["Address", "Socket", "bind"]

_ANY = frozenset({"0.0.0.0", "::"})


@dataclass(frozen=True, slots=True)
class Address:
    """``multiaddr`` is what the repo's file ``api`` says; ``remote`` is HOST:PORT for other machines."""

    multiaddr: str
    host: str
    port: int
    remote: str

    @property
    def remote_url(self) -> str:
        return f"http://{self.remote}/remote"

    @property
    def rpc_url(self) -> str:
        return f"http://{self.remote}/rpc/v0"


def bind(config: Config, port: str | None = None) -> tuple[Socket, Address]:
    """Bind ``[API] ListenAddress``, or ``port`` on 127.0.0.1. Raises UserError; nothing answers yet."""
    text = f"/ip4/127.0.0.1/tcp/{port}/http" if port else config.text("API.ListenAddress")
    try:
        host, number = apiinfo.host_port(text)
    except apiinfo.ApiError as e:
        raise UserError(f"API.ListenAddress: {e}") from e
    try:
        found = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)
    except OSError as e:
        raise UserError(f"API.ListenAddress {text}: lookup {host}: no such host ({e.strerror or e})") from e
    family, _, _, _, where = found[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(1024)
    except OSError as e:
        sock.close()
        shown = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
        raise UserError(
            f"failed to start json-rpc endpoint: could not listen: listen tcp {shown}: bind: {_why(e)}"
        ) from e
    sock.setblocking(False)
    bound = int(sock.getsockname()[1])
    written = text if bound == number else apiinfo.multiaddr(host, bound)
    return sock, Address(written, host, bound, _remote(config, host, bound))


def _remote(config: Config, host: str, port: int) -> str:
    """RemoteListenAddress where the operator has set it; else where the API listens."""
    if "API.RemoteListenAddress" in config.changed:
        return config.text("API.RemoteListenAddress")
    if host in _ANY:
        host = _own_address()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _own_address() -> str:
    """This machine's address on the way out; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def _why(e: OSError) -> str:
    if e.errno == errno.EADDRINUSE:
        return (
            "address already in use; stop the process that has it, or set another [API] ListenAddress in config.toml "
            "(or --miner-api PORT)"
        )
    if e.errno == errno.EADDRNOTAVAIL:
        return "cannot assign requested address; set [API] ListenAddress to an address of this machine"
    if e.errno == errno.EACCES:
        return "permission denied; set a port above 1023 in [API] ListenAddress"
    return os.strerror(e.errno or 0).lower()
