"""Texts of other machines on this one's terminal: names, paths and errors must not steer it."""

from __future__ import annotations

import re
from typing import Final

#: C0 without tab and newline, DEL, C1.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def visible(text: str) -> str:
    r"""Control characters written out as Go's ``%q`` does (``\x1b``); tabs and newlines stay."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def error_line(text: str) -> str:
    """What is said of an error: one line, whatever the text holds."""
    return "ERROR: " + visible(" ".join(text.split()))
