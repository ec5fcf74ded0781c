"""From decisions to calls and back: the sole owner of the scheduler.

``loop.py`` feeds events to the core and takes its decisions; ``courier.py`` carries one bound task to its worker;
``returns.py`` takes results; ``ends.py`` aborts, cancels and gives up calls; ``view.py`` is what others may read.
"""

from __future__ import annotations

from .flight import Flight, Pipeline
from .loop import Dispatch

__all__ = ["Dispatch", "Flight", "Pipeline"]
