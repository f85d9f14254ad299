"""Ports as people write them: ``22``, ``8000-8100``, ``http``, and lists of these with commas.

    ports = term *("," term)
    term  = number ["-" number] / name

Names are those of services(5) and of the protocol that is asked for.
"""

from __future__ import annotations

from sockwright.errors import EndpointError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Protocol = Literal["tcp", "udp"]

__all__ = ["HIGHEST_PORT", "parse_port", "parse_ports", "service_names"]

HIGHEST_PORT = 65535
_MAX_SERVICES = 1 << 20  # octets; usual are 13 000
_EXAMPLE = "what fits: 22,80,8000-8100,http"


def parse_port(text: str, protocol: Protocol = "tcp") -> int:
    """Read one port, by number (0 to 65535) or by name.

    Raises:
        EndpointError: (a `ValueError`) it is neither, or no service has that name.
    """
    if text.isascii() and text.isdecimal():
        # More digits than any port has are cut off, so that int() has no long number to read.
        port = int(text.lstrip("0")[:6] or "0")
        if port > HIGHEST_PORT:
            raise EndpointError(f"port {text[:20]} is not in 0..{HIGHEST_PORT}")
        return port
    import socket

    try:
        return socket.getservbyname(text, protocol)
    except (OSError, ValueError):  # ValueError: a NUL, or surrogates
        raise EndpointError(
            f"{text!r} is neither a port in 0..{HIGHEST_PORT} nor the name of a {protocol} service "
            f"('getent services' lists them)"
        ) from None


def parse_ports(text: str, protocol: Protocol = "tcp") -> tuple[int, ...]:
    """Read a list of ports, in the order in which they stand there, each once.

    Port 0 is refused: nothing can be sent to it.

    Raises:
        EndpointError: (a `ValueError`) with the term that is wrong, and what would fit.
    """
    ports: dict[int, None] = {}
    for term in map(str.strip, text.split(",")):
        if not term:
            raise EndpointError(f"a port is missing in {text!r}; {_EXAMPLE}")
        low, high = _range(term, protocol)
        ports.update(dict.fromkeys(range(low, high + 1)))
    return tuple(ports)


def _range(term: str, protocol: Protocol) -> tuple[int, int]:
    first, hyphen, last = (part.strip() for part in term.partition("-"))
    # Names have hyphens, ranges have digits around theirs.
    if hyphen and (first[:1].isdigit() or not first) and (last[:1].isdigit() or not last):
        if not first or not last:
            raise EndpointError(
                f"the range {term!r} lacks an end: {first or 1}-{last or HIGHEST_PORT}"
            )
        low, high = parse_port(first, protocol), parse_port(last, protocol)
    else:
        low = high = parse_port(term, protocol)
    if low > high:
        raise EndpointError(f"the range {term} goes backward; what fits: {high}-{low}")
    if low == 0:
        raise EndpointError(f"port 0 in {term!r} is none that can be reached; ports start at 1")
    return low, high


def service_names(protocol: Protocol = "tcp") -> dict[int, str]:
    """Return the names of all ports that have one, by services(5); none without that file.

    getservbyport(3) reads that file once for each port: 22 us, for all ports 1.4 s.
    """
    names: dict[int, str] = {}
    try:
        with open("/etc/services", "rb") as file:  # pathlib costs 5 ms of a start
            lines = file.read(_MAX_SERVICES).decode("ascii", "replace").splitlines()
    except OSError:
        return names
    for line in lines:
        words = line.partition("#")[0].split()
        if len(words) >= 2:
            port, _, kind = words[1].partition("/")
            if kind == protocol and port.isdecimal():
                names.setdefault(int(port), words[0])
    return names
