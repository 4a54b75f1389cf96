"""What can go wrong offline, each with a sentence that says which file and what to do."""

from __future__ import annotations


class ExportError(Exception):
    """The pipeline cannot go on; the message names the file or key and the remedy."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
