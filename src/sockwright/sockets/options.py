"""Socket options as typed properties, made from one small table in `base`.

An option that exists twice, once for IPv4 and once for IPv6 (`ttl` and hop limit, `tos` and traffic
class), is one property that looks at the family of its socket.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, overload

from sockwright.sockets.explain import explaining

if TYPE_CHECKING:
    from sockwright.sockets.privileges import Capability

__all__ = ["Flag", "Linger", "Number", "Option", "Text"]

T = TypeVar("T")


class HasSocket(Protocol):
    """What an option hangs on."""

    @property
    def socket(self) -> socket.socket:
        """The socket whose option it is."""
        ...


class Option(Generic[T]):
    """One socket option: `level` and `name` as setsockopt(2) takes them.

    `ipv6` is the pair to use instead on an AF_INET6 socket. `needs` is the capability that setting
    takes, named in the error when the kernel refuses.
    """

    size = 4

    def __init__(
        self,
        level: int,
        name: int,
        doc: str,
        *,
        ipv6: tuple[int, int] | None = None,
        needs: Capability | None = None,
    ) -> None:
        self._pair = (level, name)
        self._ipv6 = ipv6 or self._pair
        self._needs = needs
        self.__doc__ = doc
        self._attribute = ""

    def __set_name__(self, owner: type, attribute: str) -> None:
        self._attribute = attribute

    @overload
    def __get__(self, instance: None, owner: type) -> Option[T]: ...
    @overload
    def __get__(self, instance: HasSocket, owner: type) -> T: ...
    def __get__(self, instance: HasSocket | None, owner: type) -> Option[T] | T:
        if instance is None:
            return self
        sock = instance.socket
        pair = self._ipv6 if sock.family == socket.AF_INET6 else self._pair
        with explaining(f"read the option {self._attribute}"):
            return self._from_octets(sock.getsockopt(*pair, self.size))

    def __set__(self, instance: HasSocket, value: T) -> None:
        sock = instance.socket
        pair = self._ipv6 if sock.family == socket.AF_INET6 else self._pair
        with explaining(f"set the option {self._attribute} to {value!r}", needs=self._needs):
            sock.setsockopt(*pair, self._to_octets(value))

    def _from_octets(self, octets: bytes) -> T:
        raise NotImplementedError

    def _to_octets(self, value: T) -> bytes:
        raise NotImplementedError


class Flag(Option[bool]):
    """An option that is on or off."""

    def _from_octets(self, octets: bytes) -> bool:
        return any(octets)

    def _to_octets(self, value: bool) -> bytes:
        return struct.pack("i", bool(value))


class Number(Option[int]):
    """An option that is an int of the C language."""

    def _from_octets(self, octets: bytes) -> int:
        # IP_TOS answers with a single octet on some kernels.
        return int.from_bytes(octets, sys.byteorder, signed=len(octets) == 4)

    def _to_octets(self, value: int) -> bytes:
        return struct.pack("i", value)


class Text(Option[str]):
    """An option that is a name, ended by a NUL."""

    size = 64

    def _from_octets(self, octets: bytes) -> str:
        return octets.rstrip(b"\0").decode(errors="surrogateescape")

    def _to_octets(self, value: str) -> bytes:
        return value.encode(errors="surrogateescape")


class Linger(Option["int | None"]):
    """SO_LINGER, socket(7): seconds that close() waits for unsent data; None is off.

    0 throws unsent data away and sends RST instead of FIN.
    """

    size = 8

    def _from_octets(self, octets: bytes) -> int | None:
        on, seconds = struct.unpack("ii", octets)
        return int(seconds) if on else None

    def _to_octets(self, value: int | None) -> bytes:
        return struct.pack("ii", value is not None, value or 0)
