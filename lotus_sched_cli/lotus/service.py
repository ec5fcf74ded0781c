"""Telling systemd how a daemon is (``Type=notify``, sd_notify(3)); without systemd nothing happens."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

_SOCKET: Final = "NOTIFY_SOCKET"


def ready(status: str) -> None:
    """The daemon does its work from now on."""
    tell("READY=1", f"STATUS={status}")


def status(text: str) -> None:
    """One line for ``systemctl status``."""
    tell(f"STATUS={text}")


def stopping() -> None:
    tell("STOPPING=1", "STATUS=shutting down")


def tell(*lines: str) -> None:
    """Send assignments to the service manager. A manager that is gone is no reason to fail."""
    address = os.environ.get(_SOCKET, "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    message = "\n".join(line.replace("\n", " ") for line in lines)
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(address)
        s.sendall(message.encode())
