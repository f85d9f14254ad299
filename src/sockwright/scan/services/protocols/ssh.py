"""SSH (RFC 4253): the identification string, and the algorithms that the server offers."""

from __future__ import annotations

import re
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

from sockwright.scan.services.finding import Finding
from sockwright.scan.services.probe import Greeting

if TYPE_CHECKING:
    from sockwright.scan.services.probe import Visit
    from sockwright.scan.services.stream import Stream
    from sockwright.scan.services.waiting import Steps

__all__ = ["SSH", "read_ssh"]

_MSG_KEXINIT: Final = 20
# RFC 4253 section 7.1: the lists of names, in their order; of pairs those from the server.
_LISTS: Final = (
    "ssh.kex", "ssh.host_keys", "", "ssh.ciphers", "", "ssh.macs", "", "ssh.compression",
)  # fmt: skip


def read_ssh(octets: bytes) -> Finding | None:
    """Read the identification string; other lines may come before it (section 4.2)."""
    match = re.search(rb"(?:^|\n)SSH-(\d{1,3}\.\d{1,3})-([^\s]{1,200})(?: ([^\r\n]{0,200}))?",
                      octets[:8192])  # fmt: skip
    if match is None:
        return None
    finding = Finding("ssh", confidence=0.85, banner=match[0].strip())
    # Some send their algorithms together with it.
    finding.follow = partial(_key_exchange, octets[match.end() :].lstrip(b"\r\n"))
    finding.detail("ssh.protocol", match[1])
    finding.detail("ssh.software", match[2])
    software = match[2] + (b" " + match[3] if match[3] else b"")
    finding.learn("ssh.software", software)
    if match[3]:
        finding.detail("ssh.comment", match[3])
        finding.extra = finding.extra or match[3].decode("utf-8", "replace")
    return finding


def _key_exchange(got: bytes, visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    yield from stream.send(b"SSH-2.0-sockwright\r\n")
    until = monotonic() + visit.patience
    while len(got) < 4 or len(got) < 4 + int.from_bytes(got[:4], "big"):
        if int.from_bytes(got[:4], "big") > 35000:  # section 6.1
            return
        piece = yield from stream.receive(until)
        if not piece:
            return
        got += piece
    padding = got[4]
    payload = got[5 : 4 + int.from_bytes(got[:4], "big") - padding]
    if payload[0] != _MSG_KEXINIT:
        return
    at = 17  # the message number and the cookie
    for key in _LISTS:
        length = int.from_bytes(payload[at : at + 4], "big")
        if key:
            finding.detail(key, payload[at + 4 : at + 4 + length].replace(b",", b", "))
        at += 4 + length


SSH = Greeting("ssh", read_ssh, ports=(22, 222, 830, 2022, 2200, 2222, 22222))
