"""Where an API is and the token for it: API info strings, multiaddrs, URLs, and the order in which Lotus looks for them.

Standard library only, for the commands' start. Sources: Lotus ``cli/util/apiinfo.go``, ``cli/util/api.go``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from .errors import UserError
from .repo import Repo, RepoError, default_path

__all__ = [
    "FULLNODE", "MINER", "WORKER", "ApiError", "ApiInfo", "Kind", "find", "host_port", "multiaddr", "parse", "rpc_url",
]  # fmt: skip


#: What comes along when a line of 'auth api-info' or of an env file is pasted whole.
_PASTED: Final = re.compile(r"""["']|[A-Z_]+=""")


class ApiError(UserError):
    """An address or API info that cannot be used; one line for the person who gave it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of node: what it is called, and where its address is looked for."""

    name: str
    env: str
    old_env: str
    repo_envs: tuple[str, ...]
    default_repo: str


MINER: Final = Kind(
    "StorageMiner",
    "MINER_API_INFO",
    "STORAGE_API_INFO",
    ("LOTUS_MINER_PATH", "LOTUS_STORAGE_PATH"),
    "~/.lotusminer",
)
WORKER: Final = Kind("Worker", "WORKER_API_INFO", "", ("LOTUS_WORKER_PATH", "WORKER_PATH"), "~/.lotusworker")
FULLNODE: Final = Kind("FullNode", "FULLNODE_API_INFO", "", ("LOTUS_PATH",), "~/.lotus")


@dataclass(frozen=True, slots=True)
class ApiInfo:
    """An API's address (multiaddr or URL, as given) and token (empty: none)."""

    address: str
    token: str = ""

    @property
    def url(self) -> str:
        """For POST: ``http://10.0.0.1:2345/rpc/v0``."""
        url = rpc_url(self.address)
        for ws, http in (("ws://", "http://"), ("wss://", "https://")):
            if url.startswith(ws):
                return http + url.removeprefix(ws)
        return url

    def __str__(self) -> str:
        return f"{self.token}:{self.address}" if self.token else self.address


def parse(text: str, *, name: str = "MINER_API_INFO") -> ApiInfo:
    """``TOKEN:ADDRESS``, or an address alone (a multiaddr or a URL). Raises ApiError for an address that is none."""
    text = text.strip()
    if pasted := _PASTED.match(text):
        raise ApiError(
            f"{name}: it begins with {pasted[0]}; give TOKEN:/ip4/10.0.0.1/tcp/2345/http without a name or quotes before it"
        )
    token, address = "", text
    if not text.startswith("/"):
        head, colon, rest = text.partition(":")
        if colon and not rest.startswith("//"):
            token, address = head.strip(), rest.strip()
    try:
        rpc_url(address)
    except ApiError as error:
        raise ApiError(f"{name}: {error}") from None
    return ApiInfo(address, token)


def rpc_url(address: str, version: str = "v0") -> str:
    """The RPC URL of an address: ``/ip4/1.2.3.4/tcp/2345/http`` → ``ws://1.2.3.4:2345/rpc/v0``; a URL keeps its scheme."""
    if address.startswith("/"):
        host, port, secure = _split_multiaddr(address)
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return f"{'wss' if secure else 'ws'}://{where}/rpc/{version}"
    parts = urlsplit(address)
    try:
        good = parts.scheme in ("http", "https", "ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ApiError(
            f"{address!r} is no API address; give TOKEN:/ip4/10.0.0.1/tcp/2345/http or a URL as in http://10.0.0.1:2345"
        )
    path = parts.path.rstrip("/")
    # What Lotus itself gives to WorkerConnect has the path already.
    path = path if path.endswith(f"/rpc/{version}") else f"{path}/rpc/{version}"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def host_port(address: str) -> tuple[str, int]:
    """Host and port of an address (multiaddr or URL). Raises ApiError."""
    parts = urlsplit(rpc_url(address))
    default = 443 if parts.scheme in ("https", "wss") else 80
    # Port 0 stands: whoever listens there lets the system choose.
    return parts.hostname or "", default if parts.port is None else parts.port


def multiaddr(host: str, port: int, *, http: bool = True) -> str:
    """``/ip4/127.0.0.1/tcp/2345/http``; a name gives ``/dns/…``."""
    import ipaddress

    host = host.strip("[]")
    try:
        kind = f"ip{ipaddress.ip_address(host).version}"
    except ValueError:
        kind = "dns"
    return f"/{kind}/{host}/tcp/{port}{'/http' if http else ''}"


def find(
    kind: Kind,
    *,
    url: str = "",
    repo: str = "",
    environ: Mapping[str, str] | None = None,
    warn: Callable[[str], None] | None = None,
) -> ApiInfo:
    """Where this kind of node is: URL flag, then environment, then the repo's ``api`` and ``token``. Raises ApiError.

    ``repo``: path given by flag; else the repo's environment variables and default. ``warn`` gets Lotus's warnings.
    """
    env = os.environ if environ is None else environ
    if url:
        return parse(url, name=f"--{kind.name.lower().removeprefix('storage')}-api-url")
    if env.get(kind.env):
        return parse(env[kind.env], name=kind.env)
    if kind.old_env and env.get(kind.old_env):
        if warn is not None:
            warn(f"Using deprecated env({kind.old_env}) value, please use env({kind.env}) instead.")
        return parse(env[kind.old_env], name=kind.old_env)
    path = repo or default_path(kind.repo_envs, kind.default_repo, env)
    try:
        where = Repo(path)
        if not where.path.is_dir():
            raise RepoError("repo directory does not exist. Make sure your configuration is correct")
        address, token = where.api(), where.token()
    except RepoError as error:
        raise ApiError(f"could not get API info for {kind.name}: {error}") from None
    if not token and warn is not None:
        warn("API Token not set and requested, capabilities might be limited.")
    return parse(f"{token}:{address}" if token else address, name=str(where.path / "api"))


_SECURE: Final = frozenset({"wss", "tls"})


def _split_multiaddr(address: str) -> tuple[str, int, bool]:
    parts = address.split("/")[1:]
    remedy = "as in /ip4/10.0.0.1/tcp/2345/http"
    if len(parts) < 4 or parts[2] != "tcp":
        raise ApiError(f"{address!r} is no multiaddr of a TCP port; give one {remedy}")
    kind, host = parts[0], parts[1]
    if kind in ("ip4", "ip6"):
        import ipaddress  # here, as above: it costs a command's start more than it seems

        try:
            ok = ipaddress.ip_address(host).version == int(kind[2])
        except ValueError:
            ok = False
        if not ok:
            raise ApiError(f"{address!r}: {host!r} is no {kind} address; give one {remedy}")
    elif kind not in ("dns", "dns4", "dns6") or not host:
        raise ApiError(f"{address!r}: {kind!r} is not ip4, ip6, dns, dns4 or dns6; give one {remedy}")
    if not (parts[3].isascii() and parts[3].isdigit() and int(parts[3]) < 65536):
        raise ApiError(f"{address!r}: {parts[3]!r} is no port; give one {remedy}")
    return host, int(parts[3]), bool(_SECURE & set(parts[4:]))
