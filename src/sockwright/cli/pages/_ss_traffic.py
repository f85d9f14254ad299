"""What a TCP connection has carried, in words."""

from __future__ import annotations

from sockwright.cli.units import octets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.sockets.diag.tcp_info import TCPInfo

__all__ = ["traffic_text"]


def traffic_text(info: TCPInfo) -> str:
    """Return the octets both ways, and which share of the segments was sent again.

    The kernel counts a SYN that was acknowledged, and a FIN that arrived, as an octet.
    """
    sent = info.bytes_acked if info.data_segs_out != 0 else 0
    received = info.bytes_received if info.data_segs_in != 0 else 0
    words = [f"sent {octets(sent or 0)}", f"received {octets(received or 0)}"]
    if info.total_retrans:
        # What was sent again may have been a SYN, which is no segment with data.
        share = 100 * info.total_retrans / max(info.data_segs_out or 1, info.total_retrans)
        words.append(f"{info.total_retrans} segments sent again ({share:.2g} %)")
    return ", ".join(words)
