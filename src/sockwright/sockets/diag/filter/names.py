"""What names in filters stand for: numbers, services, hosts, interfaces, control groups.

Looked up when it is asked for. Names of interfaces and ranges of ports belong to a network
namespace, see `Network`.
"""

from __future__ import annotations

import os
import re
import socket

from sockwright.sockets.diag.filter.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = [
    "LINK_PROTOCOLS",
    "Network",
    "cgroup_number",
    "host_addresses",
    "near",
    "number",
    "service_port",
]

LINK_PROTOCOLS = {
    "loop": 0x0060, "pup": 0x0200, "pupat": 0x0201, "ip": 0x0800, "x25": 0x0805, "arp": 0x0806,
    "bpq": 0x08FF, "ieeepup": 0x0A00, "ieeepupat": 0x0A01, "dec": 0x6000, "dna_dl": 0x6001,
    "dna_rc": 0x6002, "dna_rt": 0x6003, "lat": 0x6004, "diag": 0x6005, "cust": 0x6006,
    "sca": 0x6007, "teb": 0x6558, "rarp": 0x8035, "atalk": 0x809B, "aarp": 0x80F3, "802_1q": 0x8100,
    "802.1q": 0x8100, "ipx": 0x8137, "ipv6": 0x86DD, "mpls_uc": 0x8847, "mpls_mc": 0x8848,
    "atmmpoa": 0x884C, "ppp_disc": 0x8863, "ppp_ses": 0x8864, "802.1x": 0x888E, "atmfate": 0x8884,
    "profinet": 0x8892, "aoe": 0x88A2, "ethercat": 0x88A4, "802_1ad": 0x88A8, "802.1ad": 0x88A8,
    "tipc": 0x88CA, "lldp": 0x88CC, "macsec": 0x88E5, "ptp": 0x88F7, "fcoe": 0x8906,
    "802_3": 0x0001, "802.3": 0x0001, "ax25": 0x0002, "all": 0x0003, "802_2": 0x0004,
    "802.2": 0x0004, "snap": 0x0005, "ddcmp": 0x0006, "wan_ppp": 0x0007, "ppp_mp": 0x0008,
    "localtalk": 0x0009, "can": 0x000C, "ppptalk": 0x0010, "tr_802_2": 0x0011, "mobitex": 0x0015,
    "control": 0x0016, "irda": 0x0017, "econet": 0x0018,
}  # fmt: skip
"""Protocols of packet sockets (linux/if_ether.h) by the names that ss(8) has for them."""

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,16}|0[0-7]{0,22}|[1-9][0-9]{0,19}")
# What a resolver could know: neither a slip in a number nor a word of the language goes to it.
_HOST_NAME = re.compile(r"(?!\d+(?:\.\d+)*\.?$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})")
_RESOLVING_S = 5.0
_PORT_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
_DEFAULT_PORT_RANGE = (32768, 60999)


def number(text: str) -> int | None:
    """Return the number that `text` writes as C does (0x1F, 037, 31), None where it is none."""
    if not _NUMBER.fullmatch(text):
        return None
    return int(text, 8 if text[0] == "0" and text.isdecimal() else 0)


def near(word: str, words: Iterable[str]) -> str:
    """Return the one of `words` that `word` is likely a slip of, or nothing."""
    from sockwright.filters.words import near

    return near(word, words)


def service_port(name: str, protocols: Collection[str]) -> int:
    """Return the port of a service of /etc/services.

    Raises: Refusal; OSError where that cannot be read for want of a descriptor.
    """
    found: dict[str, int] = {}
    for protocol in protocols:
        try:
            found[protocol] = socket.getservbyname(name, protocol)
        except (OSError, ValueError):
            continue
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    if found:
        ports = ", ".join(f"{port} by {protocol}" for protocol, port in found.items())
        raise Refusal(f"the service {name!r} has several ports: {ports}", "write the number")
    if name.isascii() and name.isdecimal():
        if name[0] == "0" and {"8", "9"} & set(name):
            raise Refusal(f"{name} starts with 0 and so is octal", f"{name.lstrip('0')} is decimal")
        raise Refusal(f"{name} is no port: the largest is 65535")
    raise Refusal(*_unknown_service(name))


def _unknown_service(name: str) -> tuple[str, str]:
    known: set[str] = set()
    try:
        with open("/etc/services", encoding="utf-8", errors="replace") as file:
            known = {line.split()[0] for line in file if line.strip() and line[0] != "#"}
    except (FileNotFoundError, PermissionError):
        pass  # others, such as EMFILE, are why getservbyname(3) found nothing: it does not say so
    guess = near(name, known)
    hint = f"did you mean {guess}?" if guess else "a number fits; /etc/services has the names"
    return f"{name!r} is neither a port nor a service", hint


def host_addresses(name: str, family: str | None) -> list[str]:
    """Return all addresses of a host, of `family` ("inet", "inet6") or of both, in text.

    Takes 5 s at most. Raises: Refusal.
    """
    if not _HOST_NAME.fullmatch(name):
        raise Refusal(f"{name!r} is no address", "10.0.0.0/8, [2001:db8::1], * or a name of a host")
    import threading

    families = {None: 0, "inet": socket.AF_INET, "inet6": socket.AF_INET6}
    answer: list[str] = []
    failure: list[str] = []

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(name, None, families[family], socket.SOCK_STREAM)
            # Addresses with a zone ("fe80::1%2") are those of links: a socket has them without.
            answer.extend(str(where[0]).partition("%")[0] for *_, where in found)
        except (OSError, UnicodeError) as error:
            failure.append(getattr(error, "strerror", None) or str(error))

    # The resolver has no time limit of its own; a thread that waits for it does not hold us up.
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(_RESOLVING_S)
    if answer:
        return list(dict.fromkeys(answer))
    reason = failure[0] if failure else f"no answer within {_RESOLVING_S:.0f} s"
    raise Refusal(f"the host {name!r} is not known ({reason})", "an address fits as well")


def cgroup_number(path: str) -> int:
    """Return the number of a control group of version 2, which is the inode of its folder.

    `path` is that of the folder, or the part of it below where cgroup2 is mounted, as
    /proc/self/cgroup writes it. Raises: Refusal.
    """
    from sockwright.sockets.diag.cgroup import cgroup_mount

    mount = cgroup_mount()
    if not mount:
        raise Refusal("no cgroup2 is mounted here", "mount -t cgroup2 none /sys/fs/cgroup")
    device = os.stat(mount).st_dev
    for folder in (path, f"{mount}/{path.strip('/')}"):
        try:
            found = os.stat(folder)
        except (OSError, ValueError):
            continue
        if found.st_dev == device:
            return found.st_ino
    raise Refusal(f"there is no control group {path!r}", f"they are the folders under {mount}")


class Network:
    """A network namespace and what names stand for there: asked when one comes up, and once.

    `namespace` as `sockwright.sockets.diag.namespace` takes it.
    """

    __slots__ = ("_devices", "_namespace", "_ports")

    def __init__(self, namespace: int | str | None = None) -> None:
        self._namespace = namespace
        self._devices: dict[str, int] | None = None
        self._ports: tuple[int, int] | None = None

    def device_index(self, name: str) -> int:
        """Return the index of an interface. Raises: Refusal; as `device_indexes`."""
        if self._devices is None:
            from sockwright.sockets.diag.devices import device_indexes

            self._devices = device_indexes(self._namespace)
        if name in self._devices:
            return self._devices[name]
        names = list(self._devices)
        guess = near(name, names)
        hint = f"did you mean {guess}?" if guess else f"there are {', '.join(names[:8])}"
        raise Refusal(f"there is no interface {name!r}", hint)

    def ephemeral_ports(self) -> tuple[int, int]:
        """Return the first and the last of the ports that the kernel hands out (ip(7)).

        Raises: as `sockwright.sockets.diag.namespace.call_inside`.
        """
        if self._ports is None:
            if self._namespace is None:
                self._ports = _ephemeral_ports()
            else:
                from sockwright.sockets.diag.namespace import call_inside

                self._ports = call_inside(self._namespace, _ephemeral_ports)
        return self._ports


def _ephemeral_ports() -> tuple[int, int]:
    """Read the range of ports of the network namespace of this thread."""
    try:
        with open(_PORT_RANGE, encoding="ascii") as file:
            first, last = file.read().split()
        return int(first), int(last)
    except (FileNotFoundError, PermissionError, ValueError):
        return _DEFAULT_PORT_RANGE
