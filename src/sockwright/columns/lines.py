"""One line of text a packet, as `sw read` and `sw capture` show them.

The lines come from the kernel `kernels/line.py`; here is what it needs: the plan, the names of
ports, the offset of the local time. Details of a packet and dumps of its octets are lines of their
own below it, made from the packet itself.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sockwright.columns.kernels import line as kernel
from sockwright.columns.kernels.dissect import SLOTS
from sockwright.columns.kernels.index import NO_TIME
from sockwright.columns.line_plan import WordList, line_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.columns.batch import Batch
    from sockwright.records import Interface

__all__ = ["LineOptions", "LinePrinter"]

_BLOCK = 1 << 18
_QUARTER_HOUR_S = 900  # the local time changes its offset only at a multiple of this
_OTHER_PROTOCOL = 65536
_SECOND_NS = 1_000_000_000
_DAY_S = 86_400
_TIME_END = 1 << 63


@dataclass(frozen=True, slots=True)
class LineOptions:
    """What a line shows.

    `time_form` is how many -t tcpdump would take (0: local time of day, 1: none, 2: seconds since
    1970, 3: since the packet before, 4: local date and time, 5: since the first packet). `detail`
    adds lines with every header and what is wrong with it. `dump` is "" or one of
    ``x xx X XX A AA`` with the meaning of tcpdump.
    """

    time_form: int = 0
    numbers: bool = False
    port_names: bool = True
    link_header: bool = False
    detail: bool = False
    dump: str = ""


class LinePrinter:
    """Writes lines for batches of one capture, in order; it keeps what times are counted from."""

    def __init__(self, options: LineOptions) -> None:
        self._options = options
        plan = line_plan()
        self._tables: Any = plan.tables
        self._plan: Any = plan.plan
        self._words_made = WordList(plan.words)
        self._ports: Any = array("i", bytes(4 * 2 * 65536))
        if options.port_names:
            _add_port_names(self._words_made, self._ports)
        self._interfaces: tuple[Interface, ...] = ()
        self._digits: Any = array("q")
        self._labels: Any = array("q")
        self._words: Any = bytes(self._words_made.octets)
        self._state: Any = array("q", bytes(8 * kernel.STATE))
        self._scratch: Any = [array("q", bytes(8 * SLOTS)) for _ in range(3)]
        self._state[kernel.TIME_FORM] = options.time_form
        self._state[kernel.SHOW] = (
            options.numbers * kernel.NUMBERS
            | options.link_header * kernel.LINK_HEADER
            | options.port_names * kernel.PORT_NAMES
        )
        self._state[kernel.PREVIOUS] = self._state[kernel.FIRST] = NO_TIME
        self._room = bytearray(_BLOCK)
        self._compiled: Any = None
        self._known: Any = None

    def blocks(self, batch: Batch, rows: Sequence[int] | None = None) -> Iterator[bytes]:
        """Yield the text for the packets of `batch` in `rows` (all), each line with its end.

        The text is printable ASCII, whatever the packets hold.
        """
        if not (self._options.detail or self._options.dump):
            yield from self._lines(batch, range(len(batch)) if rows is None else rows)
            return
        from sockwright.columns.line_detail import detail_lines, dump_lines

        for row in range(len(batch)) if rows is None else rows:
            text = b"".join(self._lines(batch, [row]))
            packet = batch.packet(row)
            if self._options.detail:
                text += detail_lines(packet)
            if self._options.dump:
                text += dump_lines(packet, self._options.dump)
            yield text

    def _lines(self, batch: Batch, rows: Sequence[int]) -> Iterator[bytes]:
        if batch.interfaces is not self._interfaces:
            self._meet(batch.interfaces)
        state, out = self._state, self._room
        write: Any = kernel.write_lines
        arrays = [self._tables, self._plan, self._words, self._ports, state]
        shown: Any = rows
        places: list[Any] = [self._digits, self._labels]
        scratch = [*self._scratch, out]
        if batch.compiled:
            from sockwright.columns.compiling import compiled

            write = compiled(kernel.write_lines)
            arrays, places, scratch, shown = self._as_numpy(arrays, places, scratch, rows)
        state[kernel.NUMBER] = batch.number
        index, end = 0, len(rows)
        while index < end:
            state[kernel.POSITION] = 0
            index = write(
                *arrays,
                batch.octets,
                batch.start,
                batch.captured,
                batch.original,
                batch.time_ns,
                batch.interface,
                batch.link_types,
                *places,
                shown,
                index,
                *scratch,
            )
            if state[kernel.POSITION]:
                yield bytes(memoryview(out)[: state[kernel.POSITION]])
            if state[kernel.WANTS_ZONE]:
                self._find_zone(int(batch.time_ns[rows[index]]))

    def _as_numpy(self, *groups: Any) -> tuple[Any, ...]:
        """Return lists of arrays that the compiled kernel takes, and share memory with these."""
        import numpy as np

        *lists, rows = groups

        def as_numpy(octets: Any) -> Any:
            return np.frombuffer(octets, octets.typecode if isinstance(octets, array) else np.uint8)

        found: list[Any] = [[as_numpy(each) for each in arrays] for arrays in lists]
        if isinstance(rows, range):
            return (*found, np.arange(rows.start, rows.stop, dtype=np.int64))
        return (*found, np.asarray(rows, dtype=np.int64))

    def _meet(self, interfaces: tuple[Interface, ...]) -> None:
        """Take over the interfaces known by now: how exact their times are, and their names."""
        several = len({interface.name for interface in interfaces}) > 1
        self._digits = array("q")
        self._labels = array("q")
        for interface in interfaces:
            self._digits.append(9 if interface.ticks_per_second > 1_000_000 else 6)
            name = f"{interface.name} " if several and interface.name else ""
            self._labels.append(self._words_made.add(name))
        self._words = bytes(self._words_made.octets)
        self._interfaces = interfaces

    def _find_zone(self, time_ns: int) -> None:
        begin = time_ns // _SECOND_NS // _QUARTER_HOUR_S * _QUARTER_HOUR_S
        try:
            offset = time.localtime(begin).tm_gmtoff
        except (OverflowError, OSError):  # a time that this system has no year for
            offset = 0
        end = begin + _QUARTER_HOUR_S
        self._state[kernel.ZONE_FROM] = max(begin * _SECOND_NS, -_TIME_END)
        self._state[kernel.ZONE_TO] = min(end * _SECOND_NS, _TIME_END) - 1
        # In the first and the last hours that 64 bits can say there is no room for an offset.
        far = (abs(time_ns) + _DAY_S * _SECOND_NS) >= _TIME_END
        self._state[kernel.ZONE] = 0 if far else offset * _SECOND_NS


def _add_port_names(words: WordList, ports: Any) -> None:
    """Note the names of ports by the system's list of services, where it has one."""
    try:
        with open("/etc/services", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        columns = line.partition("#")[0].split()
        if len(columns) < 2:
            continue
        number, _, protocol = columns[1].partition("/")
        if not number.isdecimal() or int(number) > 65535:
            continue
        base = {"tcp": 0, "udp": _OTHER_PROTOCOL}.get(protocol)
        if base is not None and not ports[base + int(number)]:
            ports[base + int(number)] = words.add(columns[0])
