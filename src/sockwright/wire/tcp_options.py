"""TCP options, RFC 9293 section 3.2 and the RFCs named at each."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from sockwright.wire.core.option import Option

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KINDS", "MSS", "WindowScale"]


@dataclass(frozen=True, slots=True)
class MSS(Option):
    """Kind 2, maximum segment size in octets, RFC 9293 section 3.7.1."""

    kind: ClassVar[int] = 2
    size: int

    def __post_init__(self) -> None:
        if not 0 <= self.size <= 0xFFFF:
            raise ValueError(f"MSS size {self.size} is outside 0 to 65535")

    def body(self) -> bytes:
        """Return the size in two octets."""
        return self.size.to_bytes(2, "big")

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read two octets. Raises: ValueError for any other number of them."""
        try:
            return cls(*struct.unpack("!H", body))
        except struct.error:
            raise ValueError("MSS has two octets") from None


@dataclass(frozen=True, slots=True)
class WindowScale(Option):
    """Kind 3, window scale, RFC 7323 section 2.2: the window is shifted left by `shift` bits."""

    kind: ClassVar[int] = 3
    shift: int

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= 0xFF:
            raise ValueError(f"window scale {self.shift} is outside 0 to 255")

    def body(self) -> bytes:
        """Return the shift in one octet."""
        return bytes((self.shift,))

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read one octet. Raises: ValueError for any other number of them."""
        if len(body) != 1:
            raise ValueError("window scale has one octet")
        return cls(body[0])


KINDS: Mapping[int, type[Option]] = {option.kind: option for option in (MSS, WindowScale)}
