"""Values of flags: times, sizes, numbers, framings, types of service.

Each function is given the flag, so that its error says where the value stood and what would fit.
"""

from __future__ import annotations

from sockwright.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.nc.engine.settings import Framing

__all__ = ["duration", "framing", "number", "size", "type_of_service"]

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {
    "": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30,
}  # fmt: skip
# RFC 1349 gave the low words, RFC 791 the others, both as OpenBSD's nc takes them; the names that
# begin with a capital are those of traditional nc.
_SERVICES = {
    "lowcost": 0x02, "reliability": 0x04, "throughput": 0x08, "lowdelay": 0x10,
    "critical": 0xA0, "inetcontrol": 0xC0, "netcontrol": 0xE0, "ef": 0xB8, "va": 0xB0, "le": 0x04,
    "minimize-delay": 0x10, "maximize-throughput": 0x08, "maximize-reliability": 0x04,
    "minimize-cost": 0x02,
}  # fmt: skip


def duration(text: str, flag: str, *, least: float = 0.0) -> float:
    """Read a time in seconds, or with a unit: 5, 0.5, 500ms, 2m. Raises: UsageError."""
    digits = text.rstrip("mshd")
    try:
        seconds = float(digits) * _SECONDS[text[len(digits) :] or "s"]
    except (ValueError, KeyError):
        seconds = float("nan")
    if not least <= seconds < float("inf"):  # nor is NaN
        what = "a time above 0" if least > 0 else "a time"
        raise UsageError(f"{flag} takes {what}, such as 5, 0.5, 500ms, 2m, not {text!r}")
    return seconds


def size(text: str, flag: str) -> int:
    """Read a number of octets: 4096, 500k (1000), 2M, 1Mi (1024 * 1024). Raises: UsageError."""
    digits = text.rstrip("kKmMgGiIbB")
    unit = text[len(digits) :].lower().removesuffix("b")
    try:
        octets = int(float(digits) * _SIZES[unit])
    except (ValueError, KeyError, OverflowError):
        octets = 0
    if octets < 1:
        raise UsageError(f"{flag} takes a number of octets, such as 4096, 500k, 2M, not {text!r}")
    return octets


def number(text: str, flag: str, low: int, high: int) -> int:
    """Read a number within bounds. Raises: UsageError."""
    if text.isascii() and text.isdecimal() and low <= int(text[:12]) <= high:
        return int(text)
    raise UsageError(f"{flag} takes a number in {low}..{high}, not {text!r}")


def framing(text: str) -> Framing:
    """Read where a datagram ends. Raises: UsageError."""
    if text == "line":
        return "line"
    if text == "chunk":
        return "chunk"
    if text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 65535:
        return int(text)
    raise UsageError(f"--frame takes line, chunk or a number of octets in 1..65535, not {text!r}")


def type_of_service(text: str) -> int:
    """Read the octet of IP_TOS: a name, of RFC 2474's code points too, or a number.

    Raises: UsageError.
    """
    name = text.lower()
    if name in _SERVICES:
        return _SERVICES[name]
    if len(name) == 3 and name.startswith("cs") and name[2] in "01234567":
        return int(name[2]) << 5
    if len(name) == 4 and name.startswith("af") and name[2] in "1234" and name[3] in "123":
        return (int(name[2]) << 3 | int(name[3]) << 1) << 2
    digits, base = (name[2:], 16) if name.startswith("0x") else (name, 10)
    try:
        value = int(digits[:5], base) if digits.isalnum() else -1
    except ValueError:
        value = -1
    if not 0 <= value <= 255:
        raise UsageError(
            f"-T takes lowdelay, throughput, reliability, ef, af11 to af43, cs0 to cs7 or a number "
            f"in 0..255, not {text!r}"
        )
    return value
