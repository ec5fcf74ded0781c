"""What stands for what: addresses, folders and tokens of the recorded farm and of ours."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lotus_sched_cli.lotus import auth

from .recording import ADDRESSES, timeline

JWT = re.compile(rb"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+")


@cache
def good_tokens() -> frozenset[bytes]:
    """The tokens that the recorded miner took."""
    good = set()
    for e in timeline():
        if e.method == "AuthVerify" and e.result is not None:
            good.add(e.params[0].encode())
        elif e.to == "miner" and e.status == 200:
            good.update(JWT.findall((e.header("Authorization") or "").encode()))
    return frozenset(good)


@dataclass
class Mapping:
    """Text of the recordings ↔ text of our farm. ``ports``: program → our port; ``root``: their ``/mnt``.

    ``ids`` are theirs → ours, where a later request names what an answer has named.
    """

    secret: bytes
    root: Path
    ports: dict[str, int] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def ours(self, text: bytes) -> bytes:
        for program, port in self.ports.items():
            text = text.replace(ADDRESSES[program].encode(), b"127.0.0.1:%d" % port)
        for theirs, ours in self.ids.items():
            text = text.replace(theirs.encode(), ours.encode())
        text = text.replace(b"/mnt/", f"{self.root}/".encode())
        return JWT.sub(lambda m: self._token(m[0]), text)

    def theirs(self, text: bytes) -> bytes:
        for program, port in self.ports.items():
            text = text.replace(b"127.0.0.1:%d" % port, ADDRESSES[program].encode())
        return text.replace(f"{self.root}/".encode(), b"/mnt/")

    def learn(self, method: str, theirs: Any, ours: Any) -> None:
        """Requests of the scheduler that both answers name: the same task of the same sector."""
        if method == "SealingSchedDiag":
            mine = {_named(request): request["SchedId"] for request in ours["SchedInfo"]["Requests"] or ()}
            for request in theirs["SchedInfo"]["Requests"] or ():
                if (ours_id := mine.get(_named(request))) is not None:
                    self.ids[request["SchedId"]] = ours_id

    def _token(self, token: bytes) -> bytes:
        """Signed anew with our secret, for the same permissions; a bad token stays bad."""
        if token not in good_tokens():
            return token
        payload = token.split(b".")[1]
        allow = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))["Allow"]
        return auth.sign(self.secret, allow).encode()


def _named(request: dict[str, Any]) -> tuple[int, str]:
    return request["Sector"]["Number"], request["TaskType"]
