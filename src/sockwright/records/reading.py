"""Read a capture of any format; what the file starts with decides which.

A format is a module of this package that has `MAGICS`, the octets its files may start with, and
``read(source, magic, max_captured)``, which yields the records behind them.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from sockwright.errors import DecodeError
from sockwright.records.record import MAX_CAPTURED
from sockwright.records.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sockwright.records.record import Record
    from sockwright.records.source import Readable

    Reader = Callable[[Source, bytes, int], Iterator[Record]]

__all__ = ["read_records"]

_MAGIC_SIZE = 4


def read_records(file: Readable, *, max_captured: int = MAX_CAPTURED) -> Iterator[Record]:
    """Yield the records of a capture, in the order of the file, reading it as they are asked for.

    `file` is open for reading octets and is not closed. Memory is bounded by one record and, in a
    pcapng file, by the number of interfaces. A record of more than `max_captured` octets is taken
    for a lie.

    Raises: TruncatedError where the file ends in the middle of a record, DecodeError where a length
    or a number lies. Both name the octet and the record, both only after every whole record before
    has been delivered. DecodeError also, at once, for a file of no known format.
    """
    source = Source(file)
    magic = source.need(_MAGIC_SIZE, "the magic number")
    reader = _readers().get(magic)
    if reader is None:
        raise DecodeError("capture", 0, f"no known format of captures starts with {magic.hex(' ')}")
    return reader(source, magic, max_captured)


@cache
def _readers() -> Mapping[bytes, Reader]:
    """Return the reader of each magic number."""
    found: dict[bytes, Reader] = {}
    package = import_module("sockwright.records")
    for module_info in pkgutil.iter_modules(package.__path__, "sockwright.records."):
        module = import_module(module_info.name)
        for magic in getattr(module, "MAGICS", ()):
            found[magic] = module.read
    return found
