"""Whole farms in virtual time, driven by the same core as the daemon.

``farmfile`` reads a FARM.toml into a ``farm``, ``run`` plays it and leaves a ``trace``, ``report`` and ``plots`` tell what it was
like; ``bounds`` and ``suggest`` ask what could be better.
"""
