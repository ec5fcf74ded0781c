"""API tokens: JWTs over permissions, as Lotus signs and checks them.

Source: Lotus ``node/impl/common/common.go``, ``node/modules/core.go``.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import jwt
import msgspec
from jwt.algorithms import HMACAlgorithm

__all__ = ["ALL", "LocalVerifier", "TokenError", "sign", "verify"]

#: Permissions in Lotus's order. A token holds each one that it needs: they do not include each other.
ALL: Final = ("read", "write", "sign", "admin")
_HMAC: Final = HMACAlgorithm(HMACAlgorithm.SHA256)
_CACHE: Final = 1024


class TokenError(Exception):
    """``JWT Verification failed: …``."""

    def __init__(self, why: str) -> None:
        super().__init__(f"JWT Verification failed: {why}")


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


def _unbase64(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
