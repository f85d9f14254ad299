"""Export a capture as Parquet: one row a packet, in the columns of `arrow.py`.

The file is written piece by piece beside its place and then moved there, so there is never half a
file of that name; when writing fails, nothing is left. While one piece is written, the next is
filled.
"""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sockwright.columns.arrow import empty_table, pyarrow, table_of
from sockwright.columns.pieces import columns_by_pieces
from sockwright.columns.plan import STANDARD
from sockwright.errors import DecodeError, NotPossibleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.columns.capture_file import CaptureFile
    from sockwright.columns.columns import Columns
    from sockwright.columns.gathering import Accept

__all__ = ["export_parquet"]


def export_parquet(
    capture: CaptureFile,
    path: str | os.PathLike[str],
    names: Sequence[str] = (),
    accept: Accept | None = None,
) -> int:
    """Write the packets of a capture to a Parquet file; return how many.

    `names` are fields (``tcp.dst_port``), by default the number of the packet and the standard
    columns; with `accept` only the packets that it accepts. Compressed by zstd.

    Raises: NotPossibleError without pyarrow; ValueError for a field that has no column; OSError as
    writing does, then no file is left; TruncatedError or DecodeError where the capture ends in the
    middle, then the file holds all whole records.
    """
    writer_class = _parquet().ParquetWriter
    names = names or ("frame.number", *STANDARD)
    schema = empty_table(names).schema
    texts = [one.name for one in schema if pyarrow().types.is_dictionary(one.type)]
    error: DecodeError | None = None
    written = 0
    with (
        _named_if_full(path),
        _in_place(Path(path)) as target,
        writer_class(target, schema, compression="zstd", use_dictionary=texts) as writer,
        ThreadPoolExecutor(1) as beside,
    ):

        def write(piece: Columns) -> None:
            writer.write_table(table_of(piece).cast(schema))

        waiting: Future[None] | None = None
        try:
            for piece in columns_by_pieces(capture, names, accept):
                if waiting is not None:
                    waiting.result()
                waiting = beside.submit(write, piece)
                written += len(piece)
        except DecodeError as cut:
            error = cut
        if waiting is not None:
            waiting.result()
    if error is not None:
        raise error
    return written


@contextlib.contextmanager
def _named_if_full(path: str | os.PathLike[str]) -> Iterator[None]:
    """Add the name to an error that only writing has; pyarrow does not know the name."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in (ENOSPC, EDQUOT, EFBIG):
            error.filename = os.fspath(path)
        raise


@contextlib.contextmanager
def _in_place(path: Path) -> Iterator[Any]:
    """Give a file to write to that takes the place of `path` when all went well."""
    if path.exists() and not path.is_file():
        with path.open("wb") as file:  # a device or a pipe
            yield file
        return
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("xb") as file:
            yield file
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _parquet() -> Any:
    pyarrow()
    try:
        import pyarrow.parquet as module
    except ImportError:
        raise NotPossibleError(
            "pyarrow was built without Parquet", "install it from PyPI"
        ) from None
    return module
