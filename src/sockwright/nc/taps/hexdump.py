r"""Show what goes over a connection: as a hexdump, as text, or as the octets themselves.

`HexDump` writes lines of 80 columns at most, in the form of ``hexdump -C`` behind a mark: ``>`` was
sent, ``<`` was received. A line above them says how long after the connection began, with whom, and
how much it is; offsets count each direction on its own, so they tell a place in its stream.

    > 0.000391 s  tcp://127.0.0.1:8080  18 octets
    > 00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 30 0d 0a  |GET / HTTP/1.0..|
    > 00000010  0d 0a                                             |..|

A terminal may be given all of it: other characters than those of printable ASCII are dots.
"""

from __future__ import annotations

from array import array
from sys import byteorder

from sockwright.nc.taps.tap import Tap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.taps.tap import Direction, Octets
    from sockwright.nc.terminal.cleaning import Cleaner

__all__ = ["HexDump", "RawDump", "TextDump"]

_WIDTH = 16  # octets in a line
_BLOCK = 16 << 10  # octets that are made lines of at once: the lines stay in the processor's cache
_MARKS: dict[Direction, bytes] = {"sent": b">", "received": b"<"}
# Select Graphic Rendition, ECMA-48 section 8.3.117: cyan for what was sent, yellow for the rest.
_COLOURS: dict[Direction, bytes] = {"sent": b"\x1b[36m", "received": b"\x1b[33m"}
_PLAIN = b"\x1b[0m"

_DIGITS = b"0123456789abcdef"
_HIGH = bytes([_DIGITS[octet >> 4] for octet in range(256)])
_LOW = bytes([_DIGITS[octet & 15] for octet in range(256)])
_SHOWN = bytes([octet if 0x20 <= octet < 0x7F else 0x2E for octet in range(256)])
_HEX_END = 3 * _WIDTH + 1
# Where the pair of digits of each octet of a line is: there is one more blank in the middle.
_PAIRS = tuple(3 * column + (column >= _WIDTH // 2) for column in range(_WIDTH))


class HexDump:
    """Makes taps that write hexdumps, one for each connection.

    `write` takes octets and raises nothing (`output.Output.write`). With `colour` each line is
    coloured for its direction.
    """

    def __init__(self, write: Callable[[bytes], object], *, colour: bool = False) -> None:
        self._write = write
        self._colour = colour

    def conversation(self) -> Tap:
        """Return a tap for one connection."""
        return _HexConversation(self._write, colour=self._colour)


class TextDump:
    """Makes taps that write what goes by as lines of text, each behind a mark: for text protocols.

    What could act on a terminal is written as an escape, see `terminal.cleaning`. The end of
    a piece that ends no line is marked by a backslash. `write` takes octets and raises nothing.
    """

    def __init__(self, write: Callable[[bytes], object], *, colour: bool = False) -> None:
        self._write = write
        self._colour = colour

    def conversation(self) -> Tap:
        """Return a tap for one connection."""
        return _TextConversation(self._write, colour=self._colour)


class RawDump:
    """Makes taps that write the octets themselves, of both directions as they came.

    As ``ncat -o`` does. Many connections at once are mixed. `write` takes octets, raises nothing.
    """

    def __init__(self, write: Callable[[Octets], object]) -> None:
        self._write = write

    def conversation(self) -> Tap:
        """Return a tap for one connection."""
        return _RawConversation(self._write)


class _RawConversation(Tap):
    __slots__ = ("_write",)

    def __init__(self, write: Callable[[Octets], object]) -> None:
        self._write = write

    def octets(self, direction: Direction, data: Octets, time_ns: int) -> None:
        """Write the octets."""
        del direction, time_ns
        self._write(data)


class _LineConversation(Tap):
    """What both dumps of lines have in common: the line above each piece."""

    __slots__ = ("_colour", "_ended", "_name", "_reset", "_start_ns", "_write")

    def __init__(self, write: Callable[[bytes], object], *, colour: bool) -> None:
        self._write = write
        self._colour = colour
        self._name = ""
        self._start_ns = 0
        self._ended: set[Direction] = set()
        self._reset = False

    def opened(self, local: str, remote: str, time_ns: int, *, accepted: bool = False) -> None:
        """Take note of the peer's name and of the time that others are counted from."""
        del local, accepted
        self._name = ascii(remote)[1:-1]
        self._start_ns = time_ns

    def ended(self, direction: Direction, time_ns: int) -> None:
        """Write that this direction ended."""
        if direction not in self._ended:
            self._ended.add(direction)
            self._write(self._line(direction, time_ns, "end"))

    def closed(self, time_ns: int, *, reset: Direction | None = None) -> None:
        """Write that the connection was reset, if it was."""
        if reset is not None and not self._reset:
            self._reset = True
            self._write(self._line(reset, time_ns, "reset"))

    def _line(self, direction: Direction, time_ns: int, what: str) -> bytes:
        """Return the line that says when, with whom and what."""
        before, after = self._around(direction)
        since = (time_ns - self._start_ns) / 1e9
        return b"%b%.6f s  %b  %b%b" % (before, since, self._name.encode(), what.encode(), after)

    def _around(self, direction: Direction) -> tuple[bytes, bytes]:
        """Return what every line of a direction begins and ends with."""
        mark = _MARKS[direction] + b" "
        return (_COLOURS[direction] + mark, _PLAIN + b"\n") if self._colour else (mark, b"\n")


class _HexConversation(_LineConversation):
    __slots__ = ("_offsets",)

    def __init__(self, write: Callable[[bytes], object], *, colour: bool) -> None:
        super().__init__(write, colour=colour)
        self._offsets: dict[Direction, int] = {"sent": 0, "received": 0}

    def octets(self, direction: Direction, data: Octets, time_ns: int) -> None:
        """Write the lines of one piece."""
        around = self._around(direction)
        head = self._line(direction, time_ns, _amount(len(data)))
        offset = self._offsets[direction]
        view = memoryview(data)
        for at in range(0, len(view), _BLOCK):
            self._write(head + _hex_lines(bytes(view[at : at + _BLOCK]), offset + at, *around))
            head = b""
        if head:
            self._write(head)  # a datagram without octets
        self._offsets[direction] = offset + len(view)


class _TextConversation(_LineConversation):
    __slots__ = ("_cleaner",)

    def __init__(self, write: Callable[[bytes], object], *, colour: bool) -> None:
        super().__init__(write, colour=colour)
        self._cleaner: Cleaner | None = None

    def octets(self, direction: Direction, data: Octets, time_ns: int) -> None:
        """Write the lines of one piece; a character that goes on in the next is two escapes."""
        if self._cleaner is None:
            from sockwright.nc.terminal.cleaning import Cleaner

            self._cleaner = Cleaner()
        self._write(self._line(direction, time_ns, _amount(len(data))))
        before, after = self._around(direction)
        view = memoryview(data)
        for at in range(0, len(view), _BLOCK):
            # Protocols of lines want CR LF, and whoever looks at them wants to see it.
            piece = bytes(view[at : at + _BLOCK]).replace(b"\r\n", b"\\r\n")
            text = self._cleaner.clean(piece) + self._cleaner.finish()
            lines = text.removesuffix(b"\n").split(b"\n")
            self._write(before + (after + before).join(lines) + after)


def _amount(size: int) -> str:
    return "1 octet" if size == 1 else f"{size} octets"


def _hex_lines(octets: bytes, offset: int, before: bytes, after: bytes) -> bytes:
    """Return the lines for at least one octet, the first of which is at `offset` in its stream.

    Column by column, for all lines at once: a slice with a stride is copied at the rate of C, where
    making line by line would take five times as long.
    """
    size = len(octets)
    rows = -(-size // _WIDTH)
    octets += bytes(-size % _WIDTH)
    digits = 8 if offset + size <= 1 << 32 else 16
    numbers = array("Q", range(offset, offset + _WIDTH * rows, _WIDTH))
    if byteorder == "little":
        numbers.byteswap()
    numerals = numbers.tobytes().hex().encode()
    hex_at = len(before) + digits + 2
    shown_at = hex_at + _HEX_END + 2
    form = b"%b%*b%b|%*b|%b" % (before, digits, b"", b" " * (_HEX_END + 3), _WIDTH, b"", after)
    line = len(form)
    lines = bytearray(form * rows)
    for digit in range(digits):
        lines[len(before) + digit :: line] = numerals[16 - digits + digit :: 16]
    high, low, shown = octets.translate(_HIGH), octets.translate(_LOW), octets.translate(_SHOWN)
    for column, at in enumerate(_PAIRS):
        lines[hex_at + at :: line] = high[column::_WIDTH]
        lines[hex_at + at + 1 :: line] = low[column::_WIDTH]
        lines[shown_at + column :: line] = shown[column::_WIDTH]
    last = size % _WIDTH
    if last:
        start = line * (rows - 1)
        lines[start + hex_at + _PAIRS[last] : start + shown_at - 1] = b" " * (
            shown_at - 1 - hex_at - _PAIRS[last]
        )
        lines[start + shown_at + last :] = b"|" + after
    return bytes(lines)
