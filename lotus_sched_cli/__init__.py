"""The sealing side of Filecoin's Lotus for operators: balanced scheduling within caps that you set."""

__version__ = "0.1.0"
