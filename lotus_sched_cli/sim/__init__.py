"""Whole farms in virtual time, driven by the same core as the daemon."""
