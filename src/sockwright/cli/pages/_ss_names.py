"""Names for the numbers of a listing: services, protocols of IP, hosts.

Services and protocols come from /etc/services and /etc/protocols, each read once and whole: asking
the C library for one of them reads the file again each time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Names"]

_LOOKUPS = 64
_SECONDS = 2.0


class Names:
    """What ports, and with `hosts` addresses, are called here. Looks into files when first asked.

    Hosts are asked of the resolver, which may go over the network: at most 64 of them, for at most
    2 seconds; what has no name by then stays a number.
    """

    __slots__ = ("_by_host", "_hosts", "_ports", "_until")

    def __init__(self, *, hosts: bool = False) -> None:
        self._ports: dict[str, dict[str, str]] = {}
        self._hosts = hosts
        self._by_host: dict[str, str] = {}
        self._until = 0.0

    def ports(self, protocol: str) -> dict[str, str]:
        """Return the names of the ports of a protocol by their numbers as text.

        Of raw sockets, whose "port" is the protocol above IP, the names of protocols.
        """
        if not self._ports:
            self._ports["raw"] = {}
            for words in _lines("/etc/protocols"):
                self._ports["raw"].setdefault(words[1], words[0])
            for words in _lines("/etc/services"):
                port, _, of = words[1].partition("/")
                self._ports.setdefault(of, {}).setdefault(port, words[0])
        return self._ports.get(_SERVICES_OF.get(protocol, protocol), {})

    def host(self, text: str) -> str:
        """Return the name of the host at an address, as `text` has it, or `text` again."""
        return text


# Protocols that have the ports of another.
_SERVICES_OF = {"udplite": "udp", "mptcp": "tcp"}


def _lines(path: str) -> Iterator[list[str]]:
    """Yield the words of each line of a file such as /etc/services; none where it is missing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.readlines()
    except OSError:
        return
    for line in lines:
        words = line.partition("#")[0].split()
        if len(words) > 1:
            yield words
