"""The line that both sides of SSH begin with, RFC 4253 section 4.2.

It names the software, and distributions add their own version behind it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sockwright.identify.passive.http import printable

if TYPE_CHECKING:
    from sockwright.identify.signature import Traits

__all__ = ["START", "Banner", "read_banner"]

START: Final = b"SSH-"
_LINE: Final = re.compile(rb"SSH-(?:1\.\d{1,2}|2\.0)-[^\r\n]{1,244}(?=[\r\n])")
"""With line end at most 255 octets; a line without its end may have been cut."""


@dataclass(frozen=True, slots=True)
class Banner:
    """The identification line of one side; cleaned for terminals."""

    line: str
    kind: str = "ssh"

    def traits(self) -> Traits:
        """Return what signatures are compared with."""
        return {"ssh.banner": self.line}

    def __str__(self) -> str:
        return self.line


def read_banner(octets: bytes) -> Banner | None:
    """Read the line that `octets` start with; None where they are no SSH. Never raises."""
    found = _LINE.match(octets[:256])
    return Banner(printable(found[0], 255)) if found else None
