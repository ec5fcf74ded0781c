"""Errors that are for the person at the keyboard, and how much of a long one is kept."""

from __future__ import annotations


class UserError(Exception):
    """What went wrong, with which value, and what to do: one line that a command shows after ``ERROR: ``."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


def shortened(text: str, longest: int) -> str:
    """Beginning and end of an error of more than ``longest`` characters; by its end some are known."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} … ({len(text)} characters) … {text[-half:]}"
