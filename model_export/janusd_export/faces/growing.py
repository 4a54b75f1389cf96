"""An array on disk that grows row by row and is a plain .npy file at every `save`.

    bytes 0..127    the .npy header; numpy pads it so that a longer first axis fits into the same bytes
    then            rows, C order

Rows beyond what the header counts are those of an interrupted run; opening cuts them off. So a row is either
counted and on the disk, or not there.

Trust boundary: the files are our own; a header of another type or row shape ends in an ExportError.
"""

from __future__ import annotations

import os
from io import BytesIO, FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from janusd_export.errors import ExportError

_HEADER = 128


def write_all(file: FileIO, content: bytes | memoryview) -> None:
    """Write all of it; an unbuffered file may take it in pieces."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


class GrowingArray:
    """A .npy file of (n, *row) values, open for appending. Use it as a context manager."""

    def __init__(self, path: Path, row: tuple[int, ...], dtype: type[np.generic]) -> None:
        """Open or begin the file. Raises ExportError where it holds something else."""
        self.path, self.row, self.dtype = path, row, np.dtype(dtype)
        self._row_bytes = self.dtype.itemsize * int(np.prod(row))
        if not path.exists():
            with path.open("xb") as file:
                file.write(self._header(0))
        self.rows = self._counted()
        self._file = path.open("r+b", buffering=0)  # what failed to be written must not be tried again later
        self.cut(self.rows)

    def append(self, values: NDArray[Any]) -> None:
        """Write rows behind the others; they count from the next `save` on."""
        if values.shape[1:] != self.row or values.dtype != self.dtype:
            raise ValueError(
                f"{self.path} holds {self.row} {self.dtype}, not {values.shape[1:]} {values.dtype}"
            )
        write_all(self._file, np.ascontiguousarray(values).data.cast("B") if values.size else b"")
        self.rows += len(values)

    def save(self) -> None:
        """Make the rows so far durable, then count them."""
        os.fsync(self._file.fileno())
        self._file.seek(0)
        write_all(self._file, self._header(self.rows))
        os.fsync(self._file.fileno())
        self._file.seek(0, os.SEEK_END)

    def cut(self, rows: int) -> None:
        """Forget all rows from this number on."""
        self.rows = rows
        self._file.seek(0)
        write_all(self._file, self._header(rows))  # the header first: it never counts rows that are gone
        self._file.truncate(_HEADER + rows * self._row_bytes)
        self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Close without counting what was appended since the last `save`."""
        self._file.close()

    def __enter__(self) -> GrowingArray:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _header(self, rows: int) -> bytes:
        written = BytesIO()
        described = {
            "descr": npy.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (rows, *self.row),
        }
        npy.write_array_header_1_0(written, described)
        header = written.getvalue()
        if len(header) != _HEADER:
            raise ValueError(f"a .npy header of {len(header)} bytes, not {_HEADER}: the rows have many axes")
        return header

    def _counted(self) -> int:
        try:
            with self.path.open("rb") as file:
                version = npy.read_magic(file)
                shape, is_fortran, dtype = npy.read_array_header_1_0(file)
                begins = file.tell()
        except (OSError, ValueError) as error:
            raise ExportError(
                f"{self.path} is damaged ({error}): delete its folder and begin anew"
            ) from error
        if (
            version != (1, 0)
            or begins != _HEADER
            or is_fortran
            or shape[1:] != self.row
            or dtype != self.dtype
        ):
            raise ExportError(
                f"{self.path} holds {dtype} rows of {shape[1:]}, not {self.dtype} of {self.row}: "
                "it is of another run; give another folder"
            )
        there = (self.path.stat().st_size - _HEADER) // max(self._row_bytes, 1)
        if there < shape[0]:
            raise ExportError(
                f"{self.path} ends after {there:,} of {shape[0]:,} rows: delete its folder and begin anew"
            )
        return int(shape[0])
