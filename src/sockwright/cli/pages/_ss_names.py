"""Names for the numbers of a listing: services, protocols of IP, hosts, interfaces.

Services and protocols come from /etc/services and /etc/protocols, each read once and whole: asking
the C library for one of them reads the file again each time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Devices", "Names"]

_MOST_HOSTS = 256
_SECONDS = 2.0
_ANY = {"", "*", "0.0.0.0", "::"}  # no address to listen on, but one without a name


class Names:
    """What ports, and with `hosts` addresses, are called here. Looks into files when first asked.

    Hosts are asked of the resolver, which may go over the network: 256 of them at most, and for 2
    seconds at most, all together; what has no name by then stays a number.
    """

    __slots__ = ("_by_host", "_hosts", "_left_s", "_ports")

    def __init__(self, *, hosts: bool = False) -> None:
        self._ports: dict[str, dict[str, str]] = {}
        self._hosts = hosts
        self._by_host: dict[str, str] = {}
        self._left_s = _SECONDS

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
        """Return the name of the host at an address, as `text` has it, or `text` again.

        An interface stays: "127.0.0.1%lo" is "localhost%lo".
        """
        if not self._hosts:
            return text
        if text not in self._by_host:
            address, mark, device = text.partition("%")
            self._by_host[text] = self._resolved(address) + mark + device
        return self._by_host[text]

    def _resolved(self, text: str) -> str:
        address = text.strip("[]")
        if (
            "." in address
        ):  # an IPv4 address, maybe mapped into IPv6, has the name that it has there
            address = address.removeprefix("::ffff:")
        if address in _ANY or self._left_s <= 0 or len(self._by_host) >= _MOST_HOSTS:
            return text
        import socket
        import threading
        import time
        from contextlib import suppress

        found: list[str] = []

        def ask() -> None:
            # Not getnameinfo(3): before Python 3.11.4 all other threads wait for it.
            with suppress(OSError):
                found.append(socket.gethostbyaddr(address)[0])

        begin = time.monotonic()
        # The resolver has time-outs of its own, which are longer than anyone wants to wait here.
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(self._left_s)
        self._left_s -= time.monotonic() - begin
        return found[0] if found else text


class Devices(dict[int, str]):
    """The names of interfaces by their indexes; `get` asks the kernel when there is one to name."""

    def __init__(self, namespace: int | str | None = None) -> None:
        super().__init__()
        self._namespace = namespace

    def get(self, index: int, default: str = "") -> str:  # type: ignore[override]
        """Return the name of an interface, `default` for index 0 and for none that is there."""
        if index and not self:
            from sockwright.sockets.diag.devices import device_names

            self.update(device_names(self._namespace))
        return super().get(index, default)


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
