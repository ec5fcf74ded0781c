"""The commands and what people see.

A command fetches one typed view (rows of data) over Lotus's methods, and a renderer shows it; no command prints by itself.
"""
