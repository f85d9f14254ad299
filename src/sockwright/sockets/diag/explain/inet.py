"""What sockets of IPv4 and IPv6 are doing, in plain words; see `sockwright.sockets.diag.explain`.

Each function returns sentences, without capital letter and full stop.
"""

from __future__ import annotations

from sockwright.sockets.diag.explain.phrases import accept_queue, connected, holder, join, waiting
from sockwright.sockets.diag.explain.state import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.sockets.diag.explain.machine import Machine
    from sockwright.sockets.diag.inet import (
        InetSocket,
        MPTCPSocket,
        RawSocketRow,
        SCTPSocket,
        TCPSocket,
    )

__all__ = ["explain_mptcp", "explain_raw", "explain_sctp", "explain_tcp", "explain_udp"]

_ANY = {"0.0.0.0", "::"}
_PROTOCOLS = {
    1: "ICMP",
    2: "IGMP",
    6: "TCP",
    17: "UDP",
    41: "IPv6-in-IP",
    47: "GRE",
    50: "ESP",
    51: "AH",
    58: "ICMPv6",
    89: "OSPF",
    103: "PIM",
    112: "VRRP",
    132: "SCTP",
}
_SENDS_ONLY = 255  # IPPROTO_RAW
_LIMITED_BROADCAST = "255.255.255.255"  # RFC 919 section 7
_SCTP = {
    "CLOSED": "the association is not there any more",
    "COOKIE_WAIT": "{who} asked {peer} for an association, and there is no answer yet",
    "COOKIE_ECHOED": "{peer} answered, and the last step of the handshake is under way",
    "ESTAB": "{connected} with {peer} by an association",
    "SHUTDOWN_PENDING": "{who} has closed, but data must still be acknowledged",
    "SHUTDOWN_SENT": "{who} has closed and waits for {peer} to agree",
    "SHUTDOWN_RECEIVED": "{peer} has closed; what {who} still has to send comes first",
    "ACK_SENT": "both sides have closed; only the last word of {peer} is missing",
}


def explain_tcp(row: TCPSocket, machine: Machine) -> list[str]:
    """Tell of a TCP socket."""
    if row.state == "LISTEN":
        return _listens(row, machine)
    texts = tell(row, machine)
    ulp = row.ulp
    if ulp is not None and ulp.name == "mptcp":
        texts.append("it is one of the paths (subflows) of a Multipath TCP connection")
    return texts


def explain_mptcp(row: MPTCPSocket, machine: Machine) -> list[str]:
    """Tell of a connection of Multipath TCP."""
    if row.state == "LISTEN":
        return [*_listens(row, machine), "it takes Multipath TCP as well as plain TCP"]
    texts = tell(row, machine)
    info = row.info
    if info is None:
        return texts
    if info.fallback:
        texts.append("the peer, or something on the way, does not know Multipath TCP: it is TCP")
        return texts
    paths = info.subflows_total or info.subflows + 1
    if paths > 1:
        texts.append(f"Multipath TCP spreads it over {paths} paths (subflows)")
    else:
        texts.append("it could use more paths (Multipath TCP), and has found no more than one")
    return texts


def explain_udp(row: InetSocket, machine: Machine) -> list[str]:
    """Tell of a UDP or UDP-Lite socket."""
    who = holder(row)
    if row.state == "ESTAB":
        texts = [f"{who} exchanges datagrams with {row.peer} and takes none from anybody else"]
    elif not row.local_port:
        texts = [f"{who} has a socket without a port: nobody can send to it yet"]
    else:
        texts = [f"{who} receives datagrams to port {row.local_port}{_reach(row, machine)}"]
    memory = row.memory
    if memory is None and row.receive_queue:
        texts.append(f"{row.receive_queue} octets of memory hold what {who} has not read")
    return texts + waiting(memory, who)


def explain_raw(row: RawSocketRow, machine: Machine) -> list[str]:
    """Tell of a raw IP socket."""
    who = holder(row)
    number = row.local_port
    version = "IPv4" if row.family == "inet" else "IPv6"
    if number == _SENDS_ONLY:
        return [f"{who} can send packets of {version} with a header of its own; it receives none"]
    name = _PROTOCOLS.get(number) or f"protocol {number}"
    texts = [f"{who} gets a copy of every packet of {name} over {version} that arrives here"]
    if row.local_address not in _ANY:
        texts[0] += f" for {row.local_address}"
    if row.peer_address not in _ANY:
        texts[0] += f" from {row.peer_address}"
    if row.interface:
        texts[0] += f" on {machine.device(row.interface)}"
    memory = row.memory
    if memory is None and row.receive_queue:
        texts.append(f"{row.receive_queue} octets of memory hold what {who} has not read")
    return texts + waiting(memory, who)


def explain_sctp(row: SCTPSocket, machine: Machine) -> list[str]:
    """Tell of an SCTP endpoint or association."""
    who = holder(row)
    if not row.is_association:
        if row.state == "LISTEN":
            return _listens(row, machine)
        if row.state == "ESTAB":
            return [f"the endpoint of an association of {who}, which stands beside it"]
        return [f"{who} has an endpoint that neither listens nor has an association"]
    telling = _SCTP.get(row.state) or "the association is in a state that is not known here"
    texts = [telling.format(who=who, connected=connected(row), peer=row.peer)]
    others = [address for address in row.peer_addresses if address != row.peer_address]
    if others:
        texts[0] += f", which is also reached at {join(others)}"
    # The queues count the memory that packets take, not their data.
    if row.receive_queue:
        texts.append(f"{row.receive_queue} octets of memory hold what {who} has not read")
    if row.send_queue:
        texts.append(f"{row.send_queue} octets of memory hold what is not acknowledged yet")
    return texts


def _listens(row: InetSocket, machine: Machine) -> list[str]:
    """Tell of a listener: who reaches it, and how full its queue is."""
    who = holder(row)
    lost = "are dropped, so the peers try again later,"
    if machine.setting("net.ipv4.tcp_abort_on_overflow"):
        lost = "are reset"
    queue = accept_queue(row.receive_queue, row.send_queue, who, lost)
    texts = [
        f"{who} waits for connections to port {row.local_port}{_reach(row, machine)}",
        queue,
    ]
    most = machine.setting("net.core.somaxconn")
    if row.receive_queue > row.send_queue and row.send_queue < most:
        texts.append(
            f"{who} chose that limit with listen(2); net.core.somaxconn would allow {most}"
        )
    lowest = machine.setting("net.ipv4.ip_unprivileged_port_start")
    if row.local_port < lowest:
        texts.append(f"a port below {lowest} takes a privilege (CAP_NET_BIND_SERVICE)")
    return texts


def _reach(row: InetSocket, machine: Machine) -> str:
    """Return from where the own address of a socket can be reached."""
    address = row.local_address
    device = machine.device(row.interface) if row.interface else ""
    if address in _ANY:
        text = _everywhere(row, machine)
        return f", {text}, by way of {device} only" if device else f", {text}"
    plain = address.removeprefix("::ffff:")
    if plain.startswith("127.") or plain == "::1":
        return ", reachable from this machine only (loopback)"
    names = machine.addresses.get(plain)
    many = "" if names else _many(plain, device, machine)
    if many and row.protocol in {"udp", "udplite"}:
        return f" that are {many}"
    if many:
        return f", at {plain}, an address of many, which takes no connections: nobody reaches it"
    if not names:
        return f", at {plain}, which no interface of this machine has now: nobody reaches it"
    where = f", at {plain} ({device or join(names)}) only"
    return f"{where}; other machines reach it unless a firewall forbids it"


def _many(address: str, device: str, machine: Machine) -> str:
    """Return how datagrams come to an address of many; "" for an address of one."""
    if _is_group(address):
        return f"sent to the group {address}{f' on {device}' if device else ''}"
    if address == _LIMITED_BROADCAST:
        where = f"the network of {device}" if device else "a network of this machine"
        return f"broadcast to {where} as {address}, which no router passes on"
    names = machine.broadcasts.get(address)
    return f"broadcast to the network of {device or join(names)}, as {address}" if names else ""


def _everywhere(row: InetSocket, machine: Machine) -> str:
    """Return which addresses a socket has that is bound to any."""
    wanted: tuple[str, ...]
    if row.family == "inet":
        kind, wanted = "IPv4 address of this machine", (".",)
    elif row.v6only:
        kind, wanted = "IPv6 address of this machine", (":",)
    else:
        kind, wanted = "address of this machine, IPv6 and IPv4", (".", ":")
    found = [
        address
        for address in machine.addresses
        if any(mark in address for mark in wanted) and not _is_loopback(address)
    ]
    # An address of the link is of use to neighbours only; it is named where there is no other.
    found = [one for one in found if not one.startswith("fe80:")] or found
    if not found:
        return f"at every {kind}: now that is loopback alone, so only this machine reaches it"
    named = join([f"{address} ({machine.addresses[address][0]})" for address in found])
    return f"at every {kind}: {named}; other machines reach it unless a firewall forbids it"


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _is_group(address: str) -> bool:
    """Return whether this is the address of a multicast group."""
    if ":" in address:
        return address.startswith("ff")
    return 224 <= int(address.partition(".")[0]) <= 239
