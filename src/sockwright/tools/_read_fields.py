"""`sw read --fields`: chosen fields of each packet, with a separator between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sockwright.columns.fields import FieldInfo, Flows, field, text, values
from sockwright.errors import UsageError
from sockwright.tools._rows import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sockwright.columns.batch import Batch
    from sockwright.columns.plan import Plan
    from sockwright.records import CapturedPacket

    Cut = Callable[[Sequence[Any]], Sequence[Any]]

__all__ = ["field_lines", "fields_named", "header_line"]

_WITHOUT_COLUMN = ("octets", "options")


def fields_named(names: str) -> list[FieldInfo]:
    """Return the fields of a list with commas. Raises: UsageError with what would fit."""
    try:
        found = [field(name.strip()) for name in names.split(",") if name.strip()]
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not found:
        raise UsageError("--fields takes names with commas between, such as ipv4.src,tcp.dst_port")
    return found


def header_line(infos: Sequence[FieldInfo], separator: str) -> Text:
    """Return the line of names above the values."""
    return Text((separator.join([info.name for info in infos]) + "\n").encode())


def field_lines(
    chosen: Iterable[tuple[Batch, Sequence[int]]],
    infos: Sequence[FieldInfo],
    *,
    separator: str,
    occurrence: str,
) -> Iterator[Text]:
    """Yield the lines of all packets.

    `occurrence` is which headers of the same layer count: ``first``, ``last``, ``all`` (with commas
    between) or a number from 1 on.

    Raises: UsageError for any other.
    """
    one_by_one = _OneByOne(infos, _cut(occurrence))
    fast = _Fast(one_by_one, infos, occurrence) if one_by_one.flows is None else None
    for batch, rows in chosen:
        if fast is not None and fast.possible and batch.compiled:
            found = fast.cells(batch, rows)
        else:
            found = one_by_one.cells(batch, rows)
        lines = [separator.join(cells) + "\n" for cells in found]
        yield Text("".join(lines).encode())


def _cut(occurrence: str) -> Cut:
    if occurrence.isdecimal() and int(occurrence):
        place = int(occurrence) - 1
        return lambda found: found[place : place + 1]
    cuts: dict[str, Cut] = {
        "first": lambda found: found[:1],
        "last": lambda found: found[-1:],
        "all": lambda found: found,
    }
    if occurrence not in cuts:
        raise UsageError(f"--occurrence is first, last, all or 1, 2, …, not {occurrence!r}")
    return cuts[occurrence]


class _OneByOne:
    """Cells by the scalar decode."""

    def __init__(self, infos: Sequence[FieldInfo], cut: Cut) -> None:
        self._infos = infos
        self._cut = cut
        # Flows are numbered by all packets, also by those that are not shown.
        self.flows = Flows() if any(info.layer == "flow" for info in infos) else None

    def cells(self, batch: Batch, rows: Sequence[int]) -> Iterator[list[str]]:
        """Yield the cells of each of the `rows`."""
        if self.flows is None:
            for row in rows:
                yield self.of(batch.packet(int(row)))
            return
        shown = {int(row) for row in rows}
        for row in range(len(batch)):
            packet = batch.packet(row)
            self.flows.of(packet)
            if row in shown:
                yield self.of(packet)

    def of(self, packet: CapturedPacket) -> list[str]:
        """Return the cells of a packet."""
        return [
            ",".join(
                [
                    safe(text(value)) if info.type == "text" else text(value)
                    for value in self._cut(values(packet, info, self.flows))
                    if value is not None
                ]
            )
            for info in self._infos
        ]


class _Fast:
    """Cells by columns, a batch at a time; packets with a header twice go one by one."""

    def __init__(self, one_by_one: _OneByOne, infos: Sequence[FieldInfo], occurrence: str) -> None:
        self._one_by_one = one_by_one
        self._infos = infos
        names = dict.fromkeys(info.name for info in infos)
        self.possible = occurrence in ("first", "last", "all", "1") and not any(
            info.type in _WITHOUT_COLUMN for info in infos
        )
        repeated = {
            info.layer: f"inner.{info.name}"
            for info in infos
            if info.layer not in ("frame", "payload") and not info.nth
        }
        self._repeated = list(repeated) if occurrence in ("last", "all") else []
        self._plan: Plan | None = None
        if self.possible:
            from sockwright.columns.plan import Plan

            names |= dict.fromkeys(repeated[layer] for layer in self._repeated)
            self._plan = Plan(names)

    def cells(self, batch: Batch, rows: Sequence[int]) -> Iterator[Sequence[str]]:
        """Yield the cells of each of the `rows`."""
        from sockwright.columns.filling import fill_batch

        assert self._plan is not None
        columns = fill_batch(batch, self._plan)
        texts = []
        for info in self._infos:
            if info.name == "frame.number":
                last = batch.number + len(batch)
                texts.append(list(map(str, range(batch.number, last))))
            else:
                found = columns.texts(info.name)
                texts.append(list(map(safe, found)) if info.type == "text" else found)
        twice = None
        for layer in self._repeated:
            there = columns.present(f"inner.{layer}")
            twice = there if twice is None else twice | there
        again = set() if twice is None else set(twice.nonzero()[0].tolist())
        whole = list(zip(*texts, strict=True))
        for row in rows:
            yield self._one_by_one.of(batch.packet(int(row))) if row in again else whole[row]


def safe(written: str) -> str:
    """Return a stranger's text with all but printable ASCII escaped."""
    if written.isascii() and written.isprintable():
        return written
    return "".join(c if " " <= c <= "~" else ascii(c)[1:-1] for c in written)
