"""API tokens: JWTs over permissions, as Lotus signs and checks them.

Source: Lotus ``node/impl/common/common.go``, ``node/modules/core.go``.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import jwt
import msgspec
from jwt.algorithms import HMACAlgorithm

__all__ = ["ALL", "LocalVerifier", "RemoteVerifier", "TokenError", "prefix", "sign", "verify"]

#: Permissions in Lotus's order. A token holds each one that it needs: they do not include each other.
ALL: Final = ("read", "write", "sign", "admin")
_HMAC: Final = HMACAlgorithm(HMACAlgorithm.SHA256)
_CACHE: Final = 1024


class TokenError(Exception):
    """``JWT Verification failed: …``."""

    def __init__(self, why: str) -> None:
        super().__init__(f"JWT Verification failed: {why}")


def prefix(perm: str) -> list[str]:
    """The permissions that ``auth create-token --perm`` asks for: ``sign`` → read, write, sign. Raises ValueError."""
    if perm not in ALL:
        raise ValueError(f"--perm flag has to be one of: [{' '.join(ALL)}]")
    return list(ALL[: ALL.index(perm) + 1])


def sign(secret: bytes, allow: list[str] | tuple[str, ...]) -> str:
    """A token with these permissions; the same ones always give the same text."""
    return jwt.encode({"Allow": list(allow)}, secret, algorithm="HS256", sort_headers=True)


class _Payload(msgspec.Struct):
    Allow: list[str] | None = None


def verify(secret: bytes, token: str) -> list[str]:
    """The permissions in a token. Only the signature counts, as in Lotus. Raises TokenError."""
    signed, dot, signature = token.rpartition(".")
    if not dot or signed.count(".") != 1:
        raise TokenError("jwt: malformed token")
    try:
        ok = _HMAC.verify(signed.encode("ascii"), secret, _unbase64(signature))
        payload = msgspec.json.decode(_unbase64(signed.partition(".")[2]), type=_Payload) if ok else None
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise TokenError(str(error)) from None
    if payload is None:
        raise TokenError("jwt: HMAC verification failed")
    return payload.Allow or []


class LocalVerifier:
    """Checks tokens against a secret at hand; for `RpcServer`, which asks `cached` first."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._known: dict[str, frozenset[str]] = {}

    async def __call__(self, token: str) -> list[str]:
        perms = verify(self._secret, token)
        if len(self._known) >= _CACHE:
            self._known.clear()
        self._known[token] = frozenset(perms)
        return perms

    def cached(self, token: str) -> frozenset[str] | None:
        """What this very text gave before. Tokens never expire and only a good one is kept."""
        return self._known.get(token)


class Asks(Protocol):
    """What `RemoteVerifier` needs of a caller."""

    async def call(self, method: str, *params: Any, result: Any = Any) -> Any: ...


class RemoteVerifier:
    """Asks another node's ``AuthVerify``, as a worker asks its miner.

    ``keep``: seconds that an answer is good for; 0 asks each time, as Lotus's worker does. Raises what the call raises.
    """

    def __init__(
        self, caller: Asks, *, keep: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._caller = caller
        self._keep = keep
        self._clock = clock
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    async def __call__(self, token: str) -> list[str]:
        perms: list[str] = await self._caller.call("AuthVerify", token, result=list[str])
        if self._keep > 0:
            if len(self._known) >= _CACHE:
                self._known.clear()
            self._known[token] = (self._clock() + self._keep, frozenset(perms))
        return perms

    def cached(self, token: str) -> frozenset[str] | None:
        """The answer to this very text, while it is good."""
        known = self._known.get(token)
        if known is None or known[0] < self._clock():
            return None
        return known[1]


def _unbase64(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
