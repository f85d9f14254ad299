"""What was found out about a port so far; at the end it becomes a `Service`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sockwright.scan.services.text import clean, first_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.scan.results import Service

__all__ = ["PRODUCT_KNOWN", "PROTOCOL_KNOWN", "PROTOCOL_LIKELY", "Finding"]

PRODUCT_KNOWN: Final = 0.95
PROTOCOL_KNOWN: Final = 0.8
PROTOCOL_LIKELY: Final = 0.6
_MOST_DETAILS: Final = 48
_MOST_DETAIL: Final = 400


@dataclass(slots=True)
class Finding:
    """A service, as far as it is known; the names are those of `Service`.

    `banner` is what it said, as it came; `read` is whether anybody could read that. Text is
    cleaned when the `Service` is made, and by `detail`. `follow` is what can be asked next on the
    same connection.
    """

    name: str
    confidence: float = PROTOCOL_KNOWN
    product: str = ""
    version: str = ""
    extra: str = ""
    hostname: str = ""
    os: str = ""
    device: str = ""
    tunnel: bool = False
    cpe: list[str] = field(default_factory=list)
    banner: bytes = b""
    read: bool = True
    details: dict[str, str] = field(default_factory=dict)
    follow: Callable[..., Any] | None = None

    def detail(self, key: str, value: bytes | str | None, most: int = _MOST_DETAIL) -> None:
        """Note a further fact; nothing where there is none."""
        if value and len(self.details) < _MOST_DETAILS and (text := clean(value, most)):
            self.details[key] = text

    def product_is(
        self, product: str, version: str = "", *, cpe: str = "", confidence: float = PRODUCT_KNOWN
    ) -> Finding:
        """Note the program; `cpe` may have ``{version}``, which goes with its colon if unknown."""
        self.product, self.version = product, version
        self.confidence = max(self.confidence, confidence)
        if cpe:
            self.add_cpe(cpe.replace("{version}", version).rstrip(":"))
        return self

    def add_cpe(self, cpe: str) -> None:
        """Note a CPE name, unless it or one that says more is there."""
        if not any(one == cpe or one.startswith(f"{cpe}:") for one in self.cpe):
            self.cpe.append(cpe)

    def learn(self, on: str, text: bytes | str) -> Finding:
        """Look `text` up in what is known of programs under the heading `on`; see `matching`."""
        from sockwright.scan.services.matching import look_up

        look_up(self, on, text if isinstance(text, str) else text.decode("utf-8", "replace"))
        return self

    def service(self) -> Service:
        """Make the row."""
        from sockwright.scan.results import Service

        return Service(
            name=clean(self.name, 64),
            confidence=round(self.confidence, 2),
            method="probed",
            product=clean(self.product),
            version=clean(self.version, 64),
            extra=clean(self.extra),
            hostname=clean(self.hostname, 255),
            os=clean(self.os),
            device=clean(self.device),
            tunnel="tls" if self.tunnel else "",
            cpe=tuple(clean(name, 128) for name in self.cpe[:8]),
            banner=_banner(self.banner, read=self.read),
            details=self.details,
        )


def _banner(octets: bytes, *, read: bool) -> str:
    """Return the first line of what was said in words; else nothing, or what nobody could read."""
    part = octets[:256]
    odd = sum(one < 9 or 13 < one < 32 for one in part)
    if 8 * odd < len(part):
        return first_line(octets)
    return "" if read else clean(octets)
