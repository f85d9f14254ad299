"""What a probe carries so that nothing needs to be remembered about it.

The sequence number of a TCP probe is a cookie, as in SYN cookies: the answer has to acknowledge it.
It says when the probe was sent (12 bits, the number of a small group of probes) and proves that
the answer answers this scan (20 bits, from secret tables, the port, the group and the host). The
try stands in the source port. So a port that stays silent takes no memory, an answer is believed
only when it answers, and the round trip of any try is known.

An ICMP error quotes at least the first 8 octets behind the IP header (RFC 792, RFC 4443 section
3.1), which are the ports and the sequence number: it is proved in the same way.
"""

from __future__ import annotations

import itertools
import os
from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GROUPS", "PROOF", "SHIFT", "Cookies", "Groups"]

PROOF: Final = 0xFFFFF
"""The bits of a sequence number that prove it."""
GROUPS: Final = 1 << 12
"""How many groups of probes can be told apart before their numbers come again."""
SHIFT: Final = 20
"""Where the bits begin that say of which group it is."""


class Cookies:
    """The secrets of one scan: numbers for each port, each group of probes and each host.

    What proves a probe to port p of group g to a host is the lowest 20 bits of
    ``of_port[p ^ of_group[g]] ^ of_host(address)``. A host that knows the proofs of the probes that
    it received so cannot make those of others.
    """

    __slots__ = ("_secret", "of_group", "of_port")

    def __init__(self) -> None:
        self.of_port = array("I", os.urandom(4 * 65536))
        self.of_group = array("H", os.urandom(2 * GROUPS))
        self._secret = os.urandom(16)

    def of_host(self, address: bytes) -> int:
        """Return the number of the host at a packed address; to be mixed with that of the port."""
        from _blake2 import blake2s  # what hashlib has; hashlib itself loads OpenSSL

        digest = blake2s(address, digest_size=4, key=self._secret).digest()
        return int.from_bytes(digest, "big")

    def proves(self, cookie: int, port: int, key: int) -> bool:
        """Whether a cookie is that of a probe to a port of the host with this number."""
        proof = self.of_port[port ^ self.of_group[cookie >> SHIFT]] ^ key
        return not (cookie ^ proof) & PROOF


class Groups:
    """When each group of probes went out, and in which epoch of its pace.

    One call hands several groups to the kernel, and nobody knows when it came to which. `times` is
    when that began, so that no round trip is taken for shorter than it was; `likely` is when each
    went if all took as long.
    """

    __slots__ = ("_numbers", "epochs", "likely", "times")

    def __init__(self) -> None:
        self.times = [0.0] * GROUPS
        self.likely = [0.0] * GROUPS
        self.epochs = [0] * GROUPS
        self._numbers = itertools.count()

    def begin(self, now: float, epoch: int) -> int:
        """Begin a group that goes out at `now` or later; return its number."""
        number = next(self._numbers) % GROUPS  # one step of the interpreter, for several threads
        self.times[number] = self.likely[number] = now
        self.epochs[number] = epoch
        return number

    def go(self, numbers: Sequence[int], began: float, cost: float) -> None:
        """Note that groups go out from `began` on, each after `cost` seconds for the one before."""
        for at, number in enumerate(numbers):
            self.times[number] = began
            self.likely[number] = began + at * cost
