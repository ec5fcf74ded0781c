"""One sector's way from Packing to Proving, as a pure object: events in; log entries and actions out.

``start`` makes a sector, ``handle`` takes an event in, ``resume`` says after a restart what the sector waits for. The
driver (miner/sectors.py) stores each step before it acts on it.
"""

from .actions import Action, LogEntry, Step
from .machine import handle, resume, start
from .sector import Moment, Piece, PipelineSettings, Sector
from .states import State

__all__ = [
    "Action",
    "LogEntry",
    "Moment",
    "Piece",
    "PipelineSettings",
    "Sector",
    "State",
    "Step",
    "handle",
    "resume",
    "start",
]
