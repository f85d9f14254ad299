"""Columns as an Arrow table, for pandas, Polars, DuckDB, Parquet and whatever else speaks Arrow.

Names have underscores for dots (``tcp_dst_port``, ``inner_ipv4_src``), so that SQL needs no quotes.
What a packet lacks is null. Numbers and flags are the memory of the columns, uncopied; addresses
and layers are text, each different one kept once (a dictionary): text compares with what people
write, and grouping by it is as quick as by numbers. `frame_time_ns` stays an integer, of
nanoseconds.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

from sockwright.columns.fields import field
from sockwright.errors import NotPossibleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from sockwright.columns.columns import Columns
    from sockwright.columns.fields import FieldInfo

__all__ = ["REMEDY", "arrow_name", "arrow_type", "empty_table", "table_of"]

REMEDY = "pip install 'sockwright[sql]' brings it"


def arrow_name(name: str) -> str:
    """Return what the column of the field `name` is called: ``tcp.dst_port`` is tcp_dst_port."""
    return name.replace(".", "_")


def table_of(columns: Columns) -> Any:
    """Return the columns as a `pyarrow.Table`.

    Raises: NotPossibleError without pyarrow.
    """
    pa = pyarrow()
    arrays = [_array(columns, name) for name in columns.names]
    return pa.table(arrays, names=[arrow_name(name) for name in columns.names])


def empty_table(names: Iterable[str]) -> Any:
    """Return a table with the columns for fields of these names, and no rows.

    Raises: NotPossibleError without pyarrow; ValueError for a name that is not known.
    """
    pa = pyarrow()
    found = {arrow_name(name): arrow_type(field(name)) for name in names}
    return pa.schema(list(found.items())).empty_table()


def arrow_type(info: FieldInfo) -> Any:
    """Return the type of a field in an Arrow table.

    Raises: NotPossibleError without pyarrow.
    """
    pa = pyarrow()
    kinds: dict[str, Any] = {
        "uint8": pa.uint8(),
        "uint16": pa.uint16(),
        "uint32": pa.uint32(),
        "uint64": pa.uint64(),
        "bool": pa.bool_(),
        "time": pa.int64(),
        "flags": pa.uint16(),
        "octets": pa.binary(),
    }
    return kinds.get(info.type, pa.dictionary(pa.int32(), pa.string()))


def pyarrow() -> Any:
    """Return the module pyarrow. Raises: NotPossibleError where it is not installed."""
    try:
        import pyarrow as pa
    except ImportError:
        raise NotPossibleError("the package pyarrow is missing", REMEDY) from None
    return pa


def _array(columns: Columns, name: str) -> Any:
    """Return one column as an Arrow array."""
    pa = pyarrow()
    info = columns.info(name)
    values: Any = columns[name]
    there = columns.present(name)
    if info.type == "text":
        if info.field == "protocols":
            return _coded(values.astype("int32"), there, columns.stacks)
        return _interfaces(columns, values)
    if info.type in ("ipv4", "ipv6", "mac"):
        # Hashing finds the different ones in a tenth of the time that sorting them takes.
        whole = values if values.ndim == 1 else _as_binary(values)
        coded = (pa.array(whole) if values.ndim == 1 else whole).dictionary_encode()
        as_text = _TEXTS[info.type]
        texts = tuple([as_text(value) for value in coded.dictionary.to_pylist()])
        return _coded(coded.indices.to_numpy(), there, texts)
    if info.type == "octets":
        found = [bytes(row) if one else None for row, one in zip(values, there, strict=True)]
        return pa.array(found, pa.binary())
    if info.type == "bool":
        return pa.array(values, mask=None if there.all() else ~there)
    kind = arrow_type(info)
    if values.dtype.itemsize != kind.bit_width // 8:
        values = values.astype(kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(values), [_bits(there), pa.py_buffer(values)])


def _coded(indices: NDArray[np.int32], there: NDArray[np.bool_], texts: Iterable[str]) -> Any:
    """Return an array of texts, each different one once."""
    pa = pyarrow()
    codes = pa.Array.from_buffers(pa.int32(), len(indices), [_bits(there), pa.py_buffer(indices)])
    return pa.DictionaryArray.from_arrays(codes, pa.array(list(texts), pa.string()), safe=False)


def _bits(there: NDArray[np.bool_]) -> Any:
    """Return where there are values, a bit each, the lowest first; None where everywhere."""
    if there.all():
        return None
    import numpy as np

    return pyarrow().py_buffer(np.packbits(there, bitorder="little"))


def _as_binary(values: NDArray[np.uint8]) -> Any:
    """Return rows of octets as an Arrow array of binary values of their length."""
    import numpy as np

    pa = pyarrow()
    rows, size = values.shape
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.binary(size), rows, [None, buffer])


def _interfaces(columns: Columns, values: NDArray[Any]) -> Any:
    """Return the names of the interfaces; null for one without a name."""
    import numpy as np

    names = [interface.name or "" for interface in columns.interfaces]
    named = np.array([bool(name) for name in names], bool)
    return _coded(values.astype("int32"), named[values], names)


def _mac(value: int) -> str:
    return value.to_bytes(6, "big").hex(":")


_TEXTS: dict[str, Callable[[Any], str]] = {
    "ipv4": lambda value: str(IPv4Address(value)),
    "ipv6": lambda value: str(IPv6Address(value)),
    "mac": _mac,
}
