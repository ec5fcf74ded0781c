"""Sector paths and their files: open, reserve, declare, fetch, move, remove, serve under ``/remote``.

A Store owns the local paths of one process; where files lie elsewhere is asked of the miner's sector index through
a client of lotus/. Files come in by HTTP from another store or from a sealer that writes into an acquired path.
"""
