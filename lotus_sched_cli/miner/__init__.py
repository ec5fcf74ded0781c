"""The daemon: API methods, sector index, store, chain, pipeline runner, dispatch, built-in worker.

What happens becomes an event for core/; what core/ decides is stored first and then carried out.
"""
