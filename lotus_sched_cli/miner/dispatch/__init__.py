"""From decisions to calls and back: the sole owner of the scheduler.

``loop.py`` feeds events to the core and takes its decisions; ``courier.py`` carries one bound task to its worker,
``ahead.py`` fetches files of one that waits; ``returns.py`` takes results; ``ends.py`` aborts, cancels and gives up calls.
They share the flights on the ``desk.py``; ``wire.py`` has each task's call, ``lines.py`` the words for the log.
"""

from __future__ import annotations

from .flight import Flight, Pipeline
from .loop import Dispatch

__all__ = ["Dispatch", "Flight", "Pipeline"]
