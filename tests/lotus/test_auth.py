"""Tokens as Lotus makes and takes them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from lotus_sched_cli.lotus import auth

SECRET = bytes(range(32))
VECTOR = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJBbGxvdyI6WyJyZWFkIiwid3JpdGUiLCJzaWduIiwiYWRtaW4iXX0."
    "5lRaUKL6YDoISGlo14xwpeeacUF8a9HmOlEQ3ukDj_o"
)


def made(header: object, payload: object, secret: bytes = SECRET) -> str:
    def part(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(payload).encode())}"
    return f"{signed}.{part(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def test_equal_permissions_give_lotus_s_very_token() -> None:
    assert auth.sign(SECRET, auth.ALL) == VECTOR
    assert auth.verify(SECRET, VECTOR) == ["read", "write", "sign", "admin"]


def test_only_the_signature_counts() -> None:
    assert auth.verify(SECRET, made({"alg": "none"}, {"Allow": ["admin"], "exp": 1})) == ["admin"]
    assert auth.verify(SECRET, made({"alg": "HS256"}, {})) == []


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("abc", "jwt: malformed token"),
        ("a.b.c.d", "jwt: malformed token"),
        (VECTOR[:-1] + "A", "jwt: HMAC verification failed"),
        (made({}, {"Allow": ["admin"]}, b"x" * 32), "jwt: HMAC verification failed"),
        (made({}, {"Allow": "admin"}), ""),
        (made({}, [1]), ""),
        ("a.b.é", ""),
        ("a.b.!", ""),
    ],
)
def test_bad_tokens_are_refused(token: str, text: str) -> None:
    with pytest.raises(auth.TokenError) as refused:
        auth.verify(SECRET, token)
    assert str(refused.value).startswith(f"JWT Verification failed: {text}")


async def test_a_verifier_remembers_good_tokens_only() -> None:
    verifier = auth.LocalVerifier(SECRET)
    assert verifier.cached(VECTOR) is None
    assert await verifier(VECTOR) == list(auth.ALL)
    assert verifier.cached(VECTOR) == set(auth.ALL)
    with pytest.raises(auth.TokenError):
        await verifier("abc")
    assert verifier.cached("abc") is None
