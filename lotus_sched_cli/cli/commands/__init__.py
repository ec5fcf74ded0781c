"""The commands, a module per group: read flags, ask the API, hand a view to the renderer."""
