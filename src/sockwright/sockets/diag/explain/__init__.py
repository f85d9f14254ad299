"""`explain`: a socket in plain words, for whoever reads a listing and wonders what it means.

One function for each table. What it says comes from the row and from `Machine`, so it is as true as
they are; only whether the file of a UNIX socket is still there is looked up. Who holds the socket,
its timers, memory and TCP_INFO are named where the row was asked for them
(``dump(processes=True, memory=True, info=True)``). Names of processes and paths of sockets stand in
the text as they are: clean it before it reaches a terminal.
"""

from __future__ import annotations

from sockwright.sockets.diag.explain.phrases import (
    connected,
    holder,
    join,
    sentence,
    sharing,
    waiting,
)
from sockwright.sockets.diag.row import SocketRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.sockets.diag.explain.machine import Machine
    from sockwright.sockets.diag.netlink_table import NetlinkSocket
    from sockwright.sockets.diag.packet import PacketSocketRow
    from sockwright.sockets.diag.vsock import VSockSocket

__all__ = ["explain"]

_EVERY_FRAME = 3  # ETH_P_ALL
_FRAMES = {0x0800: "IPv4", 0x0806: "ARP", 0x86DD: "IPv6", 0x88CC: "LLDP", 0x888E: "802.1X"}
_NETLINK = {
    0: "links, addresses and routes (rtnetlink)",
    2: "other programs (usersock)",
    4: "sockets (sock_diag)",
    6: "IPsec (xfrm)",
    7: "SELinux",
    8: "iSCSI",
    9: "the audit log",
    10: "routing lookups",
    11: "events of processes (connector)",
    12: "the firewall (netfilter)",
    15: "devices that come and go (uevent)",
    16: "any of many subjects (generic netlink)",
    20: "RDMA",
    21: "cryptography",
}


def explain(row: SocketRow, machine: Machine) -> str:
    """Return what this socket is doing and what that means: a sentence, or a few.

    Raises:
        TypeError: `row` is no row of a listing.
    """
    if not isinstance(row, SocketRow):
        raise TypeError(f"what is explained is a row of dump(), not {row!r}")
    from sockwright.sockets.diag.explain import inet
    from sockwright.sockets.diag.explain.unix import explain_unix

    tellers: dict[str, Callable[..., list[str]]] = {
        "tcp": inet.explain_tcp,
        "mptcp": inet.explain_mptcp,
        "udp": inet.explain_udp,
        "udplite": inet.explain_udp,
        "raw": inet.explain_raw,
        "sctp": inet.explain_sctp,
        "unix": explain_unix,
        "packet": _packet,
        "netlink": _netlink,
        "vsock": _vsock,
    }
    texts = tellers[row.protocol](row, machine) + sharing(row)
    who = holder(row)
    return " ".join(sentence(text, who) for text in texts)


def _packet(row: PacketSocketRow, machine: Machine) -> list[str]:
    who = holder(row)
    where = f"on {machine.device(row.interface)}" if row.interface else "on any interface"
    number = row.ethernet_protocol
    if not number:
        texts = [f"{who} can send frames and receives none: no protocol was chosen"]
    else:
        what = _FRAMES.get(number) or f"EtherType 0x{number:04x}"
        frames = f"every {what} frame that comes in"
        if number == _EVERY_FRAME:
            frames = "every frame that comes in or goes out"
        texts = [f"{who} gets a copy of {frames} {where}"]
        if row.type == "dgram":
            texts[0] += ", without the link-layer header"
        if row.filter_instructions:
            texts[0] += ", as far as its filter lets it pass"
    if row.is_promiscuous:
        texts.append("it has the interface pass on frames for other machines too (promiscuous)")
    if row.fanout is not None:
        texts.append(f"the sockets of group {row.fanout.id} share the frames among them")
    return texts + waiting(row.memory, who)


def _netlink(row: NetlinkSocket, _: Machine) -> list[str]:
    number = row.netlink_protocol
    subject = _NETLINK.get(number) or f"netlink protocol {number}"
    if row.is_kernel:
        return [f"the kernel's own end, which programs ask about {subject}"]
    who = holder(row)
    texts = [f"{who} can talk with {'' if number == 2 else 'the kernel about '}{subject}"]
    if row.groups:
        numbers = join([str(group) for group in row.groups])
        texts[0] += f" and hears the news of {_plural(row.groups, 'group')} {numbers}"
    return texts + waiting(row.memory, who)


def _vsock(row: VSockSocket, _: Machine) -> list[str]:
    who = holder(row)
    side = {None: "anybody", 0: "the hypervisor", 1: "this machine", 2: "the host"}
    peer = side.get(row.peer_cid) or f"virtual machine {row.peer_cid}"
    if row.state == "LISTEN":
        texts = [f"{who} waits for connections to port {row.local_port}"]
        texts[0] += " between virtual machines and their host; no network lies in between"
        return texts
    if row.state == "ESTAB":
        return [f"{connected(row)} to {peer}, port {row.peer_port}, past any network"]
    return [f"{who} has a socket between virtual machine and host that is not connected"]


def _plural(things: tuple[int, ...], noun: str) -> str:
    return noun if len(things) == 1 else f"{noun}s"
