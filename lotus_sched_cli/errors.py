"""Errors that a person reads: one line, the value and the remedy. Standard library only; any room but core/ may raise them."""

from __future__ import annotations


class UserError(Exception):
    """What a command prints as ``ERROR: <text>`` before it exits with ``code``; never with a traceback."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
