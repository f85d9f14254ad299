"""HOST SYNTAX of ss(8) for families other than IPv4 and IPv6; see `host_syntax`."""

from __future__ import annotations

from sockwright.sockets.diag.filter import names
from sockwright.sockets.diag.filter.conditions import Condition, Port
from sockwright.sockets.diag.filter.hosts import AnyHost
from sockwright.sockets.diag.filter.other_hosts import LinkHost, NetlinkHost, UnixHost, VSockHost
from sockwright.sockets.diag.filter.refusal import Refusal
from sockwright.sockets.diag.netlink_table import NETLINK_PROTOCOLS

__all__ = ["parse_host", "parse_port"]

_MOST_NUMBER = 0xFFFF_FFFF
_ORDERED = frozenset(("<", "<=", ">", ">="))


def parse_host(side: str, family: str, text: str) -> Condition:
    """Return the condition that `side` is the host `text` of `family`. Raises: Refusal."""
    if family == "unix":
        try:
            return UnixHost(side, text)
        except ValueError:
            raise Refusal("no name can have such characters") from None
    if family == "link":
        return _link(side, text)
    return _netlink(side, text) if family == "netlink" else _vsock(side, text)


def parse_port(side: str, operator: str, family: str, text: str) -> Condition:
    """Return the condition that the port of `side` compares so with `text`. Raises: Refusal."""
    if family == "link":
        device = _device(text)
        if isinstance(device, int):
            return Port(side, operator, device, "link")
        if operator in _ORDERED:
            raise Refusal("devices by name are equal or not, nothing else", "= and != fit")
        host = LinkHost(side, None, device)
        return ~host if operator == "!=" else host
    if family == "netlink":
        return Port(side, operator, _port_id(text), "netlink")
    return Port(side, operator, _limited(text, _MOST_NUMBER, "a vsock port"), "vsock")


def _link(side: str, text: str) -> Condition:
    protocol_text, _, device_text = text.partition(":")
    protocol = None
    if protocol_text not in {"", "*"}:
        protocol = names.LINK_PROTOCOLS.get(protocol_text.lower(), names.number(protocol_text))
        if protocol is None or protocol > 0xFFFF:
            guess = names.near(protocol_text, names.LINK_PROTOCOLS)
            raise Refusal(f"{protocol_text!r} is no Ethernet protocol",
                          f"did you mean {guess}?" if guess else "ip, arp, all or a number fit",
                          0, len(protocol_text))  # fmt: skip
    device = None
    if device_text not in {"", "*"}:
        device = _device(device_text)
    if protocol is None and device is None:
        return AnyHost(side, "link")
    return LinkHost(side, protocol, device)


def _device(text: str) -> int | str:
    """Return the index that `text` is, or the name of an interface, which is looked up later."""
    number = names.number(text)
    return text if number is None else number


def _netlink(side: str, text: str) -> Condition:
    protocol_text, _, port_text = text.partition(":")
    protocol = None
    if protocol_text not in {"", "*"}:
        by_name = {name: number for number, name in NETLINK_PROTOCOLS.items()}
        protocol = by_name.get(protocol_text, names.number(protocol_text))
        if protocol is None or protocol > 0xFF:
            guess = names.near(protocol_text, by_name)
            raise Refusal(f"{protocol_text!r} is no netlink protocol",
                          f"did you mean {guess}?" if guess else f"{', '.join(by_name)} fit",
                          0, len(protocol_text))  # fmt: skip
    port = None
    if port_text not in {"", "*"}:
        try:
            port = _port_id(port_text)
        except Refusal as error:
            raise error.behind(len(protocol_text) + 1, len(port_text)) from None
    if protocol is None and port is None:
        return AnyHost(side, "netlink")
    return NetlinkHost(side, protocol, port)


def _port_id(text: str) -> int:
    if text == "kernel":
        return 0
    if text.startswith("-"):
        return -_limited(text[1:], 1 << 31, "what follows the - of a port id")
    return _limited(text, _MOST_NUMBER, "a port id")


def _vsock(side: str, text: str) -> Condition:
    cid_text, _, port_text = text.partition(":")
    numbers: list[int | None] = []
    for one, start, what in (
        (cid_text, 0, "a context id"), (port_text, len(cid_text) + 1, "a vsock port"),
    ):  # fmt: skip
        if one in {"", "*"}:
            numbers.append(None)
            continue
        try:
            numbers.append(_limited(one, _MOST_NUMBER, what))
        except Refusal as error:
            raise error.behind(start, len(one)) from None
    if numbers == [None, None]:
        return AnyHost(side, "vsock")
    return VSockHost(side, *numbers)


def _limited(text: str, most: int, what: str) -> int:
    number = names.number(text)
    if number is None or number > most:
        raise Refusal(f"{text!r} is not {what}", f"a number of at most {most} fits")
    return number
