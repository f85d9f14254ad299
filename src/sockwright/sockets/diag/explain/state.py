"""What a connection of TCP is doing, state by state, in plain words (RFC 9293 section 3.3.2).

The queues of the kernel count SYN and FIN as one octet each; what is told here leaves them out.
"""

from __future__ import annotations

from sockwright.sockets.diag.explain.phrases import connected, count, holder, span, times, unread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from sockwright.sockets.diag.explain.machine import Machine
    from sockwright.sockets.diag.inet import InetSocket
    from sockwright.sockets.diag.structures.tcp_info import TCPInfo

    Teller: TypeAlias = Callable[[InetSocket, Machine], list[str]]

__all__ = ["tell"]

_WORTH_TELLING = 0.1  # the share of time from which on a limit is named


def _established(row: InetSocket, _: Machine) -> list[str]:
    who = holder(row)
    if not row.inode:
        texts = [f"connected with {row.peer}, but no program has accepted the connection yet"]
        if _counted(row, row.receive_queue):
            texts.append(f"{count(row.receive_queue, 'octet')} arrived already")
        return texts
    texts = [f"{connected(row)} with {row.peer}", *_unread(row, who)]
    texts += _unacknowledged(row)
    timer = row.timer
    if timer is not None and timer.name == "keepalive":
        asked = f"in {span(timer.expires_ms)} the kernel asks whether the peer is still there"
        if timer.retransmits:
            asked = (
                f"the peer was asked {times(timer.retransmits)} whether it is still there, without "
                f"an answer; again in {span(timer.expires_ms)}"
            )
        texts.append(f"{asked} (keep-alive)")
    if len(texts) == 1 or (len(texts) == 2 and timer is not None and not row.send_queue):
        texts[0] += ", and nothing waits in either direction"
    info = getattr(row, "info", None)
    return texts + _limits(info, who) if row.protocol == "tcp" and info is not None else texts


def _syn_sent(row: InetSocket, machine: Machine) -> list[str]:
    asked = f"{holder(row)} asked {row.peer} for a connection, and nobody has answered yet"
    texts = [asked, *_repeated(row, "the request (SYN)")]
    if row.timer is None or not row.timer.retransmits:
        return texts
    if machine.is_own(row.peer_address):
        why = "the accept queue of the listener is full, or a firewall drops the requests"
    else:
        why = (
            "that machine is down, the accept queue of its listener is full, or a firewall drops "
            "the requests"
        )
    # As tcp_write_timeout() of the kernel counts.
    most = machine.setting("net.ipv4.tcp_syn_retries")
    most += machine.setting("net.ipv4.tcp_syn_linear_timeouts")
    after = count(most, "repetition")
    return [*texts, f"{why}; unless TCP_SYNCNT is set, the kernel gives up after {after}"]


def _syn_received(row: InetSocket, _: Machine) -> list[str]:
    asked = (
        f"{row.peer} asked for a connection; the answer is sent, and the last step of the "
        "handshake has not come yet"
    )
    return [asked, *_repeated(row, "the answer (SYN and ACK)")]


def _fin_wait_1(row: InetSocket, _: Machine) -> list[str]:
    closed = f"{_closer(row)} has closed this side, and {row.peer} has not acknowledged that yet"
    return [closed, *_still(row)]


def _fin_wait_2(row: InetSocket, _: Machine) -> list[str]:
    timer = row.timer
    texts = [
        f"{_closer(row)} has closed this side, {row.peer} knows it and has not closed its own yet"
    ]
    if timer is not None and timer.name in {"timewait", "keepalive"} and not row.inode:
        texts.append(f"no program waits for that: the kernel forgets it in {_time(row)}")
    elif row.inode:
        texts[0] += ", so it may still send"
        texts += _unread(row, holder(row))
    return texts


def _time_wait(row: InetSocket, _: Machine) -> list[str]:
    kept = (
        f"both sides have closed; for {_time(row)} more the kernel keeps the pair of ports from "
        "being used anew, in case a segment is late"
    )
    return [kept, "that is how it should be"]


def _close_wait(row: InetSocket, _: Machine) -> list[str]:
    who = holder(row)
    texts = [f"{row.peer} has closed its side, and {who} has not closed this one"]
    if not row.inode:
        texts[0] = f"{row.peer} has closed its side before any program accepted the connection"
        return texts
    if row.receive_queue == 1:
        texts.append(f"{who} has not even read that the stream ends")
    elif row.receive_queue:
        texts += _unread(row, who, end=1)
    else:
        texts.append("it stays like this until the program calls close(2) or ends")
    return texts + _unacknowledged(row)


def _last_ack(row: InetSocket, _: Machine) -> list[str]:
    closed = f"both sides have closed, {row.peer} first; it has not acknowledged the end yet"
    return [closed, *_still(row)]


def _closing(row: InetSocket, _: Machine) -> list[str]:
    closed = f"both sides closed at the same time; {row.peer} has not acknowledged this one's end"
    return [closed, *_still(row)]


def _unconnected(row: InetSocket, _: Machine) -> list[str]:
    who = holder(row)
    if row.local_port:
        return [f"{who} has taken port {row.local_port}, but neither listens nor is connected"]
    return [f"{who} has a socket that neither listens nor is connected"]


_STATES: dict[str, Teller] = {
    "ESTAB": _established,
    "SYN-SENT": _syn_sent,
    "SYN-RECV": _syn_received,
    "FIN-WAIT-1": _fin_wait_1,
    "FIN-WAIT-2": _fin_wait_2,
    "TIME-WAIT": _time_wait,
    "UNCONN": _unconnected,
    "CLOSE-WAIT": _close_wait,
    "LAST-ACK": _last_ack,
    "CLOSING": _closing,
}
"""What tells of a connection, by its state; all but LISTEN."""


def tell(row: InetSocket, machine: Machine) -> list[str]:
    """Tell of a connection in any state but LISTEN."""
    teller = _STATES.get(row.state)
    if teller is None:  # of a later kernel
        return [f"{holder(row)} has a socket in state {row.state}, which is not known here"]
    return teller(row, machine)


def _closer(row: InetSocket) -> str:
    """Return who closed: who holds it, or a program that is gone."""
    return holder(row) if row.inode else "a program that let go of the socket"


def _time(row: InetSocket) -> str:
    return span(row.timer.expires_ms) if row.timer is not None else "a moment"


def _still(row: InetSocket) -> list[str]:
    """Tell of the FIN and of data before it, which the send queue counts too."""
    octets = _counted(row, row.send_queue - 1)
    if octets <= 0:
        end = "the end (FIN)"
        return _blocked(row, end) or _repeated(row, end)
    verb = "is" if octets == 1 else "are"
    written = f"{count(octets, 'octet')} written before"
    blocked = _blocked(row, f"{written}, and with {'it' if octets == 1 else 'them'} the end (FIN),")
    told = f"{written} {verb} not acknowledged either"
    return blocked or [told, *_repeated(row, "what is missing")]


def _counted(row: InetSocket, octets: int) -> int:
    """Return the octets of a queue; 0 for Multipath TCP, whose queues count memory instead."""
    return octets if row.protocol == "tcp" else 0


def _unread(row: InetSocket, who: str, end: int = 0) -> list[str]:
    """Tell of what was not read, but for the `end` (FIN), which the queue counts too."""
    if row.protocol == "tcp":
        return unread(row.receive_queue - end, who)
    if not row.receive_queue:
        return []
    return [f"{row.receive_queue} octets of memory hold what {who} has not read"]


def _unacknowledged(row: InetSocket) -> list[str]:
    """Tell of what was written and is not acknowledged, and of what the kernel does about it."""
    octets = _counted(row, row.send_queue)
    if octets <= 0:
        return []
    blocked = _blocked(row, count(octets, "octet"))
    if blocked:
        return blocked
    verb = "was" if octets == 1 else "were"
    told = f"{count(octets, 'octet')} {verb} written that the peer has not acknowledged yet"
    return [told, *_repeated(row, "what is missing")]


def _blocked(row: InetSocket, what: str) -> list[str]:
    """Tell that the peer has no room for what is to be sent; nothing where it has."""
    timer = row.timer
    if timer is None or timer.name != "persist":
        return []
    asked = f" (asked {times(timer.retransmits)} already)" if timer.retransmits else ""
    told = (
        f"{what} cannot be sent: the peer has no room for more (zero window), as its program does "
        f"not read; in {span(timer.expires_ms)} the kernel asks again{asked}"
    )
    return [told]


def _repeated(row: InetSocket, what: str) -> list[str]:
    """Tell how often something was sent again."""
    timer = row.timer
    if timer is None or timer.name != "on":
        return []
    if not timer.retransmits:
        return [f"in {span(timer.expires_ms)} {what} is sent again"] if timer.expires_ms else []
    told = f"{what} was sent again {times(timer.retransmits)}"
    return [f"{told}, next in {span(timer.expires_ms)}" if timer.expires_ms else told]


def _limits(info: TCPInfo, who: str) -> list[str]:
    """Tell what holds the connection back, as far as TCP_INFO knows."""
    texts = []
    if info.ca_state in {"recovery", "loss"}:
        texts.append("packets are being lost: the sender slows down and repeats them")
    busy = info.busy_time or 0
    window, buffer = info.rwnd_limited or 0, info.sndbuf_limited or 0
    if busy and max(window, buffer) >= busy * _WORTH_TELLING:
        what = "the peer's window" if window > buffer else "the send buffer (SO_SNDBUF)"
        share = min(100 * max(window, buffer) // busy, 100)
        texts.append(f"{what} held it back for {share} % of the time that it had data to send")
    elif busy and info.delivery_rate_app_limited and not info.unacked:
        texts.append(f"{who} sends less than the path would carry")
    return texts
