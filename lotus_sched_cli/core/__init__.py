"""The one brain, without hands: scheduler and sector pipeline as plain objects.

Events go in with the time at which they happened; decisions with their reasons come out, and the time when the
object next wants to be called. No I/O, clock, asyncio, logging or randomness in here: whoever drives it owns those.
"""
