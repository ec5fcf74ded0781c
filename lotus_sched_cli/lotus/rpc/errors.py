"""The errors of a JSON-RPC call, for both ends. Standard library only: commands import this."""

from __future__ import annotations

from typing import Any


class RpcError(Exception):
    """An error answer. A method that raises it is answered with HTTP 200 and this code, as a Go error is (code 1)."""

    def __init__(self, code: int = 1, message: str = "", data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def __str__(self) -> str:
        """As Lotus's client prints it: reserved codes with their number."""
        if -32768 <= self.code <= -32000:
            return f"RPC error ({self.code}): {self.message}"
        return self.message

    @property
    def unknown_method(self) -> bool:
        """Whether the other side lacks the method, as a stock one lacks ours."""
        return self.code == -32601


class RpcConnectError(Exception):
    """The call did not get an answer: ``RPC client error: …``.

    ``sent``: whether the request may have reached the other side; False (a refused connection, a name that does
    not resolve) means that nothing was started there.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent
