"""The runtime of a face-unlock door."""

__version__ = "0.1.0"
