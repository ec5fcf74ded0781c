"""What a command shows, as rows of data: plain JSON of the wire goes in, frozen dataclasses come out.

Pure functions; the time is a parameter. Renderers (``cli.render``) turn a view into text; field names are stable, they
become the names of JSON and CSV.
"""
