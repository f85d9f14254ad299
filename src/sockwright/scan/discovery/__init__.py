"""Which hosts are there: ARP, ND, ICMP, TCP pings; connections where no raw socket is allowed."""

from sockwright.scan.discovery.discovery import Discovery
from sockwright.scan.discovery.kinds import Found

__all__ = ["Discovery", "Found"]
