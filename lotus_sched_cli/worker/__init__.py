"""A worker: the machine's hardware, its caps, the calls that it has accepted and their returns.

A call comes in over the worker's API, is kept on disk, sealed by a sealer on files of a store, and its result is
kept before it is returned to the miner, again and again until the miner has taken it.
"""
