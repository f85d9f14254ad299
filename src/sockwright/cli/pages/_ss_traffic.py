"""What a TCP connection has carried, in words."""

from __future__ import annotations

from sockwright.cli.units import octets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.sockets.diag.inet import TCPSocket
    from sockwright.sockets.diag.structures.tcp_info import TCPInfo

__all__ = ["traffic_text", "traffic_texts"]

# Those in which the peer has ended its stream: its FIN was counted as an octet.
_PEER_ENDED = {"CLOSE-WAIT", "LAST-ACK", "CLOSING", "TIME-WAIT"}


def traffic_text(row: TCPSocket, state: str = "") -> str:
    """Return the octets both ways, and which share of the segments was sent again.

    Of a connection that has closed, `state` is the last one that was seen. Without it a FIN that
    arrived may be among what was received, as an octet: the kernel does not tell.
    """
    return traffic_texts(row, state)[0]


def traffic_texts(row: TCPSocket, state: str = "") -> tuple[str, ...]:
    """Return the same, and what says less in less room; the longest first."""
    info = row.info
    if info is None:
        return ("",)
    sent, received = octets(_sent(info)), octets(_received(info, state or row.state))
    text = f"sent {sent}, received {received}"
    brief = f"{sent} out, {received} in"
    if not info.total_retrans:
        return text, brief
    # What was sent again may have been a SYN, which is no segment with data.
    share = 100 * info.total_retrans / max(info.data_segs_out or 1, info.total_retrans)
    segments = "1 segment" if info.total_retrans == 1 else f"{info.total_retrans} segments"
    return f"{text}, {segments} sent again ({share:.2g} %)", text, brief


def _sent(info: TCPInfo) -> int:
    """Return the octets of data, each counted once."""
    if info.bytes_sent is not None:  # from Linux 4.19 on
        return info.bytes_sent - (info.bytes_retrans or 0)
    # This counts SYN and FIN, too, as soon as they are acknowledged.
    return (info.bytes_acked or 0) if info.data_segs_out != 0 else 0


def _received(info: TCPInfo, state: str) -> int:
    if info.data_segs_in == 0:
        return 0
    return max(0, (info.bytes_received or 0) - (state in _PEER_ENDED))
