"""Lotus's language: wire types, JSON-RPC client and server, tokens, API info, repos, units, log layout.

Bytes and text of Lotus come in here and leave as typed values of ours, and back. Nothing in this room decides anything.
"""
