"""Errors that are for the person at the keyboard."""

from __future__ import annotations


class UserError(Exception):
    """What went wrong, with which value, and what to do: one line that a command shows after ``ERROR: ``."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
