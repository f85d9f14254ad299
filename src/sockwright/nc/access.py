"""Who may connect: lists of addresses, networks, ranges and names.

An entry is one of

    192.0.2.7  2001:db8::7           an address
    192.0.2.0/24  2001:db8::/32      a network; bits behind the prefix do not matter
    192.0.2.10-192.0.2.20  192.0.2.10-20   a range, both ends within
    example.org                      a name: the addresses that it has when the lists are made

and entries may be joined by commas.

Rules (those of ncat's --allow and --deny)
    1. With an allow list only those on it may connect; without one, everybody.
    2. Whoever is on the deny list may not, whatever the allow list says.
    3. IPv4 within IPv6 (::ffff:192.0.2.7, what a listener on both families sees) is IPv4. Nothing
       else makes the two families meet: ::/0 is every IPv6 address and no IPv4 address.
    4. A peer without an IP address (UNIX, vsock) is on no list, so a listener for such takes none.
"""

from __future__ import annotations

import re
import socket
from bisect import bisect_right

from sockwright.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Access", "access_to", "read_list"]

# IPv6 addresses are their own numbers; those of IPv4 lie behind them, so that one list holds both.
_IPV4 = 1 << 128
_MAPPED = 0xFFFF << 32  # ::ffff:0:0/96, RFC 4291 section 2.5.5.2
_NUMERIC = re.compile(r"[0-9.]+|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*")


class Access:
    """The two lists. Names are looked up here, once; `allows` only compares numbers.

    Raises: UsageError for an entry that is no address, network, range or name that can be found.
    """

    __slots__ = ("_allow", "_deny")

    def __init__(self, allow: Iterable[str] = (), deny: Iterable[str] = ()) -> None:
        self._allow = _Addresses(allow)
        self._deny = _Addresses(deny)

    def __bool__(self) -> bool:
        """Whether anybody is kept out."""
        return bool(self._allow or self._deny)

    @property
    def restricts(self) -> bool:
        """Whether there is an allow list."""
        return bool(self._allow)

    def allows(self, address: str) -> bool:
        """Tell whether a peer with this numeric address may connect; a zone makes no difference."""
        number = _number(address)
        if number is None:
            return not self._allow
        return number not in self._deny and (not self._allow or number in self._allow)

    def refusal(self, address: str) -> str:
        """Return why a peer with this numeric address may not connect, "" where it may."""
        if self.allows(address):
            return ""
        if _number(address) in self._deny:
            return "it is among those that are denied"
        return "it is not among those that are allowed"


class _Addresses:
    """A set of addresses, as ranges that neither overlap nor touch, in order."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, entries: Iterable[str]) -> None:
        ranges = []
        for text in entries:
            for entry in text.split(","):
                if entry.strip():
                    ranges += _ranges(entry.strip())
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in sorted(ranges):
            if self._lasts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(self._lasts[-1], last)
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __contains__(self, number: int | None) -> bool:
        if number is None:
            return False
        at = bisect_right(self._firsts, number)
        return at > 0 and number <= self._lasts[at - 1]


def access_to(scheme: str, allow: Iterable[str], deny: Iterable[str]) -> Access | None:
    """Return the lists for a listener of the scheme of an endpoint; None where there are none.

    Raises: UsageError: as `Access`, or its peers have no IP addresses: the lists would do nothing.
    """
    if not (allow or deny):
        return None
    if scheme not in {"tcp", "udp"}:
        hint = "; who may open a path is up to its permissions" if scheme == "unix" else ""
        raise UsageError(
            f"--allow and --deny take IP addresses, and peers of {scheme} have none{hint}"
        )
    return Access(allow, deny)


def read_list(text: str) -> tuple[str, ...]:
    """Return the entries of a file of them (--allowfile): any number in a line, ``#`` comments."""
    entries: list[str] = []
    for line in text.splitlines():
        entries += line.partition("#")[0].split()
    return tuple(entries)


def _number(address: str) -> int | None:
    """Return the number of a numeric address, None for anything else."""
    try:
        if ":" not in address:
            return _IPV4 + int.from_bytes(socket.inet_pton(socket.AF_INET, address), "big")
        plain = address.partition("%")[0]
        number = int.from_bytes(socket.inet_pton(socket.AF_INET6, plain), "big")
    except (OSError, ValueError):
        return None
    return number ^ _MAPPED | _IPV4 if number >> 32 == _MAPPED >> 32 else number


def _ranges(entry: str) -> list[tuple[int, int]]:
    """Return first and last number of what an entry stands for."""
    if "%" in entry:
        raise UsageError(f"{entry}: a list of addresses cannot say on which interface they are")
    if "/" in entry:
        return [_network(entry)]
    number = _number(entry)
    if number is not None:
        return [(number, number)]
    first, dash, last = entry.partition("-")
    if dash and _NUMERIC.fullmatch(first):
        return [_range(entry, first, last)]
    if _NUMERIC.fullmatch(entry):
        raise UsageError(f"{entry!r} is not an IP address")
    return [(number, number) for number in _looked_up(entry)]


def _network(entry: str) -> tuple[int, int]:
    address, _, prefix = entry.partition("/")
    number = _number(address)
    if number is None:
        raise UsageError(f"{entry!r}: {address!r} is not an IP address")
    width = 128 if ":" in address else 32
    if not (prefix.isascii() and prefix.isdigit()) or int(prefix) > width:
        raise UsageError(f"{entry!r}: the prefix is not in 0..{width}")
    free = width - int(prefix)
    if width == 128 and number >= _IPV4 and free > 32:
        number = number ^ _IPV4 | _MAPPED  # more than IPv4: a network of IPv6 around it
    first = number >> free << free
    return first, first | (1 << free) - 1


def _range(entry: str, first: str, last: str) -> tuple[int, int]:
    low, high = _number(first), _number(last)
    if high is None and last.isascii() and last.isdigit() and "." in first:
        high = _number(f"{first.rpartition('.')[0]}.{last}")
    if low is None or high is None:
        raise UsageError(f"{entry!r} is not a range of IP addresses")
    if (low >= _IPV4) != (high >= _IPV4):
        raise UsageError(f"{entry!r}: the ends of a range are of one family")
    if low > high:
        raise UsageError(f"{entry!r}: the range ends before it begins")
    return low, high


def _looked_up(name: str) -> list[int]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "that is not a host name"
        raise UsageError(f"{name!r} has no address: {reason}") from None
    numbers = [_number(str(address[4][0])) for address in found]
    return [number for number in numbers if number is not None]
